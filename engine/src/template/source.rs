//! The source of a template, cut into its text and its tags, with the whitespace around tags removed as `trim_blocks` and
//! `lstrip_blocks` remove it.

use super::TemplateError;

/// Longest source. The longest templates that models bring have some 30 KB.
pub(super) const LONGEST: usize = 1 << 20;

/// A part of a template, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'s> {
    /// What is written as it stands.
    Text(&'s str),
    /// `{{ … }}`.
    Expression(Vec<Token<'s>>),
    /// `{% … %}`.
    Statement(Vec<Token<'s>>),
}

/// A token of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    /// White space before it.
    pub(super) gap: &'s str,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number.
    Number,
    /// A text in quotes.
    Text,
    /// An opening bracket.
    Open,
    /// A closing bracket.
    Close,
    /// Anything else.
    Sign,
}

/// What a tag asks for the white space beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Usual,
    Keep,
    Remove,
}

const SIGNS_OF_TWO: [&str; 6] = ["//", "**", "==", "!=", ">=", "<="];

/// Cuts a source into its pieces.
///
/// # Errors
/// [`TemplateError::Syntax`] where a tag does not end, or something in it is no token.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    if source.len() > LONGEST {
        return Err(syntax(format!("it has {} bytes, and at most {LONGEST} are read", source.len())));
    }
    let source = source.strip_suffix('\n').unwrap_or(source);
    let source = source.strip_suffix('\r').unwrap_or(source);
    let mut scanner = Scanner { source, at: 0, trims: false };
    let mut pieces = Vec::new();
    while scanner.at < source.len() {
        scanner.next(&mut pieces)?;
    }
    Ok(pieces)
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    /// The white space that comes next belongs to nobody.
    trims: bool,
}

impl<'s> Scanner<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self, pieces: &mut Vec<Piece<'s>>) -> Result<(), TemplateError> {
        if std::mem::take(&mut self.trims) {
            self.at = self.source.len() - self.rest().trim_start().len();
        }
        let rest = self.rest();
        let Some((start, marker)) = next_tag(rest) else {
            push_text(pieces, rest);
            self.at = self.source.len();
            return Ok(());
        };
        let space = space_of(rest.as_bytes().get(start + 2));
        let lead = rest.get(..start).unwrap_or_default();
        let begins_line =
            marker != '{' && begins_line(self.source.get(..self.at + start).unwrap_or_default());
        push_text(
            pieces,
            match space {
                Space::Remove => lead.trim_end(),
                Space::Usual if begins_line => without_indent(lead),
                Space::Usual | Space::Keep => lead,
            },
        );
        self.at += start + 2 + usize::from(space != Space::Usual);
        match marker {
            '#' => self.comment(),
            '{' => {
                let tokens = self.tag("}}")?;
                pieces.push(Piece::Expression(tokens));
                Ok(())
            }
            _ => match basic_tag(self.rest(), "raw") {
                Some((length, space)) => {
                    self.at += length;
                    self.raw(space, pieces)
                }
                None => {
                    let tokens = self.tag("%}")?;
                    pieces.push(Piece::Statement(tokens));
                    Ok(())
                }
            },
        }
    }

    fn comment(&mut self) -> Result<(), TemplateError> {
        let end = self.rest().find("#}").ok_or_else(|| syntax("a comment does not end"))?;
        let before = end.checked_sub(1).and_then(|last| self.rest().as_bytes().get(last));
        let space = space_of(before);
        self.at += end + 2;
        self.after(space);
        Ok(())
    }

    fn raw(&mut self, space: Space, pieces: &mut Vec<Piece<'s>>) -> Result<(), TemplateError> {
        let rest = self.rest();
        let ends = rest.match_indices("{%").find_map(|(at, _)| {
            let behind = rest.get(at + 2..)?;
            let signed = behind.strip_prefix(['-', '+']).unwrap_or(behind);
            let (length, after) = basic_tag(signed, "endraw")?;
            let before = space_of(behind.as_bytes().first());
            Some((at, at + 2 + (behind.len() - signed.len()) + length, before, after))
        });
        let (end, length, before, after) = ends.ok_or_else(|| syntax("a raw block does not end"))?;
        let text = rest.get(..end).unwrap_or_default();
        let text = match space {
            Space::Usual => without_newline(text),
            Space::Remove => text.trim_start(),
            Space::Keep => text,
        };
        push_text(
            pieces,
            match before {
                Space::Usual => without_indent(text),
                Space::Remove => text.trim_end(),
                Space::Keep => text,
            },
        );
        self.at += length;
        self.after(after);
        Ok(())
    }

    /// The tokens up to the end of a tag.
    fn tag(&mut self, end: &str) -> Result<Vec<Token<'s>>, TemplateError> {
        let mut tokens = Vec::new();
        let mut open = 0_usize;
        loop {
            let before = self.rest();
            let rest = before.trim_start_matches(|sign: char| sign.is_ascii_whitespace());
            let gap = before.get(..before.len() - rest.len()).unwrap_or_default();
            self.at += gap.len();
            if open == 0 {
                let signed = rest.strip_prefix(['-', '+']).filter(|rest| rest.starts_with(end));
                if signed.is_some() || rest.starts_with(end) {
                    let space = signed.map_or(Space::Usual, |_| space_of(rest.as_bytes().first()));
                    self.at += end.len() + usize::from(signed.is_some());
                    match space {
                        Space::Remove => self.trims = true,
                        Space::Usual if end == "%}" => self.after(Space::Usual),
                        Space::Usual | Space::Keep => {}
                    }
                    return Ok(tokens);
                }
            }
            let (kind, length) = token(rest).ok_or_else(|| {
                let found =
                    rest.chars().next().map_or_else(|| "its end".to_owned(), |sign| format!("`{sign}`"));
                syntax(format!("a tag is not closed, or {found} stands in it"))
            })?;
            match kind {
                Kind::Open => open += 1,
                Kind::Close => open = open.saturating_sub(1),
                _ => {}
            }
            tokens.push(Token { kind, text: rest.get(..length).unwrap_or_default(), gap });
            self.at += length;
        }
    }

    fn after(&mut self, space: Space) {
        match space {
            Space::Usual => self.at = self.source.len() - without_newline(self.rest()).len(),
            Space::Remove => self.trims = true,
            Space::Keep => {}
        }
    }
}

/// The next tag: where, and the sign behind its brace.
fn next_tag(text: &str) -> Option<(usize, char)> {
    text.match_indices('{').find_map(|(at, _)| {
        let sign = text.get(at + 1..)?.chars().next()?;
        matches!(sign, '{' | '%' | '#').then_some((at, sign))
    })
}

/// A tag of one word: the length up to behind its end, and what it asks for the white space behind it.
fn basic_tag(text: &str, name: &str) -> Option<(usize, Space)> {
    let rest = text.trim_start_matches(|sign: char| sign.is_ascii_whitespace()).strip_prefix(name)?;
    let rest = rest.trim_start_matches(|sign: char| sign.is_ascii_whitespace());
    let space = space_of(rest.as_bytes().first());
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some((text.len() - rest.len(), space))
}

fn token(text: &str) -> Option<(Kind, usize)> {
    let first = text.chars().next()?;
    if SIGNS_OF_TWO.iter().any(|sign| text.starts_with(sign)) {
        return Some((Kind::Sign, 2));
    }
    match first {
        '(' | '[' | '{' => Some((Kind::Open, 1)),
        ')' | ']' | '}' => Some((Kind::Close, 1)),
        '\'' | '"' => quoted(text, first).map(|length| (Kind::Text, length)),
        '0'..='9' => Some((Kind::Number, number(text))),
        _ if first == '_' || first.is_alphabetic() => {
            let ends = text.find(|sign: char| sign != '_' && !sign.is_alphanumeric());
            Some((Kind::Word, ends.unwrap_or(text.len())))
        }
        _ if "+-*/%.,:~|=><".contains(first) => Some((Kind::Sign, 1)),
        _ => None,
    }
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, sign)| {
        let ends = !escaped && sign == quote;
        escaped = !escaped && sign == '\\';
        ends
    });
    end.map(|(at, _)| at + 1)
}

fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(b'.') if digit(at + 1) => at += 1,
            Some(b'+' | b'-')
                if matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E'))
                    && !text.starts_with("0x")
                    && !text.starts_with("0X")
                    && digit(at + 1) =>
            {
                at += 1;
            }
            Some(byte) if *byte == b'_' || byte.is_ascii_alphanumeric() => at += 1,
            _ => return at,
        }
    }
}

fn space_of(sign: Option<&u8>) -> Space {
    match sign {
        Some(b'-') => Space::Remove,
        Some(b'+') => Space::Keep,
        _ => Space::Usual,
    }
}

fn begins_line(before: &str) -> bool {
    let last = before.chars().rev().find(|sign| matches!(sign, '\r' | '\n') || !sign.is_whitespace());
    last.is_none_or(|sign| matches!(sign, '\r' | '\n'))
}

/// Without the white space that its last line consists of.
fn without_indent(text: &str) -> &str {
    let trimmed = text.trim_end_matches(|sign: char| sign.is_whitespace() && !matches!(sign, '\r' | '\n'));
    if trimmed.is_empty() || trimmed.ends_with('\n') { trimmed } else { text }
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_prefix('\r').unwrap_or(text);
    text.strip_prefix('\n').unwrap_or(text)
}

fn push_text<'s>(pieces: &mut Vec<Piece<'s>>, text: &'s str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

pub(super) fn syntax(reason: impl Into<String>) -> TemplateError {
    TemplateError::Syntax { reason: reason.into() }
}
