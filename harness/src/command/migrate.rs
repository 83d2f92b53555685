//! `intact migrate`: a session file rewritten for another llama.cpp release, without a model.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::image::Durable;
use intact_format::image::sidecar::{Sidecar, SidecarWriter};
use intact_format::layout::Layout;
use intact_format::place::sidecar_path;
use intact_format::session::{self, ReadError, SessionDocument};
use intact_format::transcode::{MigrateError, Migrated, migrate};
use intact_format::version::FormatVersion;
use intact_seal::Form;
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::check::release;
use super::output::show;
use super::table::plain;
use crate::exit::Exit;
use crate::tags::Release;

/// Rewrite a session file for another llama.cpp release, without a model
///
/// The KV image is encoded as that release lays it out, and rotated or not as that release has it. History, parameters and
/// canary stay; the passport tells of the migration, and the file itself stays as it is. Loading the new file in that
/// release is direct then, and compares what the model says with what it said in the release that saved the session.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The session file
    file: PathBuf,

    /// The llama.cpp release: a tag such as b8783 or 0.6.0, or a version of llama-cpp-sys-2
    #[arg(long, value_name = "TAG")]
    to_tag: String,

    /// The new session file [default: NAME-TAG.json beside the old one]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    image: PathBuf,
    from: String,
    to: String,
    steps: Vec<String>,
    nmse_k: f64,
    nmse_v: f64,
}

impl Migrate {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let release = release(&self.to_tag)?;
        let old = document(&self.file)?;
        let out = self.out.clone().unwrap_or_else(|| beside(&self.file, release));
        Failure::unless_free(&[&out, &sidecar_path(&out)])?;
        let migrated = migrated(&self.file, &old, release)?;
        write(&out, &migrated)?;
        let report = Report {
            image: sidecar_path(&out),
            file: out,
            from: old.passport.map(|passport| passport.release).unwrap_or_default(),
            to: release.tag.clone(),
            steps: migrated.steps.0.iter().map(ToString::to_string).collect(),
            nmse_k: migrated.distances.keys.nmse(),
            nmse_v: migrated.distances.values.nmse(),
        };
        show(&report, self.json, Report::text)?;
        Ok(Exit::Fine)
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text =
            format!("{} is for llama.cpp {}, from {}.\n", self.file.display(), self.to, plain(&self.from));
        for step in &self.steps {
            text += &format!("  {}\n", plain(step));
        }
        text += &match (self.nmse_k, self.nmse_v) {
            (0.0, 0.0) => "Every number of K and V is what it was.\n".to_owned(),
            (keys, values) => format!("Normalised error of K {keys:.1e}, of V {values:.1e}.\n"),
        };
        text
    }
}

fn migrated(file: &Path, old: &SessionDocument, release: &Release) -> Result<Migrated, Failure> {
    let chunks = match &old.image {
        Some(reference) => {
            let sidecar = sidecar_path(file);
            let read = Sidecar::open(&sidecar).and_then(|mut sidecar| sidecar.read_image(reference));
            read.map_err(|error| Failure::setup(error).help("`intact verify` tells what is left of it"))?
        }
        None => Vec::new(),
    };
    migrate(old, &chunks, &release.tag, layout(release)?, now()).map_err(|error| {
        let failure = Failure::setup(&error).exit(Exit::GateFailed);
        match error {
            MigrateError::NoPassport | MigrateError::NoImage => failure,
            _ => failure.help("load it with its model instead: its tokens are evaluated again then"),
        }
    })
}

fn write(out: &Path, migrated: &Migrated) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::setup(format!("{} cannot be written: {error}", out.display()))
    };
    let mut document = migrated.document.clone();
    if let (Some(manifest), Some(name)) = (&mut document.manifest, out.file_name()) {
        manifest.session_file = name.to_string_lossy().into_owned();
    }
    let written = session::write(&document, FormatVersion::CURRENT).map_err(|error| failed(&error))?;
    let durable = Durable::default();
    let mut sidecar =
        SidecarWriter::open(sidecar_path(out), durable.clone()).map_err(|error| failed(&error))?;
    sidecar.append(&migrated.chunks).map_err(|error| failed(&error))?;
    durable.replace(out, &written.bytes).map_err(|error| failed(&error))
}

fn document(file: &Path) -> Result<SessionDocument, Failure> {
    let bytes = fs::read(file).map_err(|error| Failure::unreadable(file, &error))?;
    if Form::of(&bytes) != Form::Plain {
        let failure = Failure::setup(format!("{} is sealed or compressed", file.display()));
        return Err(
            failure.help("`intact unseal` writes it as a plain one, and `intact seal` the new file again")
        );
    }
    let read = session::read(&bytes, FormatVersion::CURRENT);
    read.map(|read| read.document).map_err(|error| unread(file, &error))
}

/// A file that is no session file.
pub(super) fn unread(file: &Path, error: &ReadError) -> Failure {
    Failure::setup(format!("{}: {error}", file.display()))
        .help("`intact inspect` tells what kind of file it is")
}

/// The layout of a release.
pub(super) fn layout(release: &Release) -> Result<&'static Layout, Failure> {
    let unknown = || Failure::setup(format!("the state layout of {} is not known", release.tag));
    Layout::by_id(&release.layout).ok_or_else(unknown)
}

fn beside(file: &Path, release: &Release) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{}.json", release.tag))
}

/// The time, to the second.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
