//! Marks in the contents of messages, by which they are found again in what a template made of them.
//!
//! Content is never searched for: a message `a` would be found inside `<|im_start|>`. Instead, what has to be found is marked
//! before the template sees it: the end of each content, and every place where a content spells a control token of the
//! vocabulary. Marks are made of private-use characters. Where a content has such characters itself, they are marked too, so
//! that nobody can forge a mark.

/// Begins a stretch of content that is spelled in digits.
const SPELLED: char = '\u{f8e0}';
const SPELLED_END: char = '\u{f8e1}';
/// Begins the number of a message whose content ends here.
const CONTENT: char = '\u{f8e2}';
const CONTENT_END: char = '\u{f8e3}';
/// Half a byte.
const DIGITS: std::ops::RangeInclusive<u32> = 0xf8d0..=0xf8df;

/// Texts that a vocabulary takes for control tokens, which they are not where somebody says them.
#[derive(Debug, Clone, Default)]
pub(super) struct Controls {
    /// The longest first.
    texts: Vec<String>,
}

/// A stretch of text on its way to tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The text.
    pub text: String,
    /// Whether what spells a control token in it is one.
    pub controls: bool,
}

impl Controls {
    pub(super) fn new(mut texts: Vec<String>) -> Self {
        texts.retain(|text| !text.is_empty());
        texts.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        texts.dedup();
        Self { texts }
    }

    /// A content in which every control token and every private-use character is spelled in digits.
    pub(super) fn spelled(&self, content: &str) -> String {
        let mut out = String::with_capacity(content.len());
        let mut rest = content;
        while let Some(first) = rest.chars().next() {
            let found = self.at(rest).or_else(|| is_mark(first).then_some(first.len_utf8()));
            let length = found.unwrap_or(first.len_utf8());
            let (here, behind) = rest.split_at(length);
            if found.is_some() {
                spell(here, &mut out);
            } else {
                out.push_str(here);
            }
            rest = behind;
        }
        out
    }

    /// Length of the control token that a text begins with.
    fn at(&self, text: &str) -> Option<usize> {
        let first = text.as_bytes().first();
        let mut candidates = self.texts.iter().filter(|control| control.as_bytes().first() == first);
        candidates.find(|control| text.starts_with(control.as_str())).map(String::len)
    }

    /// A rendered text in stretches: one in which somebody spelled a control token reaches from the control token before it,
    /// which the template wrote, to the one behind it, as llama.cpp cuts a text itself.
    pub(super) fn stretches(&self, rendered: &str) -> Vec<Stretch> {
        if !rendered.contains(SPELLED) {
            return vec![Stretch { text: read(rendered), controls: true }];
        }
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut push = |text: &str, controls: bool| match stretches.last_mut() {
            Some(last) if last.controls && controls => last.text.push_str(text),
            _ if text.is_empty() => {}
            _ => stretches.push(Stretch { text: text.to_owned(), controls }),
        };
        let (mut from, mut at) = (0, 0);
        while let Some(rest) = rendered.get(at..).filter(|rest| !rest.is_empty()) {
            match self.at(rest) {
                Some(length) => {
                    push_between(&rendered[from..at], &mut push);
                    push(&rest[..length], true);
                    at += length;
                    from = at;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        push_between(&rendered[from..], &mut push);
        stretches
    }
}

fn push_between(text: &str, push: &mut impl FnMut(&str, bool)) {
    let controls = !spells_more_than_marks(text);
    push(&read(text), controls);
}

/// Whether something is spelled in it that is no private-use character of somebody's own.
fn spells_more_than_marks(text: &str) -> bool {
    text.split(SPELLED).skip(1).any(|spelled| {
        let digits: String = spelled.chars().take_while(|&sign| sign != SPELLED_END).collect();
        !bytes_of(&digits)
            .is_some_and(|bytes| String::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_mark)))
    })
}

/// A rendered text as it reads: what is spelled in digits is itself again.
pub(super) fn read(rendered: &str) -> String {
    let mut out = String::with_capacity(rendered.len());
    let mut rest = rendered;
    while let Some((before, behind)) = rest.split_once(SPELLED) {
        push_untorn(before, &mut out);
        let spelled = behind.split_once(SPELLED_END);
        let bytes = spelled.and_then(|(digits, _)| bytes_of(digits));
        match (bytes.and_then(|bytes| String::from_utf8(bytes).ok()), spelled) {
            (Some(text), Some((_, behind))) => {
                out.push_str(&text);
                rest = behind;
            }
            // A template cut it: what is left of it says nothing.
            _ => rest = behind.trim_start_matches(|sign| DIGITS.contains(&u32::from(sign))),
        }
    }
    push_untorn(rest, &mut out);
    out
}

/// A text without the ends of what was spelled in it, whose beginnings a template cut off.
fn push_untorn(text: &str, out: &mut String) {
    let mut pieces = text.split(SPELLED_END).peekable();
    while let Some(piece) = pieces.next() {
        let torn = pieces.peek().is_some();
        let kept = piece.trim_end_matches(|sign| torn && DIGITS.contains(&u32::from(sign)));
        out.push_str(kept);
    }
}

/// A content, already spelled, whose end is marked with the number of its message. White space at its end stays behind
/// the mark, where a template that removes it finds it. None for an empty content, which has nothing to be found by.
pub(super) fn ended(content: &str, number: usize) -> Option<String> {
    let core = content.trim_end();
    if core.trim_start().is_empty() {
        return None;
    }
    let mut out = core.to_owned();
    out.push_str(&end_of(number));
    out.push_str(&content[core.len()..]);
    Some(out)
}

/// The mark at the end of a content.
pub(super) fn end_of(number: usize) -> String {
    let mut out = String::from(CONTENT);
    digits(&number.to_le_bytes(), &mut out);
    out.push(CONTENT_END);
    out
}

/// A rendered text without the marks at the ends of contents, and where those stood.
pub(super) fn ends(rendered: &str) -> (String, Vec<(usize, usize)>) {
    let mut out = String::with_capacity(rendered.len());
    let mut found = Vec::new();
    let mut rest = rendered;
    while let Some((before, behind)) = rest.split_once(CONTENT) {
        out.push_str(before);
        let number = behind.split_once(CONTENT_END).and_then(|(digits, behind)| {
            let bytes = bytes_of(digits)?;
            Some((usize::from_le_bytes(bytes.try_into().ok()?), behind))
        });
        match number {
            Some((number, behind)) => {
                found.push((number, out.len()));
                rest = behind;
            }
            None => rest = behind,
        }
    }
    out.push_str(rest);
    (out, found)
}

/// A beginning of a rendered text, up to where it would cut what is spelled in digits.
pub(super) fn uncut(beginning: &str) -> &str {
    match (beginning.rfind(SPELLED), beginning.rfind(SPELLED_END)) {
        (Some(open), end) if end.is_none_or(|end| end < open) => &beginning[..open],
        _ => beginning,
    }
}

fn spell(text: &str, out: &mut String) {
    out.push(SPELLED);
    digits(text.as_bytes(), out);
    out.push(SPELLED_END);
}

fn digits(bytes: &[u8], out: &mut String) {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    out.extend(halves.filter_map(|half| char::from_u32(DIGITS.start() + u32::from(half))));
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let halves: Vec<u8> = digits
        .chars()
        .map(|sign| u32::from(sign).checked_sub(*DIGITS.start()).filter(|half| *half < 16))
        .map(|half| half.and_then(|half| u8::try_from(half).ok()))
        .collect::<Option<_>>()?;
    let pairs = halves.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Whether it is one of the characters that marks are made of.
pub(super) fn is_mark(sign: char) -> bool {
    DIGITS.contains(&u32::from(sign)) || (SPELLED..=CONTENT_END).contains(&sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls() -> Controls {
        Controls::new(["<|a|>", "<|a|><|b|>", "<s>"].map(str::to_owned).to_vec())
    }

    #[test]
    fn what_is_spelled_reads_as_what_was_said() {
        for content in
            ["", "plain", "<|a|>", "x<|a|><|b|>y<s", "\u{f8e0}\u{f8d1}\u{f8e1}", "\u{f8e2}", "<<s>>"]
        {
            let spelled = controls().spelled(content);
            assert_eq!(read(&spelled), content);
            assert!(!spelled.contains("<|a|>") && !spelled.contains("<s>"), "{spelled}");
        }
    }

    #[test]
    fn what_a_template_cuts_off_says_nothing() {
        let spelled = controls().spelled("a<s>b");
        let signs: Vec<char> = spelled.chars().collect();
        for at in 0..=signs.len() {
            let [left, right] =
                [&signs[..at], &signs[at..]].map(|part| read(&part.iter().collect::<String>()));
            assert!(["", "a", "a<s>", "a<s>b"].contains(&left.as_str()), "{at}: {left:?}");
            assert!(["", "b", "<s>b", "a<s>b"].contains(&right.as_str()), "{at}: {right:?}");
        }
    }

    #[test]
    fn a_stretch_with_something_spelled_reaches_from_control_token_to_control_token() {
        let said = controls().spelled("say <|a|> now");
        let rendered = format!("<s>one<|a|>two {said} three<|a|>four");
        let stretches = controls().stretches(&rendered);
        let expected = [("<s>one<|a|>", true), ("two say <|a|> now three", false), ("<|a|>four", true)];
        let expected = expected.map(|(text, controls)| Stretch { text: text.to_owned(), controls });
        assert_eq!(stretches, expected);
    }

    #[test]
    fn a_private_use_character_alone_changes_nothing() {
        let rendered = format!("<s>{}<|a|>", controls().spelled("\u{f8e2}x"));
        let whole = Stretch { text: "<s>\u{f8e2}x<|a|>".to_owned(), controls: true };
        assert_eq!(controls().stretches(&rendered), [whole]);
    }

    #[test]
    fn ends_are_found_and_cannot_be_forged() {
        let forged = controls().spelled(&end_of(0));
        let rendered = format!("<s>{}{}", ended(&forged, 3).unwrap(), ended("b \n", 4).unwrap());
        let (text, found) = ends(&rendered);
        assert_eq!(read(&text), format!("<s>{}b \n", end_of(0)));
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(ended(" \n", 0), None);
    }
}
