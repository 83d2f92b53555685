//! `intact lint-state`: did what llama.cpp saves change, and did a version say so?

use clap::Args;
use serde_json::json;

use super::Failure;
use super::libraries::{Library, library};
use super::table::plain;
use super::worker::linked;
use crate::exit::Exit;
use crate::fingerprint::{Comparison, Container, Fingerprint, taken};
use crate::parallel;
use crate::tags;

const EXAMPLES: &str = "\
Examples:
  intact lint-state b8390 b9842
  intact lint-state 0.6.0 build/bin
      a release, and a build of yours";

/// Tell whether the states that llama.cpp saves changed between two libraries, and whether a version number was raised
///
/// Each library writes small states with a tiny model of every family, in files and in memory, with every type of K and
/// V. Where they differ, the command says in what: their form, or what the same bytes mean. Ends with exit code 0 where
/// nothing changed or a version was raised, 100 where something changed and no version was, 101 where nothing could be
/// compared.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct LintState {
    /// A library: a tag such as b8390 or 0.6.0, the name that it was added under, or a folder that holds it
    #[arg(value_name = "BASE")]
    base: String,

    /// The one that may have changed something
    #[arg(value_name = "HEAD")]
    head: String,

    /// Workers at a time [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

impl LintState {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
        let linked = linked();
        let base = library(&self.base, &home, linked.as_ref())?;
        let head = library(&self.head, &home, linked.as_ref())?;
        let jobs = self.jobs.map_or_else(parallel::cores, usize::from);
        if base.name == head.name && !self.json {
            println!("Nothing changed: {} and {} are one library.", plain(&self.base), plain(&self.head));
            return Ok(Exit::Fine);
        }
        let before = fingerprint(&base, jobs)?;
        // What one library writes need not be asked twice.
        let after = if base.name == head.name { None } else { Some(fingerprint(&head, jobs)?) };
        let compared = Comparison::between(&before, after.as_ref().unwrap_or(&before));
        if self.json {
            let document = json!({ "base": base.name, "head": head.name, "found": compared });
            println!("{}", serde_json::to_string_pretty(&document).map_err(Failure::setup)?);
        } else {
            print!("{}", text(&base.name, &head.name, &compared));
        }
        Ok(exit(&compared))
    }
}

/// What the library of a worker writes.
pub(super) fn fingerprint(library: &Library, jobs: usize) -> Result<Fingerprint, Failure> {
    taken(&library.command, jobs).map_err(Failure::setup)
}

/// How a comparison ends the command.
fn exit(compared: &Comparison) -> Exit {
    match (compared.compared, compared.unannounced().next()) {
        (0, _) => Exit::NoVerdict,
        (_, Some(_)) => Exit::GateFailed,
        (_, None) => Exit::Fine,
    }
}

fn text(base: &str, head: &str, compared: &Comparison) -> String {
    let unannounced = compared.unannounced().count();
    let first = match (compared.compared, compared.changes.len(), unannounced) {
        (0, ..) => format!("Nothing could be compared: no state could be had from both, {base} and {head}."),
        (_, 0, _) => format!("Nothing that llama.cpp saves changed from {base} to {head}."),
        (_, _, 0) => format!("What llama.cpp saves changed from {base} to {head}, and a version says so."),
        _ => format!("What llama.cpp saves changed from {base} to {head}, and no version was raised."),
    };
    let mut out = format!("{first}\n\n");
    for container in Container::ALL {
        out += &format!("{}: {}\n", container.words(), compared.version_words(container));
        let lines = compared.lines(container);
        for line in &lines {
            out += &format!("  {}\n", plain(line));
        }
        if lines.is_empty() {
            out += "  nothing changed\n";
        }
    }
    out += &format!("\n{}\n", compared.extent());
    for note in compared.notes([base, head]) {
        out += &format!("  {}\n", plain(&note));
    }
    if unannounced > 0 {
        out += ADVICE;
    }
    out
}

/// What whoever changed it should do.
const ADVICE: &str = "\
Raise LLAMA_STATE_SEQ_VERSION (sequence files, raw states) or LLAMA_SESSION_VERSION (session files) in llama.h with such a
change, so that what was saved before is refused and not misread.
";
