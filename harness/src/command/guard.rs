//! `intact guard`: started by other subcommands, to end and to remove what must not outlive them.

use clap::Args;

use super::Failure;
use crate::exit::Exit;
use crate::fleeting;

/// End the processes and remove the folders that standard input names, once it ends
#[derive(Debug, Args)]
pub(super) struct Guard {}

impl Guard {
    #[expect(clippy::unnecessary_wraps, reason = "every subcommand ends so")]
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        fleeting::keep_watch();
        Ok(Exit::Fine)
    }
}
