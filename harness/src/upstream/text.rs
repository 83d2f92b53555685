//! What a change of llama.cpp does, on one screen.

use std::fmt::Write;

use super::{Outcome, Upstream, Way};
use crate::fingerprint::Container;
use crate::quantity::counted;
use crate::text::line;

/// Characters of what was said of a cell.
const LONGEST: usize = 160;

impl Upstream {
    /// The first sentence: what it comes to.
    pub(crate) fn headline(&self) -> String {
        let Self { base, head, .. } = self;
        match self.outcome() {
            Outcome::Unchanged => format!("Nothing changed for saved sessions from {base} to {head}."),
            Outcome::Unknown => {
                let row = self.silent_rows().next();
                let what = row.map_or("no state could be had from both".to_owned(), |way| {
                    format!(
                        "nothing can be said of {}, from {} to {}",
                        named(way.container),
                        way.from,
                        way.to
                    )
                });
                format!("Not known what changed for saved sessions from {base} to {head}: {what}.")
            }
            Outcome::Lost => {
                let lost = counted(self.engine_lost, "session", "sessions");
                format!(
                    "Sessions of intact do not all cross between {base} and {head}: {lost} of them did not."
                )
            }
            Outcome::Announced => {
                format!(
                    "Saved states changed from {base} to {head}, and a version says so: {}.",
                    self.raised()
                )
            }
            Outcome::Unannounced => {
                format!(
                    "Saved states changed from {base} to {head}, and no version was raised: {}.",
                    self.broken()
                )
            }
        }
    }

    /// The versions that say so.
    fn raised(&self) -> String {
        let raised = [Container::SequenceFile, Container::SessionFile].into_iter();
        let raised = raised.filter(|kind| self.compared.is_announced(*kind));
        let words = raised.map(|kind| format!("{} {}", kind.words(), self.compared.version_words(kind)));
        words.collect::<Vec<_>>().join("; ")
    }

    /// The containers that changed while no version did.
    fn broken(&self) -> String {
        let changed = |kind| self.compared.unannounced().any(|change| change.container == kind);
        let is_silent = |kind: &Container| {
            (self.is_broken(*kind) || changed(*kind)) && !self.compared.is_announced(*kind)
        };
        let broken = Container::ALL.into_iter().filter(is_silent);
        broken.map(Container::words).collect::<Vec<_>>().join(", ")
    }

    /// All of it, for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("{}\n\n", self.headline());
        let heads = [format!("{} -> {}", self.base, self.head), format!("{} -> {}", self.head, self.base)];
        let words: Vec<[String; 2]> = self.ways.iter().map(|ways| ways.each_ref().map(Way::words)).collect();
        let width = words.iter().map(|[forward, _]| forward.chars().count()).chain([heads[0].len()]).max();
        let width = width.unwrap_or_default();
        let _ = writeln!(out, "  {:24} {:width$}  {}", "", heads[0], heads[1]);
        for (ways, [forward, back]) in self.ways.iter().zip(&words) {
            let _ = writeln!(out, "  {:24} {forward:width$}  {back}", named(ways[0].container));
        }
        out.push('\n');
        for kind in Container::ALL {
            let _ = writeln!(out, "{}: {}", kind.words(), self.compared.version_words(kind));
            for change in self.compared.lines(kind) {
                let _ = writeln!(out, "  {}", line(&change));
            }
            for way in self.ways.iter().flatten().filter(|way| way.container == Some(kind)) {
                if let Some((cell, said)) = &way.example {
                    let _ = writeln!(out, "  {}: {}", line(cell), short(said));
                }
            }
        }
        let _ = writeln!(out, "\n{}", self.compared.extent());
        for note in self.compared.notes([self.base.as_str(), self.head.as_str()]) {
            let _ = writeln!(out, "  {}", line(&note));
        }
        let _ = writeln!(out, "Families whose sessions crossed: {}.", self.families.join(", "));
        for cost in &self.costs {
            let [base, head] = cost.seconds.map(milliseconds);
            let [was, is] = cost.bytes;
            let _ = writeln!(
                out,
                "  loading {}: {base} with {}, {head} with {}; {}",
                named(cost.container),
                self.base,
                self.head,
                if was == is {
                    format!("{is} bytes in all")
                } else {
                    format!("{is} bytes in all, which were {was}")
                }
            );
        }
        let _ = writeln!(
            out,
            "  medians over tiny models; `intact perf compare {} {}` measures what a change costs, saving too",
            self.base, self.head
        );
        out
    }
}

/// What a row is of.
pub(super) fn named(container: Option<Container>) -> &'static str {
    container.map_or("sessions of intact", Container::words)
}

pub(super) fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1000.0)
}

/// The start of what was said.
pub(super) fn short(said: &str) -> String {
    let said = line(said);
    match said.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", said[..end].trim_end()),
        None => said,
    }
}
