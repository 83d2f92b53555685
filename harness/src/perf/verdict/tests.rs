use super::*;

fn estimate(ratio: f64, low: f64, high: f64, p: f64) -> Estimate {
    Estimate { ratio, low, high, p, blocks: 10 }
}

#[test]
fn a_row_gets_the_verdict_of_the_table() {
    let limits = Limits::default();
    let flat = estimate(1.01, 0.97, 1.05, 0.4);
    let wide = estimate(1.02, 0.8, 1.3, 0.7);
    let slow = estimate(1.2, 1.15, 1.25, 1e-4);
    let fast = estimate(0.8, 0.75, 0.85, 1e-4);
    let table = [
        (flat, None, Verdict::Unchanged),
        (wide, None, Verdict::Noisy),
        (slow, None, Verdict::Noisy),
        (slow, Some((slow, true)), Verdict::Regressed),
        (fast, Some((fast, true)), Verdict::Improved),
        (slow, Some((fast, true)), Verdict::Noisy),
        (slow, Some((slow, false)), Verdict::Noisy),
        (slow, Some((flat, false)), Verdict::Unchanged),
        (fast, Some((wide, false)), Verdict::Noisy),
    ];
    for (first, second, expected) in table {
        let second = second.as_ref().map(|(estimate, flag)| (estimate, *flag));
        assert_eq!(of_row(&first, second, &limits).0, expected, "{first:?} {second:?}");
    }
}

#[test]
fn a_flag_needs_evidence_over_all_rows_and_an_effect_that_matters() {
    let limits = Limits::default();
    let table = [
        (estimate(1.2, 1.1, 1.3, 0.001), true),
        (estimate(0.8, 0.7, 0.9, 0.001), true),
        // Certain, but too small to matter.
        (estimate(1.04, 1.03, 1.05, 1e-6), false),
        // Large, but after three clearer rows and beside one more, 0.03 is no evidence.
        (estimate(1.5, 1.0, 2.0, 0.03), false),
        (estimate(1.0, 0.9, 1.1, 1.0), false),
    ];
    let mut estimates: Vec<_> = table.iter().map(|(estimate, _)| Some(*estimate)).collect();
    let mut expected: Vec<_> = table.iter().map(|(_, flag)| *flag).collect();
    estimates.insert(1, None);
    expected.insert(1, false);
    assert_eq!(flagged(&estimates, &limits), expected);
}

#[test]
fn the_exit_follows_the_gated_rows_and_the_controls() {
    use Part::{Control, Gated, Reference};
    use Verdict::{Improved, Noisy, Regressed, Unchanged, Unproven};
    let still = (Control, Unchanged);
    let table: [(&[(Part, Verdict)], Exit); 12] = [
        (&[], Exit::NothingSelected),
        (&[still, (Gated, Unchanged)], Exit::Fine),
        (&[still, (Gated, Improved)], Exit::Fine),
        (&[still, (Gated, Regressed)], Exit::Regression),
        (&[still, (Gated, Noisy), (Gated, Regressed)], Exit::Regression),
        (&[still, (Gated, Noisy)], Exit::Unproven),
        (&[still, (Gated, Unproven), (Gated, Unchanged)], Exit::Unproven),
        (&[still, (Reference, Regressed), (Gated, Unchanged)], Exit::Fine),
        (&[(Control, Noisy), (Gated, Unchanged)], Exit::Fine),
        (&[(Control, Regressed), (Gated, Regressed)], Exit::Unproven),
        (&[(Control, Improved), (Gated, Unchanged)], Exit::Unproven),
        (&[(Gated, Unchanged)], Exit::Unproven),
    ];
    for (rows, expected) in table {
        assert_eq!(exit(rows), expected, "{rows:?}");
    }
}

#[test]
fn ratios_are_told_as_changes() {
    assert_eq!([percent(1.1), percent(0.9), percent(1.0)], ["+10.0%", "-10.0%", "+0.0%"]);
}
