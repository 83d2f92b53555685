//! What kind of memory a model has, and so how a session over it can be rewound.

use crate::llama::Model;

/// The caches of a model's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// A cell for each token.
    pub attention: bool,
    /// Length of the sliding window, where a cache keeps only a window.
    pub window: Option<usize>,
    /// A running state of constant size.
    pub recurrent: bool,
}

impl Memory {
    /// What the model's metadata says. `windowed` is what its state bytes showed, where they were understood.
    #[must_use]
    pub fn of(model: &Model, windowed: Option<bool>) -> Self {
        let key = format!("{}.attention.sliding_window", model.architecture());
        let length =
            model.metadata(&key).and_then(|text| text.parse().ok()).filter(|&length: &usize| length > 0);
        Self {
            attention: !model.is_recurrent() || model.is_hybrid(),
            window: match windowed {
                Some(true) => Some(length.unwrap_or(0)),
                Some(false) => None,
                None => length,
            },
            recurrent: model.is_recurrent() || model.is_hybrid(),
        }
    }

    /// `plain`, `windowed`, `recurrent` or `hybrid`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self { recurrent: true, attention: true, .. } => "hybrid",
            Self { recurrent: true, .. } => "recurrent",
            Self { window: Some(_), .. } => "windowed",
            _ => "plain",
        }
    }

    /// Can a sequence be cut at any token?
    #[must_use]
    pub fn can_be_cut(self) -> bool {
        self.window.is_none() && !self.recurrent
    }
}
