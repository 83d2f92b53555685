use proptest::prelude::*;

use super::*;

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn holm_gives_what_the_textbook_gives() {
    // R: p.adjust(p, "holm")
    let table: [(&[f64], &[f64]); 4] = [
        (&[0.01, 0.02, 0.03, 0.04, 0.05], &[0.05, 0.08, 0.09, 0.09, 0.09]),
        (&[0.04, 0.001, 0.5], &[0.08, 0.003, 0.5]),
        (&[0.9, 0.6], &[1.0, 1.0]),
        (&[], &[]),
    ];
    for (p_values, expected) in table {
        let adjusted = holm(p_values);
        assert!(
            adjusted.len() == expected.len() && adjusted.iter().zip(expected).all(|(a, b)| close(*a, *b)),
            "{p_values:?}: {adjusted:?}"
        );
    }
}

#[test]
fn spread_is_that_of_the_sorted_figures() {
    let spread = Spread::of(&[9.0, 1.0, 5.0, 3.0, 7.0]).expect("figures");
    assert!(close(spread.median, 5.0) && spread.samples == 5, "{spread:?}");
    assert!(spread.low < 5.0 && spread.low > 1.0 && spread.high > 5.0 && spread.high < 9.0, "{spread:?}");
    assert_eq!(Spread::of(&[]), None);
    assert!(log_ratio(&[2.0, 2.0, 50.0], &[4.0]).is_some_and(|log| close(log, 2.0_f64.ln())));
    assert_eq!(log_ratio(&[0.0], &[1.0]), None, "a time of zero was not measured");
    assert_eq!(log_ratio(&[], &[1.0]), None);
}

/// Student's interval is the oracle: on well-behaved figures the bootstrap must come near it.
#[test]
fn the_interval_is_near_students() {
    // Mean 0.1, standard deviation 0.02, n = 12: 0.1 ± 2.201 × 0.02 / √12.
    let figures = [-1.63, -1.12, -0.79, -0.54, -0.31, -0.10, 0.10, 0.31, 0.54, 0.79, 1.12, 1.63];
    let deviation = (figures.iter().map(|z| z * z).sum::<f64>() / 11.0).sqrt();
    let logs: Vec<f64> = figures.iter().map(|z| 0.1 + z / deviation * 0.02).collect();
    let found = estimate(&logs, 0.95, 20_000, 1).expect("enough blocks");
    let half = 2.201 * 0.02 / 12.0_f64.sqrt();
    assert!(close(found.ratio, 0.1_f64.exp()));
    for (end, student) in [(found.low, 0.1 - half), (found.high, 0.1 + half)] {
        assert!((end.ln() - student).abs() < half * 0.25, "{end} is far from {}", student.exp());
    }
    assert!(found.p < 1e-3, "{found:?}");
}

#[test]
fn without_spread_any_difference_is_certain_and_none_is_none() {
    let same = estimate(&[0.0; 8], 0.95, 1000, 1).expect("blocks");
    assert!(close(same.p, 1.0) && close(same.low, 1.0) && close(same.high, 1.0), "{same:?}");
    let slower = estimate(&[0.25; 8], 0.95, 1000, 1).expect("blocks");
    assert!(slower.p < 1e-2 && close(slower.low, slower.high), "{slower:?}");
    assert_eq!(estimate(&[0.1; FEWEST_BLOCKS - 1], 0.95, 1000, 1), None);
}

proptest! {
    #[test]
    fn holm_never_lowers_a_value_and_keeps_their_order(
        p_values in prop::collection::vec(0.0..1.0_f64, 0..30)
    ) {
        let adjusted = holm(&p_values);
        for (one, (&p, &corrected)) in p_values.iter().zip(&adjusted).enumerate() {
            prop_assert!(corrected >= p && corrected <= 1.0);
            for (other, &others) in p_values.iter().enumerate() {
                prop_assert!(p > others || corrected <= adjusted[other], "{one} {other}");
            }
        }
    }

    /// Which side is called the base does not matter.
    #[test]
    fn swapping_the_sides_inverts_the_ratio(
        logs in prop::collection::vec(-0.5..0.5_f64, FEWEST_BLOCKS..20), seed in 0_u64..100
    ) {
        let swapped: Vec<f64> = logs.iter().map(|log| -log).collect();
        let one = estimate(&logs, 0.9, 500, seed).expect("blocks");
        let other = estimate(&swapped, 0.9, 500, seed).expect("blocks");
        prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
        prop_assert!((one.p - other.p).abs() < 1e-9);
        prop_assert!(one.low <= one.high);
    }

    /// Times of another unit give the same ratio.
    #[test]
    fn the_unit_of_time_does_not_matter(
        base in prop::collection::vec(0.001..10.0_f64, 1..9),
        candidate in prop::collection::vec(0.001..10.0_f64, 1..9),
        unit in 1e-6..1e6_f64,
    ) {
        let scaled = |times: &[f64]| times.iter().map(|time| time * unit).collect::<Vec<_>>();
        let one = log_ratio(&base, &candidate).expect("positive");
        let other = log_ratio(&scaled(&base), &scaled(&candidate)).expect("positive");
        prop_assert!((one - other).abs() < 1e-6);
    }
}
