//! The judge: from what was seen in a cell to its verdict. A pure function; the table in its tests is its oracle.

mod evidence;
mod floor;

use intact_matrix::Thresholds;
use intact_matrix::verdict::Verdict;
use intact_protocol::{AxisReport, Oracle, Receipt, Refusal, WorkerError};

use crate::distance::{Distance, is_finite};
pub use evidence::{Evidence, Harm, LoadedEvidence, Sampled};
pub use floor::Floor;

/// What became of the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Code of a refusal, name of a signal, or another short reason.
    pub code: Option<String>,
    /// Why, for a person.
    pub message: String,
    /// How far the loaded session is from the reference, where that could be measured.
    pub distance: Option<Distance>,
    /// What was compared, where something was.
    pub oracle: Option<Oracle>,
    /// What that was held against: how far sessions are apart that were never saved.
    pub floor: Option<Floor>,
}

impl Judgement {
    /// A judgement without distances.
    #[must_use]
    pub fn plain(verdict: Verdict, code: Option<&str>, message: impl Into<String>) -> Self {
        let (code, message) = (code.map(str::to_owned), message.into());
        Self { verdict, code, message, distance: None, oracle: None, floor: None }
    }
}

/// Judges one cell.
#[must_use]
pub fn judge(evidence: &Evidence, thresholds: &Thresholds) -> Judgement {
    match evidence {
        Evidence::Unsupported { message } => Judgement::plain(Verdict::Unsupported, None, message),
        Evidence::Died(error) => judge_death(error),
        Evidence::Refused { refusal, harm: Harm::Done(harm) } => Judgement::plain(
            Verdict::RefusedDestructive,
            Some(&refusal.code),
            format!("The load was refused ({}), and a live session was harmed: {harm}.", refusal.message),
        ),
        Evidence::Refused { refusal, harm: Harm::None } => judge_refusal(refusal),
        Evidence::Failed { message, harm: Harm::Done(harm) } => Judgement::plain(
            Verdict::RefusedDestructive,
            None,
            format!("The load failed ({message}), and a live session was harmed: {harm}."),
        ),
        Evidence::Failed { message, harm: Harm::None } => Judgement::plain(
            Verdict::RefusedUnclear,
            None,
            format!("The load failed without a typed reason: {message}"),
        ),
        Evidence::Unusable { receipt, message } => Judgement::plain(
            Verdict::Corrupt,
            Some("unusable"),
            format!(
                "The load reported success by route `{}`, and the session cannot go on: {message}.",
                receipt.route
            ),
        ),
        Evidence::Loaded(loaded) => judge_loaded(loaded, thresholds),
    }
}

fn judge_death(error: &WorkerError) -> Judgement {
    let message = sentence(&error.to_string());
    match error {
        WorkerError::Hung { op, .. } => Judgement::plain(Verdict::Hung, Some(op), message),
        WorkerError::Crashed { code, .. } => Judgement::plain(Verdict::Crashed, Some(code), message),
        WorkerError::Protocol { .. } => Judgement::plain(Verdict::HarnessError, Some("protocol"), message),
        WorkerError::Spawn { .. } => Judgement::plain(Verdict::HarnessError, Some("spawn"), message),
        WorkerError::Unwritable { .. } => Judgement::plain(Verdict::HarnessError, Some("request"), message),
        WorkerError::Noncompliant(_) => {
            Judgement::plain(Verdict::HarnessError, Some("noncompliant"), message)
        }
    }
}

/// A message as a sentence: capital first, full stop last.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}

fn judge_refusal(refusal: &Refusal) -> Judgement {
    if refusal.code.is_empty() || refusal.message.is_empty() {
        let message =
            format!("The load was refused without a reason that can be acted on: {}", refusal.message);
        return Judgement::plain(Verdict::RefusedUnclear, Some(&refusal.code), message);
    }
    Judgement::plain(Verdict::Refused, Some(&refusal.code), &refusal.message)
}

/// Routes that do not claim to have used the saved KV.
const RECOMPUTING: [&str; 2] = ["reprefilled", "replayed"];
/// The route of a state that another system wrote. All of its tokens are evaluated, only to verify it: the session goes
/// on from what was saved, unless nothing of it could be kept.
pub const ADOPTED: &str = "adopted";

fn judge_loaded(loaded: &LoadedEvidence, thresholds: &Thresholds) -> Judgement {
    let receipt = &loaded.receipt;
    if let Harm::Done(harm) = &loaded.harm {
        let message = format!("The load reported success, and another live session was harmed: {harm}.");
        return Judgement::plain(Verdict::Corrupt, Some("bystander"), message);
    }
    let reference = match &loaded.reference {
        Ok(reference) if is_finite(reference) => reference,
        Ok(_) => {
            let message =
                "The uninterrupted session itself gives logits that are not numbers: nothing can be judged.";
            return Judgement::plain(Verdict::HarnessError, Some("control"), message);
        }
        Err(reason) => {
            let message = format!("There is no reference session to compare with: {reason}");
            return Judgement::plain(Verdict::HarnessError, Some("control"), message);
        }
    };
    let floor = loaded.floor();
    let near = floor.map_or(0.0, |floor| floor.logit);
    let Some(distance) = Distance::between_with(reference, &loaded.observed, near) else {
        let message = format!(
            "The logits have {} rows of {}, the reference's {} rows of {}.",
            loaded.observed.rows().len(),
            loaded.observed.n_vocab(),
            reference.rows().len(),
            reference.n_vocab()
        );
        return Judgement::plain(Verdict::Corrupt, Some("shape"), message);
    };
    let (verdict, code, message) = weigh(loaded, receipt, distance, thresholds);
    let oracle = reference.oracle();
    let message = format!("{message}{}", weakness(oracle));
    Judgement {
        verdict,
        code: code.map(str::to_owned),
        message,
        distance: Some(distance),
        oracle: Some(oracle),
        floor,
    }
}

/// What a verdict cannot rest on.
fn weakness(oracle: Oracle) -> &'static str {
    match oracle {
        Oracle::Logits => "",
        Oracle::Probabilities => {
            " There are no logits to compare with: the probabilities of all tokens were compared, a weaker oracle."
        }
        Oracle::Greedy => {
            " There are neither logits nor probabilities to compare with: only the likeliest tokens were compared, a much \
             weaker oracle."
        }
    }
}

fn weigh(
    loaded: &LoadedEvidence,
    receipt: &Receipt,
    distance: Distance,
    thresholds: &Thresholds,
) -> (Verdict, Option<&'static str>, String) {
    if let Some(difference) = &loaded.history_difference {
        let message =
            format!("The load reported success with another chat than the one that was saved: {difference}");
        return (Verdict::Corrupt, Some("history"), message);
    }
    let adopted = receipt.route == ADOPTED;
    let recomputes = RECOMPUTING.contains(&receipt.route.as_str()) || adopted && receipt.tokens_restored == 0;
    // The last token is always evaluated again: a session of one token has nothing to restore.
    if !recomputes && receipt.tokens_restored == 0 && loaded.saved_tokens > 1 {
        let message = format!(
            "The load reported success by route `{}` and restored no token; it evaluated {}.",
            receipt.route, receipt.tokens_evaluated
        );
        return (Verdict::Inert, None, message);
    }
    let beyond_one = receipt.tokens_evaluated.max(loaded.evaluated_before) > thresholds.evaluations;
    let evaluated_again = recomputes || beyond_one && !adopted;
    let floor = loaded.floor();
    let near = match (evaluated_again, loaded.noise) {
        (false, _) => distance.is_within(&thresholds.equivalent, floor),
        (true, Some(_)) => distance.is_within(&thresholds.recomputed, floor),
        (true, None) => distance.is_within_limits(&thresholds.unmeasured),
    };
    if !(distance.bit_equal || near) {
        let beyond = format!("{}; route `{}`", describe(distance), receipt.route);
        return if is_declared_loss(loaded, distance, thresholds) {
            let alone = loaded.cost_of_settings.map(describe).unwrap_or_default();
            let message = format!(
                "A declared loss: the cells were converted for other settings or another release, which costs no more \
                 than that change does by itself: {beyond}. Two sessions that were never saved, one on each side, are as \
                 far apart: {alone}."
            );
            (Verdict::Degraded, Some("declared-loss"), message)
        } else if distance.is_within(&thresholds.usable, floor) {
            let apart = floor.map_or_else(String::new, |floor| {
                format!(
                    " (sessions that were never saved are NMSE {:.2e}, KL {:.2e} apart)",
                    floor.nmse, floor.kl
                )
            });
            let message = format!("Usable, but outside the noise floor: {beyond}{apart}.");
            (Verdict::Degraded, Some("distance"), message)
        } else {
            (
                Verdict::Corrupt,
                Some("logits"),
                format!("The load reported success, and its {} are wrong: {beyond}.", what(loaded)),
            )
        };
    }
    // Greedy tokens are the same where they are: what lies below them is not known.
    let unexplained = !distance.bit_equal && !evaluated_again && loaded.observed.oracle() != Oracle::Greedy;
    let explanation = loaded.explanation();
    if unexplained && explanation.is_none() {
        let message = format!(
            "Nothing that decides how logits are computed differs between the two sides, and the logits do: {}; route \
             `{}`. They are near the reference's, but what was restored is not what was saved.",
            describe(distance),
            receipt.route
        );
        return (Verdict::Degraded, Some(UNEXPLAINED), message);
    }
    if loaded.saved_parameters.is_some() && loaded.saved_parameters != receipt.parameters {
        let message = "The session came back without the parameters that were saved.".to_owned();
        return (Verdict::Degraded, Some("parameters"), message);
    }
    if let Some(same) = loaded.sampled.as_ref().and_then(Sampled::parts_after) {
        let converted = receipt.route == CONVERTING;
        let unchanged = distance.bit_equal || !(evaluated_again || converted);
        // In the noise of the last bits a choice between near-equals differs sooner or later; at once, it is another seed,
        // or other penalties.
        if unchanged || same == 0 && distance.is_within(&thresholds.equivalent, None) {
            let message = format!(
                "The session came back, and it samples differently from the uninterrupted one, from character {} of \
                 its next reply on: its sampler was not restored.",
                same + 1
            );
            return (Verdict::Degraded, Some("sampling"), message);
        }
    }
    if evaluated_again {
        return (Verdict::Recomputed, None, recomputed_because(receipt));
    }
    match (distance.bit_equal, loaded.observed.oracle()) {
        (true, Oracle::Logits) => {
            (Verdict::Exact, None, "Every logit is bit-identical to the uninterrupted session's.".into())
        }
        (true, Oracle::Probabilities) => (
            Verdict::Exact,
            None,
            "Every probability is bit-identical to the uninterrupted session's.".into(),
        ),
        // The same likeliest tokens say nothing of what lies below them.
        (_, Oracle::Greedy) => {
            let message = format!("{} tokens in a row are the same.", loaded.observed.rows().len());
            (Verdict::Equivalent, None, message)
        }
        (false, _) => {
            let message = format!(
                "Inside the noise floor: {}, where {} differs.",
                describe(distance),
                explanation.unwrap_or("something")
            );
            (Verdict::Equivalent, None, message)
        }
    }
}

fn what(loaded: &LoadedEvidence) -> &'static str {
    match loaded.observed.oracle() {
        Oracle::Logits => "logits",
        Oracle::Probabilities => "probabilities",
        Oracle::Greedy => "tokens",
    }
}

/// The code of a difference that nothing explains.
pub const UNEXPLAINED: &str = "unexplained";

/// The route that converts cells.
const CONVERTING: &str = "transcoded";

fn is_declared_loss(loaded: &LoadedEvidence, distance: Distance, thresholds: &Thresholds) -> bool {
    let within = |cost: Distance| {
        distance.nmse <= thresholds.declared_loss * cost.nmse
            && distance.kl <= thresholds.declared_loss * cost.kl
    };
    loaded.receipt.route == CONVERTING && loaded.cost_of_settings.is_some_and(within)
}

/// Consequences of an axis after which the saved KV cannot be used.
const EVALUATING: [&str; 3] = ["reprefill", "replay", "refuse"];

fn recomputed_because(receipt: &Receipt) -> String {
    let told = |axis: &AxisReport| {
        format!("{} was {} and is {} ({})", axis.axis, axis.saved, axis.here, axis.reason)
    };
    // An axis that could have been transcoded is no reason: why it was not is among the notes.
    let axes: Vec<String> = receipt
        .axes
        .iter()
        .filter(|axis| EVALUATING.contains(&axis.consequence.as_str()))
        .map(told)
        .collect();
    let why = match (axes.is_empty(), receipt.notes.is_empty()) {
        (false, _) => format!(", because {}", axes.join("; ")),
        (true, false) => {
            let notes: Vec<_> = receipt.notes.iter().map(|note| note.trim_end_matches('.')).collect();
            format!(": {}", notes.join(". "))
        }
        (true, true) if receipt.route == "direct" => {
            ", because the session before it had been evaluated again".to_owned()
        }
        (true, true) => ", and the receipt does not say why".to_owned(),
    };
    format!(
        "{} tokens were evaluated again and {} restored{}.",
        receipt.tokens_evaluated,
        receipt.tokens_restored,
        why.trim_end_matches('.')
    )
}

fn describe(distance: Distance) -> String {
    format!(
        "NMSE {:.2e}, KL {:.2e}, greedy tokens equal in {:.0} %",
        distance.nmse,
        distance.kl,
        distance.top1_agreement * 100.0
    )
}

#[cfg(test)]
mod tests;
