use std::collections::BTreeMap;

use intact_matrix::config::DEFAULT_CONFIG;
use intact_matrix::verdict::Verdict;

use super::*;
use crate::Floor;
use crate::distance::Distance;

fn config() -> Config {
    Config::parse(DEFAULT_CONFIG, Path::new("intact.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn parse(text: &str) -> Result<Expectations, String> {
    let text = format!("version = 1\n{text}");
    Expectations::parse(&text, Path::new("expectations.toml"), &config()).map_err(|error| error.to_string())
}

fn cell(kv: &str) -> PlannedCell {
    PlannedCell {
        id: format!("engine/llama/kv={kv}"),
        dims: BTreeMap::from([("kv".to_owned(), kv.to_owned())]),
        part: Part::Judged,
        filtered: None,
    }
}

const REFUSED: &str =
    "[[expect]]\nwhen = \"kv(q8_0)\"\noutcome = [\"refused\"]\ncode = \"kv-type\"\nreason = \"r\"\n";

fn kind(text: &str, kv: &str, verdict: Verdict, code: Option<&str>) -> Option<FindingKind> {
    let expectations = parse(text).unwrap_or_else(|error| panic!("{error}"));
    let judgement = Judgement::plain(verdict, code, "why");
    expectations.compare(&cell(kv), &judgement).finding.map(|finding| finding.kind)
}

#[test]
fn all_quadrants_are_gated() {
    use FindingKind::{HarnessError, NotRun, Stale, Worse};
    for (kv, verdict, code, expected) in [
        ("f16", Verdict::Exact, None, None),
        ("f16", Verdict::Equivalent, None, None),
        ("f16", Verdict::Recomputed, None, Some(Worse)),
        ("f16", Verdict::Refused, Some("x"), Some(Worse)),
        ("f16", Verdict::Corrupt, None, Some(Worse)),
        ("f16", Verdict::Unsupported, None, None),
        ("f16", Verdict::HarnessError, None, Some(HarnessError)),
        ("f16", Verdict::NotRun, None, Some(NotRun)),
        ("q8_0", Verdict::Refused, Some("kv-type"), None),
        ("q8_0", Verdict::Refused, Some("digest"), Some(Worse)),
        ("q8_0", Verdict::Refused, None, Some(Worse)),
        ("q8_0", Verdict::Exact, None, Some(Stale)),
        ("q8_0", Verdict::Recomputed, None, Some(Stale)),
        ("q8_0", Verdict::Degraded, None, Some(Worse)),
        ("q8_0", Verdict::HarnessError, None, Some(HarnessError)),
    ] {
        assert_eq!(kind(REFUSED, kv, verdict, code), expected, "{kv} {verdict} {code:?}");
    }
}

#[test]
fn the_first_entry_that_selects_a_cell_counts_and_one_that_never_does_is_an_error() {
    let second = "[[expect]]\nwhen = \"kv(~8)\"\noutcome = [\"degraded\"]\nreason = \"r\"\n";
    let both = format!("{REFUSED}{second}");
    assert_eq!(kind(&both, "q8_0", Verdict::Refused, Some("kv-type")), None);
    let findings = parse(&both).expect("sound").findings(
        &[cell("q8_0")],
        &config().run.plan,
        Date::constant(2026, 1, 1),
    );
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, FindingKind::Contradicting);
}

#[test]
fn an_entry_that_selects_nothing_and_one_that_lapsed_are_errors() {
    let today = Date::constant(2026, 11, 22);
    let expectations = parse(REFUSED).expect("sound");
    let unmatched = expectations.findings(&[cell("f16")], &config().run.plan, today);
    assert_eq!(unmatched.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Unmatched]);
    let lapsing = format!("{REFUSED}expires = \"2026-11-21\"\n");
    let lapsed = parse(&lapsing).expect("sound").findings(&[cell("q8_0")], &config().run.plan, today);
    assert_eq!(lapsed.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Expired]);
    let last_day = lapsing.replace("21", "22");
    assert_eq!(parse(&last_day).expect("sound").findings(&[cell("q8_0")], &config().run.plan, today), []);
}

#[test]
fn what_is_dangerous_needs_an_issue_and_an_end() {
    let entry = |outcome: &str, more: &str| {
        parse(&format!("[[expect]]\nwhen = \"kv(f16)\"\noutcome = [\"{outcome}\"]\nreason = \"r\"\n{more}"))
    };
    for outcome in ["corrupt", "crashed", "hung"] {
        assert!(entry(outcome, "").expect_err("no issue").contains("needs an issue"));
        assert!(entry(outcome, "issue = \"#1\"").expect_err("no end").contains("expires"));
        assert!(entry(outcome, "issue = \"#1\"\nexpires = \"2027-01-01\"").is_ok());
    }
    assert!(entry("refused-destructive", "").expect_err("no issue").contains("needs an issue"));
    assert!(entry("harness-error", "").expect_err("no verdict").contains("never excused"));
    assert!(entry("degraded", "").is_ok());
}

#[test]
fn a_wrong_entry_is_refused_at_its_line() {
    for (text, expected) in [
        (REFUSED.replace("kv(q8_0)", "flush(on)"), "did you mean `flash`?"),
        (REFUSED.replace("kv(q8_0)", "kv(q8_0"), "expected `)`"),
        (REFUSED.replace("kv(q8_0)", "verdict(exact)"), "not known before a cell has run"),
        (REFUSED.replace("reason = \"r\"", "reason = \" \""), "needs a reason"),
        (REFUSED.replace("refused", "refuse"), "did you mean `refused`?"),
        (REFUSED.replace("code", "kode"), "did you mean `code`?"),
    ] {
        let message = parse(&text).expect_err(&text);
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("expectations.toml:"), "{message}");
    }
}

#[test]
fn a_tolerance_bounds_what_degraded_may_mean() {
    let text = "[[expect]]\nwhen = \"kv(q8_0)\"\noutcome = [\"degraded\"]\nreason = \"r\"\ntolerance = { nmse = 1e-3 }\n";
    let expectations = parse(text).expect("sound");
    for (nmse, passes) in [(1e-4, true), (1e-2, false), (f64::NAN, false)] {
        let distance = Distance { bit_equal: false, nmse, kl: 0.0, top1_agreement: 1.0, largest: 0.0 };
        let mut judgement = Judgement::plain(Verdict::Degraded, None, "why");
        judgement.distance = Some(distance);
        assert_eq!(expectations.compare(&cell("q8_0"), &judgement).finding.is_none(), passes, "{nmse}");
    }
}

#[test]
fn a_tolerance_grows_with_what_the_model_is_apart_by_itself_where_that_is_asked_for() {
    for (times, apart, passes) in
        [("", 1e-2, false), (", times = 4.0", 1e-2, true), (", times = 4.0", 1e-4, false)]
    {
        let text = format!(
            "[[expect]]\nwhen = \"kv(q8_0)\"\noutcome = [\"degraded\"]\nreason = \"r\"\ntolerance = {{ kl = 1e-3{times} }}\n"
        );
        let expectations = parse(&text).expect("sound");
        let judgement = Judgement {
            distance: Some(Distance {
                bit_equal: false,
                nmse: 0.0,
                kl: 3e-2,
                top1_agreement: 1.0,
                largest: 0.0,
            }),
            floor: Some(Floor { nmse: 0.0, kl: apart, logit: 0.0 }),
            ..Judgement::plain(Verdict::Degraded, None, "why")
        };
        let found = expectations.compare(&cell("q8_0"), &judgement).finding;
        assert_eq!(found.is_none(), passes, "{times} {apart}");
    }
}

#[test]
fn the_built_in_expectations_are_sound() {
    Expectations::parse(DEFAULT_EXPECTATIONS, Path::new("expectations.toml"), &config())
        .unwrap_or_else(|error| panic!("{error}"));
}
