//! `intact completions`: shell completions on standard output.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Failure;
use crate::exit::Exit;

/// Print the completions of a shell
///
/// For example `intact completions bash > ~/.local/share/bash-completion/completions/intact`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "intact", &mut script);
        print!("{}", String::from_utf8_lossy(&script));
        Ok(Exit::Fine)
    }
}
