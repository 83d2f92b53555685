//! Where intact keeps what is worth keeping from one call to the next.

use std::path::PathBuf;

/// A folder in `$INTACT_HOME`, else in `~/.cache/intact`. `None` where no home folder is known.
pub fn folder(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("INTACT_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    Some(home.or_else(|| std::env::home_dir().map(|home| home.join(".cache/intact")))?.join(name))
}
