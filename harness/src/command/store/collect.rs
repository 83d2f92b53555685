//! `intact store gc`.

use std::time::Duration;

use clap::Args;
use intact_store::{Collected, Collection};

use super::super::measure::duration;
use super::{Desk, failed, tell_unread};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::exit::Exit;
use crate::quantity::counted;

/// Remove what no session needs any more
///
/// Safe while other processes save: a save under way is seen, and spared. Superseded saves stay for an hour, and the
/// traces of processes that died for a day.
#[derive(Debug, Args)]
pub(super) struct Collect {
    /// Keep what was stored less than this ago: somebody may be loading it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    grace: Duration,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Collect {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let collection = Collection { grace: self.grace, dry_run: self.dry_run };
        let collected = desk.open()?.collect(collection).map_err(failed)?;
        tell_unread(&collected.unreadable);
        desk.print(&collected, |collected| text(collected, self.dry_run))?;
        Ok(Exit::Fine)
    }
}

fn text(collected: &Collected, dry_run: bool) -> String {
    let verb = if dry_run { "would remove" } else { "removed" };
    let Collected { payloads, removed, removed_bytes, young, young_bytes, spared, heads, stale, .. } =
        collected;
    let mut text = format!(
        "{verb} {removed} of {}, {}\n",
        counted(*payloads, "payload", "payloads"),
        bytes(*removed_bytes)
    );
    if *young > 0 {
        text += &format!(
            "{} unused but younger than the grace ({}); --grace 0s removes them too\n",
            counted(*young, "more is", "more are"),
            bytes(*young_bytes)
        );
    }
    if *spared > 0 {
        text += &format!("{} spared: a save that is under way needs them\n", counted(*spared, "was", "were"));
    }
    if heads + stale > 0 {
        text += &format!(
            "{verb} {} and {} of processes that died\n",
            counted(*heads, "old save", "old saves"),
            counted(*stale, "trace", "traces")
        );
    }
    text
}
