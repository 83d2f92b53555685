//! What a change of llama.cpp does, as Markdown for its pull request.

use std::fmt::Write;

use super::text::{milliseconds, named, short};
use super::{Outcome, Upstream, Way};
use crate::fingerprint::Container;
use crate::text::{code, markdown};

/// What such a file begins with, whatever it says: what has its name and not this is somebody else's.
pub(crate) const MARK: &str = "# What this does to saved sessions";

/// What is said of two names of one library.
pub(crate) fn of_one(headline: &str) -> String {
    format!("{MARK}\n\n**{}**\n", markdown(headline))
}

impl Upstream {
    /// All of it, for a pull request.
    pub(crate) fn markdown(&self) -> String {
        let Self { base, head, .. } = self;
        let mut out = format!("{MARK}\n\n**{}**\n\n", markdown(&self.headline()));
        let _ = writeln!(
            out,
            "| | {0} → {1} | {1} → {0} | version | version raised |",
            markdown(base),
            markdown(head)
        );
        out += "|---|---|---|---|---|\n";
        for ways in &self.ways {
            let [forward, back] = ways.each_ref().map(Way::words);
            let (version, raised) = ways[0].container.map_or_else(Default::default, |kind| {
                (self.compared.version_words(kind), self.compared.raised_word(kind))
            });
            let _ =
                writeln!(out, "| {} | {forward} | {back} | {version} | {raised} |", named(ways[0].container));
        }
        for (title, kinds) in [
            ("For files", &[Container::SequenceFile, Container::SessionFile][..]),
            ("For blobs", &[Container::RawSequence][..]),
        ] {
            let _ = writeln!(out, "\n## {title}\n");
            let mut said = false;
            for kind in kinds {
                for change in self.compared.lines(*kind) {
                    said = true;
                    let _ = writeln!(out, "- {}: {}", kind.words(), markdown(&change));
                }
                for way in self.ways.iter().flatten().filter(|way| way.container == Some(*kind)) {
                    let Some((cell, message)) = &way.example else { continue };
                    said = true;
                    let (from, to) = (markdown(&way.from), markdown(&way.to));
                    let _ = writeln!(
                        out,
                        "- {to} loads what {from} saved: {} ({})",
                        markdown(&short(message)),
                        code(cell)
                    );
                }
            }
            for way in
                self.silent_rows().filter(|way| way.container.is_some_and(|kind| kinds.contains(&kind)))
            {
                said = true;
                let (from, to) = (markdown(&way.from), markdown(&way.to));
                let _ = writeln!(out, "- {}: not known, from {from} to {to}", named(way.container));
            }
            if !said {
                out += if self.is_known_of(kinds) { "Nothing changed.\n" } else { "Not known.\n" };
            }
        }
        out += "\n## Speed and size\n\n";
        let _ = writeln!(out, "| loading | {} | {} | bytes |", markdown(base), markdown(head));
        out += "|---|---|---|---|\n";
        for cost in &self.costs {
            let [before, after] = cost.seconds.map(milliseconds);
            let [was, is] = cost.bytes;
            let bytes = if was == is { is.to_string() } else { format!("{is}, which were {was}") };
            let _ = writeln!(out, "| {} | {before} | {after} | {bytes} |", named(cost.container));
        }
        let _ = writeln!(
            out,
            "\nMedians over tiny models; `intact perf compare` measures what a change costs. {} Families: {}.",
            markdown(&self.compared.extent()),
            markdown(&self.families.join(", "))
        );
        for note in self.compared.notes([base.as_str(), head.as_str()]) {
            let _ = writeln!(out, "\n{}", markdown(&note));
        }
        if self.outcome() == Outcome::Unannounced {
            out += "\n## What to do\n\nRaise `LLAMA_STATE_SEQ_VERSION` (sequence files, raw states) or `LLAMA_SESSION_VERSION` (session \
                    files) with this change, so that what was saved before is refused and not misread.\n";
        }
        out
    }
}
