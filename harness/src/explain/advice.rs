//! The embedded table of what to do.

use std::sync::LazyLock;

use serde::Deserialize;

/// What to do about a word, and how to see what it means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advice {
    pub(super) name: String,
    /// Where no other table says it.
    pub(super) meaning: Option<String>,
    pub(super) next: String,
    pub(super) example: Option<String>,
}

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) verdict: Vec<Advice>,
    pub(super) exit: Vec<Advice>,
    pub(super) finding: Vec<Advice>,
    pub(super) code: Vec<Advice>,
    pub(super) route: Vec<Advice>,
    pub(super) refusal: Vec<Shown>,
}

/// A command that shows refusals: what they mean and what to do stands with their codes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    pub(super) example: String,
    pub(super) codes: Vec<String>,
}

/// The table.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("advice.toml")).expect("the embedded table of advice is TOML")
});

impl Table {
    /// The command that shows a refusal.
    pub(super) fn shows(&self, code: &str) -> Option<&str> {
        let shown = self.refusal.iter().find(|shown| shown.codes.iter().any(|known| known == code));
        shown.map(|shown| shown.example.as_str())
    }
}
