//! How a transfer goes, on standard error: a bar on a terminal, plain lines otherwise.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::command::table::plain;
use crate::hub::Watch;

const TEMPLATE: &str = "{msg:38!} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

/// Shows transfers.
pub(super) struct Shown {
    verb: &'static str,
    bar: Mutex<Option<ProgressBar>>,
}

impl Shown {
    /// `verb` says what is done to a file.
    pub(super) fn new(verb: &'static str) -> Self {
        Self { verb, bar: Mutex::new(None) }
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Watch for Shown {
    fn begin(&self, file: &str, size: u64, have: u64) {
        if !stderr().is_terminal() {
            eprintln!("{}", announced(self.verb, file, size, have));
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(plain(file.rsplit('/').next().unwrap_or(file)));
        bar.set_position(have);
        bar.reset_eta();
        self.with(|shown| *shown = Some(bar));
    }

    fn at(&self, have: u64) {
        self.with(|bar| bar.iter().for_each(|bar| bar.set_position(have)));
    }

    fn end(&self) {
        self.with(|bar| bar.take().iter().for_each(ProgressBar::finish_and_clear));
    }

    fn say(&self, line: &str) {
        self.with(|bar| match bar {
            Some(bar) => bar.println(plain(line)),
            None => eprintln!("{}", plain(line)),
        });
    }
}

fn announced(verb: &str, file: &str, size: u64, have: u64) -> String {
    let here = if have > 0 { format!(", {} of it here already", HumanBytes(have)) } else { String::new() };
    format!("{verb} {} ({}{here})", plain(file), HumanBytes(size))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_transfer_is_announced_with_what_is_here_already() {
        assert_eq!(super::announced("fetching", "a.gguf", 2048, 0), "fetching a.gguf (2.00 KiB)");
        assert_eq!(
            super::announced("fetching", "a.gguf", 2048, 1024),
            "fetching a.gguf (2.00 KiB, 1.00 KiB of it here already)"
        );
    }
}
