//! What stands in a predicate's parentheses.

use std::cmp::Ordering;
use std::fmt;

use regex::Regex;

/// Selects values of one dimension.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// The value is this text.
    Exact(String),
    /// The value contains this text.
    Contains(String),
    /// The value matches this expression somewhere.
    Regex(Regex),
    /// The value matches this glob as a whole.
    Glob {
        /// As written.
        pattern: String,
        /// The same as an expression.
        regex: Regex,
    },
    /// The value is a version in this relation to the given one.
    Version {
        /// The relation.
        order: Order,
        /// As written.
        version: String,
    },
}

/// A relation between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
}

impl Matcher {
    /// A glob: `*` stands for any text, `?` for any one character.
    ///
    /// # Errors
    /// When the expression that it makes is too large.
    pub fn glob(pattern: &str) -> Result<Self, regex::Error> {
        let inner: String = pattern
            .chars()
            .map(|character| match character {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                other => regex::escape(other.encode_utf8(&mut [0; 4])),
            })
            .collect();
        let regex = Regex::new(&format!("(?s)^{inner}$"))?;
        Ok(Self::Glob { pattern: pattern.to_owned(), regex })
    }

    /// Whether the value is selected.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => value == text,
            Self::Contains(text) => value.contains(text.as_str()),
            Self::Regex(regex) | Self::Glob { regex, .. } => regex.is_match(value),
            Self::Version { order, version } => {
                compare_versions(value, version).is_some_and(|ordering| order.holds(ordering))
            }
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Order {
    /// Every relation with its sign; a sign comes before its own prefix.
    pub(super) const SIGNS: [(&'static str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::Above), ("<", Self::Below)];

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::AtLeast => ordering.is_ge(),
            Self::Above => ordering.is_gt(),
            Self::AtMost => ordering.is_le(),
            Self::Below => ordering.is_lt(),
        }
    }

    fn sign(self) -> &'static str {
        Self::SIGNS.into_iter().find(|(_, order)| *order == self).map_or("", |(sign, _)| sign)
    }
}

/// Compares versions: `1.10` is above `1.9`, and llama.cpp's builds (`b8816`) come before its semantic versions
/// (`0.4.1`). `None` where either is not a version.
#[must_use]
pub fn compare_versions(left: &str, right: &str) -> Option<Ordering> {
    Some(version_key(left)?.cmp(&version_key(right)?))
}

/// (generation, numbers): builds are generation 0, dotted versions generation 1. Trailing zeros do not count.
fn version_key(text: &str) -> Option<(u8, Vec<u64>)> {
    if let Some(build) = text.strip_prefix('b') {
        return Some((0, vec![build.parse().ok()?]));
    }
    let dotted = text.strip_prefix('v').unwrap_or(text);
    let mut numbers: Vec<u64> = dotted.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some((1, numbers))
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "={}", escape(text)),
            Self::Contains(text) => write!(f, "~{}", escape(text)),
            Self::Regex(regex) => write!(f, "/{}/", regex.as_str().replace('/', "\\/")),
            Self::Glob { pattern, .. } => write!(f, "#{}", escape(pattern)),
            Self::Version { order, version } => write!(f, "{}{}", order.sign(), escape(version)),
        }
    }
}

/// Takes the characters literally that would end a matcher, and the spaces around it that would be left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let is_outermost = at == 0 || at + character.len_utf8() == text.len();
        if matches!(character, ')' | '|' | '\\') || is_outermost && character.is_whitespace() {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
