//! How a verdict looks: a glyph and a tone. The glyph alone tells verdicts apart; colour only helps.

use crate::verdict::Verdict;

/// How good or bad a verdict is, as a colour shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The session survives.
    Good,
    /// The session survives, at a price.
    Fair,
    /// The session is lost, and whoever loads it is told.
    Safe,
    /// The session came back worse.
    Weak,
    /// The session is wrong and nobody is told, or the load did harm.
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

    /// One character for it, where it stands for several verdicts.
    #[must_use]
    pub const fn glyph(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Fair => '↻',
            Self::Safe => '⊘',
            Self::Weak => '↓',
            Self::Bad => '✗',
            Self::Blank => '○',
        }
    }

    /// What it says of sessions, in every part of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Good => "survives",
            Self::Fair => "survives, computed again",
            Self::Safe => "lost, but told",
            Self::Weak => "comes back worse",
            Self::Bad => "silently wrong, or does harm",
            Self::Blank => "not known",
        }
    }

    const fn severity(self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Good => 1,
            Self::Fair => 2,
            Self::Safe => 3,
            Self::Weak => 4,
            Self::Bad => 5,
        }
    }

    /// This one, or another where that is worse.
    #[must_use]
    pub const fn or_worse(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    /// The worst of the tones of some verdicts.
    #[must_use]
    pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        verdicts.into_iter().map(|verdict| Style::of(verdict).tone).fold(Self::Blank, Self::or_worse)
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
            Verdict::RefusedUnclear => ('?', Tone::Safe),
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
    fn the_worst_tone_is_that_of_the_worst_fate() {
        use Verdict::{Corrupt, Exact, NotRun, RefusedUnclear};
        assert_eq!(Tone::worst([]), Tone::Blank);
        assert_eq!(Tone::worst([NotRun, Exact]), Tone::Good);
        assert_eq!(Tone::worst([Exact, RefusedUnclear]), Tone::Safe);
        assert_eq!(Tone::worst([RefusedUnclear, Corrupt, Exact]), Tone::Bad);
    }

    #[test]
    fn only_what_is_no_verdict_is_blank() {
        for verdict in Verdict::ALL {
            assert_eq!(Style::of(verdict).tone == Tone::Blank, !verdict.is_verdict(), "{verdict}");
        }
    }
}
