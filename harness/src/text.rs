//! Text that others wrote, on its way out: to a terminal, a page, a comment, or a document for other tools.
//!
//! Whatever leaves the harness passes one of these. A character that does something to what shows it, rather than being shown
//! (controls, escape sequences, turns of the reading direction, what is no character at all), leaves none of them.

use std::borrow::Cow;
use std::fmt::Write;

/// What stands in place of a character that cannot be shown.
const INSTEAD: char = '\u{fffd}';
/// A space of no width, which keeps words apart for whoever looks for names and links in them.
const APART: &str = "&#8203;";

/// Whether a character acts on what shows it. The end of a line and the tab do too, as they should.
pub(crate) fn acts(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Turns of the reading direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Marks that are seen by programs alone.
        '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}' => true,
        '\u{fdd0}'..='\u{fdef}' => true,
        other => other.is_control() || u32::from(other) & 0xfffe == 0xfffe,
    }
}

/// For a terminal, a log, or a document that is printed there: what acts on it is shown by its number, in a form that JSON reads
/// back.
pub(crate) fn shown(raw: &str) -> Cow<'_, str> {
    if !raw.contains(acts) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 16);
    let mut rest = raw.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' if rest.peek() == Some(&'\n') => {}
            character if acts(character) => escape(&mut out, character),
            character => out.push(character),
        }
    }
    Cow::Owned(out)
}

fn escape(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _always = write!(out, "\\u{unit:04x}");
    }
}

/// One line for a terminal.
pub(crate) fn line(raw: &str) -> String {
    let visible = |character: char| match character {
        '\n' | '\r' | '\t' => ' ',
        '\u{2028}' | '\u{2029}' => ' ',
        other if acts(other) => INSTEAD,
        other => other,
    };
    raw.chars().map(visible).collect()
}

/// The same with every digest of 64 digits by its first twelve: enough to tell it from any other.
pub(crate) fn brief(raw: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    for (at, run) in runs(raw, |byte| byte.is_ascii_alphanumeric()) {
        if run.len() == DIGEST && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            out.push_str(&raw[kept..at + SHORT]);
            out.push('…');
            kept = at + DIGEST;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(raw);
    }
    out.push_str(&raw[kept..]);
    Cow::Owned(out)
}

/// Digits of a digest, and how many of them are shown.
const DIGEST: usize = 64;
const SHORT: usize = 12;

/// The longest stretches of these bytes, with where they begin.
fn runs(text: &str, wanted: impl Fn(u8) -> bool + Copy) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + bytes[from..].iter().position(|byte| wanted(*byte))?;
        let length = bytes[start..].iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len() - start);
        from = start + length;
        Some((start, &text[start..from]))
    })
}

/// A document: every character is one that XML, HTML and Markdown know, and none acts on a reader. Lines stay lines.
pub(crate) fn document(raw: String) -> String {
    if raw.contains(acts) { raw.chars().map(instead).collect() } else { raw }
}

fn instead(character: char) -> char {
    match character {
        '\r' => ' ',
        other if acts(other) => INSTEAD,
        other => other,
    }
}

/// The source of an error, in which places are counted in bytes: none of them moves.
pub(crate) fn source(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '\r' => out.push(' '),
            other if acts(other) => out.extend(std::iter::repeat_n('?', other.len_utf8())),
            other => out.push(other),
        }
    }
    out
}

/// JSON whose texts are shown by a page: the same for characters that JSON itself has as numbers.
pub(crate) fn json(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.extend(rest[..at].chars().map(instead));
        let escape = rest.get(at..at + 6).filter(|escape| escape.starts_with("\\u"));
        let number = escape.and_then(|escape| u32::from_str_radix(&escape[2..], 16).ok());
        let length = if number.is_some() {
            6
        } else {
            rest[at + 1..].chars().next().map_or(1, |next| 1 + next.len_utf8())
        };
        let whole = &rest[at..at + length];
        let acting = number.and_then(char::from_u32).is_some_and(acts) || matches!(whole, "\\b" | "\\f");
        if acting {
            out.push(INSTEAD);
        } else {
            out.push_str(whole);
        }
        rest = &rest[at + length..];
    }
    out.extend(rest.chars().map(instead));
    out
}

/// A character in a line of Markdown, which no other one ends.
fn in_a_line(character: char) -> char {
    match character {
        '\u{2028}' | '\u{2029}' => ' ',
        character if character.is_control() => ' ',
        character => instead(character),
    }
}

/// Text that Markdown shows as it is: one line, nothing interpreted, nobody notified, nothing linked.
pub(crate) fn markdown(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut before = ' ';
    let mut rest = raw.chars().peekable();
    while let Some(character) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => out.extend(['\\', character]),
            character => out.push(in_a_line(character)),
        }
        if is_reference(before, character, next) {
            out.push_str(APART);
        }
        before = character;
    }
    out
}

/// Whether what comes next would make a name, a link or a number of it: `@somebody`, `a@b.example`, `://`, `www.`, `#7`.
fn is_reference(before: char, character: char, next: char) -> bool {
    match (character, next) {
        // Versions are no names.
        ('@', next) => next.is_alphanumeric() && !(before.is_alphanumeric() && next.is_ascii_digit()),
        (':', '/') => true,
        ('#' | '!' | '$' | '%' | '&', next) => next.is_ascii_digit(),
        ('w' | 'W', '.') => matches!(before, 'w' | 'W'),
        _ => false,
    }
}

/// Text as code in Markdown, in a list or a table alike.
pub(crate) fn code(raw: &str) -> String {
    let line: String = raw.chars().map(in_a_line).collect();
    let fence = "`".repeat(1 + longest_run(&line, '`'));
    let space = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{line}{space}{fence}")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(|run| run.chars().count()).max().unwrap_or_default()
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that does something to whoever shows it, or that no document may have.
    const HOSTILE: &str =
        "a\u{1b}[2Jb\u{0}\u{7}\u{8}\u{9b}31m\u{7f}\u{85}\u{202e}\u{2066}\u{feff}\u{fffe}\u{e0041}\r\n\tz";

    #[test]
    fn text_and_code_stay_what_they_are() {
        assert_eq!(markdown("a|b\n<script>*x*"), r"a\|b &lt;script&gt;\*x\*");
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a `b` c"), "``a `b` c``");
        assert_eq!(code("`x"), "`` `x ``");
    }

    #[test]
    fn digests_are_told_by_their_beginning() {
        let digest = "0123456789ab".to_owned() + &"c".repeat(52);
        assert_eq!(brief(&format!("is {digest}, not ü{digest}")), "is 0123456789ab…, not ü0123456789ab…");
        for whole in [&"a".repeat(63), &"a".repeat(65), &"A".repeat(64), "größer", ""] {
            assert_eq!(brief(whole), *whole);
        }
    }

    #[test]
    fn nobody_is_notified_and_nothing_is_linked() {
        for (raw, told) in [
            ("@octocat", "@&#8203;octocat"),
            ("see (@octocat)", "see (@&#8203;octocat)"),
            ("a.b@example.org", "a.b@&#8203;example.org"),
            ("node-llama-cpp@3.22.1", "node-llama-cpp@3.22.1"),
            ("@3", "@&#8203;3"),
            ("http://example.org", "http:&#8203;//example.org"),
            ("ftp://example.org", "ftp:&#8203;//example.org"),
            ("www.example.org", "www&#8203;.example.org"),
            ("#12", r"\#&#8203;12"),
            ("owner/name#12", r"owner/name\#&#8203;12"),
            ("!7", "!&#8203;7"),
            ("50 %", "50 %"),
            ("C:\\x", r"C:\\x"),
        ] {
            assert_eq!(markdown(raw), told, "{raw}");
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_shown_by_its_number() {
        assert_eq!(shown("größer\n\tzwei ✓ 👩‍👩‍👧"), "größer\n\tzwei ✓ 👩‍👩‍👧");
        assert_eq!(
            shown(HOSTILE),
            "a\\u001b[2Jb\\u0000\\u0007\\u0008\\u009b31m\\u007f\\u0085\\u202e\\u2066\\ufeff\\ufffe\\udb40\\udc41\n\tz"
        );
        assert_eq!(line("a\nb\u{1b}c\u{202e}"), "a b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn json_is_shown_on_a_page_without_what_its_numbers_stand_for() {
        let text = serde_json::to_string(HOSTILE).expect("JSON");
        let read: String = serde_json::from_str(&json(&text)).expect("still JSON");
        assert!(!read.contains(|character| acts(character) && character != '\r'), "{read:?}");
        let innocent = serde_json::to_string("a\\u001b \\\" \u{2028} \n").expect("JSON");
        assert_eq!(json(&innocent), innocent);
    }

    proptest! {
        #[test]
        fn nothing_that_acts_leaves(raw in "\\PC{0,8}[\u{0}-\u{ff}]{0,24}[\u{2000}-\u{2070}]{0,4}.{0,8}") {
            prop_assert!(!shown(&raw).contains(acts));
            prop_assert!(!line(&raw).contains(|c| acts(c) || c == '\n' || c == '\t'));
            prop_assert!(!document(raw.clone()).contains(acts));
            prop_assert_eq!(source(&raw).len(), raw.len());
            prop_assert!(!source(&raw).contains(acts));
            for told in [markdown(&raw), code(&raw)] {
                prop_assert!(!told.contains(|c| acts(c) || c == '\n' || c == '\t'), "{:?}", told);
            }
        }

        #[test]
        fn what_is_printed_as_json_says_the_same(raw in any::<String>()) {
            let text = serde_json::to_string(&raw).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<String>(&shown(&text)).expect("JSON"), raw.clone());
            let page: String = serde_json::from_str(&json(&text)).expect("still JSON");
            prop_assert_eq!(page.chars().count(), raw.chars().count());
        }

        #[test]
        fn markdown_never_makes_a_link_or_a_name(raw in "[a-z@:/.#w<>\\\\]{0,24}") {
            let told = markdown(&raw);
            prop_assert!(!told.contains("://") && !told.contains("www."), "{}", told);
            let named = told.char_indices().filter(|(_, c)| *c == '@');
            for (at, _) in named {
                let next = told[at + 1..].chars().next().unwrap_or(' ');
                prop_assert!(!next.is_alphabetic(), "{}", told);
            }
        }
    }
}
