//! Colours on a terminal, which mean there what they mean in reports. Where the output is none, or NO_COLOR asks for it, nothing is
//! coloured.

use std::ffi::OsStr;
use std::io::{IsTerminal, stderr, stdout};

use crate::style::Tone;
use crate::text;

/// Whether standard output is coloured.
pub(super) fn on_output() -> bool {
    stdout().is_terminal()
        && is_wanted(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

/// Whether standard error is.
pub(super) fn on_errors() -> bool {
    stderr().is_terminal()
        && is_wanted(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

/// Whether a terminal of this kind is coloured, where this is what NO_COLOR says.
fn is_wanted(no_color: Option<&OsStr>, terminal: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && terminal != Some(OsStr::new("dumb"))
}

const fn code(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "32",
        Tone::Fair => "36",
        Tone::Safe => "34",
        Tone::Weak => "33",
        Tone::Bad => "31",
        Tone::Blank => "2",
    }
}

/// A line in the colour of a tone. Nothing in it acts on a terminal but the colour.
pub(super) fn painted(tone: Tone, line: &str) -> String {
    format!("\u{1b}[{}m{}\u{1b}[0m", code(tone), text::shown(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_coloured_where_somebody_says_so() {
        let [empty, one, xterm, dumb] = ["", "1", "xterm", "dumb"].map(OsStr::new);
        assert!(is_wanted(None, Some(xterm)) && is_wanted(Some(empty), None));
        assert!(!is_wanted(Some(one), Some(xterm)) && !is_wanted(None, Some(dumb)));
    }

    #[test]
    fn what_others_wrote_does_nothing_inside_a_colour() {
        assert_eq!(painted(Tone::Good, "a\u{1b}[2J"), "\u{1b}[32ma\\u001b[2J\u{1b}[0m");
    }
}
