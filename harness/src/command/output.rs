//! What subcommands print.

use serde::Serialize;

use super::Failure;

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
