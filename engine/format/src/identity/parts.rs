//! Models that lie in several files: `name-00001-of-00003.gguf` and so on, as llama.cpp splits them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{IdentityError, ModelIdentity};
use crate::gguf::Gguf;

/// Most files of a model.
const MOST_PARTS: u64 = 10_000;

/// The files of the model whose first one is at `path`: that one alone where the model lies in one file.
///
/// # Errors
/// [`IdentityError::OtherPart`] where it is another one than the first, [`IdentityError::MissingPart`] where one is not there;
/// those of [`Gguf::open`].
pub fn model_files(path: &Path) -> Result<Vec<PathBuf>, IdentityError> {
    if !path.is_file() {
        return Err(IdentityError::NotFound(path.to_owned()));
    }
    let unsound = |cause| IdentityError::Gguf { path: path.to_owned(), cause };
    let gguf = Gguf::open(path).map_err(unsound)?;
    gguf.check_extent().map_err(unsound)?;
    let count = gguf.number("split.count").unwrap_or(0).min(MOST_PARTS);
    if count <= 1 {
        return Ok(vec![path.to_owned()]);
    }
    let part = gguf.number("split.no").unwrap_or(0) + 1;
    let files = siblings(path, part, count).ok_or_else(|| IdentityError::PartName {
        path: path.to_owned(),
        part,
        count,
    })?;
    if part != 1 {
        return Err(IdentityError::OtherPart { path: path.to_owned(), part, count, first: files[0].clone() });
    }
    for (file, part) in files.iter().zip(1..) {
        let missing = || IdentityError::MissingPart { path: file.clone(), part, count };
        if !file.is_file() {
            return Err(missing());
        }
        let unsound = |cause| IdentityError::Gguf { path: file.clone(), cause };
        let gguf = Gguf::open(file).map_err(unsound)?;
        gguf.check_extent().map_err(unsound)?;
        // Under the name of a part lies something else.
        if gguf.number("split.no") != Some(part - 1) || gguf.number("split.count") != Some(count) {
            return Err(missing());
        }
    }
    Ok(files)
}

/// All files of a model by the name of one of them.
fn siblings(path: &Path, part: u64, count: u64) -> Option<Vec<PathBuf>> {
    let end = |part: u64| format!("-{part:05}-of-{count:05}.gguf");
    let name = path.file_name()?.to_str()?.strip_suffix(&end(part))?;
    Some((1..=count).map(|part| path.with_file_name(format!("{name}{}", end(part)))).collect())
}

/// The identity of a model in several files by those of its files, in order. Its SHA-256 is that of theirs, one a line with
/// the length, so that what is known of the files need not be read again.
pub(super) fn together(files: Vec<ModelIdentity>) -> Option<ModelIdentity> {
    if files.len() <= 1 {
        return files.into_iter().next();
    }
    let mut hasher = Sha256::new();
    for file in &files {
        hasher.update(format!("{} {}\n", file.sha256, file.size));
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let size = files.iter().map(|file| file.size).sum();
    let first = files.into_iter().next()?;
    Some(ModelIdentity { sha256, size, ..first })
}
