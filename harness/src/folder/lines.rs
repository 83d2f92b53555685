//! Files of JSON values, one a line, that are only appended to: a process that is killed leaves a torn last line at worst.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FolderError, at};

/// Every whole line. A file that is not there has none, and a torn last line is passed over.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, FolderError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path)(error)),
    };
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| FolderError::Malformed {
            path: path.to_owned(),
            reason: format!("line {}: {error}", index + 1),
        })
    };
    text[..whole(text.as_bytes())].lines().enumerate().map(parse).collect()
}

/// Bytes up to the end of the last whole line.
pub(super) fn whole(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// Appends a value, as a whole line in one write.
pub(super) fn append(file: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.flush()
}
