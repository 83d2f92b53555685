//! How long things take: the clock around an operation, the floors that nothing can beat, and a delay to be found.

use std::collections::BTreeMap;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use intact_protocol::{Floor, Timings, Work};

use crate::counting;

/// Most bytes that a floor works on.
pub(crate) const LARGEST_FLOOR: u64 = 4 << 30;

/// What some work took.
#[derive(Debug)]
pub(crate) struct Took {
    pub(crate) elapsed: Duration,
    /// By name; empty where nothing is counted.
    pub(crate) counts: BTreeMap<String, u64>,
}

/// Nothing was counted.
impl From<Duration> for Took {
    fn from(elapsed: Duration) -> Self {
        Self { elapsed, counts: BTreeMap::new() }
    }
}

/// The result of some work, and what it took.
pub(crate) fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, Took), E> {
    let before = counting::before();
    let started = Instant::now();
    let result = work()?;
    let elapsed = started.elapsed();
    Ok((result, Took { elapsed, counts: counting::since(before) }))
}

/// What a load does more than it needs to: shows that counts notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Waste {
    /// Small allocations, about as many as a session has chunks.
    Allocations,
    /// A copy of 64 KiB.
    Copy,
}

impl Waste {
    /// Wastes it.
    pub(crate) fn apply(self) {
        match self {
            Self::Allocations => (0..64).for_each(|_| drop(black_box(Box::new([0_u8; 64])))),
            Self::Copy => drop(black_box(vec![1_u8; 64 << 10].clone())),
        }
    }
}

/// Timings of a whole without parts.
pub(crate) fn total(took: Took) -> Timings {
    Timings { total_seconds: took.elapsed.as_secs_f64(), counts: took.counts, ..Timings::default() }
}

/// Does the work of a floor, on memory that was touched before.
pub(crate) fn floor(floor: Floor) -> Timings {
    let length = usize::try_from(floor.bytes).unwrap_or(usize::MAX);
    let from: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    let mut to = from.clone();
    let times = floor.times.max(1);
    let started = Instant::now();
    for _ in 0..times {
        match floor.work {
            Work::Copy => black_box(&mut to).copy_from_slice(black_box(&from)),
            Work::Fold => {
                black_box(fold(black_box(&from)));
            }
        }
    }
    total((started.elapsed() / times).into())
}

/// FNV-1a over words of eight bytes.
fn fold(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// A share of its own time by which an operation is made longer, so that a gate can be shown to notice.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Delay(f64);

impl std::str::FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
        let share = share.filter(|share| (0.0..=1000.0).contains(share));
        share.map(|share| Self(share / 100.0)).ok_or_else(|| "give a share from 0% to 1000%".to_owned())
    }
}

impl Delay {
    /// Keeps the core busy until the work that began then has taken its share longer.
    pub(crate) fn apply(self, started: Instant) {
        let until = started.elapsed().mul_f64(1.0 + self.0);
        while self.0 > 0.0 && started.elapsed() < until {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_timed_and_a_fold_depends_on_every_byte() {
        for work in [Work::Copy, Work::Fold] {
            assert!(floor(Floor { work, bytes: 1 << 20, times: 3 }).total_seconds > 0.0, "{work:?}");
        }
        let mut bytes = vec![7_u8; 4096];
        let whole = fold(&bytes);
        for at in [0, 1000, 4095] {
            bytes[at] ^= 1;
            assert_ne!(fold(&bytes), whole, "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn a_delay_is_a_share_and_makes_work_that_much_longer() {
        for wrong in ["", "x", "-1%", "1001%", "NaN", "inf"] {
            assert!(wrong.parse::<Delay>().is_err(), "{wrong}");
        }
        assert_eq!("10%".parse(), Ok(Delay(0.1)));
        assert_eq!("25".parse(), Ok(Delay(0.25)));
        let before = Instant::now();
        let started = before.checked_sub(Duration::from_millis(4)).expect("an earlier time");
        "100%".parse::<Delay>().expect("a share").apply(started);
        assert!(before.elapsed() >= Duration::from_millis(4));
    }
}
