//! The files of a model in use, held open to see whether somebody writes to them.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use crate::regular;

use super::cache::{Stamp, sha256_of};
use super::{IdentityError, ModelIdentity, model_files, parts};

/// The files of a model, open. Another file under the same name is none of them: who has mapped a file keeps it.
#[derive(Debug)]
pub struct ModelWatch {
    files: Vec<(PathBuf, File, Stamp)>,
}

impl ModelWatch {
    /// Opens the files of the model whose first one is at `path`.
    ///
    /// # Errors
    /// Those of [`model_files`].
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        let open = |path: PathBuf| {
            let file =
                regular::open(&path).map_err(|cause| IdentityError::Io { path: path.clone(), cause })?;
            let stamp = Stamp::of_file(&path, &file);
            let stamp = stamp.map_err(|cause| IdentityError::Io { path: path.clone(), cause })?;
            Ok((path, file, stamp))
        };
        Ok(Self { files: model_files(path)?.into_iter().map(open).collect::<Result<_, _>>()? })
    }

    /// That the files that lie at their paths now are the ones that were opened, unchanged.
    ///
    /// # Errors
    /// [`IdentityError::Changed`] where one is not.
    pub fn expect_in_place(&self) -> Result<(), IdentityError> {
        let changed = self.files.iter().find(|(path, _, stamp)| Stamp::of(path).ok().as_ref() != Some(stamp));
        changed.map_or(Ok(()), |(path, ..)| Err(IdentityError::Changed(path.clone())))
    }

    /// Whether the files still hold what `identity` says. They are read only where the system says that something was done
    /// to them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn holds(&mut self, identity: &ModelIdentity) -> io::Result<bool> {
        let now: Vec<Stamp> =
            self.files.iter().map(|(path, file, _)| Stamp::of_file(path, file)).collect::<io::Result<_>>()?;
        if self.files.iter().zip(&now).all(|((.., stamp), now)| stamp == now) {
            return Ok(true);
        }
        let mut read = Vec::new();
        for (_, file, _) in &mut self.files {
            file.rewind()?;
            let size = file.metadata()?.len();
            read.push(ModelIdentity { sha256: sha256_of(file)?, size, ..identity.clone() });
        }
        let holds = parts::together(read).is_some_and(|read| read.same_weights(identity));
        if holds {
            self.files.iter_mut().zip(now).for_each(|((.., stamp), now)| *stamp = now);
        }
        Ok(holds)
    }
}
