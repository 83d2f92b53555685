//! Everything that a run needs before the first cell is played.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use intact_protocol::Cage;
use jiff::Timestamp;

use super::elsewhere::Elsewhere;
use super::inputs::{Inputs, crossed};
use super::models::Models;
use super::phase::Executor;
use super::room::Room;
use super::subjects::{ABSENT, Subjects};
use super::{Progress, RunError, RunOptions};
use crate::environment;
use crate::files::write_whole;
use crate::folder::{
    CONFIG, EXPECTATIONS, EventLog, Ingredients, Kind, MANIFEST_VERSION, Manifest, Partition, PlanDigest,
    Planned, RunFolder,
};
use crate::judge::Evidence;
use crate::parallel;
use crate::plan::{PlannedCell, crossing};
use crate::results::{Dims, PlanInfo};
use crate::trust::{self, Programs};

/// Everything that a run needs before the first cell is played.
pub(super) struct Setup {
    pub inputs: Inputs,
    pub subjects: Subjects,
    pub models: Models,
    pub manifest: Manifest,
    /// The plan's name, axes and certificate.
    pub info: PlanInfo,
    /// Every cell of the plan, with those that the filter leaves out, where they are known.
    pub whole_plan: Option<Vec<PlannedCell>>,
    /// Those that the filter selects.
    pub selected: Vec<PlannedCell>,
    pub jobs: usize,
    room: Room,
    elsewhere: Option<Elsewhere>,
    witness: Option<Arc<Mutex<Vec<Evidence>>>>,
    /// By subject: dimensions that turned out otherwise than planned.
    turned_out: BTreeMap<String, Dims>,
}

impl Setup {
    /// What is known without a worker or a model in its place.
    pub(super) fn known(options: &RunOptions) -> Result<Self, RunError> {
        let inputs = Inputs::read(options)?;
        // Whoever plans starts workers too: models are asked what they are.
        let admitted = inputs.admitted(options)?;
        let started = Subjects::start(&inputs.config, options, &admitted);
        let subjects = match started {
            Ok(subjects) => subjects,
            // Cells of the configured models can be told without a worker.
            Err(_) if options.models.is_empty() => Subjects::unasked(&inputs.config, options),
            Err(error) => return Err(error),
        };
        let models = Models::known(&inputs.config, inputs.choice(), options, &subjects)?;
        Self::of(inputs, subjects, models, options, Kind::Run)
    }

    /// Workers asked, models in their place.
    pub(super) fn ready(options: &RunOptions, kind: Kind, progress: &dyn Progress) -> Result<Self, RunError> {
        RunFolder::check_free(&options.out)?;
        let inputs = Inputs::read(options)?;
        let admitted = inputs.admitted(options)?;
        if let Some(note) = &inputs.unexcused {
            progress.note(note);
        }
        progress.phase("starting workers", inputs.config.subjects.len());
        let subjects = Subjects::start(&inputs.config, options, &admitted)?;
        inputs.config.subjects.iter().for_each(|_| progress.step());
        progress.phase("preparing models", 0);
        let models = Models::ready(&inputs.config, inputs.choice(), options, &subjects)?;
        let mut setup = Self::of(inputs, subjects, models, options, kind)?;
        if !options.from.is_empty() {
            setup.take_over(&options.from)?;
        }
        if let Some(depot) = &options.depot {
            depot.admit(&setup.manifest.digest)?;
        }
        setup.subjects.reach(&crossed(&setup.inputs.config, &setup.selected));
        setup.manifest.releases = setup.subjects.release_infos();
        Ok(setup)
    }

    fn of(
        inputs: Inputs,
        subjects: Subjects,
        models: Models,
        options: &RunOptions,
        kind: Kind,
    ) -> Result<Self, RunError> {
        let plan = inputs.plan(&subjects, &models)?;
        inputs.check_filter(options.filter.as_deref(), &plan)?;
        let selected = inputs.selected(&plan);
        let digest = digest(&inputs, &models, options, &selected);
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            kind,
            harness: env!("CARGO_PKG_VERSION").to_owned(),
            started: Timestamp::now().to_string(),
            command: options.command.clone(),
            digest,
            plan: inputs.plan.clone(),
            filter: options.filter.clone(),
            seed: options.seed,
            partition: options.partition,
            models: options.models.iter().map(absolute).collect(),
            worker: options.worker().map(|path| {
                if path.components().count() > 1 { absolute(&path.to_owned()) } else { path.to_owned() }
            }),
            config: inputs.config_path.clone(),
            expectations: options.expectations.as_ref().map(absolute),
            profile: options.profile.clone(),
            from: options.from.iter().map(absolute).collect(),
            kept_at: None,
            environment: environment::here(),
            subjects: subjects.infos(),
            releases: Vec::new(),
            model_infos: models.infos(),
        };
        let jobs = options.jobs.unwrap_or_else(parallel::cores).max(1);
        Ok(Self {
            inputs,
            subjects,
            models,
            manifest,
            info: plan.info,
            whole_plan: Some(plan.cells),
            selected,
            jobs,
            room: Room::of(&options.out),
            elsewhere: None,
            witness: options.witness.clone(),
            turned_out: BTreeMap::new(),
        })
    }

    /// Takes the plan, and what was made, from other runs' folders.
    fn take_over(&mut self, folders: &[PathBuf]) -> Result<(), RunError> {
        let Some(first) = folders.first() else { return Ok(()) };
        let first = RunFolder::open(first)?;
        let Planned { digest, info, mut cells, .. } = first.plan()?;
        for folder in folders {
            let folder = RunFolder::open(folder)?;
            folder.check_plan(&folder.manifest()?.digest, &digest)?;
        }
        // Which releases there are to cross is a matter of the machine; all else is to be the same here.
        let ours = PlanDigest::of(Ingredients {
            config: &self.inputs.config,
            plan: &self.manifest.plan,
            filter: self.manifest.filter.as_deref(),
            seed: self.manifest.seed,
            models: &self.models.identities(),
            cells: &cells,
        });
        first.check_plan(&digest, &ours)?;
        let theirs = first.manifest()?.subjects.into_iter().filter_map(|info| {
            let release = info.hello?.release;
            Some((info.name, release))
        });
        self.turned_out = elsewhere(&cells, &theirs.collect(), &self.subjects.releases());
        for cell in &mut cells {
            let dims = cell.dims.get("subject").and_then(|subject| self.turned_out.get(subject));
            cell.dims.extend(dims.cloned().unwrap_or_default());
        }
        self.manifest.digest = digest;
        self.info = info;
        // What the filter left out is not carried along.
        self.whole_plan = self.manifest.filter.is_none().then(|| cells.clone());
        self.selected = cells;
        self.elsewhere = Some(Elsewhere::open(folders)?);
        Ok(())
    }

    /// The plan as a document.
    pub(super) fn planned(&self) -> Planned {
        Planned {
            version: MANIFEST_VERSION,
            digest: self.manifest.digest.clone(),
            info: PlanInfo {
                selected: u32::try_from(self.selected.len()).unwrap_or(u32::MAX),
                digest: Some(self.manifest.digest.whole.clone()),
                ..self.info.clone()
            },
            cells: self.selected.clone(),
        }
    }

    /// The selected cells of a part of the plan.
    pub(super) fn cells(&self, partition: Option<Partition>) -> Vec<PlannedCell> {
        let taken = |cell: &&PlannedCell| partition.is_none_or(|partition| partition.takes(&cell.id));
        self.selected.iter().filter(taken).cloned().collect()
    }

    /// What of the cells cannot be run here, for lack of which systems and releases: one sentence for each kind of lack.
    pub(super) fn impossible(&self, partition: Option<Partition>) -> Vec<String> {
        let cells = self.cells(partition);
        let lack = |cell: &PlannedCell, side: &str| {
            let host = cell.dims.get(side)?;
            let subject = cell.dims.get("subject").map_or("", String::as_str);
            let (code, _) = self.subjects.missing(subject, host)?;
            Some((code, host.clone()))
        };
        let playable = |cell: &&PlannedCell| cell.filtered.is_none();
        let mut lacking: BTreeMap<&str, (BTreeSet<String>, usize)> = BTreeMap::new();
        for cell in cells.iter().filter(playable) {
            let lacks: BTreeSet<_> =
                ["writer", "reader"].iter().filter_map(|side| lack(cell, side)).collect();
            let codes: BTreeSet<&str> = lacks.iter().map(|(code, _)| *code).collect();
            codes.iter().for_each(|code| lacking.entry(code).or_default().1 += 1);
            for (code, host) in lacks {
                lacking.entry(code).or_default().0.insert(host);
            }
        }
        let all = cells.iter().filter(playable).count();
        lacking.iter().map(|(code, (hosts, cells))| lacking_words(code, hosts, *cells, all)).collect()
    }

    /// Dimensions of a cell that turned out otherwise than planned.
    pub(super) fn turned_out(&self, cell: &PlannedCell) -> Dims {
        let subject = cell.dims.get("subject");
        subject.and_then(|subject| self.turned_out.get(subject)).cloned().unwrap_or_default()
    }

    /// The run's folder with its log: begun, or gone on with.
    pub(super) fn folder(&mut self, options: &RunOptions) -> Result<(RunFolder, EventLog), RunError> {
        let (folder, log) = if options.resume {
            let folder = RunFolder::open(&options.out)?;
            let log = folder.log()?;
            let theirs = folder.manifest()?;
            folder.check_plan(&theirs.digest, &self.manifest.digest)?;
            folder.tidy();
            self.manifest.started = theirs.started;
            (folder, log)
        } else {
            RunFolder::begin(&options.out)?
        };
        folder.write_plan(&self.planned())?;
        let text = toml::to_string(&self.inputs.config)
            .map_err(|error| RunError::Folder { path: folder.file(CONFIG), reason: error.to_string() })?;
        for (name, text) in [(CONFIG, &text), (EXPECTATIONS, &self.inputs.expectations_text)] {
            let path = folder.file(name);
            write_whole(&path, text).map_err(folder_error(&path))?;
        }
        folder.write_manifest(&self.manifest)?;
        // Going on with it, here, asks nothing.
        let programs = Programs::of(&self.inputs.config, options.worker());
        trust::remember(&options.trust, &trust::place_of(folder.path()), &programs);
        if let Some(depot) = &options.depot {
            trust::remember(&options.trust, &trust::place_at(depot.address()), &programs);
        }
        Ok((folder, log))
    }

    /// What the phases share.
    pub(super) fn executor<'a>(
        &'a self,
        scratch: &Path,
        dir: &'a Path,
        pass: u32,
        progress: &'a dyn Progress,
    ) -> Executor<'a> {
        let run = &self.inputs.config.run;
        Executor {
            config: &self.inputs.config,
            subjects: &self.subjects,
            models: &self.models,
            dir,
            cage: Cage { read: self.models.files(), write: vec![scratch.to_owned()] },
            jobs: self.jobs,
            threads: u32::try_from((parallel::cores() / self.jobs).max(1)).unwrap_or(1),
            timeout: Duration::from_secs(run.timeout_seconds),
            cell_timeout: Duration::from_secs(run.cell_timeout_seconds()),
            seed: self.manifest.seed,
            progress,
            elsewhere: self.elsewhere.as_ref(),
            witness: self.witness.as_deref(),
            pass,
            fresh: pass > 0,
            budget: None,
            room: &self.room,
        }
    }
}

/// Hosts that are named in a line.
const NAMED: usize = 6;

fn lacking_words(code: &str, hosts: &BTreeSet<String>, cells: usize, all: usize) -> String {
    let named: Vec<&str> = hosts.iter().take(NAMED).map(String::as_str).collect();
    let more = if hosts.len() > NAMED { format!(" and {} more", hosts.len() - NAMED) } else { String::new() };
    let (what, remedy) = match code {
        "not-built" if hosts.len() == 1 => ("release has no worker here", "intact tags fetch"),
        "not-built" => ("releases have no worker here", "intact tags fetch"),
        ABSENT if hosts.len() == 1 => ("system is not installed, and not required", "intact subjects add"),
        ABSENT => ("systems are not installed, and not required", "intact subjects add"),
        _ if hosts.len() == 1 => ("system is not installed or cannot be used", "intact subjects add"),
        _ => ("systems are not installed or cannot be used", "intact subjects add"),
    };
    format!(
        "{cells} of {all} cells {}: {} {what}: {}{more}; `{remedy} {}` helps",
        if code == ABSENT { "are left out" } else { "cannot be run" },
        hosts.len(),
        named.join(", "),
        named.join(" ")
    )
}

fn digest(inputs: &Inputs, models: &Models, options: &RunOptions, selected: &[PlannedCell]) -> PlanDigest {
    PlanDigest::of(Ingredients {
        config: &inputs.config,
        plan: &inputs.plan,
        filter: options.filter.as_deref(),
        seed: options.seed,
        models: &models.identities(),
        cells: selected,
    })
}

/// By subject: where every cell was planned to stay in the release that saved it, the release that loads it here.
fn elsewhere(
    cells: &[PlannedCell],
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
) -> BTreeMap<String, Dims> {
    let moved = |(subject, here): (&String, &String)| {
        let there = theirs.get(subject).filter(|there| *there != here)?;
        let mut own = cells.iter().filter(|cell| cell.dims.get("subject") == Some(subject));
        let stays =
            own.all(|cell| ["writer", "reader"].iter().all(|side| cell.dims.get(*side) == Some(there)));
        let dims = [("reader", here.as_str()), ("crossing", crossing(there, here))];
        let dims = dims.map(|(name, value)| (name.to_owned(), value.to_owned()));
        stays.then(|| (subject.clone(), Dims::from(dims)))
    };
    ours.iter().filter_map(moved).collect()
}

fn folder_error(path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |error| RunError::Folder { path, reason: error.to_string() }
}
