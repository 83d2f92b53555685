//! Which files the sessions of a conversation may be saved to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use intact_format::digest::Digest;
use intact_format::place::{KnownFiles, Replaces, admit, output};
use intact_format::regular;

use crate::command::Failure;
use crate::command::stored::{not_written, unless_mixed};

/// How a file is replaced that the session does not come from.
pub(super) const FLAG: &str = "`/save --replace FILE` writes over a session file; or name another one";

/// The files that live sessions came from or were saved to.
#[derive(Default)]
pub(super) struct Files {
    known: KnownFiles,
    /// By session: the last one.
    last: BTreeMap<String, PathBuf>,
}

impl Files {
    /// May this session be saved to that file, sealed or not? Nothing was asked of the worker and nothing was written, where
    /// it may not. Gives the file that a link stands for, and what may be replaced.
    pub(super) fn admit(
        &self,
        session: &str,
        file: &Path,
        sealing: bool,
        replace: bool,
    ) -> Result<(PathBuf, Replaces), Failure> {
        let replaces = if replace { Replaces::Session } else { self.known.replaces(session, file) };
        let found = output(file).map_err(|error| not_written(&error, FLAG))?;
        unless_mixed(&found, sealing)?;
        admit(&found, replaces).map_err(|error| not_written(&error, FLAG))?;
        Ok((found, replaces))
    }

    /// What a file has in it now; none where it cannot be read.
    pub(super) fn content(file: &Path) -> Option<Digest> {
        fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
        regular::read(file).ok().map(|bytes| Digest::of(&bytes))
    }

    /// A session came from a file or was saved to it, and that had this in it.
    pub(super) fn note(&mut self, session: &str, file: &Path, content: Option<Digest>) {
        if let Some(content) = content {
            self.known.note(session, file, content);
        }
        self.last.insert(session.to_owned(), file.to_owned());
    }

    /// The file that a session came from or was saved to last; one of its name, where there is none.
    pub(super) fn usual(&self, session: &str) -> PathBuf {
        self.last.get(session).cloned().unwrap_or_else(|| PathBuf::from(format!("{session}.json")))
    }

    /// A session is not live any more.
    pub(super) fn forget(&mut self, session: &str) {
        self.known.forget(session);
        self.last.remove(session);
    }

    /// No session is live any more.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.last.clear();
    }
}

/// Requests are JSON, which has no words for a path that is not text.
pub(super) fn unless_untold(file: &Path) -> Result<(), Failure> {
    match file.to_str() {
        Some(_) => Ok(()),
        None => Err(Failure::setup(format!(
            "{}: the path is not in UTF-8, and cannot be told to the worker",
            file.display()
        ))
        .help("rename the folder or the file, or start from another folder")),
    }
}
