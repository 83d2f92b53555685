//! Comparing two workers: blocks of interleaved cycles, each block in fresh processes, and a second measurement of
//! whatever seems to have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use intact_protocol::Hello;
use jiff::Timestamp;
use tempfile::TempDir;

use super::comparison::{
    self, Block, COMPARISON_VERSION, Compared, Comparison, Measured, Procedure, Series, Skipped, Subject,
};
use super::measure::{Bench, Cycle, MeasureError, Prepared, Setting};
use super::row::{Part, Row};
use super::schedule::{Side, turns};
use super::statistics::Spread;
use super::verdict::Verdict;
use crate::environment;

/// Cycles of a process that are not counted: its memory and the caches are still being filled.
pub(super) const WARM_UPS: u32 = 2;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name and command line of the base.
    pub base: (String, Vec<String>),
    /// Name and command line of the candidate.
    pub candidate: (String, Vec<String>),
    /// What both are measured with.
    pub settings: Vec<Setting>,
    /// How it is decided.
    pub procedure: Procedure,
    /// More blocks are measured while rows are undecided and this has not passed.
    pub at_most: Duration,
    /// Where sessions are saved; the system's temporary folder where it is not given.
    pub scratch: Option<PathBuf>,
}

/// What is measured just now.
pub trait Progress {
    /// A block begins; `total` is how many are planned so far.
    fn block(&self, what: &str, number: u32, total: u32);

    /// Something cannot be measured.
    fn without(&self, row: &Row, reason: &str);
}

/// Compares two workers.
///
/// # Errors
/// [`MeasureError`] when a worker cannot be measured at all, or dies.
pub fn compare(plan: &Plan, progress: &dyn Progress) -> Result<Comparison, MeasureError> {
    let started = Instant::now();
    let made = Timestamp::now();
    let folder = scratch(plan.scratch.as_deref())?;
    let mut stand = Stand::new(plan, &folder)?;
    let all: Vec<usize> = (0..plan.settings.len()).collect();

    let mut first = Series::new();
    let mut measured = 0;
    let mut planned = plan.procedure.blocks;
    while measured < planned {
        progress.block("measuring", measured + 1, planned);
        stand.block(measured as usize, &all, &mut first)?;
        measured += 1;
        let has_time = started.elapsed() < plan.at_most;
        if measured == planned && has_time && comparison::undecided(&first, &plan.procedure) {
            planned += 1;
        }
    }
    let mut missing = stand.drop_what_is_missing(&mut first);

    let suspicious = comparison::suspicious(&first, &plan.procedure);
    let mut second = Series::new();
    if !suspicious.is_empty() {
        let settings: Vec<usize> = all
            .into_iter()
            .filter(|&at| suspicious.iter().any(|row| is_of(row, &plan.settings[at])))
            .collect();
        let planned = measured.min(2 * plan.procedure.blocks);
        for block in 0..planned {
            progress.block("confirming", block + 1, planned);
            stand.block(block as usize, &settings, &mut second)?;
        }
    }

    let mut rows = comparison::decide(&first, &second, &plan.procedure);
    rows.append(&mut missing);
    let exit = comparison::conclude(&mut rows);
    Ok(Comparison {
        version: COMPARISON_VERSION,
        made: made.to_string(),
        seconds: started.elapsed().as_secs_f64(),
        environment: environment::here(),
        base: stand.subject(Side::Base),
        candidate: stand.subject(Side::Candidate),
        procedure: Procedure { blocks: measured, ..plan.procedure },
        exit,
        summary: comparison::summary(exit, &rows),
        rows,
        skipped: stand.skipped.into_iter().collect(),
    })
}

/// A folder for the sessions that are measured, removed afterwards.
pub(super) fn scratch(parent: Option<&Path>) -> Result<TempDir, MeasureError> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    tempfile::Builder::new()
        .prefix("intact-perf-")
        .tempdir_in(&parent)
        .map_err(|source| MeasureError::Folder { path: parent, source })
}

fn is_of(row: &Row, setting: &Setting) -> bool {
    (&row.model, &row.kv, row.tokens) == (&setting.name, &setting.kv, setting.tokens)
}

/// The processes of one block, warm. Sides take turns in being the first to be started, as in everything else.
fn started(block: usize, prepared: &[Prepared; 2]) -> Result<BTreeMap<Side, Bench<'_>>, MeasureError> {
    let order: Vec<Side> = turns(block, 1).take(2).collect();
    let mut benches = BTreeMap::new();
    for &side in &order {
        benches.insert(side, prepared[side as usize].bench()?);
    }
    for _ in 0..WARM_UPS {
        for &side in &order {
            cycle_of(&mut benches, side)?;
        }
    }
    Ok(benches)
}

fn cycle_of(benches: &mut BTreeMap<Side, Bench<'_>>, side: Side) -> Result<Cycle, MeasureError> {
    benches.get_mut(&side).map_or_else(|| Ok(Cycle::new()), Bench::cycle)
}

/// Both workers with their saved sessions.
struct Stand<'p> {
    plan: &'p Plan,
    /// By setting: the base's and the candidate's.
    prepared: Vec<[Prepared; 2]>,
    hellos: [Hello; 2],
    skipped: BTreeSet<Skipped>,
}

impl<'p> Stand<'p> {
    fn new(plan: &'p Plan, folder: &TempDir) -> Result<Self, MeasureError> {
        let mut hellos = None;
        let mut prepared = Vec::new();
        for (number, setting) in plan.settings.iter().enumerate() {
            let folder = |side| folder.path().join(format!("{number}-{side}"));
            let (base, own) = Prepared::new(&plan.base.1, setting, folder("base"))?;
            let (candidate, other) = Prepared::new(&plan.candidate.1, setting, folder("candidate"))?;
            hellos = Some([own, other]);
            prepared.push([base, candidate]);
        }
        let hellos = hellos.ok_or_else(|| MeasureError::Preparation {
            command: plan.base.1.join(" "),
            reason: "there is nothing to measure it with".to_owned(),
        })?;
        Ok(Self { plan, prepared, hellos, skipped: BTreeSet::new() })
    }

    /// Measures one block of each of these settings.
    fn block(&mut self, number: usize, settings: &[usize], into: &mut Series) -> Result<(), MeasureError> {
        for &at in settings {
            let setting = &self.plan.settings[at];
            let mut benches = started(number, &self.prepared[at])?;
            let mut block: BTreeMap<_, (Block, Option<u64>)> = BTreeMap::new();
            for side in turns(number, self.plan.procedure.rounds as usize) {
                for (operation, sample) in cycle_of(&mut benches, side)? {
                    match sample {
                        Ok(sample) => {
                            let (times, bytes) = block.entry(operation).or_default();
                            times.side(side).push(sample.seconds);
                            *bytes = sample.bytes;
                        }
                        Err(reason) => {
                            let row = setting.row(operation);
                            self.skipped.insert(Skipped { row, side, reason });
                        }
                    }
                }
            }
            benches.into_values().for_each(Bench::leave);
            for (operation, (times, bytes)) in block {
                let measured: &mut Measured = into.entry(setting.row(operation)).or_default();
                measured.blocks.push(times);
                measured.bytes = bytes;
            }
        }
        Ok(())
    }

    /// Takes out the rows that one side could not measure. What the candidate cannot do although the base can is not
    /// proven to be as fast.
    fn drop_what_is_missing(&self, series: &mut Series) -> Vec<Compared> {
        let rows: BTreeSet<&Row> = self.skipped.iter().map(|skipped| &skipped.row).collect();
        let lost = rows.into_iter().filter_map(|row| {
            let measured = series.remove(row)?;
            let base = Spread::of(&measured.times(Side::Base))?;
            let reason = self.skipped.iter().find(|one| one.row == *row && one.side == Side::Candidate)?;
            Some(Compared {
                row: row.clone(),
                part: row.operation.part(),
                verdict: Verdict::Unproven,
                because: format!("the candidate could not be measured: {}", reason.reason),
                base: Some(base),
                candidate: None,
                bytes: measured.bytes,
                change: None,
                confirmation: None,
                blocks: measured.blocks,
            })
        });
        lost.filter(|row| row.part == Part::Gated).collect()
    }

    fn subject(&self, side: Side) -> Subject {
        let (name, command) = match side {
            Side::Base => self.plan.base.clone(),
            Side::Candidate => self.plan.candidate.clone(),
        };
        let hello = &self.hellos[side as usize];
        Subject { name, command, version: hello.version.clone(), release: hello.release.clone() }
    }
}
