//! What subcommands print, and write where they are told to.

use std::path::Path;

use serde::Serialize;

use super::Failure;
use crate::files::{contain, replace_own};

/// Prints something as JSON, or as text.
pub(super) fn show<T: Serialize + ?Sized>(
    found: &T,
    json: bool,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(found).map_err(Failure::setup)?);
    } else {
        print!("{}", text(found));
    }
    Ok(())
}

/// Writes a file that has this mark in it, in the place of nothing or of one that has it too.
pub(super) fn write_marked(file: &Path, text: &str, mark: &str) -> Result<(), Failure> {
    replace_own(file, text, |there| contain(there, mark))
        .map_err(|error| Failure::setup(format!("{} cannot be written: {error}", file.display())))
}
