//! What the pages of the system that this one is measured against say of saved sessions, and whether it is so.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::filter::{Filter, Subject};
use crate::results::{Cell, ClaimOutcome, ClaimResult};
use crate::verdict::Verdict;

/// One claim, as `fixtures/claims.toml` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    name: String,
    page: String,
    says: String,
    claim: String,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    holds: Vec<Verdict>,
    #[serde(default)]
    some: bool,
    #[serde(default)]
    because: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    claim: Vec<Claim>,
}

static CLAIMS: LazyLock<Vec<(Claim, Option<Filter>)>> = LazyLock::new(|| {
    let table: Claims = toml::from_str(include_str!("../../fixtures/claims.toml"))
        .expect("the embedded table of claims is TOML");
    let readable = |claim: Claim| {
        let filter =
            claim.when.as_ref().map(|when| when.parse().expect("the embedded table's filters can be read"));
        (claim, filter)
    };
    table.claim.into_iter().map(readable).collect()
});

/// What became of every claim, the ones that no cell of this run tests too.
#[must_use]
pub(crate) fn judge(cells: &[Cell]) -> Vec<ClaimResult> {
    CLAIMS.iter().map(|(claim, filter)| claim.judge(filter.as_ref(), cells)).collect()
}

impl Claim {
    fn judge(&self, filter: Option<&Filter>, cells: &[Cell]) -> ClaimResult {
        let selects = |cell: &&Cell| {
            filter.is_some_and(|filter| filter.selects(Subject::planned(&cell.id, &cell.dims)))
        };
        let tested: Vec<&Cell> =
            cells.iter().filter(|cell| cell.verdict.is_verdict()).filter(selects).collect();
        let (held, broken): (Vec<&Cell>, Vec<&Cell>) =
            tested.iter().partition(|cell| self.holds.contains(&cell.verdict));
        let outcome = if tested.is_empty() {
            ClaimOutcome::Untested
        } else if broken.is_empty() || (self.some && !held.is_empty()) {
            ClaimOutcome::Confirmed
        } else {
            ClaimOutcome::Refuted
        };
        let ids = |cells: &[&Cell]| cells.iter().map(|cell| cell.id.clone()).collect();
        ClaimResult {
            name: self.name.clone(),
            page: self.page.clone(),
            says: self.says.clone(),
            claim: self.claim.clone(),
            outcome,
            held: ids(&held),
            broken: ids(&broken),
            because: self.because.clone().filter(|_| tested.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, DEFAULT_CONFIG};

    #[test]
    fn every_claim_is_sound_and_says_which_cells_test_it_or_why_none_can() {
        let config = Config::parse(DEFAULT_CONFIG, Path::new("intact.toml")).expect("sound");
        let mut names: Vec<&str> = CLAIMS.iter().map(|(claim, _)| claim.name.as_str()).collect();
        assert!(names.len() >= 25, "{} claims", names.len());
        for (claim, filter) in CLAIMS.iter() {
            assert_eq!(claim.when.is_some(), claim.because.is_none(), "{}", claim.name);
            assert_eq!(claim.when.is_some(), !claim.holds.is_empty(), "{}", claim.name);
            assert!(claim.holds.iter().all(|verdict| verdict.is_verdict()), "{}", claim.name);
            if let (Some(filter), Some(when)) = (filter, &claim.when) {
                filter.check_names(when, &config.dimensions()).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CLAIMS.len(), "a name is there twice");
    }

    #[test]
    fn a_claim_of_all_needs_all_and_a_claim_of_some_needs_one() {
        let claim = |some| Claim {
            name: "name".into(),
            page: "page".into(),
            says: "says".into(),
            claim: "claim".into(),
            when: None,
            holds: vec![Verdict::Exact],
            some,
            because: Some("nothing can".into()),
        };
        let cell = |verdict| Cell { verdict, ..crate::results::sample_cell("engine/llama/base") };
        let all = Filter::All;
        let outcome = |some, verdicts: &[Verdict]| {
            let cells: Vec<Cell> = verdicts.iter().copied().map(cell).collect();
            claim(some).judge(Some(&all), &cells).outcome
        };
        assert_eq!(outcome(false, &[]), ClaimOutcome::Untested);
        assert_eq!(outcome(false, &[Verdict::Filtered]), ClaimOutcome::Untested);
        assert_eq!(outcome(false, &[Verdict::Exact]), ClaimOutcome::Confirmed);
        assert_eq!(outcome(false, &[Verdict::Exact, Verdict::Corrupt]), ClaimOutcome::Refuted);
        assert_eq!(outcome(true, &[Verdict::Exact, Verdict::Corrupt]), ClaimOutcome::Confirmed);
        assert_eq!(outcome(true, &[Verdict::Corrupt]), ClaimOutcome::Refuted);
    }
}
