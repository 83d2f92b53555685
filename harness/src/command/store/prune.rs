//! `intact store prune`.

use std::time::Duration;

use clap::Args;
use intact_store::{Retention, Unread};
use serde::Serialize;

use super::super::measure::{duration, size};
use super::list::{Row, sessions};
use super::{Desk, Problem, failed, tell_unread};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::table::plain;
use crate::exit::Exit;
use crate::quantity::counted;

/// Remove sessions by age, number or size, the oldest first
///
/// A session stays if every rule that is given keeps it. `intact store gc` then gives the space back.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct PruneSessions {
    /// Remove sessions saved longer ago than this, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = duration, group = "rules")]
    older_than: Option<Duration>,

    /// Keep this many sessions, the latest saved ones
    #[arg(long, value_name = "N", group = "rules")]
    keep: Option<usize>,

    /// Keep as many of the latest sessions as fit in this size, such as 10GB; what they share counts once
    #[arg(long, value_name = "SIZE", value_parser = size, group = "rules")]
    max_size: Option<u64>,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Pruned {
    dry_run: bool,
    kept: usize,
    removed: Vec<Row>,
    /// What garbage collection can give back.
    freed_bytes: u64,
    /// What cannot be read, and was left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unread>,
    /// What was to go and could not be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Problem>,
}

impl PruneSessions {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let retention = Retention { within: self.older_than, sessions: self.keep, bytes: self.max_size };
        let prune = desk.open()?.prune(&retention, self.dry_run).map_err(failed)?;
        tell_unread(&prune.unreadable);
        for (session, why) in &prune.failed {
            eprintln!("note: not removed: {}: {}", plain(session.as_str()), plain(why));
        }
        let pruned = Pruned {
            dry_run: self.dry_run,
            kept: prune.kept.len(),
            removed: prune.removed.iter().map(Row::of).collect(),
            freed_bytes: prune.freed_bytes(),
            unreadable: prune.unreadable,
            failed: prune.failed.into_iter().map(Problem::of).collect(),
        };
        desk.print(&pruned, text)?;
        Ok(Exit::Fine)
    }
}

fn text(pruned: &Pruned) -> String {
    let (count, kept) = (counted(pruned.removed.len(), "session", "sessions"), pruned.kept);
    let stay = counted(kept, "stays", "stay");
    if pruned.removed.is_empty() {
        return format!("no session is to be removed, {stay}\n");
    }
    let freed = bytes(pruned.freed_bytes);
    let last = if pruned.dry_run {
        format!("would remove {count} and keep {kept}; {freed} would be free after `intact store gc`\n")
    } else {
        format!("removed {count}, {stay}; `intact store gc` gives back {freed}\n")
    };
    sessions(&pruned.removed) + &last
}
