//! Texts in quotes, as Python reads them. minijinja knows other escapes: it keeps a line's end behind a backslash, and drops the
//! backslash in front of a slash.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// A text in quotes for minijinja that says what the given one says in Python.
pub(super) fn rewritten(token: &str) -> Cow<'_, str> {
    if !token.contains('\\') {
        return Cow::Borrowed(token);
    }
    let mut quoted = token.chars();
    let _quotes = (quoted.next(), quoted.next_back());
    let said = said(&quoted.as_str().replace("\r\n", "\n").replace('\r', "\n"));
    Cow::Owned(format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn said(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '\\' {
            escaped(&mut signs, &mut out);
        } else {
            out.push(sign);
        }
    }
    out
}

/// What stands behind a backslash. What is no escape in Python keeps the backslash.
fn escaped(signs: &mut Peekable<Chars<'_>>, out: &mut String) {
    let Some(sign) = signs.next() else { return out.push('\\') };
    match sign {
        '\n' => {}
        '\\' | '\'' | '"' => out.push(sign),
        'a' => out.push('\u{7}'),
        'b' => out.push('\u{8}'),
        'f' => out.push('\u{c}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'v' => out.push('\u{b}'),
        '0'..='7' => {
            let first = sign.to_digit(8).unwrap_or_default();
            let number = digits(signs, 8, 2).fold(first, |number, digit| number * 8 + digit);
            out.extend(char::from_u32(number));
        }
        'x' => out.extend(char::from_u32(number(signs, 2))),
        'U' => out.extend(char::from_u32(number(signs, 8))),
        'u' => out.push(unit(signs)),
        _ => out.extend(['\\', sign]),
    }
}

/// A character in one or two units of UTF-16.
fn unit(signs: &mut Peekable<Chars<'_>>) -> char {
    let first = number(signs, 4);
    if let Some(sign) = char::from_u32(first) {
        return sign;
    }
    let mut ahead = signs.clone();
    let second = match (ahead.next(), ahead.next()) {
        (Some('\\'), Some('u')) => number(&mut ahead, 4),
        _ => 0,
    };
    let units = [first, second].map(|unit| u16::try_from(unit).unwrap_or_default());
    match char::decode_utf16(units).next() {
        Some(Ok(sign)) => {
            *signs = ahead;
            sign
        }
        // Half of one is no character.
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn number(signs: &mut Peekable<Chars<'_>>, most: usize) -> u32 {
    digits(signs, 16, most).fold(0, |number, digit| number << 4 | digit)
}

fn digits(signs: &mut Peekable<Chars<'_>>, base: u32, most: usize) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || signs.next_if(|sign| sign.is_digit(base)).and_then(|sign| sign.to_digit(base)))
        .take(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_python_reads() {
        for (token, expected) in [
            (r#""plain 'a'""#, "plain 'a'"),
            ("'one\\\n two\\\r\n three'", "one two three"),
            (r#"'\\ \' \" \a\b\f\n\r\t\v'"#, "\\ ' \" \u{7}\u{8}\u{c}\n\r\t\u{b}"),
            (r"'\x41\u00e9\U0001f600\101\7\0'", "Aé😀A\u{7}\0"),
            (r"'\ud83d\ude00\ud83d'", "😀\u{fffd}"),
            (r"'a\/b\qc\N{DASH}'", "a\\/b\\qc\\N{DASH}"),
            (r"'\1234'", "S4"),
        ] {
            let rewritten = rewritten(token);
            let rendered = minijinja::render!(&format!("{{{{ {rewritten} }}}}"));
            assert_eq!(rendered, expected, "{token} as {rewritten}");
        }
    }
}
