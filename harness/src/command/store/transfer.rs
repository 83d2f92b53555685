//! `intact store export` and `intact store import`.

use std::path::PathBuf;

use clap::Args;
use intact_format::place::{Replaces, admit, output};
use intact_format::session_id::SessionId;
use intact_seal::Form;
use intact_store::Expected;
use serde::Serialize;

use super::{Desk, failed, reading};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::keys::KeyArguments;
use crate::command::stored::{form_name, not_written, tell, unless_mixed};
use crate::exit::Exit;

/// Write a session as a file with its image beside it
///
/// A sealed session is written as it is, sealed, and needs no key; with its key it is also made sure that it is the session
/// that was asked for.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The session's id, as `intact store ls` gives it
    session: String,

    /// The session file [default: <session>.json]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,

    /// Write over a session file that is there
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    keys: KeyArguments,
}

/// Save session files, with the images beside them, in the store; makes the store where there is none
///
/// A sealed session stays sealed. It needs its key, because its id is in it.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Session files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Save over sessions of the same id
    #[arg(long)]
    replace: bool,

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
        let file = self.to.unwrap_or_else(|| session.default_file_name().into());
        let store = desk.open()?;
        let form = Form::of(&store.session(&session).map_err(failed)?.document);
        let flag = "--replace writes over a session file";
        output(&file).map_err(|error| not_written(&error, flag))?;
        unless_mixed(&file, form == Form::Sealed)?;
        let replaces = if self.replace { Replaces::Session } else { Replaces::Nothing };
        admit(&file, replaces).map_err(|error| not_written(&error, flag))?;
        let written = store.export(&session, &file, replaces, &reading(&self.keys)?).map_err(failed)?;
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
        let expected = if self.replace { Expected::Anything } else { Expected::Absent };
        let contents_of = reading(&self.keys)?;
        let mut imported = Vec::new();
        for file in self.files {
            let (session, saved) = store.import(&file, expected, &contents_of).map_err(|error| {
                let is_there = matches!(error, intact_store::StoreError::Conflict { .. });
                let failure = failed(error);
                if is_there { failure.help("--replace saves over it") } else { failure }
            })?;
            imported.push(Imported {
                file,
                session: session.to_string(),
                save: saved.generation.0,
                new_bytes: saved.new_bytes,
                shared_bytes: saved.shared_bytes,
            });
        }
        desk.print(&imported, |imported| imported.iter().map(Imported::text).collect())?;
        Ok(Exit::Fine)
    }
}

impl Imported {
    fn text(&self) -> String {
        let Self { file, session, save, new_bytes, shared_bytes } = self;
        let (new, shared) = (bytes(*new_bytes), bytes(*shared_bytes));
        format!("{}: saved as {session}, save {save}; {new} new, {shared} were there\n", file.display())
    }
}
