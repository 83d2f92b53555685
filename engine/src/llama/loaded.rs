//! The library that everything runs on, where none is linked.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use super::{Linked, LlamaError, States};

static OPENED: OnceLock<Linked> = OnceLock::new();

/// Opens the library in a folder, for the rest of the process, with these backends, or those that it chooses for this machine.
/// `release` is what it is called by whoever knows: some libraries say nothing of themselves, and what vendors built from a
/// release they also patched. Without it, it is called what it says. `states` is how its states are laid out.
///
/// # Errors
/// [`LlamaError::Library`] when the library cannot be used, and why.
///
/// # Safety
/// What is opened is run. The folder must be one that the user means to run.
#[expect(unsafe_code, reason = "it runs what is opened")]
pub unsafe fn open_library(
    folder: &Path,
    backends: Option<Vec<String>>,
    release: Option<String>,
    states: States,
) -> Result<&'static Linked, LlamaError> {
    let options = intact_libllama::Options::new();
    let options = match backends {
        Some(names) => options.with_backends(names),
        None => options,
    };
    // SAFETY: as the caller promises.
    let library = unsafe { intact_libllama::open(folder, &options) }.map_err(LlamaError::Library)?;
    let stated = library.stated_release();
    Ok(OPENED.get_or_init(|| Linked {
        release: Cow::Owned(
            release.or_else(|| stated.map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned()),
        ),
        vendor: "libllama",
        version: Cow::Owned(stated.unwrap_or("unstated").to_owned()),
        states,
    }))
}

/// The library that is open.
///
/// # Panics
/// Where none is.
pub(super) fn opened() -> &'static Linked {
    OPENED.get().expect("a program without llama.cpp opens a library before anything else")
}
