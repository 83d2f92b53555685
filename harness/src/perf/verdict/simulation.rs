//! The whole procedure on made-up machines: how often it raises a false alarm, and how often it finds what is there.
//!
//! Machines are made worse than a laboratory: every process has a speed of its own, the machine drifts and jumps from
//! block to block, single measurements scatter log-normally, and some are hit by something else entirely.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::perf::schedule::{Side, turns};
use crate::perf::statistics::{estimate, log_ratio};

const BLOCKS: usize = 10;
const ROUNDS: usize = 2;
const RESAMPLES: u32 = 2_000;

/// Ten gated rows, two of which are loads, and two controls.
const ROWS: [Part; 12] = [
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Gated,
    Part::Control,
    Part::Control,
];

struct Machine {
    random: ChaCha8Rng,
    /// Deviation of the logarithm of single measurements.
    scatter: f64,
    /// The same of whole processes.
    process: f64,
    /// Drift over a block, and jumps between blocks.
    drift: f64,
    /// Share of measurements that take up to three times as long.
    outliers: f64,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Self {
            scatter: random.random_range(0.01..0.08),
            process: random.random_range(0.0..0.02),
            drift: random.random_range(0.0..0.1),
            outliers: random.random_range(0.0..0.05),
            random,
        }
    }

    /// Box and Muller's normal figure.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.random.random_range(f64::MIN_POSITIVE..1.0).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.random.random_range(0.0..1.0)).cos()
    }

    /// One block: the log ratio as measured, where the candidate takes `slower` times as long.
    fn block(&mut self, block: usize, slower: f64) -> f64 {
        let jump = self.drift * self.normal();
        let slope = self.drift * self.normal();
        let processes = Side::BOTH.map(|_| self.process * self.normal());
        let mut times = [Vec::new(), Vec::new()];
        let turns: Vec<Side> = turns(block, ROUNDS).collect();
        for (turn, side) in turns.iter().enumerate() {
            let at = usize::from(*side == Side::Candidate);
            let slowness = if *side == Side::Candidate { slower } else { 1.0 };
            let progress = turn as f64 / turns.len() as f64;
            let log = jump + slope * progress + processes[at] + self.scatter * self.normal();
            let hit = self.random.random_bool(self.outliers);
            let outlier = if hit { self.random.random_range(1.2..3.0) } else { 1.0 };
            times[at].push(slowness * log.exp() * outlier);
        }
        log_ratio(&times[0], &times[1]).expect("positive times")
    }

    fn measure(&mut self, slower: f64, seed: u64) -> Estimate {
        let logs: Vec<f64> = (0..BLOCKS).map(|block| self.block(block, slower)).collect();
        estimate(&logs, 0.95, RESAMPLES, seed).expect("enough blocks")
    }

    /// A whole comparison, with the loads so many times slower.
    fn compare(&mut self, slower: f64) -> (Exit, Vec<Verdict>) {
        let limits = Limits::default();
        let slowness = |row: usize| if row < 2 { slower } else { 1.0 };
        let first: Vec<_> =
            (0..ROWS.len()).map(|row| Some(self.measure(slowness(row), row as u64))).collect();
        let flags = flagged(&first, &limits);
        let second: Vec<_> = flags
            .iter()
            .enumerate()
            .map(|(row, flag)| flag.then(|| self.measure(slowness(row), row as u64 + 100)))
            .collect();
        let confirmed = flagged(&second, &limits);
        let verdicts: Vec<Verdict> = (0..ROWS.len())
            .map(|row| {
                let again = second[row].as_ref().map(|second| (second, confirmed[row]));
                of_row(&first[row].expect("measured"), again, &limits).0
            })
            .collect();
        let rows: Vec<_> = ROWS.into_iter().zip(verdicts.iter().copied()).collect();
        (exit(&rows), verdicts)
    }
}

#[test]
fn of_two_hundred_comparisons_of_the_same_at_most_two_raise_an_alarm() {
    let runs: Vec<_> = (0..200).map(|seed| Machine::new(seed).compare(1.0)).collect();
    let count = |wanted: Exit| runs.iter().filter(|(exit, _)| *exit == wanted).count();
    let moved = |verdict: &Verdict| matches!(verdict, Verdict::Improved | Verdict::Regressed);
    let claims = runs.iter().filter(|(_, verdicts)| verdicts.iter().any(moved)).count();
    println!(
        "200 comparisons of the same: {} false alarms, {claims} with any row said to have moved, {} undecided, {} fine",
        count(Exit::Regression),
        count(Exit::Unproven),
        count(Exit::Fine)
    );
    assert!(count(Exit::Regression) <= 2);
    assert!(claims <= 4);
    assert!(count(Exit::Fine) > 0, "a gate that never decides is no gate");
}

#[test]
fn a_slow_down_of_a_tenth_is_found_on_a_quiet_machine() {
    let found = (0..100)
        .filter(|seed| {
            let quiet = Machine {
                scatter: 0.03,
                process: 0.01,
                drift: 0.05,
                outliers: 0.02,
                ..Machine::new(1000 + seed)
            };
            let (exit, verdicts) = { quiet }.compare(1.1);
            exit == Exit::Regression && verdicts[..2].contains(&Verdict::Regressed)
        })
        .count();
    println!("a load path slower by 10%: found in {found} of 100 comparisons");
    assert!(found >= 95, "{found}");
}

/// Where the machine changed along with the candidate, the controls say so and nothing is claimed.
#[test]
fn a_machine_that_favours_one_side_proves_nothing() {
    for seed in 0..20 {
        let mut machine =
            Machine { scatter: 0.02, process: 0.0, drift: 0.0, outliers: 0.0, ..Machine::new(seed) };
        let limits = Limits::default();
        let first: Vec<_> = ROWS.iter().map(|_| Some(machine.measure(1.3, seed))).collect();
        let second: Vec<_> = ROWS.iter().map(|_| Some(machine.measure(1.3, seed + 1))).collect();
        let confirmed = flagged(&second, &limits);
        let rows: Vec<_> = (0..ROWS.len())
            .map(|row| {
                let again = second[row].as_ref().map(|second| (second, confirmed[row]));
                (ROWS[row], of_row(&first[row].expect("measured"), again, &limits).0)
            })
            .collect();
        assert_eq!(exit(&rows), Exit::Unproven, "{rows:?}");
    }
}
