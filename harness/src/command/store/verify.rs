//! `intact store verify`.

use clap::Args;
use intact_seal::Origin;
use intact_store::{Unread, Verification};
use serde::Serialize;

use super::{Desk, Problem, Reading, failed};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::keys::KeyArguments;
use crate::command::table::plain;
use crate::exit::Exit;
use crate::quantity::counted;

/// Read and hash everything; say which sessions cannot be loaded as they were saved
///
/// Ends with exit code 0 if all is well, 100 if something is damaged or missing. A session whose chunks are damaged can
/// still be loaded: its tokens are evaluated again. All hashes of a sealed session are checked; with its key, also what
/// its document says.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Remove what is damaged, so that the next save of a session stores it again
    #[arg(long)]
    repair: bool,

    #[command(flatten)]
    keys: KeyArguments,
}

#[derive(Debug, Serialize)]
struct Report {
    sound: bool,
    sessions: usize,
    payloads: usize,
    bytes: u64,
    damaged: Vec<String>,
    repaired: bool,
    /// Sealed sessions that no key opened: of these only hashes were checked.
    closed: Vec<String>,
    broken: Vec<Problem>,
    /// What lies in the place of a session and cannot be read.
    unreadable: Vec<Unread>,
    /// Sessions that are not sealed, where a key was given.
    unsealed: Vec<String>,
    /// Sealed sessions that nobody has signed: whoever has the public key can have sealed them.
    unsigned: Vec<String>,
}

impl Verify {
    pub(super) fn carry_out(self, desk: &Desk) -> Result<Exit, Failure> {
        let reading = Reading::with(&self.keys)?;
        let found =
            desk.open()?.verify(self.repair, &|document| reading.contents(document)).map_err(failed)?;
        let sound = found.is_sound();
        reading.tell();
        desk.print(&report(found, &reading), text)?;
        Ok(if sound { Exit::Fine } else { Exit::GateFailed })
    }
}

fn report(found: Verification, reading: &Reading) -> Report {
    let sound = found.is_sound();
    let Verification { sessions, payloads, bytes, damaged, repaired, closed, broken, unreadable } = found;
    let broken = broken.into_iter().map(Problem::of).collect();
    let closed = closed.iter().map(ToString::to_string).collect();
    let unsealed = if reading.keys_given { reading.of(Origin::Unsealed) } else { Vec::new() };
    let unsigned = reading.of(Origin::Anybody);
    Report {
        sound,
        sessions,
        payloads,
        bytes,
        damaged,
        repaired,
        closed,
        broken,
        unreadable,
        unsealed,
        unsigned,
    }
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}, {}, {}: {}\n",
        counted(report.sessions, "session", "sessions"),
        counted(report.payloads, "payload", "payloads"),
        bytes(report.bytes),
        if report.sound { "every hash is right" } else { "something is damaged or missing" }
    );
    for session in &report.closed {
        text += &format!("sealed   {}: only hashes were checked, no key opens it\n", plain(session));
    }
    for key in &report.damaged {
        text += &format!("damaged  {key}{}\n", if report.repaired { ", removed" } else { "" });
    }
    for Unread { why, .. } in &report.unreadable {
        text += &format!("broken   {}\n", plain(why));
    }
    for Problem { session, why } in &report.broken {
        text += &format!("broken   {}: {}\n", plain(session), plain(why));
    }
    text
}
