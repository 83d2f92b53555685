//! `intact store`: sessions that share their KV chunks, in a folder or an object store.

mod collect;
mod list;
mod prune;
mod transfer;
mod verify;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{Args, Subcommand};
use intact_format::place::PlaceError;
use intact_format::route::RefusalCode;
use intact_format::session_id::SessionId;
use intact_seal::{Form, Keys, Opened, Origin};
use intact_store::{Contents, SessionStore, StoreError, Summary, Unread, plain};
use serde::Serialize;

use super::Failure;
use super::keys::KeyArguments;
use super::output::show;
use super::stored::warning;
use super::table::plain as printable;
use crate::exit::Exit;

/// Keep sessions in a shared store: list, check, clean up, import and export
///
/// A store is a folder, or a place in an object store: s3://bucket/path, gs://bucket/path, az://container/path, with
/// credentials from the environment. Sessions that begin alike share what they have in common. Any number of processes
/// can use a store at the same time. Sealed sessions stay sealed in it. Listing, cleaning up and exporting them needs
/// no key, and shows their names, the lengths of their documents and chunks, and when and how often they were saved.
#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(subcommand)]
    action: Action,

    /// The store: a folder or a URL
    #[arg(long, value_name = "URL", env = "INTACT_STORE", global = true)]
    store: Option<String>,

    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    Ls(list::List),
    Stats(list::Stats),
    Gc(collect::Collect),
    Prune(prune::PruneSessions),
    Verify(verify::Verify),
    Export(transfer::Export),
    Import(transfer::Import),
}

/// The store that was named, and how results are printed.
struct Desk {
    address: String,
    json: bool,
}

impl Store {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let address = self.store.filter(|address| !address.is_empty()).ok_or_else(|| {
            Failure::setup("no store is named")
                .help("name one with --store or in INTACT_STORE: a folder, or s3://bucket/path, gs://bucket/path, az://container/path")
        })?;
        let desk = Desk { address, json: self.json };
        match self.action {
            Action::Ls(list) => list.carry_out(&desk),
            Action::Stats(stats) => stats.carry_out(&desk),
            Action::Gc(collect) => collect.carry_out(&desk),
            Action::Prune(prune) => prune.carry_out(&desk),
            Action::Verify(verify) => verify.carry_out(&desk),
            Action::Export(export) => export.carry_out(&desk),
            Action::Import(import) => import.carry_out(&desk),
        }
    }
}

impl Desk {
    /// The store, which has to be there.
    fn open(&self) -> Result<SessionStore, Failure> {
        SessionStore::open(&self.address).map_err(failed)
    }

    /// The store, made where there is none.
    fn create(&self) -> Result<SessionStore, Failure> {
        SessionStore::create(&self.address).map_err(failed)
    }

    fn print<T: Serialize>(&self, result: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        show(result, self.json, text)
    }
}

/// Reads session documents, with the keys that were given, and keeps in mind who can have written them.
struct Reading {
    keys: Keys,
    sealed_only: bool,
    keys_given: bool,
    origins: Mutex<BTreeMap<SessionId, Origin>>,
}

impl Reading {
    fn with(keys: &KeyArguments) -> Result<Self, Failure> {
        Ok(Self {
            keys: keys.keys()?,
            sealed_only: keys.sealed,
            keys_given: keys.are_given(),
            origins: Mutex::default(),
        })
    }

    fn contents(&self, document: &[u8]) -> Result<Contents, PlaceError> {
        let opened = Opened::read(document.to_vec(), &self.keys, self.sealed_only)?;
        let Contents { session, mut summary, image } = plain(opened.document())?;
        self.origins().insert(session.clone(), opened.origin());
        if opened.form() == Form::Sealed {
            let saved_at = summary.saved_at;
            summary = Summary { saved_at, ..Summary::default() };
        }
        let image = image.map(|image| opened.stored_image(&image)).transpose()?;
        Ok(Contents { session, summary, image })
    }

    /// Sessions that were read and are of this origin.
    fn of(&self, origin: Origin) -> Vec<String> {
        let origins = self.origins();
        origins
            .iter()
            .filter(|(_, found)| **found == origin)
            .map(|(session, _)| session.to_string())
            .collect()
    }

    /// Who can have written a session that was read.
    fn origin_of(&self, session: &SessionId) -> Option<Origin> {
        self.origins().get(session).copied()
    }

    /// Says on standard error what is to be known of the sessions that were read.
    fn tell(&self) {
        for (session, origin) in self.origins().iter() {
            if let Some(warning) = warning(*origin, self.keys_given) {
                eprintln!("note: session `{}`: {warning}", printable(session.as_str()));
            }
        }
    }

    fn origins(&self) -> MutexGuard<'_, BTreeMap<SessionId, Origin>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Problem {
    session: String,
    why: String,
}

impl Problem {
    fn of((session, why): (SessionId, String)) -> Self {
        Self { session: session.to_string(), why }
    }
}

/// Says on standard error what of a store cannot be read.
fn tell_unread(unreadable: &[Unread]) {
    for Unread { why, .. } in unreadable {
        eprintln!("note: left out: {}", printable(why));
    }
}

/// The first line is what happened, the others are what to do.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(in crate::command) fn failed(error: StoreError) -> Failure {
    let text = error.to_string();
    match text.split_once('\n') {
        Some((what, hint)) => Failure::setup(what).help(hint),
        None => match error.code() {
            Some(
                code @ (RefusalCode::KeyMissing
                | RefusalCode::KeyWrong
                | RefusalCode::NotSealed
                | RefusalCode::NotSigned),
            ) => Failure::setup(text).help(code.next_step()),
            _ => Failure::setup(text),
        },
    }
}
