//! `intact perf counts`: does saving or restoring do more than it did?

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::regular;
use tempfile::TempDir;

use super::super::output::show;
use super::Failure;
use super::compare::unmeasured;
use super::settings::SettingArguments;
use super::subject::{Sides, resolve};
use crate::exit::Exit;
use crate::files::write_whole;
use crate::perf::counts::{Accepted, Counts as Counted, Tally, compare, counted};
use crate::perf::measure::{MeasureError, Prepared, Setting};
use crate::perf::row::Row;

/// Compare what two workers do: allocations, bytes and calls of reads and writes, page faults
///
/// Counts are nearly the same on a busy machine as on an idle one: a few cycles of each worker are enough. Allocations, and the calls
/// and bytes of reads and writes, gate; bytes allocated and page faults differ between two runs of one program, and are shown. What may
/// rise is accepted by review, in a file. Ends with exit code 0 where no count rose, 103 where one did.
#[derive(Debug, Args)]
pub(super) struct Counts {
    #[command(flatten)]
    sides: Sides,

    #[command(flatten)]
    settings: SettingArguments,

    /// How often every operation is carried out; the lowest of its counts are compared
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=1000))]
    cycles: u32,

    /// A file of counts that may rise
    #[arg(long, value_name = "FILE")]
    accepted: Option<PathBuf>,

    /// Accept what rose, for this reason: adds it to the file of --accepted
    #[arg(long, value_name = "REASON", requires = "accepted")]
    accept: Option<String>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Counts {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let accepted = self.accepted.as_deref().map(read).transpose()?.unwrap_or_default();
        let sides = [resolve(&self.sides.base)?.1, resolve(&self.sides.candidate)?.1];
        let mut found: [Vec<(Row, Counted)>; 2] = Default::default();
        for setting in self.settings.settings()? {
            for (command, found) in sides.iter().zip(&mut found) {
                found.extend(self.counts(command, &setting).map_err(unmeasured)?);
            }
        }
        let tally = compare(&found[0], &found[1], &accepted);
        show(&tally, self.json, Tally::text)?;
        if let (Some(file), Some(reason)) = (&self.accepted, &self.accept) {
            let entries = accepted.accepted.into_iter().chain(tally.reviewed(reason)).collect();
            let text =
                toml::to_string(&Accepted { version: 1, accepted: entries }).map_err(Failure::setup)?;
            write_whole(file, text)
                .map_err(|error| Failure::setup(format!("{} cannot be written: {error}", file.display())))?;
            let rose = crate::quantity::counted(tally.more.len(), "count was", "counts were");
            println!("{rose} accepted in {}", file.display());
            return Ok(Exit::Fine);
        }
        Ok(match (tally.compared, tally.passes()) {
            (0, _) => Exit::NoVerdict,
            (_, true) => Exit::Fine,
            (_, false) => Exit::Regression,
        })
    }

    fn counts(&self, command: &[String], setting: &Setting) -> Result<Vec<(Row, Counted)>, MeasureError> {
        let command: Vec<String> =
            command.iter().cloned().chain(std::iter::once("--counts".to_owned())).collect();
        let root = self.settings.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let folder = TempDir::new_in(&root).map_err(|source| MeasureError::Folder { path: root, source })?;
        let (prepared, _) = Prepared::new(&command, setting, folder.path().join("saved"))?;
        counted(&prepared, setting, self.cycles)
    }
}

/// A file of accepted counts; none where there is no such file yet.
fn read(path: &Path) -> Result<Accepted, Failure> {
    let text = match regular::read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Accepted::default()),
        text => text.map_err(|error| Failure::unreadable(path, &error))?,
    };
    let accepted: Accepted = toml::from_str(&text).map_err(|error| {
        Failure::setup(format!("{} is not a file of accepted counts: {error}", path.display()))
    })?;
    if accepted.version != 1 {
        return Err(Failure::setup(format!(
            "{} is of version {}, and this version of intact reads version 1",
            path.display(),
            accepted.version
        )));
    }
    Ok(accepted)
}
