//! Plain tables for the terminal: aligned columns, the last one free.

use std::fmt::Write;

/// Lines of `rows` under `head`, each column as wide as its widest entry.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let entries = rows.iter().map(|row| row[column].chars().count());
        entries.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in std::iter::once(head.map(str::to_owned)).chain(rows.iter().cloned()) {
        let mut line = String::new();
        for (entry, width) in row.iter().zip(widths) {
            let _ = write!(line, "{:width$}  ", plain(entry));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Names with their values, one on a line.
pub(super) fn facts(facts: &[(String, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    facts.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:width$}  {}", plain(value));
        out
    })
}

/// One line without anything that a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    crate::text::line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_escape_sequences_are_defused() {
        let rows = [["a".to_owned(), "long entry".to_owned()], ["größer".to_owned(), "\u{1b}[2J".to_owned()]];
        let text = table(["name", "value"], &rows);
        assert_eq!(text, "name    value\na       long entry\ngrößer  \u{fffd}[2J\n");
        assert_eq!(facts(&[("a".into(), "1".into()), ("bcd".into(), "2".into())]), "a    1\nbcd  2\n");
    }
}
