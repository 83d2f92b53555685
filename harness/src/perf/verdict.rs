//! What became of each row, and what follows for the gate.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::row::Part;
use super::statistics::{Estimate, holm};
use crate::exit::Exit;

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Faster, and again in fresh processes.
    Improved,
    /// Shown to be as fast as before, within the tolerance.
    Unchanged,
    /// Slower, and again in fresh processes.
    Regressed,
    /// The measurements scatter too much to tell.
    Noisy,
    /// Could not be compared, or the machine itself changed meanwhile.
    Unproven,
}

impl Verdict {
    /// Its name in documents and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Regressed => "regressed",
            Self::Noisy => "noisy",
            Self::Unproven => "unproven",
        }
    }

    /// A sign for it that does not need colour.
    #[must_use]
    pub const fn glyph(self) -> char {
        match self {
            Self::Improved => '▲',
            Self::Unchanged => '=',
            Self::Regressed => '▼',
            Self::Noisy => '~',
            Self::Unproven => '?',
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What counts as a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Chance of a flag on any row where nothing changed, of the first measurement alone.
    pub alpha: f64,
    /// Smallest change that is of interest, as a share: 0.05 is a twentieth.
    pub minimum_effect: f64,
    /// A row is unchanged only if a change as large as this is ruled out.
    pub tolerance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { alpha: 0.05, minimum_effect: 0.05, tolerance: 0.1 }
    }
}

impl Limits {
    fn is_of_interest(&self, estimate: &Estimate) -> bool {
        estimate.ratio.ln().abs() >= self.minimum_effect.ln_1p()
    }

    fn rules_out_a_change(&self, estimate: &Estimate) -> bool {
        let limit = self.tolerance.ln_1p();
        estimate.low.ln() > -limit && estimate.high.ln() < limit
    }
}

/// Which rows seem to have changed: unlikely by chance over all rows together, and large enough to matter.
#[must_use]
pub fn flagged(estimates: &[Option<Estimate>], limits: &Limits) -> Vec<bool> {
    let p_values: Vec<f64> = estimates.iter().flatten().map(|estimate| estimate.p).collect();
    let mut adjusted = holm(&p_values).into_iter();
    let flag = |estimate: &Option<Estimate>| {
        estimate.as_ref().is_some_and(|estimate| {
            adjusted.next().is_some_and(|p| p <= limits.alpha) && limits.is_of_interest(estimate)
        })
    };
    estimates.iter().map(flag).collect()
}

/// Does a second measurement in fresh processes show the same change as the first?
#[must_use]
pub fn is_confirmed(first: &Estimate, second: &Estimate, second_is_flagged: bool) -> bool {
    second_is_flagged && (first.ratio > 1.0) == (second.ratio > 1.0)
}

/// What one measured row comes to on its own. `second` is there where the first measurement was flagged, with whether it
/// was flagged too.
#[must_use]
pub fn of_row(first: &Estimate, second: Option<(&Estimate, bool)>, limits: &Limits) -> (Verdict, String) {
    let told = |estimate: &Estimate| if estimate.ratio > 1.0 { "slower" } else { "faster" };
    match second {
        Some((second, flag)) if is_confirmed(first, second, flag) => {
            let verdict = if first.ratio > 1.0 { Verdict::Regressed } else { Verdict::Improved };
            (verdict, format!("{}, and again in fresh processes", told(first)))
        }
        Some((second, _)) if limits.rules_out_a_change(second) => {
            (Verdict::Unchanged, format!("{} at first, but not in fresh processes", told(first)))
        }
        Some(_) => {
            (Verdict::Noisy, format!("{} at first, but fresh processes did not confirm it", told(first)))
        }
        None if limits.rules_out_a_change(first) => {
            (Verdict::Unchanged, format!("a change of {:.0}% is ruled out", limits.tolerance * 100.0))
        }
        None => (
            Verdict::Noisy,
            format!(
                "anything from {} to {} is possible: measure more blocks, or on a quieter machine",
                percent(first.low),
                percent(first.high)
            ),
        ),
    }
}

/// A ratio as a signed change in percent.
#[must_use]
pub fn percent(ratio: f64) -> String {
    format!("{:+.1}%", (ratio - 1.0) * 100.0)
}

/// Did a control move? Then the machine changed between the sides, and no row is proven.
#[must_use]
pub fn has_moved(part: Part, verdict: Verdict) -> bool {
    part == Part::Control && matches!(verdict, Verdict::Improved | Verdict::Regressed)
}

/// How the comparison ends. Only gated rows decide.
#[must_use]
pub fn exit(rows: &[(Part, Verdict)]) -> Exit {
    let mut gated = rows.iter().filter(|(part, _)| *part == Part::Gated).map(|(_, verdict)| *verdict);
    let has_controls = rows.iter().any(|(part, _)| *part == Part::Control);
    let moved = rows.iter().any(|(part, verdict)| has_moved(*part, *verdict));
    if rows.is_empty() {
        Exit::NothingSelected
    } else if moved || !has_controls {
        Exit::Unproven
    } else if gated.clone().any(|verdict| verdict == Verdict::Regressed) {
        Exit::Regression
    } else if gated.any(|verdict| matches!(verdict, Verdict::Noisy | Verdict::Unproven)) {
        Exit::Unproven
    } else {
        Exit::Fine
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
