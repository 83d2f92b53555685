//! A KV image beside a session file.

use std::path::{Path, PathBuf};

use intact_format::image::sidecar::Sidecar;
use serde::Serialize;

use super::bytes;
use crate::command::Failure;
use crate::command::table::{facts, table};

/// Chunks that the table shows.
const SHOWN: usize = 40;

/// What is in an image file.
#[derive(Serialize)]
pub(super) struct Image {
    kind: &'static str,
    file: PathBuf,
    bytes: u64,
    chunks: Vec<Chunk>,
    damage: Vec<Gap>,
}

#[derive(Serialize)]
struct Chunk {
    id: String,
    offset: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Gap {
    start: u64,
    end: u64,
    torn_tail: bool,
}

impl Image {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let sidecar = Sidecar::open(file).map_err(Failure::setup)?;
        let chunks = sidecar.frames().iter();
        let chunks =
            chunks.map(|frame| Chunk { id: frame.id.to_string(), offset: frame.offset, bytes: frame.bytes });
        let damage = sidecar.damage().iter();
        let damage =
            damage.map(|gap| Gap { start: gap.bytes.start, end: gap.bytes.end, torn_tail: gap.torn_tail });
        Ok(Self {
            kind: "image",
            file: file.to_owned(),
            bytes: sidecar.length(),
            chunks: chunks.collect(),
            damage: damage.collect(),
        })
    }

    pub(super) fn text(&self) -> String {
        let lines = [
            ("file".to_owned(), format!("KV image, {}", bytes(self.bytes))),
            ("chunks".to_owned(), format!("{}; `intact verify` checks their hashes", self.chunks.len())),
        ];
        let shown = self.chunks.iter().take(SHOWN);
        let rows: Vec<_> = shown
            .map(|chunk| [chunk.id.clone(), chunk.offset.to_string(), chunk.bytes.to_string()])
            .collect();
        let mut text = facts(&lines) + "\n" + &table(["chunk", "offset", "bytes"], &rows);
        if self.chunks.len() > SHOWN {
            text += &format!("and {} more; --json lists them all\n", self.chunks.len() - SHOWN);
        }
        for gap in &self.damage {
            let what = if gap.torn_tail { "an unfinished save" } else { "damage" };
            text += &format!("bytes {}..{} are {what}\n", gap.start, gap.end);
        }
        text
    }
}
