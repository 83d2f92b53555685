//! Standard output for the protocol alone.

use std::fs::File;
use std::io;

/// Takes standard output for the protocol; everything that the process prints from now on goes to standard error.
#[cfg(unix)]
pub(crate) fn claim() -> io::Result<File> {
    let output = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(output))
}

/// Takes standard output for the protocol. What C++ prints is not kept away from it on this system.
#[cfg(not(unix))]
pub(crate) fn claim() -> io::Result<impl io::Write + Send> {
    Ok(io::stdout())
}
