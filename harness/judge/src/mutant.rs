//! Mutants: judges and gates with one thing wrong, each of which something must find out.

use intact_base::exit::Exit;
use intact_matrix::Thresholds;
use intact_matrix::verdict::Verdict;
use intact_protocol::WorkerError;

use crate::{Evidence, FindingKind, Floor, Harm, Judgement, LoadedEvidence, gate, judge};

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutated {
    /// What is wrong with it.
    pub name: &'static str,
    /// What found it out; none where nothing did.
    pub killed_by: Option<String>,
}

type Judge = fn(&Evidence, &Thresholds) -> Verdict;

/// Judges with one thing wrong.
const JUDGES: &[(&str, Judge)] = &[
    ("harm to other sessions is not looked at", |evidence, thresholds| {
        rightly(&unharmed(evidence), thresholds)
    }),
    ("logits are not compared", |evidence, thresholds| {
        let blind = |loaded: &mut LoadedEvidence| {
            if let Ok(reference) = &loaded.reference {
                loaded.observed = reference.clone();
            }
        };
        rightly(&loaded(evidence, blind), thresholds)
    }),
    ("chats are not compared", |evidence, thresholds| {
        rightly(&loaded(evidence, |loaded| loaded.history_difference = None), thresholds)
    }),
    ("parameters are not compared", |evidence, thresholds| {
        rightly(&loaded(evidence, |loaded| loaded.saved_parameters = None), thresholds)
    }),
    ("what the receipt says was evaluated is not looked at", |evidence, thresholds| {
        let silent = |loaded: &mut LoadedEvidence| {
            loaded.receipt.tokens_evaluated = 0;
            loaded.receipt.tokens_restored = loaded.saved_tokens;
            loaded.receipt.route = "direct".into();
        };
        rightly(&loaded(evidence, silent), thresholds)
    }),
    ("the noise floor is too high", |evidence, thresholds| {
        let mut thresholds = thresholds.clone();
        (thresholds.equivalent.nmse, thresholds.equivalent.kl, thresholds.equivalent.top1_agreement) =
            (1.0, 10.0, 0.0);
        rightly(evidence, &thresholds)
    }),
    ("there is no noise floor", |evidence, thresholds| {
        let mut thresholds = thresholds.clone();
        (thresholds.equivalent.nmse, thresholds.equivalent.kl) = (0.0, 0.0);
        rightly(evidence, &thresholds)
    }),
    ("a difference that nothing explains is noise", |evidence, thresholds| {
        rightly(&loaded(evidence, |loaded| loaded.differs = Some("something".into())), thresholds)
    }),
    ("nothing explains a difference", |evidence, thresholds| {
        let silent = |loaded: &mut LoadedEvidence| {
            loaded.differs = None;
            loaded.receipt.axes.clear();
        };
        rightly(&loaded(evidence, silent), thresholds)
    }),
    ("the noise is taken to be large", |evidence, thresholds| {
        let noisy = Floor { nmse: 1.0, kl: 10.0, logit: 100.0 };
        rightly(&loaded(evidence, |loaded| loaded.noise = Some(noisy)), thresholds)
    }),
    ("everything is usable", |evidence, thresholds| {
        let mut thresholds = thresholds.clone();
        (thresholds.usable.nmse, thresholds.usable.kl) = (f64::MAX, f64::MAX);
        thresholds.usable.top1_agreement = 0.0;
        rightly(evidence, &thresholds)
    }),
    ("nothing outside the floor is usable", |evidence, thresholds| {
        let mut thresholds = thresholds.clone();
        thresholds.usable = thresholds.equivalent.clone();
        rightly(evidence, &thresholds)
    }),
    ("a refusal without a code is as good as one with", |evidence, thresholds| {
        instead(Verdict::RefusedUnclear, Verdict::Refused, evidence, thresholds)
    }),
    ("a failure is a refusal", |evidence, thresholds| match evidence {
        Evidence::Failed { .. } => Verdict::Refused,
        other => rightly(other, thresholds),
    }),
    ("a death is a refusal", |evidence, thresholds| {
        instead(Verdict::Crashed, Verdict::Refused, evidence, thresholds)
    }),
    ("a worker that hangs has died", |evidence, thresholds| {
        instead(Verdict::Hung, Verdict::Crashed, evidence, thresholds)
    }),
    ("a broken protocol is a death", |evidence, thresholds| match evidence {
        Evidence::Died(WorkerError::Protocol { .. }) => Verdict::Crashed,
        other => rightly(other, thresholds),
    }),
    ("what cannot be done went well", |evidence, thresholds| {
        instead(Verdict::Unsupported, Verdict::Exact, evidence, thresholds)
    }),
    ("what restored nothing is merely recomputed", |evidence, thresholds| {
        instead(Verdict::Inert, Verdict::Recomputed, evidence, thresholds)
    }),
    ("every verdict is one better", |evidence, thresholds| {
        let verdict = rightly(evidence, thresholds);
        let place = Verdict::ALL.iter().position(|known| *known == verdict).unwrap_or_default();
        Verdict::ALL[place.saturating_sub(1)]
    }),
];

/// What each mutant of the judge is found out by, over everything that was seen.
#[must_use]
pub fn of_the_judge(seen: &[Evidence], thresholds: &Thresholds) -> Vec<Mutated> {
    let killed = |mutant: Judge| {
        seen.iter().find_map(|evidence| {
            let Judgement { verdict, message, .. } = judge(evidence, thresholds);
            let wrongly = mutant(evidence, thresholds);
            (wrongly != verdict).then(|| format!("{verdict} turned {wrongly}: {message}"))
        })
    };
    JUDGES.iter().map(|(name, mutant)| Mutated { name, killed_by: killed(*mutant) }).collect()
}

/// The verdict that the real judge comes to.
fn rightly(evidence: &Evidence, thresholds: &Thresholds) -> Verdict {
    judge(evidence, thresholds).verdict
}

fn loaded(evidence: &Evidence, change: impl FnOnce(&mut LoadedEvidence)) -> Evidence {
    let mut evidence = evidence.clone();
    if let Evidence::Loaded(loaded) = &mut evidence {
        change(loaded);
    }
    evidence
}

fn unharmed(evidence: &Evidence) -> Evidence {
    let mut evidence = evidence.clone();
    match &mut evidence {
        Evidence::Loaded(loaded) => loaded.harm = Harm::None,
        Evidence::Refused { harm, .. } | Evidence::Failed { harm, .. } => *harm = Harm::None,
        _ => {}
    }
    evidence
}

fn instead(right: Verdict, wrong: Verdict, evidence: &Evidence, thresholds: &Thresholds) -> Verdict {
    let verdict = rightly(evidence, thresholds);
    if verdict == right { wrong } else { verdict }
}

type Gate = fn(&[FindingKind]) -> Exit;

/// Gates with one thing wrong: what is found goes by them.
const GATES: &[(&str, Gate)] = &[
    ("worse cells pass", |found| without(found, FindingKind::Worse)),
    ("flaky cells pass", |found| without(found, FindingKind::Flaky)),
    ("stale expectations pass", |found| without(found, FindingKind::Stale)),
    ("expectations that have expired hold", |found| without(found, FindingKind::Expired)),
    ("expectations of nothing pass", |found| without(found, FindingKind::Unmatched)),
    ("expectations that contradict each other pass", |found| without(found, FindingKind::Contradicting)),
    ("expectations that nobody has reviewed pass", |found| without(found, FindingKind::Unreviewed)),
    ("cells that were not run pass", |found| without(found, FindingKind::NotRun)),
    ("errors of the harness pass", |found| without(found, FindingKind::HarnessError)),
    ("a stale expectation hides a failure", |found| {
        if found.contains(&FindingKind::Stale) { Exit::Stale } else { gate::exit(found, 1, true) }
    }),
    ("a failure hides that cells were not run", |found| {
        let failed = gate::exit(&[FindingKind::Worse], 1, true);
        if found.contains(&FindingKind::Worse) { failed } else { gate::exit(found, 1, true) }
    }),
    ("everything passes", |_| Exit::Fine),
    ("nothing passes", |_| Exit::GateFailed),
];

/// What each mutant of the gate is found out by: the table of what ends how.
#[must_use]
pub fn of_the_gate() -> Vec<Mutated> {
    let killed = |mutant: Gate| {
        gate::TABLE.iter().find_map(|(found, exit)| {
            let wrongly = mutant(found);
            (wrongly != *exit)
                .then(|| format!("{found:?} ends with {} and not {}", wrongly.code(), exit.code()))
        })
    };
    GATES.iter().map(|(name, mutant)| Mutated { name, killed_by: killed(*mutant) }).collect()
}

fn without(found: &[FindingKind], kind: FindingKind) -> Exit {
    let left: Vec<FindingKind> = found.iter().copied().filter(|found| *found != kind).collect();
    gate::exit(&left, 1, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_ends_as_its_table_says_and_every_mutant_of_it_is_found_out() {
        for (found, exit) in gate::TABLE {
            assert_eq!(gate::exit(found, 1, true), *exit, "{found:?}");
        }
        for mutant in of_the_gate() {
            assert!(mutant.killed_by.is_some(), "{} lives", mutant.name);
        }
    }
}
