//! How a verdict looks: a glyph and a tone. The glyph alone tells verdicts apart; colour only helps.

use crate::verdict::Verdict;

/// How good or bad a verdict is, as a colour shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The session came back.
    Good,
    /// The session is right, at a price.
    Fair,
    /// The session stayed out, and nothing was harmed.
    Safe,
    /// The session came back worse.
    Weak,
    /// The session is lost, wrong, or did harm.
    Bad,
    /// Nothing is known.
    Blank,
}

impl Tone {
    /// Its name in style sheets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Safe => "safe",
            Self::Weak => "weak",
            Self::Bad => "bad",
            Self::Blank => "blank",
        }
    }
}

/// How a verdict looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// One character that no other verdict has.
    pub glyph: char,
    /// How good or bad it is.
    pub tone: Tone,
}

impl Style {
    /// The style of a verdict.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        let (glyph, tone) = match verdict {
            Verdict::Exact => ('✓', Tone::Good),
            Verdict::Equivalent => ('≈', Tone::Good),
            Verdict::Recomputed => ('↻', Tone::Fair),
            Verdict::Refused => ('⊘', Tone::Safe),
            Verdict::Degraded => ('↓', Tone::Weak),
            Verdict::Inert => ('∅', Tone::Bad),
            Verdict::RefusedUnclear => ('?', Tone::Bad),
            Verdict::RefusedDestructive => ('‼', Tone::Bad),
            Verdict::Hung => ('∞', Tone::Bad),
            Verdict::Crashed => ('†', Tone::Bad),
            Verdict::Corrupt => ('✗', Tone::Bad),
            Verdict::Unsupported => ('–', Tone::Blank),
            Verdict::Filtered => ('·', Tone::Blank),
            Verdict::NotRun => ('○', Tone::Blank),
            Verdict::HarnessError => ('!', Tone::Blank),
        };
        Self { glyph, tone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_verdicts_share_a_glyph() {
        let glyphs: std::collections::BTreeSet<_> =
            Verdict::ALL.map(|verdict| Style::of(verdict).glyph).into();
        assert_eq!(glyphs.len(), Verdict::ALL.len());
    }

    #[test]
    fn only_what_is_no_verdict_is_blank() {
        for verdict in Verdict::ALL {
            assert_eq!(Style::of(verdict).tone == Tone::Blank, !verdict.is_verdict(), "{verdict}");
        }
    }
}
