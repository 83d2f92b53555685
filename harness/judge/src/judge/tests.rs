use intact_matrix::{Level, Limits};
use intact_protocol::{AxisReport, Logits, Oracle, Timings};
use proptest::prelude::*;

use super::*;

fn thresholds() -> Thresholds {
    let level =
        |times, nmse, kl, top1_agreement| Level { times, nmse, kl, top1_agreement, source: "a test".into() };
    Thresholds {
        evaluations: 1,
        declared_loss: 2.0,
        equivalent: level(2.0, 1e-5, 1e-4, 1.0),
        recomputed: level(4.0, 1e-5, 1e-4, 1.0),
        unmeasured: Limits { nmse: 1e-3, kl: 1e-2, top1_agreement: 1.0, source: "a test".into() },
        usable: level(8.0, 1e-2, 5e-2, 0.9),
    }
}

fn receipt(route: &str, tokens_restored: u32, tokens_evaluated: u32) -> Receipt {
    Receipt {
        route: route.into(),
        axes: Vec::new(),
        tokens_restored,
        tokens_evaluated,
        canary_distance: None,
        parameters: None,
        notes: Vec::new(),
        timings: Timings::default(),
    }
}

fn logits(rows: &[[f32; 2]]) -> Logits {
    let mut logits = Logits::new(2);
    rows.iter().for_each(|row| logits.push(row));
    logits
}

const CONTROL: [[f32; 2]; 2] = [[4.0, 1.0], [0.0, 4.0]];
const NEAR: [[f32; 2]; 2] = [[4.001, 1.0], [0.0, 4.0]];
const OFF: [[f32; 2]; 2] = [[4.1, 1.0], [0.0, 4.0]];
const FAR: [[f32; 2]; 2] = [[5.0, 1.0], [1.0, 3.0]];
const WRONG: [[f32; 2]; 2] = [[1.0, 4.0], [4.0, 0.0]];
const NAN: [[f32; 2]; 2] = [[f32::NAN, 1.0], [0.0, 4.0]];

fn loaded(receipt: Receipt, observed: &[[f32; 2]]) -> LoadedEvidence {
    LoadedEvidence {
        receipt,
        load_seconds: 0.0,
        saved_tokens: 10,
        evaluated_before: 0,
        history_difference: None,
        saved_parameters: None,
        cost_of_settings: None,
        noise: None,
        differs: Some("the release".into()),
        means_otherwise: false,
        sampled: None,
        observed: logits(observed),
        reference: Ok(logits(&CONTROL)),
        harm: Harm::None,
    }
}

fn verdict(evidence: &Evidence) -> (Verdict, Option<String>) {
    let judgement = judge(evidence, &thresholds());
    assert!(!judgement.message.is_empty(), "every verdict says why: {judgement:?}");
    (judgement.verdict, judgement.code)
}

fn verdict_of(loaded: LoadedEvidence) -> (Verdict, Option<String>) {
    verdict(&Evidence::Loaded(Box::new(loaded)))
}

#[test]
fn a_load_that_reported_success_is_judged_by_this_table() {
    for (route, restored, evaluated, observed, expected) in [
        ("direct", 99, 1, &CONTROL, Verdict::Exact),
        ("blind", 99, 0, &CONTROL, Verdict::Exact),
        ("transcoded", 99, 1, &NEAR, Verdict::Equivalent),
        ("direct", 99, 1, &OFF, Verdict::Degraded),
        ("direct", 99, 1, &FAR, Verdict::Corrupt),
        ("direct", 99, 1, &WRONG, Verdict::Corrupt),
        ("direct", 99, 1, &NAN, Verdict::Corrupt),
        ("direct", 0, 1, &CONTROL, Verdict::Inert),
        ("direct", 0, 99, &CONTROL, Verdict::Inert),
        ("blind", 0, 0, &WRONG, Verdict::Inert),
        ("direct", 50, 50, &CONTROL, Verdict::Recomputed),
        ("reprefilled", 0, 99, &CONTROL, Verdict::Recomputed),
        ("reprefilled", 0, 99, &NEAR, Verdict::Recomputed),
        ("reprefilled", 0, 99, &OFF, Verdict::Recomputed),
        ("reprefilled", 0, 99, &FAR, Verdict::Corrupt),
        ("replayed", 0, 99, &WRONG, Verdict::Corrupt),
        ("replayed", 0, 99, &CONTROL, Verdict::Recomputed),
        ("adopted", 98, 100, &CONTROL, Verdict::Exact),
        ("adopted", 98, 100, &NEAR, Verdict::Equivalent),
        ("adopted", 98, 100, &OFF, Verdict::Degraded),
        ("adopted", 98, 100, &WRONG, Verdict::Corrupt),
        ("adopted", 0, 100, &CONTROL, Verdict::Recomputed),
    ] {
        let (found, _) = verdict_of(loaded(receipt(route, restored, evaluated), observed));
        assert_eq!(found, expected, "{route}, {restored} restored, {evaluated} evaluated, {observed:?}");
    }
}

#[test]
fn harm_or_another_chat_is_corrupt_however_good_the_logits() {
    let mut harmed = loaded(receipt("direct", 99, 1), &CONTROL);
    harmed.harm = Harm::Done("its logits changed".into());
    assert_eq!(verdict_of(harmed), (Verdict::Corrupt, Some("bystander".into())));
    let mut rewritten = loaded(receipt("direct", 99, 1), &CONTROL);
    rewritten.history_difference = Some("message 2".into());
    assert_eq!(verdict_of(rewritten), (Verdict::Corrupt, Some("history".into())));
}

#[test]
fn lost_parameters_are_a_declared_loss() {
    for (restored, expected) in
        [(Some("a"), Verdict::Exact), (Some("b"), Verdict::Degraded), (None, Verdict::Degraded)]
    {
        let mut evidence = loaded(receipt("direct", 99, 1), &CONTROL);
        evidence.saved_parameters = Some("a".into());
        evidence.receipt.parameters = restored.map(str::to_owned);
        assert_eq!(verdict_of(evidence).0, expected, "{restored:?}");
    }
}

#[test]
fn what_is_sampled_must_be_the_same_as_far_as_the_logits_are() {
    let degraded = (Verdict::Degraded, Some("sampling"));
    for (route, evaluated, observed, said, expected) in [
        ("direct", 1, &CONTROL, "abcd", (Verdict::Exact, None)),
        ("direct", 1, &CONTROL, "abcx", degraded),
        ("direct", 1, &CONTROL, "abc", degraded),
        ("direct", 1, &NEAR, "abcx", degraded),
        ("transcoded", 1, &NEAR, "abcx", (Verdict::Equivalent, None)),
        ("transcoded", 1, &NEAR, "xbcd", degraded),
        ("reprefilled", 99, &CONTROL, "abcx", degraded),
        ("reprefilled", 99, &NEAR, "abcx", (Verdict::Recomputed, None)),
        ("reprefilled", 99, &NEAR, "xbcd", degraded),
        ("reprefilled", 99, &OFF, "xbcd", (Verdict::Recomputed, None)),
    ] {
        let mut evidence = loaded(receipt(route, 99, evaluated), observed);
        evidence.sampled = Some(Sampled { observed: said.into(), reference: "abcd".into() });
        let (found, code) = verdict_of(evidence);
        assert_eq!((found, code.as_deref()), expected, "{route} {evaluated} {observed:?} {said}");
    }
}

#[test]
fn a_converted_session_may_lose_what_its_settings_cost_and_no_more() {
    let cost = |nmse, kl| Some(Distance { bit_equal: false, nmse, kl, top1_agreement: 0.5, largest: 9.0 });
    for (route, cost_of_settings, expected) in [
        ("transcoded", cost(1.0, 1.0), (Verdict::Degraded, Some("declared-loss"))),
        ("transcoded", cost(1e-3, 1.0), (Verdict::Corrupt, Some("logits"))),
        ("transcoded", cost(1.0, 1e-3), (Verdict::Corrupt, Some("logits"))),
        ("transcoded", cost(f64::NAN, 1.0), (Verdict::Corrupt, Some("logits"))),
        ("transcoded", None, (Verdict::Corrupt, Some("logits"))),
        ("direct", cost(1.0, 1.0), (Verdict::Corrupt, Some("logits"))),
    ] {
        let mut evidence = loaded(receipt(route, 99, 1), &FAR);
        (evidence.cost_of_settings, evidence.means_otherwise) = (cost_of_settings, true);
        let (found, code) = verdict_of(evidence);
        assert_eq!((found, code.as_deref()), expected, "{route} {cost_of_settings:?}");
    }
}

/// A distance of logits that was measured between sessions that were never saved.
const fn floor(nmse: f64, kl: f64) -> Option<Floor> {
    Some(Floor { nmse, kl, logit: 0.0 })
}

#[test]
fn a_session_may_be_as_far_off_as_those_that_were_never_saved() {
    // OFF is at an NMSE of 3e-4 and a KL of 1.1e-4; FAR at 9e-2 and 4.5e-2.
    for (route, observed, noise, expected) in [
        ("transcoded", &OFF, None, Verdict::Degraded),
        ("transcoded", &OFF, floor(1e-4, 1e-3), Verdict::Degraded),
        ("transcoded", &OFF, floor(2e-4, 1e-3), Verdict::Equivalent),
        ("transcoded", &OFF, floor(2e-4, 1e-5), Verdict::Degraded),
        ("reprefilled", &OFF, floor(1e-4, 1e-3), Verdict::Recomputed),
        ("reprefilled", &OFF, floor(1e-5, 1e-3), Verdict::Degraded),
        ("reprefilled", &OFF, floor(0.0, 0.0), Verdict::Degraded),
        ("reprefilled", &FAR, floor(1.5e-2, 1e-2), Verdict::Degraded),
        ("reprefilled", &FAR, floor(3e-2, 2e-2), Verdict::Recomputed),
        ("reprefilled", &FAR, floor(1e-3, 1e-2), Verdict::Corrupt),
        ("reprefilled", &WRONG, floor(2e-2, 2e-2), Verdict::Corrupt),
        ("reprefilled", &NAN, floor(f64::INFINITY, f64::INFINITY), Verdict::Corrupt),
    ] {
        let mut evidence = loaded(receipt(route, 99, 1), observed);
        evidence.noise = noise;
        let judgement = judge(&Evidence::Loaded(Box::new(evidence)), &thresholds());
        assert_eq!(judgement.verdict, expected, "{route} {observed:?} {noise:?}: {}", judgement.message);
        assert_eq!(judgement.floor, noise, "what it was held against is told");
    }
}

#[test]
fn what_another_kernel_costs_counts_and_what_another_type_costs_is_a_loss() {
    let apart = Some(Distance { bit_equal: false, nmse: 1e-3, kl: 1e-3, top1_agreement: 1.0, largest: 0.0 });
    for (means_otherwise, expected) in
        [(false, (Verdict::Equivalent, None)), (true, (Verdict::Degraded, Some("declared-loss")))]
    {
        let mut evidence = loaded(receipt("transcoded", 99, 1), &OFF);
        (evidence.cost_of_settings, evidence.means_otherwise) = (apart, means_otherwise);
        let (verdict, code) = verdict_of(evidence);
        assert_eq!((verdict, code.as_deref()), expected);
    }
}

#[test]
fn near_ties_are_no_disagreement() {
    const TIE: [[f32; 2]; 2] = [[4.0, 1.0], [3.99, 4.0]];
    const TURNED: [[f32; 2]; 2] = [[4.0, 1.0], [4.0, 3.99]];
    for (logit, expected) in [(0.0, Verdict::Corrupt), (0.001, Verdict::Corrupt), (0.02, Verdict::Recomputed)]
    {
        let mut evidence = loaded(receipt("reprefilled", 0, 99), &TURNED);
        evidence.reference = Ok(logits(&TIE));
        evidence.noise = Some(Floor { nmse: 1e-4, kl: 1e-3, logit });
        assert_eq!(verdict_of(evidence).0, expected, "{logit}");
    }
}

#[test]
fn where_nothing_differs_only_the_same_bits_pass() {
    let axis = |axis: &str, consequence: &str| AxisReport {
        axis: axis.into(),
        saved: "then".into(),
        here: "now".into(),
        consequence: consequence.into(),
        reason: "it is".into(),
    };
    let unexplained = (Verdict::Degraded, Some("unexplained"));
    for (route, observed, differs, axes, expected) in [
        ("direct", &NEAR, None, vec![], unexplained),
        ("blind", &NEAR, None, vec![], unexplained),
        ("transcoded", &NEAR, None, vec![], unexplained),
        ("direct", &NEAR, None, vec![axis("saved-at", "harmless"), axis("backend", "same")], unexplained),
        ("direct", &NEAR, None, vec![axis("backend", "harmless")], (Verdict::Equivalent, None)),
        ("direct", &NEAR, Some("threads"), vec![], (Verdict::Equivalent, None)),
        ("direct", &CONTROL, None, vec![], (Verdict::Exact, None)),
        ("direct", &WRONG, None, vec![], (Verdict::Corrupt, Some("logits"))),
        ("reprefilled", &NEAR, None, vec![], (Verdict::Recomputed, None)),
    ] {
        let mut evidence = loaded(receipt(route, 99, 1), observed);
        evidence.differs = differs.map(str::to_owned);
        evidence.receipt.axes = axes;
        // However noisy the model is.
        evidence.noise = floor(1e-4, 1e-2);
        let (verdict, code) = verdict_of(evidence);
        assert_eq!((verdict, code.as_deref()), expected, "{route} {observed:?} {differs:?}");
        assert!(expected.1 != Some("unexplained") || !verdict.passes());
    }
}

#[test]
fn no_level_is_stricter_than_one_inside_it() {
    let sound = thresholds();
    assert_eq!(sound.fault(), None);
    type Change = fn(&mut Thresholds);
    let broken: [(&str, Change); 9] = [
        ("`thresholds.usable` is stricter than `thresholds.recomputed` in `top1_agreement`", |thresholds| {
            (thresholds.equivalent.top1_agreement, thresholds.recomputed.top1_agreement) = (0.9, 0.8);
            thresholds.unmeasured.top1_agreement = 0.9;
        }),
        ("in `times`", |thresholds| thresholds.recomputed.times = 1.0),
        ("in `times`", |thresholds| thresholds.usable.times = 1.0),
        ("in `nmse`", |thresholds| thresholds.recomputed.nmse = 1e-6),
        ("in `nmse`", |thresholds| thresholds.usable.nmse = 1e-4),
        ("in `kl`", |thresholds| thresholds.usable.kl = f64::NAN),
        ("`thresholds.unmeasured` is stricter", |thresholds| thresholds.unmeasured.kl = 1e-6),
        ("stricter than `thresholds.unmeasured`", |thresholds| thresholds.unmeasured.kl = 1.0),
        ("in `top1_agreement`", |thresholds| thresholds.equivalent.top1_agreement = 0.5),
    ];
    for (named, change) in broken {
        let mut thresholds = sound.clone();
        change(&mut thresholds);
        let fault = thresholds.fault().unwrap_or_default();
        assert!(fault.contains(named), "{named}: {fault}");
    }
}

#[test]
fn without_a_sound_control_nothing_is_said_of_the_subject() {
    let mut broken = loaded(receipt("direct", 99, 1), &NAN);
    broken.reference = Ok(logits(&NAN));
    assert_eq!(verdict_of(broken), (Verdict::HarnessError, Some("control".into())));
    let mut missing = loaded(receipt("direct", 99, 1), &CONTROL);
    missing.reference = Err("it did not fit".into());
    assert_eq!(verdict_of(missing), (Verdict::HarnessError, Some("control".into())));
    let shorter = loaded(receipt("direct", 99, 1), &CONTROL[..1]);
    assert_eq!(verdict_of(shorter), (Verdict::Corrupt, Some("shape".into())));
}

#[test]
fn a_refusal_counts_only_with_a_reason_and_without_harm() {
    let refusal =
        |code: &str, message: &str| Refusal { code: code.into(), message: message.into(), axes: Vec::new() };
    let harmed = || Harm::Done("its logits changed".into());
    for (code, message, harm, expected) in [
        ("digest", "the digest differs", Harm::None, Verdict::Refused),
        ("", "no", Harm::None, Verdict::RefusedUnclear),
        ("digest", "", Harm::None, Verdict::RefusedUnclear),
        ("digest", "the digest differs", harmed(), Verdict::RefusedDestructive),
        ("", "", harmed(), Verdict::RefusedDestructive),
    ] {
        let found = verdict(&Evidence::Refused { refusal: refusal(code, message), harm: harm.clone() });
        assert_eq!(found, (expected, Some(code.to_owned())), "{code:?} {message:?} {harm:?}");
    }
    let failed = |harm| Evidence::Failed { message: "it broke".into(), harm };
    assert_eq!(verdict(&failed(Harm::None)).0, Verdict::RefusedUnclear);
    assert_eq!(verdict(&failed(harmed())).0, Verdict::RefusedDestructive);
}

#[test]
fn a_dead_worker_is_a_verdict_and_a_broken_protocol_is_none() {
    let crashed =
        WorkerError::Crashed { op: "load", code: "SIGSEGV".into(), how: "killed by SIGSEGV".into() };
    for (error, expected) in [
        (crashed, (Verdict::Crashed, "SIGSEGV")),
        (WorkerError::Hung { op: "load", seconds: 9 }, (Verdict::Hung, "load")),
        (WorkerError::Protocol { op: "load", how: "x".into() }, (Verdict::HarnessError, "protocol")),
        (WorkerError::Noncompliant("x".into()), (Verdict::HarnessError, "noncompliant")),
        (WorkerError::Spawn { command: "x".into(), reason: "y".into() }, (Verdict::HarnessError, "spawn")),
    ] {
        let (found, code) = verdict(&Evidence::Died(error));
        assert_eq!((found, code.as_deref()), (expected.0, Some(expected.1)));
    }
    assert_eq!(verdict(&Evidence::Unsupported { message: "cannot".into() }).0, Verdict::Unsupported);
}

#[test]
fn a_recomputed_session_says_how_much_and_why() {
    let mut evidence = loaded(receipt("reprefilled", 0, 250), &CONTROL);
    let axis = |axis: &str, consequence: &str| AxisReport {
        axis: axis.into(),
        saved: "f16".into(),
        here: "q8_0".into(),
        consequence: consequence.into(),
        reason: "the cells are of another type".into(),
    };
    evidence.receipt.axes = vec![axis("type_k", "reprefill"), axis("save_time", "harmless")];
    let judgement = judge(&Evidence::Loaded(Box::new(evidence)), &thresholds());
    assert_eq!(
        judgement.message,
        "250 tokens were evaluated again and 0 restored, because type_k was f16 and is q8_0 (the cells are of another \
         type)."
    );

    let mut evidence = loaded(receipt("reprefilled", 0, 250), &CONTROL);
    evidence.receipt.axes = vec![axis("layout", "transcode"), axis("save_time", "harmless")];
    evidence.receipt.notes = vec!["The route `transcoded` failed: the KV is of a memory with K and V".into()];
    let judged = |evidence: &LoadedEvidence| {
        judge(&Evidence::Loaded(Box::new(evidence.clone())), &thresholds()).message
    };
    let told = "250 tokens were evaluated again and 0 restored: The route `transcoded` failed: the KV is of a memory with K \
                and V";
    assert_eq!(judged(&evidence), format!("{told}."));
    evidence.receipt.notes.insert(0, "The saved parameters are in force.".into());
    assert!(
        judged(&evidence)
            .contains("0 restored: The saved parameters are in force. The route `transcoded` failed")
    );
}

proptest! {
    #[test]
    fn a_subject_that_reported_success_passes_only_with_the_controls_greedy_tokens(
        observed in prop::collection::vec(prop::array::uniform2(-9f32..9.0), 2),
        route in prop::sample::select(vec!["direct", "transcoded", "reprefilled", "replayed", "blind"]),
        restored in 0u32..3, evaluated in 0u32..3,
    ) {
        let rows: Vec<[f32; 2]> = observed;
        let judgement =
            judge(&Evidence::Loaded(Box::new(loaded(receipt(route, restored, evaluated), &rows))), &thresholds());
        let distance = judgement.distance.expect("same shape");
        if judgement.verdict.passes() || judgement.verdict == Verdict::Recomputed {
            prop_assert_eq!(distance.top1_agreement, 1.0);
        }
        prop_assert_eq!(judgement.verdict == Verdict::Exact, distance.bit_equal && restored > 0 && evaluated < 2
            && !RECOMPUTING.contains(&route));
    }
}

/// One weaker oracle: what it is, what was observed, and what that can prove.
fn through(oracle: Oracle, observed: &[[f32; 2]]) -> Judgement {
    let mut evidence = loaded(receipt("blind", 9, 0), observed);
    evidence.observed = evidence.observed.meaning(oracle);
    evidence.reference = evidence.reference.map(|reference| reference.meaning(oracle));
    judge(&Evidence::Loaded(Box::new(evidence)), &thresholds())
}

#[test]
fn a_weaker_oracle_is_named_and_proves_less() {
    for (oracle, observed, verdict) in [
        (Oracle::Probabilities, CONTROL, Verdict::Exact),
        (Oracle::Probabilities, NEAR, Verdict::Equivalent),
        (Oracle::Probabilities, WRONG, Verdict::Corrupt),
        (Oracle::Greedy, CONTROL, Verdict::Equivalent),
        (Oracle::Greedy, FAR, Verdict::Equivalent),
        (Oracle::Greedy, WRONG, Verdict::Corrupt),
    ] {
        let judgement = through(oracle, &observed);
        assert_eq!((judgement.verdict, judgement.oracle), (verdict, Some(oracle)), "{judgement:?}");
        assert!(judgement.message.contains("weaker oracle"), "{judgement:?}");
    }
    assert!(!through(Oracle::Logits, &CONTROL).message.contains("weaker"));
}

#[test]
fn rows_of_different_meaning_are_not_compared() {
    let mut evidence = loaded(receipt("blind", 9, 0), &CONTROL);
    evidence.observed = evidence.observed.meaning(Oracle::Greedy);
    assert_eq!(verdict(&Evidence::Loaded(Box::new(evidence))), (Verdict::Corrupt, Some("shape".into())));
}
