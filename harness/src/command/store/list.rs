//! `intact store ls` and `intact store stats`.

use clap::Args;
use intact_store::{Entry, Listing, Statistics};
use serde::Serialize;

use super::{Desk, failed, tell_unread};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::table::{facts, table};
use crate::exit::Exit;
use crate::quantity::counted;

/// List the sessions, the latest saved first
#[derive(Debug, Args)]
pub(super) struct List {}

/// Say how much there is, how much is shared, and how much garbage collection can remove
#[derive(Debug, Args)]
pub(super) struct Stats {}

/// A session, as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    session: String,
    /// The number of its latest save.
    save: u64,
    saved_at: Option<String>,
    messages: Option<u64>,
    tokens: Option<u64>,
    /// Of its document and all of its chunks, shared ones too.
    bytes: u64,
    model: Option<String>,
}

impl Row {
    pub(super) fn of(entry: &Entry) -> Self {
        let summary = entry.summary.clone();
        Self {
            session: entry.session.to_string(),
            save: entry.generation.0,
            saved_at: summary.saved_at.map(|time| time.to_string()),
            messages: summary.messages,
            tokens: summary.tokens,
            bytes: entry.bytes(),
            model: summary.model,
        }
    }

    fn cells(&self) -> [String; 7] {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            self.session.clone(),
            text(&self.saved_at),
            self.save.to_string(),
            number(self.messages),
            number(self.tokens),
            bytes(self.bytes),
            text(&self.model),
        ]
    }
}

/// A table of sessions.
pub(super) fn sessions(rows: &[Row]) -> String {
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    table(["session", "saved", "save", "messages", "tokens", "size", "model"], &cells)
}

impl List {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let Listing { sessions: entries, unreadable } = desk.open()?.listing().map_err(failed)?;
        tell_unread(&unreadable);
        let rows: Vec<_> = entries.iter().map(Row::of).collect();
        desk.print(&rows, |rows| match rows.as_slice() {
            [] => format!("{} has no sessions\n", desk.address),
            rows => sessions(rows),
        })?;
        Ok(Exit::Fine)
    }
}

impl Stats {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let statistics = desk.open()?.statistics().map_err(failed)?;
        tell_unread(&statistics.unreadable);
        desk.print(&statistics, text)?;
        Ok(Exit::Fine)
    }
}

fn text(statistics: &Statistics) -> String {
    let Statistics { sessions, session_bytes, payloads, payload_bytes, shared_payloads, .. } = statistics;
    let line = |name: &str, value: String| (name.to_owned(), value);
    facts(&[
        line("sessions", format!("{sessions}, {} if they shared nothing", bytes(*session_bytes))),
        line("content", format!("{}, {}", counted(*payloads, "payload", "payloads"), bytes(*payload_bytes))),
        line("shared", counted(*shared_payloads, "payload is", "payloads are") + " of more than one session"),
        line(
            "unused",
            format!(
                "{}, {}",
                counted(statistics.unused_payloads, "payload", "payloads"),
                bytes(statistics.unused_bytes)
            ),
        ),
        line("stored", bytes(statistics.stored_bytes)),
    ])
}
