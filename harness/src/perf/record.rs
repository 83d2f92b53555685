//! Measuring one worker for the history.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::compare::{Progress, WARM_UPS, scratch};
use super::history::{ENTRY_VERSION, Entry, Recorded};
use super::measure::{MeasureError, Prepared, Setting};
use super::row::Row;
use crate::environment;

/// How often every operation is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetition {
    /// Fresh processes.
    pub processes: u32,
    /// Measurements in each.
    pub cycles: u32,
}

/// Measures a worker with every setting.
///
/// # Errors
/// [`MeasureError`] when it cannot be measured at all, or dies.
pub fn record(
    command: &[String],
    settings: &[Setting],
    repetition: Repetition,
    folder: Option<&Path>,
    commit: Option<String>,
    progress: &dyn Progress,
) -> Result<Entry, MeasureError> {
    let recorded = Timestamp::now();
    let folder = scratch(folder)?;
    let mut rows: BTreeMap<Row, Recorded> = BTreeMap::new();
    let mut missing = BTreeMap::new();
    let mut hello = None;
    for (number, setting) in settings.iter().enumerate() {
        let (prepared, own) = Prepared::new(command, setting, folder.path().join(number.to_string()))?;
        hello = Some(own);
        for process in 0..repetition.processes {
            progress.block(&setting.to_string(), process + 1, repetition.processes);
            let mut bench = prepared.bench()?;
            for cycle in 0..WARM_UPS + repetition.cycles {
                for (operation, sample) in bench.cycle()? {
                    let row = setting.row(operation);
                    let sample = match sample {
                        Ok(sample) => sample,
                        Err(reason) => {
                            missing.entry(row).or_insert(reason);
                            continue;
                        }
                    };
                    if cycle < WARM_UPS {
                        continue;
                    }
                    let recorded = rows.entry(row.clone()).or_insert_with(|| Recorded {
                        row,
                        bytes: sample.bytes,
                        seconds: Vec::new(),
                    });
                    recorded.seconds.push(sample.seconds);
                }
            }
            bench.leave();
        }
    }
    missing.iter().for_each(|(row, reason)| progress.without(row, reason));
    let hello = hello.ok_or_else(|| MeasureError::Preparation {
        command: command.join(" "),
        reason: "there is nothing to measure it with".to_owned(),
    })?;
    Ok(Entry {
        version: ENTRY_VERSION,
        recorded: recorded.to_string(),
        environment: environment::here(),
        release: hello.release,
        subject: hello.version,
        commit,
        rows: rows.into_values().collect(),
    })
}
