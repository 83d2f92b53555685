//! How a cell differs from the same cell of an earlier run.

/// How a cell differs from the same cell of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its verdict is worse.
    Worse,
    /// Its verdict is better.
    Better,
    /// It had a verdict and has none, or the other way round, or its refusal has another code, or its load another route.
    Other,
    /// The earlier run does not have it.
    New,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 4] = [Self::Worse, Self::Better, Self::Other, Self::New];

    /// The name in filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Other => "other",
            Self::New => "new",
        }
    }
}
