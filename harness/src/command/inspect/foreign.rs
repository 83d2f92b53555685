//! A state file of llama.cpp.

use std::path::{Path, PathBuf};

use intact_format::foreign::{ForeignFile, ForeignKind};
use intact_format::regular;
use serde::Serialize;

use super::bytes;
use crate::command::Failure;
use crate::command::table::facts;

/// What a file is whose first words are llama.cpp's, and whose state is not.
const STRANGE: &str =
    "not llama.cpp's, as far as its releases are known: a fork's, a newer release's, or damaged";
/// Tokens that the text shows.
const SHOWN: usize = 24;

/// What a state file of llama.cpp says of itself.
#[derive(Serialize)]
pub(super) struct Foreign {
    kind: ForeignKind,
    file: PathBuf,
    bytes: u64,
    version: u32,
    architecture: Option<String>,
    tokens: Vec<i32>,
    media: u32,
    state_offset: usize,
    state_bytes: usize,
    /// Layouts whose releases write this version.
    candidates: Vec<&'static str>,
    /// Of these, the ones that the state fits to its last byte.
    fits: Vec<&'static str>,
}

impl Foreign {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let content = regular::read(path).map_err(|error| Failure::unreadable(path, &error))?;
        let file = ForeignFile::read(&content).map_err(Failure::setup)?;
        Ok(Self {
            kind: file.kind,
            file: path.to_owned(),
            bytes: content.len() as u64,
            version: file.version,
            candidates: file.layouts().map(|layout| layout.id).collect(),
            fits: file.fits().into_iter().map(|fit| fit.layout.id).collect(),
            architecture: file.architecture,
            tokens: file.tokens,
            media: file.media,
            state_offset: file.state_offset,
            state_bytes: file.state.len(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut tokens: Vec<_> = self.tokens.iter().take(SHOWN).map(ToString::to_string).collect();
        if self.tokens.len() > SHOWN {
            tokens.push("...".into());
        }
        let none =
            |list: &[&str]| if list.is_empty() { "none that is known".to_owned() } else { list.join(", ") };
        let mut lines = vec![
            (
                "file".to_owned(),
                format!("llama.cpp {}, version {}, {}", self.kind, self.version, bytes(self.bytes)),
            ),
            ("releases".into(), format!("written since {}", none(&self.candidates))),
            ("tokens".into(), format!("{}: {}", self.tokens.len(), tokens.join(" "))),
            ("state".into(), format!("{} from byte {}", bytes(self.state_bytes as u64), self.state_offset)),
        ];
        if self.media > 0 {
            lines.push(("media".into(), format!("{} pictures or sounds among them", self.media)));
        }
        match self.kind {
            ForeignKind::SequenceFile if self.fits.is_empty() => {
                lines.push(("state fits".into(), STRANGE.to_owned()));
            }
            ForeignKind::SequenceFile => lines.push(("state fits".into(), self.fits.join(", "))),
            ForeignKind::SessionFile => {
                lines.push(("model".into(), self.architecture.clone().unwrap_or_else(|| "not named".into())));
            }
        }
        facts(&lines)
            + "\nThis file names no weights, no settings and no checksum: whether it fits a model cannot be known from it.\n"
    }
}
