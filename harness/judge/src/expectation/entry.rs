//! One expectation: what a file says of it, what makes it sound, and whether a judgement meets it.

use intact_matrix::filter::{Filter, FilterError};
use intact_matrix::verdict::Verdict;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::Expected;
use crate::distance::Distance;
use crate::{FindingKind, Floor, Judgement};

/// The document.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectationFile {
    /// Version of this document: 1.
    pub version: u32,
    /// The entries; for a cell the first one that selects it counts.
    #[serde(default)]
    pub expect: Vec<Entry>,
}

/// One expectation.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which cells: a filter over dimensions.
    #[schemars(with = "String")]
    pub when: Spanned<String>,
    /// The plans in which it must select a cell; empty means the configured one and those that build on it.
    #[serde(default)]
    pub plans: Vec<String>,
    /// The verdicts that pass.
    pub outcome: Vec<Verdict>,
    /// The code that a refusal must have.
    #[serde(default)]
    pub code: Option<String>,
    /// How far logits may be off where `degraded` is expected.
    #[serde(default)]
    pub tolerance: Option<Tolerance>,
    /// Why that is right.
    pub reason: String,
    /// Where it is tracked; needed for `refused-unclear`, `refused-destructive`, `crashed`, `hung` and `corrupt`.
    #[serde(default)]
    pub issue: Option<String>,
    /// The last day on which it holds, `YYYY-MM-DD`; needed for `crashed`, `hung` and `corrupt`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Date>,
}

/// How far logits may be off.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Largest normalised mean square error.
    #[serde(default)]
    pub nmse: Option<f64>,
    /// Largest mean KL divergence, in nats.
    #[serde(default)]
    pub kl: Option<f64>,
    /// Smallest share of rows with the reference's greedy token.
    #[serde(default)]
    pub top1_agreement: Option<f64>,
    /// So many times what sessions of this model under these settings are apart that were never saved is allowed too,
    /// where that is more than the numbers say: they were measured on the fixtures.
    #[serde(default)]
    pub times: Option<f64>,
}

impl Tolerance {
    /// Whether what was found is farther off.
    fn is_exceeded(&self, distance: Distance, floor: Option<Floor>) -> bool {
        let beyond = |limit: Option<f64>, value: f64, measured: fn(Floor) -> f64| {
            let measured = self.times.zip(floor).map_or(0.0, |(times, floor)| times * measured(floor));
            limit.is_some_and(|limit| value.is_nan() || value > limit.max(measured))
        };
        beyond(self.nmse, distance.nmse, |floor| floor.nmse)
            || beyond(self.kl, distance.kl, |floor| floor.kl)
            || self.top1_agreement.is_some_and(|least| distance.top1_agreement < least)
    }
}

/// The filter of an entry that is sound; else where in its filter it is not, and why.
pub(super) fn check(entry: &Entry, known: &[&str]) -> Result<Filter, (usize, String)> {
    let when = entry.when.get_ref();
    let at_its_place = |error: FilterError| (1 + error.position, error.message);
    let filter: Filter = when.parse().map_err(at_its_place)?;
    filter.check_names(when, known).map_err(at_its_place)?;
    filter.check_planned(when).map_err(at_its_place)?;
    let names: Vec<&str> = entry.outcome.iter().map(|verdict| verdict.name()).collect();
    let refused = |message: String| Err((0, message));
    if entry.outcome.is_empty() {
        return refused("an expectation needs an outcome".into());
    }
    if let Some(verdict) = entry.outcome.iter().find(|verdict| !verdict.is_verdict()) {
        return refused(format!("`{verdict}` is not a verdict and is never excused"));
    }
    if entry.reason.trim().is_empty() {
        return refused("an expectation needs a reason".into());
    }
    if entry.outcome.iter().any(|verdict| verdict.needs_issue()) && entry.issue.is_none() {
        return refused(format!("an expectation of {} needs an issue", names.join(", ")));
    }
    if entry.outcome.iter().any(|verdict| verdict.needs_expiry()) && entry.expires.is_none() {
        return refused(format!("an expectation of {} needs a day on which it expires", names.join(", ")));
    }
    Ok(filter)
}

/// Why a judgement is not what is expected, if it is not.
pub(super) fn problem(
    expected: &Expected,
    tolerance: Option<Tolerance>,
    judgement: &Judgement,
) -> Option<(FindingKind, String)> {
    let verdict = judgement.verdict;
    match verdict {
        Verdict::HarnessError => return Some((FindingKind::HarnessError, judgement.message.clone())),
        Verdict::NotRun => return Some((FindingKind::NotRun, judgement.message.clone())),
        Verdict::Filtered | Verdict::Unsupported => return None,
        _ => {}
    }
    let wanted = expected.outcome.iter().map(|verdict| verdict.name()).collect::<Vec<_>>().join(" or ");
    if !expected.outcome.contains(&verdict) {
        let better = expected.outcome.iter().all(|wanted| verdict < *wanted);
        let kind = if better { FindingKind::Stale } else { FindingKind::Worse };
        return Some((kind, format!("expected {wanted}, found {verdict}: {}", judgement.message)));
    }
    if verdict == Verdict::Refused
        && let Some(code) = &expected.code
        && judgement.code.as_ref() != Some(code)
    {
        let found = judgement.code.as_deref().unwrap_or("no code");
        let message =
            format!("expected a refusal with code `{code}`, found `{found}`: {}", judgement.message);
        return Some((FindingKind::Worse, message));
    }
    if let (Some(tolerance), Some(distance)) = (tolerance, judgement.distance)
        && tolerance.is_exceeded(distance, judgement.floor)
    {
        let message = format!("{verdict} as expected, but beyond the tolerance: {}", judgement.message);
        return Some((FindingKind::Worse, message));
    }
    None
}
