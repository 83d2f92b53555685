//! What this crate prints. The standard macros panic where nobody takes the output, and then a reader that has seen enough
//! decides how a command ends. These take their place in every module, because they are declared before all others: what
//! cannot be written is left out, the command goes on to its end, and its exit code is its own. And whatever others wrote is
//! in it, nothing of it acts on the terminal ([`crate::text::shown`]).

use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::exit::Exit;
use crate::text;

macro_rules! print {
    ($($told:tt)*) => { $crate::printing::out(format_args!($($told)*)) };
}

macro_rules! println {
    () => { $crate::printing::out(format_args!("\n")) };
    ($($told:tt)*) => { $crate::printing::out(format_args!("{}\n", format_args!($($told)*))) };
}

macro_rules! eprint {
    ($($told:tt)*) => { $crate::printing::err(format_args!($($told)*)) };
}

macro_rules! eprintln {
    ($($told:tt)*) => { $crate::printing::err(format_args!("{}\n", format_args!($($told)*))) };
}

/// What became of standard output: nobody reads it any more, or it could not be written.
static LOST: Mutex<Option<Lost>> = Mutex::new(None);

/// Whether standard output was a terminal. One that was closed no longer says so.
static TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());

/// Why standard output is written no more.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lost {
    /// Its reader is gone: it has seen enough.
    Closed,
    /// There is a reader, and what it was to get is lost.
    Unwritten(String),
}

impl Lost {
    fn by(error: &io::Error, terminal: bool) -> Self {
        // A terminal that was closed answers with an input/output error.
        if error.kind() == ErrorKind::BrokenPipe || terminal {
            return Self::Closed;
        }
        Self::Unwritten(error.to_string())
    }
}

/// Notes what standard output is, before it can be closed.
pub(crate) fn begin() {
    LazyLock::force(&TERMINAL);
}

/// Writes to standard output.
pub(crate) fn out(text: Arguments<'_>) {
    out_coloured(&text::shown(&text.to_string()));
}

/// Writes what this crate itself has coloured to standard output. Nothing in it is as others wrote it.
pub(crate) fn out_coloured(text: &str) {
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if lost.is_none()
        && let Err(error) = io::stdout().lock().write_all(text.as_bytes())
    {
        *lost = Some(Lost::by(&error, *TERMINAL));
    }
}

/// Writes to standard error. Where that fails there is nobody to tell.
pub(crate) fn err(text: Arguments<'_>) {
    coloured(&text::shown(&text.to_string()));
}

/// Writes what this crate itself has coloured to standard error. Nothing in it is as others wrote it.
pub(crate) fn coloured(text: &str) {
    let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
}

/// How a command ends whose work came to this, once its output is out.
pub(crate) fn end(exit: Exit) -> Exit {
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if let (None, Err(error)) = (&*lost, io::stdout().lock().flush()) {
        *lost = Some(Lost::by(&error, *TERMINAL));
    }
    if let Some(Lost::Unwritten(why)) = &*lost {
        eprintln!("the output could not be written: {why}");
    }
    after(exit, lost.as_ref())
}

/// A closed pipe changes no verdict. Output that is lost changes a good one: whoever reads it would take it for the whole.
fn after(exit: Exit, lost: Option<&Lost>) -> Exit {
    match (exit, lost) {
        (Exit::Fine, Some(Lost::Unwritten(_))) => Exit::SetUp,
        (exit, _) => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_changes_no_exit_code_and_lost_output_only_a_good_one() {
        let closed = Lost::by(&ErrorKind::BrokenPipe.into(), false);
        let hung_up = Lost::by(&io::Error::from_raw_os_error(5), true);
        let full = Lost::by(&ErrorKind::StorageFull.into(), false);
        assert_eq!((&closed, &hung_up), (&Lost::Closed, &Lost::Closed));
        for exit in Exit::ALL {
            assert_eq!(after(exit, None), exit);
            assert_eq!(after(exit, Some(&closed)), exit);
            let unwritten = if exit == Exit::Fine { Exit::SetUp } else { exit };
            assert_eq!(after(exit, Some(&full)), unwritten);
        }
    }
}
