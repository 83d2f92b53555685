//! `intact migrate`: a session file rewritten for another llama.cpp release, without a model.

use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::image::Durable;
use intact_format::layout::Layout;
use intact_format::place::{FileSink, PlaceError, Replaces, SessionSink, sidecar_path};
use intact_format::session::{self, ReadError, SessionDocument};
use intact_format::transcode::{MigrateError, Migrated, migrate};
use intact_seal::{Form, SealOptions, SealedSink, Sealer};
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::check::release;
use super::keys::LockArguments;
use super::output::show;
use super::stored::{Stored, beside, refused, tell, unless_taken};
use super::table::plain;
use crate::exit::Exit;
use crate::tags::Release;

/// Rewrite a session file for another llama.cpp release, without a model
///
/// The KV image is written in the layout of that release, rotated or not as that release has it. History, parameters
/// and canary stay as they are, the passport records the migration, and the old file is not changed. That release then
/// loads the new file directly, and compares the logits with those of the release that saved the session.
///
/// A compressed or sealed session stays so. One that was sealed for recipients does not name them: give --recipient.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The session file
    file: PathBuf,

    /// The llama.cpp release: a tag such as b8783 or 0.6.0, or a version of llama-cpp-sys-2
    #[arg(long, value_name = "TAG")]
    to_tag: String,

    /// The new session file [default: NAME-TAG.json beside the old one]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    lock: LockArguments,

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
        let mut stored = Stored::open(&self.file, &self.lock.keys)?;
        let old = stored.read().map_err(|error| unread(&self.file, &error))?.document;
        let out = self.out.clone().unwrap_or_else(|| beside(&self.file, &format!("-{}.json", release.tag)));
        unless_taken(&out)?;
        let sealer = self.sealer(&stored)?;
        let migrated = migrated(&self.file, &mut stored, &old, &release)?;
        write(&out, &migrated, sealer)?;
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

    /// What gives the new file the form of the old one, where that is not plain.
    fn sealer(&self, stored: &Stored) -> Result<Option<Sealer>, Failure> {
        let named = self.lock.has_recipients();
        if stored.form() == Form::Plain {
            let plain = || Failure::setup(format!("{} is not sealed", self.file.display()));
            return if named { Err(plain().help("`intact seal` seals the new file")) } else { Ok(None) };
        }
        let mut sealer = stored.source.sealer().signing(self.lock.signer()?);
        if named {
            let options = SealOptions { lock: self.lock.lock()?, ..sealer.options().clone() };
            sealer = sealer.renew(options).map_err(Failure::setup)?;
        }
        sealer.ready().map_err(|error| Failure::setup(error).help("name the recipients with --recipient"))?;
        Ok(Some(sealer))
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

fn migrated(
    file: &Path,
    stored: &mut Stored,
    old: &SessionDocument,
    release: &Release,
) -> Result<Migrated, Failure> {
    let chunks: Result<Vec<_>, _> = match &old.image {
        Some(reference) => stored.chunks(reference).and_then(Iterator::collect),
        None => Ok(Vec::new()),
    };
    let chunks = chunks.map_err(|error| refused(file, &error))?;
    migrate(old, &chunks, &release.tag, layout(release)?, now()).map_err(|error| {
        let failure = Failure::setup(&error).exit(Exit::GateFailed);
        match error {
            MigrateError::NoPassport | MigrateError::NoImage => failure,
            _ => failure.help("load it with its model instead: its tokens are evaluated again then"),
        }
    })
}

fn write(out: &Path, migrated: &Migrated, sealer: Option<Sealer>) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::setup(format!("{} cannot be written: {error}", out.display()))
    };
    let mut document = migrated.document.clone();
    if let (Some(manifest), Some(name)) = (&mut document.manifest, out.file_name()) {
        manifest.session_file = name.to_string_lossy().into_owned();
    }
    let written = session::write(&document, document.version()).map_err(|error| failed(&error))?;
    let put = |sink: &mut dyn SessionSink| {
        migrated.chunks.iter().try_for_each(|chunk| sink.put(chunk).map(|_| ()))?;
        let committed = sink.commit(&written.bytes, document.image.as_ref())?;
        tell(committed.remark.as_deref());
        Ok::<_, PlaceError>(())
    };
    let mut file = FileSink::new(out, Replaces::Nothing, Durable::default());
    let put = match sealer {
        Some(mut sealer) => put(&mut SealedSink::new(&mut sealer, file)),
        None => put(&mut file),
    };
    put.map_err(|error| failed(&error))
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

/// The time, to the second.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
