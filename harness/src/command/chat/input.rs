//! Standard input, line by line, and messages of several lines.

use std::io::{self, BufRead};

use intact_format::text::without_byte_order_mark;

use crate::command::Failure;

/// What stands alone in the lines before and behind a message of several lines.
pub(super) const FENCE: &str = "\"\"\"";

/// What is typed or piped in at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A line.
    Line(String),
    /// A message of several lines.
    Message(String),
}

/// The lines that are typed or piped in.
pub(super) struct Input<R> {
    from: R,
    read: u64,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, read: 0 }
    }

    /// The next line, or message of several lines; none at the end.
    ///
    /// # Errors
    /// When a line is not text, or a message does not end. What comes after it can be read.
    pub(super) fn entry(&mut self) -> Option<Result<Entry, Failure>> {
        match self.line()? {
            Ok(line) if line.trim() == FENCE => Some(self.message().map(Entry::Message)),
            line => Some(line.map(Entry::Line)),
        }
    }

    /// The lines up to the one that ends a message. All of them are read, whatever is wrong with one.
    fn message(&mut self) -> Result<String, Failure> {
        let began = self.read;
        let (mut text, mut wrong) = (String::new(), None);
        loop {
            match self.line() {
                Some(Ok(line)) if line.trim() == FENCE => break,
                Some(Ok(line)) => text += line.trim_end_matches(['\r', '\n']),
                Some(Err(failure)) => wrong = Some(failure),
                None => {
                    let what =
                        format!("the message that begins in line {began} does not end, and is left out");
                    return Err(Failure::setup(what).help(format!("end it with a line of {FENCE}")));
                }
            }
            text.push('\n');
        }
        wrong.map_or(Ok(text.trim_end_matches('\n').to_owned()), Err)
    }

    fn line(&mut self) -> Option<Result<String, Failure>> {
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

    fn entries(text: &[u8]) -> Vec<Result<Entry, String>> {
        let mut input = Input::new(text);
        std::iter::from_fn(|| input.entry())
            .map(|entry| entry.map_err(|failure| failure.to_string()))
            .collect()
    }

    #[test]
    fn a_message_of_several_lines_stands_between_fences() {
        let line = |text: &str| Ok(Entry::Line(text.into()));
        let message = |text: &str| Ok(Entry::Message(text.into()));
        let text = b"one\n\"\"\"\r\n/save\n\n  two\r\n \"\"\" \nthree\n\"\"\"\n\"\"\"\n\"\"\"\nfour";
        let expected = [
            line("one\n"),
            message("/save\n\n  two"),
            line("three\n"),
            message(""),
            Err("the message that begins in line 10 does not end, and is left out".to_owned()),
        ];
        assert_eq!(entries(text), expected);
        let broken = entries(b"\"\"\"\na\n\xff\nb\n\"\"\"\nc");
        let left_out = "line 3 is not text in UTF-8, and is left out".to_owned();
        assert_eq!(broken, [Err(left_out), line("c")]);
    }

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
