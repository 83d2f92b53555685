//! From text to a filter, with errors that point at the place.

use regex::Regex;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, cut_err, preceded};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, take_while};

use super::{Filter, FilterError, Matcher, Order};

type Input<'a> = LocatingSlice<&'a str>;

/// Deepest nesting of parentheses and negations.
const DEEPEST: usize = 64;

/// Longest filter, in bytes: what is parsed is a tree, and trees are walked recursively.
const LONGEST: usize = 16 << 10;

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.len() > LONGEST {
        let message = format!("it is longer than {LONGEST} bytes");
        return Err(FilterError { text: text.chars().take(80).collect(), position: 0, message });
    }
    let mut input = LocatingSlice::new(text);
    let parsed = disjunction(&mut input, 0).and_then(|filter| {
        space(&mut input)?;
        if input.is_empty() { Ok(filter) } else { Err(fault(&input, "expected `&`, `|` or the end")) }
    });
    parsed.map_err(|error| {
        let Fault { position, message } = match error {
            ErrMode::Backtrack(fault) | ErrMode::Cut(fault) => fault,
            ErrMode::Incomplete(_) => Fault { position: text.len(), message: "it ends too early".into() },
        };
        FilterError { text: text.to_owned(), position: position.min(text.len()), message }
    })
}

/// Where a filter goes wrong, and how.
#[derive(Debug)]
struct Fault {
    position: usize,
    message: String,
}

impl ParserError<Input<'_>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'_>) -> Self {
        Self {
            position: input.current_token_start(),
            message: "expected a predicate such as `model(llama)`".into(),
        }
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}

type Parsed<T> = Result<T, ErrMode<Fault>>;

fn fault(input: &Input<'_>, message: impl Into<String>) -> ErrMode<Fault> {
    ErrMode::Cut(Fault { position: input.current_token_start(), message: message.into() })
}

fn space(input: &mut Input<'_>) -> Parsed<()> {
    multispace0.void().parse_next(input)
}

fn disjunction(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    let mut left = conjunction(input, depth)?;
    while operator(input, &["||", "|"], "or")? {
        let right = conjunction(input, depth)?;
        left = Filter::Or(Box::new(left), Box::new(right));
    }
    Ok(left)
}

fn conjunction(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    let mut left = negation(input, depth)?;
    while operator(input, &["&&", "&"], "and")? {
        let right = negation(input, depth)?;
        left = Filter::And(Box::new(left), Box::new(right));
    }
    Ok(left)
}

/// Takes an operator written as a sign or as a word.
fn operator(input: &mut Input<'_>, signs: &[&str], word: &str) -> Parsed<bool> {
    space(input)?;
    let start = input.checkpoint();
    for sign in signs {
        if input.starts_with(sign) {
            input.next_slice(sign.len());
            return Ok(true);
        }
    }
    let name = name(input)?;
    if name == word {
        return Ok(true);
    }
    input.reset(&start);
    Ok(false)
}

fn name<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take_while(0.., |character: char| character.is_ascii_alphanumeric() || character == '_').parse_next(input)
}

fn negation(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    if depth > DEEPEST {
        return Err(fault(input, format!("nested deeper than {DEEPEST} levels")));
    }
    space(input)?;
    if input.starts_with('!') {
        input.next_slice(1);
        return negation(input, depth + 1).map(|inner| Filter::Not(Box::new(inner)));
    }
    if input.starts_with('(') {
        input.next_slice(1);
        let inner = disjunction(input, depth + 1)?;
        space(input)?;
        return if input.starts_with(')') {
            input.next_slice(1);
            Ok(inner)
        } else {
            Err(fault(input, "expected `)`"))
        };
    }
    predicate(input, depth)
}

fn predicate(input: &mut Input<'_>, depth: usize) -> Parsed<Filter> {
    let start = input.checkpoint();
    let name = name(input)?;
    if name == "not" {
        return negation(input, depth + 1).map(|inner| Filter::Not(Box::new(inner)));
    }
    if name.is_empty() {
        input.reset(&start);
        return Err(fault(input, "expected a predicate such as `model(llama)`, `!` or `(`"));
    }
    if !input.starts_with('(') {
        return Err(fault(input, format!("expected `(` after `{name}`")));
    }
    input.next_slice(1);
    if input.starts_with(')') {
        let whole = match name {
            "all" => Filter::All,
            "none" => Filter::None,
            "changed" => Filter::Is { name: name.to_owned(), matchers: Vec::new() },
            _ => return Err(fault(input, format!("`{name}` needs a value, such as `{name}(=text)`"))),
        };
        input.next_slice(1);
        return Ok(whole);
    }
    let mut matchers = vec![matcher(input)?];
    loop {
        match any::<_, ErrMode<Fault>>.parse_next(input) {
            Ok(')') => return Ok(Filter::Is { name: name.to_owned(), matchers }),
            Ok('|') => matchers.push(matcher(input)?),
            Ok(_) | Err(_) => return Err(fault(input, "expected `|` or `)` after the value")),
        }
    }
}

fn matcher(input: &mut Input<'_>) -> Parsed<Matcher> {
    space(input)?;
    let start = input.checkpoint();
    for (sign, order) in Order::SIGNS {
        if input.starts_with(sign) {
            input.next_slice(sign.len());
            space(input)?;
            let version = value(input)?;
            if super::compare_versions(&version, &version).is_none() {
                input.reset(&start);
                return Err(fault(input, format!("`{version}` is not a version, such as 1.1 or b8816")));
            }
            return Ok(Matcher::Version { order, version });
        }
    }
    if input.starts_with('/') {
        return regex(input);
    }
    let kind = alt(('=', '~', '#')).parse_next(input).map_err(|_: ErrMode<Fault>| ()).unwrap_or('=');
    let text = cut_err(preceded(multispace0, value)).parse_next(input)?;
    match kind {
        '~' => Ok(Matcher::Contains(text)),
        '#' => Matcher::glob(&text).map_err(|error| {
            input.reset(&start);
            fault(input, format!("not a glob: {error}"))
        }),
        _ => Ok(Matcher::Exact(text)),
    }
}

/// Text up to an unescaped `)` or `|`, without the spaces around it.
fn value(input: &mut Input<'_>) -> Parsed<String> {
    let mut text = String::new();
    let mut kept = 0;
    loop {
        let Some(character) = input.chars().next() else {
            return Err(fault(input, "expected `)`"));
        };
        if matches!(character, ')' | '|') {
            break;
        }
        input.next_slice(character.len_utf8());
        if character != '\\' {
            text.push(character);
            if !character.is_whitespace() {
                kept = text.len();
            }
            continue;
        }
        let Some(literal) = input.chars().next() else {
            return Err(fault(input, "a backslash needs a character after it"));
        };
        input.next_slice(literal.len_utf8());
        text.push(literal);
        kept = text.len();
    }
    text.truncate(kept);
    if text.is_empty() {
        return Err(fault(input, "expected a value"));
    }
    Ok(text)
}

/// An expression between slashes; `\/` is a slash in it.
fn regex(input: &mut Input<'_>) -> Parsed<Matcher> {
    let start = input.checkpoint();
    input.next_slice(1);
    let mut pattern = String::new();
    loop {
        let Some(character) = input.chars().next() else {
            return Err(fault(input, "expected `/` at the end of the expression"));
        };
        input.next_slice(character.len_utf8());
        match character {
            '/' => break,
            '\\' if input.starts_with('/') => {
                input.next_slice(1);
                pattern.push('/');
            }
            '\\' => {
                pattern.push('\\');
                if let Some(escaped) = input.chars().next() {
                    input.next_slice(escaped.len_utf8());
                    pattern.push(escaped);
                }
            }
            other => pattern.push(other),
        }
    }
    Regex::new(&pattern).map(Matcher::Regex).map_err(|error| {
        input.reset(&start);
        fault(input, format!("not a regular expression: {error}"))
    })
}
