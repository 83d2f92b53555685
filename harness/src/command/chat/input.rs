//! Standard input, line by line.

use std::io::{self, BufRead};

use intact_format::text::without_byte_order_mark;

use crate::command::Failure;

/// The lines that are typed or piped in.
pub(super) struct Input<R> {
    from: R,
    read: u64,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, read: 0 }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// When a line is not text. The one after it can be read.
    pub(super) fn line(&mut self) -> Option<Result<String, Failure>> {
        let mut bytes = Vec::new();
        match self.from.read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(_) => self.read += 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.line(),
            Err(error) => {
                Failure::setup(format!("standard input: {error}")).report();
                return None;
            }
        }
        let line = if self.read == 1 { without_byte_order_mark(&bytes) } else { &bytes };
        Some(match std::str::from_utf8(line) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                Err(Failure::setup(format!("line {} is not text in UTF-8, and is left out", self.read))
                    .help("set the terminal to UTF-8, or convert what is piped in"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_text_is_left_out_and_the_next_one_is_read() {
        let mut input = Input::new(&b"\xef\xbb\xbfone\n\xff\xfe\n\ntwo"[..]);
        let mut lines = Vec::new();
        while let Some(line) = input.line() {
            lines.push(line.map_err(|failure| failure.to_string()));
        }
        let left_out = "line 2 is not text in UTF-8, and is left out".to_owned();
        assert_eq!(lines, [Ok("one\n".into()), Err(left_out), Ok("\n".into()), Ok("two".into())]);
    }
}
