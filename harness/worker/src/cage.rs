//! The cage: what this process takes from itself before it reads anything that others wrote, so that whoever gets into
//! llama.cpp through a model or a session is alone with them. On Linux, Landlock keeps it from files, from starting programs
//! and from signals to others, and a seccomp filter from sockets and from other processes. Elsewhere there is none.

#[cfg(target_os = "linux")]
mod files;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod network;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

use intact_protocol::{CAGE, CAGED_FILES, CAGED_NETWORK, Cage};

/// What the harness has said, where it has.
static GIVEN: OnceLock<Cage> = OnceLock::new();

/// Enters the cage that the harness asks for, and gives what of it the system keeps, as features of the worker. Threads that
/// are there already stay outside.
///
/// # Errors
/// A cage that cannot be read, or that the system has and does not close: there is no going on outside.
pub(crate) fn enter() -> Result<Vec<String>, String> {
    let Some(value) = env::var_os(CAGE) else { return Ok(Vec::new()) };
    let value = value.to_str().ok_or_else(|| format!("{CAGE} is not text"))?;
    let cage = Cage::of_variable(value).map_err(|error| format!("{CAGE} says no cage: {error}"))?;
    let Some(cage) = cage else { return Ok(Vec::new()) };
    let kept = close(&cage)?;
    let _once = GIVEN.set(cage);
    let features = [(kept.files, CAGED_FILES), (kept.network, CAGED_NETWORK)];
    Ok(features.iter().filter(|(kept, _)| *kept).map(|(_, name)| (*name).to_owned()).collect())
}

/// A folder for files of a moment.
pub(crate) fn temporary_folder() -> PathBuf {
    GIVEN.get().and_then(|cage| cage.write.first().cloned()).unwrap_or_else(env::temp_dir)
}

/// What of a cage the system keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kept {
    files: bool,
    network: bool,
}

/// Closes the cage around this thread and all that it starts.
#[cfg(target_os = "linux")]
fn close(cage: &Cage) -> Result<Kept, String> {
    let files = files::close(cage).map_err(|error| format!("its files cannot be kept: {error}"))?;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    let network = network::close();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    let network = false;
    Ok(Kept { files, network })
}

#[cfg(not(target_os = "linux"))]
fn close(_cage: &Cage) -> Result<Kept, String> {
    Ok(Kept::default())
}
