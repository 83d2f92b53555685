//! How a cell differs from the same cell of an earlier run.

use crate::results::Cell;

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

    /// What changed, if anything.
    #[must_use]
    pub fn between(before: Option<&Cell>, now: &Cell) -> Option<Self> {
        let Some(before) = before else { return Some(Self::New) };
        if before.verdict.is_verdict() && now.verdict.is_verdict() && before.verdict != now.verdict {
            return Some(if now.verdict > before.verdict { Self::Worse } else { Self::Better });
        }
        let same = (before.verdict, &before.code, &before.route) == (now.verdict, &now.code, &now.route);
        (!same).then_some(Self::Other)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_cell;
    use crate::verdict::Verdict;

    #[test]
    fn a_change_is_told_by_verdict_then_by_code_and_route() {
        let cell = |verdict, code: &str, route: &str| Cell {
            verdict,
            code: Some(code.to_owned()),
            route: Some(route.to_owned()),
            ..sample_cell("a")
        };
        let exact = cell(Verdict::Exact, "", "direct");
        for (now, expected) in [
            (cell(Verdict::Exact, "", "direct"), None),
            (cell(Verdict::Exact, "", "transcoded"), Some(Change::Other)),
            (cell(Verdict::Corrupt, "", "direct"), Some(Change::Worse)),
            (cell(Verdict::NotRun, "", "direct"), Some(Change::Other)),
        ] {
            assert_eq!(Change::between(Some(&exact), &now), expected, "{:?}", now.verdict);
        }
        let refused = cell(Verdict::Refused, "kv-type", "");
        assert_eq!(Change::between(Some(&refused), &exact), Some(Change::Better));
        assert_eq!(
            Change::between(Some(&refused), &cell(Verdict::Refused, "digest", "")),
            Some(Change::Other)
        );
        assert_eq!(Change::between(None, &exact), Some(Change::New));
    }
}
