//! A template written anew, so that everything it makes is measured while it makes it.
//!
//! minijinja counts instructions, and one instruction can double a text, or put a value into itself. So whatever can grow is
//! handed through a function that measures it: what is joined by `~`, `+` and `*`, lists and maps that are spelled out, and
//! what is kept in a variable. Text that stands in the template is written as an expression, which the formatter measures.
//! What nests is bounded beforehand, since it takes the stack of whoever compiles it.

use std::fmt::Write as _;

use super::source::{Kind, Piece, Token, pieces, syntax};
use super::{TemplateError, literal};

/// Measures a value and gives it back.
pub(super) const MEASURED: &str = "intact_measured";
/// The same, of a value that becomes a member of a namespace.
pub(super) const MEMBER: &str = "intact_member";
/// The same, of one side of a product.
pub(super) const FACTOR: &str = "intact_factor";

/// Operators, brackets and members that may lie within each other in one tag.
const DEEPEST: usize = 512;
/// Branches of one `if`.
const MOST_BRANCHES: usize = 512;
const KEYWORDS: [&str; 8] = ["not", "and", "or", "if", "else", "in", "is", "elif"];

/// The source of a template that measures what it makes, its white space resolved, its texts as Python reads them, and `{% generation %}`, which marks text
/// for training, taken for a block that is always rendered.
///
/// # Errors
/// [`TemplateError::Syntax`] where it cannot be taken apart or nests too deeply.
pub(super) fn measured(source: &str) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(source.len() * 2);
    let mut branches = Vec::new();
    for piece in pieces(source)? {
        match piece {
            Piece::Text(text) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                // Writing to a text cannot fail.
                let _ = write!(out, "{{{{ \"{text}\" }}}}");
            }
            Piece::Expression(tokens) => {
                out.push_str("{{");
                Tag::of(&tokens)?.measuring(0).write(&mut out);
                out.push_str(" }}");
            }
            Piece::Statement(tokens) => {
                count_branches(tokens.first().map(|token| token.text), &mut branches)?;
                out.push_str("{%");
                Tag::of(&tokens)?.statement().write(&mut out);
                out.push_str(" %}");
            }
        }
    }
    Ok(out)
}

fn count_branches(name: Option<&str>, branches: &mut Vec<usize>) -> Result<(), TemplateError> {
    match name {
        Some("if") => branches.push(0),
        Some("endif") => {
            branches.pop();
        }
        Some("elif") => {
            if let Some(count) = branches.last_mut() {
                *count += 1;
                if *count > MOST_BRANCHES {
                    return Err(syntax(format!("an `if` has more than {MOST_BRANCHES} branches")));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// A tag, and what is put between its tokens.
struct Tag<'t, 's> {
    tokens: &'t [Token<'s>],
    /// For each opening bracket the one that closes it.
    closing: Vec<usize>,
    before: Vec<String>,
    after: Vec<usize>,
    /// Words that stand for other ones.
    instead: Option<&'static str>,
}

impl<'t, 's> Tag<'t, 's> {
    fn of(tokens: &'t [Token<'s>]) -> Result<Self, TemplateError> {
        if let Some(token) = tokens.iter().find(|token| [MEASURED, MEMBER, FACTOR].contains(&token.text)) {
            return Err(syntax(format!("the name `{}` is taken", token.text)));
        }
        Ok(Self {
            tokens,
            closing: closing(tokens)?,
            before: vec![String::new(); tokens.len()],
            after: vec![0; tokens.len()],
            instead: None,
        })
    }

    fn statement(mut self) -> Self {
        let Some(name) = self.tokens.first().map(|token| token.text) else { return self };
        match name {
            "generation" => self.instead = Some("if true"),
            "endgeneration" => self.instead = Some("endif"),
            _ => {}
        }
        let behind = |at: Option<usize>| at.map(|at| at + 1);
        match name {
            "for" => {
                let from = behind(self.at_top(1, "in"));
                self.measuring(from.unwrap_or(usize::MAX))
            }
            "set" => match self.at_top(1, "=") {
                Some(assigned) => self.measuring(assigned + 1).keeping(assigned),
                None => self.measuring(1),
            },
            _ => self.measuring(1),
        }
    }

    /// Measures what is assigned. Each part of a tuple is measured where it becomes large.
    fn keeping(mut self, assigned: usize) -> Self {
        let last = self.tokens.len() - 1;
        if assigned < last && self.at_top(assigned, ",").is_none() {
            let member = self.tokens[..assigned].iter().any(|token| token.text == ".");
            self.wrap(if member { MEMBER } else { MEASURED }, assigned + 1, last);
        }
        self
    }

    /// The first token with this text outside brackets.
    fn at_top(&self, from: usize, text: &str) -> Option<usize> {
        let mut at = from;
        while let Some(token) = self.tokens.get(at) {
            if token.text == text && token.kind != Kind::Text {
                return Some(at);
            }
            at = if token.kind == Kind::Open { self.closing[at] + 1 } else { at + 1 };
        }
        None
    }

    /// Measures what can grow, from a token on.
    fn measuring(mut self, from: usize) -> Self {
        for at in from..self.tokens.len() {
            if !self.begins_operand(at, from) {
                continue;
            }
            if self.tokens[at].kind == Kind::Open && self.tokens[at].text != "(" {
                self.wrap(MEASURED, at, self.closing[at]);
            }
            let end = self.operand_end(at);
            let joins = |at: Option<usize>| -> Option<&'static str> {
                let token = self.tokens.get(at?)?;
                match (token.kind, token.text) {
                    (Kind::Sign, "~" | "+") => Some(MEASURED),
                    (Kind::Sign, "*") => Some(FACTOR),
                    _ => None,
                }
            };
            let mut sign = at.checked_sub(1).filter(|&sign| sign >= from);
            while let Some(before) = sign.filter(|&sign| self.tokens[sign].text == "-") {
                sign = before.checked_sub(1).filter(|&sign| sign >= from);
            }
            let left = joins(sign.filter(|&sign| sign > from && self.ends_operand(sign - 1)));
            let right = joins(Some(end));
            let factor = [left, right].contains(&Some(FACTOR));
            if factor {
                self.wrap(FACTOR, at, end - 1);
            } else if left.or(right).is_some() {
                self.wrap(MEASURED, at, end - 1);
            }
        }
        self
    }

    /// What is within comes before what is around it.
    fn wrap(&mut self, function: &str, first: usize, last: usize) {
        let before = &mut self.before[first];
        before.insert_str(0, &format!("{function}("));
        self.after[last] += 1;
    }

    fn begins_operand(&self, at: usize, from: usize) -> bool {
        let token = &self.tokens[at];
        let previous = (at > from).then(|| self.tokens[at - 1]);
        let behind =
            |text: &str| previous.is_some_and(|token| token.kind != Kind::Text && token.text == text);
        match token.kind {
            Kind::Number | Kind::Text => !behind("."),
            Kind::Open => at == from || !self.ends_operand(at - 1),
            Kind::Word => {
                let tested =
                    behind("is") || (behind("not") && at >= from + 2 && self.tokens[at - 2].text == "is");
                !KEYWORDS.contains(&token.text) && !behind(".") && !behind("|") && !tested
            }
            Kind::Close | Kind::Sign => false,
        }
    }

    fn ends_operand(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        match token.kind {
            Kind::Number | Kind::Text | Kind::Close => true,
            Kind::Word => !KEYWORDS.contains(&token.text),
            Kind::Open | Kind::Sign => false,
        }
    }

    /// Behind an operand with its members, calls and filters.
    fn operand_end(&self, at: usize) -> usize {
        let kind = |at: usize| self.tokens.get(at).map(|token| token.kind);
        let text = |at: usize| self.tokens.get(at).map(|token| token.text);
        let behind = |at: usize| if kind(at) == Some(Kind::Open) { self.closing[at] + 1 } else { at + 1 };
        let mut end = behind(at);
        loop {
            match (kind(end), text(end)) {
                (Some(Kind::Sign), Some(".")) if end + 1 < self.tokens.len() => end += 2,
                (Some(Kind::Open), Some("[" | "(")) => end = behind(end),
                _ => break,
            }
        }
        while kind(end) == Some(Kind::Sign) && text(end) == Some("|") && kind(end + 1) == Some(Kind::Word) {
            end += 2;
            while text(end) == Some(".") && kind(end + 1) == Some(Kind::Word) {
                end += 2;
            }
            if text(end) == Some("(") {
                end = behind(end);
            }
        }
        end
    }

    fn write(&self, out: &mut String) {
        for (at, token) in self.tokens.iter().enumerate() {
            out.push_str(if token.gap.is_empty() { " " } else { token.gap });
            out.push_str(&self.before[at]);
            match self.instead.filter(|_| at == 0) {
                Some(instead) => out.push_str(instead),
                None if token.kind == Kind::Text => out.push_str(&literal::rewritten(token.text)),
                None => out.push_str(token.text),
            }
            (0..self.after[at]).for_each(|_| out.push(')'));
        }
    }
}

/// For each opening bracket the one that closes it. Counts what lies within each other on the way.
fn closing(tokens: &[Token<'_>]) -> Result<Vec<usize>, TemplateError> {
    let mut closing = vec![0; tokens.len()];
    // Each open bracket, and what lies within each other behind it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut outside, mut depth) = (0_usize, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        let here = open.last_mut().map_or(&mut outside, |(_, count)| count);
        match (token.kind, token.text) {
            (Kind::Sign, ",") => {
                depth -= *here;
                *here = 0;
            }
            (Kind::Open, _) => {
                *here += 1;
                depth += 1;
                open.push((at, 0));
            }
            (Kind::Close, _) => {
                let (opened, count) =
                    open.pop().ok_or_else(|| syntax(format!("`{}` closes nothing", token.text)))?;
                depth -= count;
                closing[opened] = at;
            }
            (Kind::Sign, ":" | "=") | (Kind::Number | Kind::Text, _) => {}
            (Kind::Word, word) if !KEYWORDS.contains(&word) => {}
            _ => {
                *here += 1;
                depth += 1;
            }
        }
        if depth > DEEPEST {
            return Err(syntax(format!("a tag nests more than {DEEPEST} deep")));
        }
    }
    match open.pop() {
        Some((at, _)) => Err(syntax(format!("`{}` is not closed", tokens[at].text))),
        None => Ok(closing),
    }
}
