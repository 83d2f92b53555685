//! Steps in a row over time: Pettitt's test, which asks nothing of how the figures are distributed, on ever shorter parts.

use std::ops::Range;

/// How likely a step may be where there is none.
pub const ALPHA: f64 = 0.05;
/// The smallest step that is of interest, as a share.
pub const SMALLEST: f64 = 0.05;

/// A step in a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Index of the first figure after it.
    pub at: usize,
    /// The median after it over the median before it, within the neighbouring steps.
    pub ratio: f64,
    /// How likely a step this clear would be in a series without any.
    pub p: f64,
}

/// Fewest figures on each side of a step: fewer could be one bad day.
const FEWEST: usize = 4;

/// The steps of a series that are unlikely to be chance and of this size at least, as a share.
#[must_use]
pub fn steps(figures: &[f64], alpha: f64, smallest: f64) -> Vec<Step> {
    let mut cuts = Vec::new();
    split(figures, 0, alpha, &mut cuts);
    cuts.sort_unstable_by_key(|(at, _)| *at);
    let ends: Vec<usize> = cuts.iter().map(|(at, _)| *at).chain([figures.len()]).collect();
    let mut start = 0;
    let mut steps = Vec::new();
    for (number, (at, p)) in cuts.iter().enumerate() {
        let (before, after) = (&figures[start..*at], &figures[*at..ends[number + 1]]);
        start = *at;
        let medians = super::statistics::median(before).zip(super::statistics::median(after));
        let Some(ratio) = medians.map(|(before, after)| after / before) else { continue };
        if ratio.ln().abs() >= smallest.ln_1p() {
            steps.push(Step { at: *at, ratio, p: *p });
        }
    }
    steps
}

fn split(figures: &[f64], offset: usize, alpha: f64, cuts: &mut Vec<(usize, f64)>) {
    // A step up hides a step down of the same size from a test of the whole, so parts of it are tested as well.
    let parts = parts(figures.len());
    let tested = parts.iter().filter_map(|part| {
        let (at, p) = pettitt(&figures[part.clone()]);
        let has_room = (FEWEST..=part.len() - FEWEST).contains(&at);
        has_room.then(|| (part.start + at, p * parts.len() as f64))
    });
    let Some((at, p)) = tested.min_by(|one, other| one.1.total_cmp(&other.1)) else { return };
    if p <= alpha && (FEWEST..=figures.len() - FEWEST).contains(&at) {
        cuts.push((offset + at, p));
        split(&figures[..at], offset, alpha, cuts);
        split(&figures[at..], offset + at, alpha, cuts);
    }
}

/// Overlapping parts of a series, each two thirds as long as the ones before, down to the shortest that can have a step.
fn parts(count: usize) -> Vec<Range<usize>> {
    let lengths = std::iter::successors(Some(count), |length| Some(length * 2 / 3));
    let long_enough = lengths.take_while(|length| *length >= 2 * FEWEST);
    long_enough
        .flat_map(|length| {
            let starts = (0..=count - length).step_by(length.div_ceil(2));
            let last = (length < count).then_some(count - length);
            starts.chain(last).map(move |start| start..start + length)
        })
        .collect()
}

/// Pettitt's test: where a series most likely changes (index of the first figure after), and how likely a change as
/// clear as that would be without one.
#[must_use]
pub fn pettitt(figures: &[f64]) -> (usize, f64) {
    let count = figures.len();
    let mut sum: i64 = 0;
    let mut clearest = (0, 0);
    for (at, figure) in figures.iter().enumerate() {
        // What moves from after the cut to before it: figures below minus figures above.
        sum += figures.iter().map(|other| sign(*figure, *other)).sum::<i64>();
        if sum.abs() > clearest.1 {
            clearest = (at + 1, sum.abs());
        }
    }
    let (n, k) = (count as f64, clearest.1 as f64);
    let p = if count < 2 { 1.0 } else { (2.0 * (-6.0 * k * k / (n * n * n + n * n)).exp()).min(1.0) };
    (clearest.0, p)
}

fn sign(one: f64, other: f64) -> i64 {
    i64::from(one > other) - i64::from(one < other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The yearly flow of the Nile at Aswan, 1871 to 1970: the textbook's series, which falls after 1898.
    const NILE: [f64; 100] = [
        1120., 1160., 963., 1210., 1160., 1160., 813., 1230., 1370., 1140., 995., 935., 1110., 994., 1020.,
        960., 1180., 799., 958., 1140., 1100., 1210., 1150., 1250., 1260., 1220., 1030., 1100., 774., 840.,
        874., 694., 940., 833., 701., 916., 692., 1020., 1050., 969., 831., 726., 456., 824., 702., 1120.,
        1100., 832., 764., 821., 768., 845., 864., 862., 698., 845., 744., 796., 1040., 759., 781., 865.,
        845., 944., 984., 897., 822., 1010., 771., 676., 649., 846., 812., 742., 801., 1040., 860., 874.,
        848., 890., 744., 749., 838., 1050., 918., 986., 797., 923., 975., 815., 1020., 906., 901., 1170.,
        912., 746., 919., 718., 714., 740.,
    ];

    #[test]
    fn the_nile_falls_after_1898() {
        let (at, p) = pettitt(&NILE);
        assert_eq!(1871 + at - 1, 1898);
        assert!(p < 1e-4, "{p}");
        let found = steps(&NILE, 0.01, 0.05);
        assert_eq!(found.iter().map(|step| step.at).collect::<Vec<_>>(), [28]);
        assert!((0.7..0.85).contains(&found[0].ratio), "{found:?}");
    }

    #[test]
    fn two_steps_are_both_found_and_a_flat_series_has_none() {
        let figure = |at: usize| {
            let level = if (12..24).contains(&at) { 1.3 } else { 1.0 };
            level + (at * 7 % 5) as f64 * 0.01
        };
        let stepped: Vec<f64> = (0..36).map(figure).collect();
        let found: Vec<usize> = steps(&stepped, 0.05, 0.05).iter().map(|step| step.at).collect();
        assert_eq!(found, [12, 24]);
        let flat: Vec<f64> = (0..40).map(|at| 1.0 + (at * 7 % 5) as f64 * 0.01).collect();
        assert!(steps(&flat, 0.05, 0.05).is_empty());
        assert!(steps(&[1.0, 9.0], 0.05, 0.05).is_empty(), "too few to tell");
        assert!(steps(&[], 0.05, 0.05).is_empty());
    }

    proptest! {
        /// It looks at the order of the figures only, so any rising function of them gives the same.
        #[test]
        fn the_scale_does_not_matter(figures in prop::collection::vec(0.1..10.0_f64, 2..40)) {
            let bent: Vec<f64> = figures.iter().map(|figure| figure.powi(3) + 1.0).collect();
            prop_assert_eq!(pettitt(&figures), pettitt(&bent));
        }

        #[test]
        fn steps_keep_their_distance(figures in prop::collection::vec(0.1..10.0_f64, 0..60)) {
            let found = steps(&figures, 0.2, 0.0);
            let ends = found.iter().map(|step| step.at).chain([figures.len()]);
            let starts = [0].into_iter().chain(found.iter().map(|step| step.at));
            prop_assert!(starts.zip(ends).all(|(start, end)| end - start >= FEWEST || found.is_empty()));
        }
    }
}
