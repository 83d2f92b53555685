//! `intact inspect`: what is in a file.

mod foreign;
mod model;
mod session;
mod sidecar;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Failure;
use super::keys::KeyArguments;
use super::kind::Kind;
use super::output::show;
use crate::exit::Exit;

/// Show what is in a session file, a KV image or a state file of llama.cpp
///
/// Knows session files and their images (.kv), llama.cpp's own sequence files (GGSQ) and session files (GGSN), and the
/// header of a model (GGUF). Nothing but the file is read, and no model is needed.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The file
    file: PathBuf,

    #[command(flatten)]
    keys: KeyArguments,

    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        match Kind::of(&self.file)? {
            Kind::Session => {
                self.print(&session::Session::read(&self.file, &self.keys)?, session::Session::text)
            }
            Kind::Sidecar => self.print(&sidecar::Image::read(&self.file)?, sidecar::Image::text),
            Kind::Foreign(_) => self.print(&foreign::Foreign::read(&self.file)?, foreign::Foreign::text),
            Kind::Bundle => Err(Failure::setup(format!(
                "{file} is a bundle that `intact pack` made; `intact verify {file}` checks it, and `intact unpack {file}` takes \
                 the session out, which can be looked at then",
                file = self.file.display()
            ))),
            Kind::Model => self.print(&model::Model::read(&self.file)?, model::Model::text),
        }
    }

    fn print<T: Serialize>(&self, found: &T, text: fn(&T) -> String) -> Result<Exit, Failure> {
        show(found, self.json, text)?;
        Ok(Exit::Fine)
    }
}

/// A number of bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut unit = "";
    for next in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit.is_empty() { format!("{count} bytes") } else { format!("{size:.1} {unit} ({count} bytes)") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        assert_eq!(super::bytes(0), "0 bytes");
        assert_eq!(super::bytes(1023), "1023 bytes");
        assert_eq!(super::bytes(1536), "1.5 KiB (1536 bytes)");
        assert_eq!(super::bytes(235 << 20), "235.0 MiB (246415360 bytes)");
    }
}
