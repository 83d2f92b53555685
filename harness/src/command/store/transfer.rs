//! `intact store export` and `intact store import`.

use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::place::{FileSource, Replaces, SessionSource, admit, output};
use intact_format::session_id::SessionId;
use intact_seal::{Form, Origin};
use intact_store::{Expected, Saved, SessionStore, StoreError};
use serde::Serialize;

use super::{Desk, Reading, failed};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::keys::KeyArguments;
use crate::command::stored::{form_name, not_written, refused, tell, unless_mixed};
use crate::command::table::plain;
use crate::exit::Exit;
use crate::seen::Seen;

/// How often a file is saved anew whose session somebody else has saved meanwhile.
const TRIES: u32 = 20;

/// Write a session as a file with its image beside it
///
/// A sealed session is written as it is, sealed, and needs no key; with its key, it is also checked to be the session
/// that was asked for.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The session's id, as `intact store ls` gives it
    session: String,

    /// The session file [default: <session>.json]
    #[arg(short, long, value_name = "FILE", alias = "to")]
    out: Option<PathBuf>,

    /// Overwrite an existing session file
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    keys: KeyArguments,
}

/// Save session files, with the images beside them, in the store, which is made where there is none
///
/// A sealed session stays sealed. Importing it needs its key, because its id is sealed too.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Session files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Replace sessions of the same id. A sealed session is not replaced by one that is not sealed
    #[arg(long)]
    replace: bool,

    /// Replace sealed sessions too, by ones that are not sealed
    #[arg(long, requires = "replace")]
    plain_over_sealed: bool,

    #[command(flatten)]
    keys: KeyArguments,
}

#[derive(Debug, Serialize)]
struct Exported {
    session: String,
    /// Plain, compressed or sealed.
    form: &'static str,
    files: Vec<PathBuf>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Imported {
    file: PathBuf,
    session: String,
    save: u64,
    new_bytes: u64,
    shared_bytes: u64,
}

impl Export {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let session = SessionId::new(self.session).map_err(Failure::setup)?;
        let file = self.out.unwrap_or_else(|| session.default_file_name().into());
        let store = desk.open()?;
        let opened = store.session(&session).map_err(failed)?;
        let form = Form::of(&opened.document);
        if let Some(doubt) = Seen::by_this_user().and_then(|seen| seen.doubt(store.address(), &opened)) {
            eprintln!("note: session `{}`: {doubt}", plain(session.as_str()));
        }
        let flag = "--replace writes over a session file";
        output(&file).map_err(|error| not_written(&error, flag))?;
        unless_mixed(&file, form == Form::Sealed)?;
        let replaces = if self.replace { Replaces::Session } else { Replaces::Nothing };
        admit(&file, replaces).map_err(|error| not_written(&error, flag))?;
        let reading = Reading::with(&self.keys)?;
        let written = store
            .export(&session, &file, replaces, &|document| reading.contents(document))
            .map_err(failed)?;
        reading.tell();
        tell(written.remark.as_deref());
        let exported = Exported {
            session: session.to_string(),
            form: form_name(form),
            files: written.files,
            bytes: written.bytes,
        };
        desk.print(&exported, |exported| {
            let files: Vec<_> = exported.files.iter().map(|file| file.display().to_string()).collect();
            let Exported { session, form, bytes: written, .. } = exported;
            format!("{session}: {}, {form}, written to {}\n", bytes(*written), files.join(", "))
        })?;
        Ok(Exit::Fine)
    }
}

impl Import {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let store = desk.create()?;
        let reading = Reading::with(&self.keys)?;
        let seen = Seen::by_this_user();
        let mut imported = Vec::new();
        for file in &self.files {
            let (session, saved) = self.import(&store, file, &reading)?;
            if let Some(seen) = &seen {
                let sealed = reading.origin_of(&session) != Some(Origin::Unsealed);
                seen.saved(store.address(), session.as_str(), saved.generation, sealed);
            }
            imported.push(Imported {
                file: file.clone(),
                session: session.to_string(),
                save: saved.generation.0,
                new_bytes: saved.new_bytes,
                shared_bytes: saved.shared_bytes,
            });
        }
        reading.tell();
        desk.print(&imported, |imported| imported.iter().map(Imported::text).collect())?;
        Ok(Exit::Fine)
    }

    fn import(
        &self,
        store: &SessionStore,
        file: &Path,
        reading: &Reading,
    ) -> Result<(SessionId, Saved), Failure> {
        let contents_of = |document: &[u8]| reading.contents(document);
        let mut tries = 1;
        loop {
            let expected = self.expected(store, file, reading)?;
            match store.import(file, expected, &contents_of) {
                Ok(imported) => return Ok(imported),
                // Somebody else was faster, and has to be looked at too.
                Err(StoreError::Conflict { .. }) if self.replace && tries < TRIES => tries += 1,
                Err(error @ StoreError::Conflict { .. }) => {
                    return Err(failed(error).help("--replace saves over it"));
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// What a file may take the place of. Where it is not sealed, that is nothing that is.
    fn expected(&self, store: &SessionStore, file: &Path, reading: &Reading) -> Result<Expected, Failure> {
        if !self.replace {
            return Ok(Expected::Absent);
        }
        let document = FileSource::new(file).document().map_err(|error| refused(file, &error))?;
        if self.plain_over_sealed || Form::of(&document) == Form::Sealed {
            return Ok(Expected::Anything);
        }
        let contents = reading.contents(&document).map_err(|error| refused(file, &error))?;
        match store.session(&contents.session) {
            Ok(there) if Form::of(&there.document) == Form::Sealed => Err(Failure::setup(format!(
                "session `{}` is sealed in {}, and {} is not",
                contents.session,
                store.address(),
                file.display()
            ))
            .help(
                "seal it first; or say --plain-over-sealed, and whoever reads the store can read the session",
            )),
            Ok(there) => Ok(Expected::At(there.generation)),
            Err(StoreError::SessionNotFound { .. }) => Ok(Expected::Absent),
            // Nobody can read it any more.
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. } | StoreError::WrongLength { .. }) => {
                Ok(Expected::Anything)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

impl Imported {
    fn text(&self) -> String {
        let Self { file, session, save, new_bytes, shared_bytes } = self;
        let (new, shared) = (bytes(*new_bytes), bytes(*shared_bytes));
        format!("{}: saved as {session}, save {save}; {new} new, {shared} were there\n", file.display())
    }
}
