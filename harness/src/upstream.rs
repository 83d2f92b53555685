//! What a change of llama.cpp does to everybody's saved sessions: the matrix in which two libraries read what each wrote, and what
//! its cells come to.
//!
//! A library that reads its own states and not those of the other one shows that something changed. Whether that is a break
//! depends on one thing: whether a version was raised, so that what was saved before is refused by whoever looks at it.

mod markdown;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use intact_judge::gate::decide;
use toml::{Table, Value};

use crate::config::DEFAULT_CONFIG;
use crate::fingerprint::{Comparison, Container};
use crate::perf::statistics::median;
use crate::results::{Cell, Expected, Finding, FindingKind, Results, judged_verdicts};
use crate::style::{Style, Tone};

pub(crate) use markdown::{MARK, of_one};

/// The plan's name.
pub(crate) const PLAN: &str = "upstream";
/// The subject that saves and loads as llama.cpp does, without any check.
const UNPROTECTED: &str = "blind";
/// Families that only some plans have, and whose states are like no other's: cells with two positions, latent attention, and
/// recurrent states of matrices.
pub(crate) const FURTHER: [&str; 3] = ["qwen2vl", "deepseek2", "qwen3next"];
/// Memory of its own that a worker may take, in MiB. Older releases take what they do not know for a count of cells.
const MEMORY_MIB: i64 = 4096;

/// What one library makes of what the other wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// States of llama.cpp's own in this container; `None` for sessions of the engine.
    pub(crate) container: Option<Container>,
    /// Who saved.
    pub(crate) from: String,
    /// Who loads.
    pub(crate) to: String,
    /// Sessions that come back.
    pub(crate) survive: usize,
    /// Those of them whose tokens are evaluated again for that.
    pub(crate) again: usize,
    /// Those that are lost, and whoever loads them is told.
    pub(crate) told: usize,
    /// Those that come back wrong, or do harm.
    pub(crate) wrong: usize,
    /// Those of which nothing can be said: not even the library that saved them reads them, or they were not tried.
    pub(crate) unknown: usize,
    /// The first that is lost, and what was said of it.
    pub(crate) example: Option<(String, String)>,
}

/// How long a load takes, and how large what is loaded is: medians of what each library saves and loads itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cost {
    /// As in [`Way`].
    pub(crate) container: Option<Container>,
    /// Seconds, of the first and of the second library.
    pub(crate) seconds: [f64; 2],
    /// Bytes, likewise.
    pub(crate) bytes: [u64; 2],
}

/// What a change of llama.cpp does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upstream {
    /// The library before the change.
    pub(crate) base: String,
    /// The one after it.
    pub(crate) head: String,
    /// How their states differ as bytes.
    pub(crate) compared: Comparison,
    /// Forward and back, for the engine and each container.
    pub(crate) ways: Vec<[Way; 2]>,
    /// What loading costs.
    pub(crate) costs: Vec<Cost>,
    /// Families that took part.
    pub(crate) families: Vec<String>,
    /// Crossing sessions of the engine that end otherwise than they should.
    pub(crate) engine_lost: usize,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing changed.
    Unchanged,
    /// A whole row of crossings says nothing, or no state could be compared.
    Unknown,
    /// Sessions of the engine do not cross as they should, whatever llama.cpp's own files do.
    Lost,
    /// What changed is said by a version.
    Announced,
    /// Something changed and no version says so.
    Unannounced,
}

/// The configuration: the built-in one with a plan in which each library reads what each wrote, and with further models.
///
/// # Errors
/// Where the built-in configuration cannot be written back.
pub(crate) fn configuration(base: &str, head: &str, further: &[&str]) -> Result<String, toml::ser::Error> {
    let mut config: Table = DEFAULT_CONFIG.parse().unwrap_or_default();
    let both = format!("reader(={base}|={head}) & writer(={base}|={head})");
    let block = |axes: &[&str], only: &str| {
        Value::Table(Table::from_iter([
            ("vary".to_owned(), Value::from("all")),
            ("each".to_owned(), Value::from(vec!["model"])),
            ("axes".to_owned(), Value::from(axes.to_vec())),
            ("only".to_owned(), format!("{both} & ({only})").into()),
        ]))
    };
    let blocks = vec![
        block(
            &["kv", "flash", "reader", "writer"],
            "kv(f16) & flash(on) | (kv(q8_0) & flash(on) | kv(f16) & flash(off)) & !family(recurrent)",
        ),
        block(
            &["kv", "container", "reader", "writer"],
            "container(session-file|raw-sequence) & (kv(f16) | kv(q8_0) & model(llama))",
        ),
    ];
    let about =
        "Two llama.cpp libraries, each reads what each wrote: with every family, in files and without.";
    let plan = Table::from_iter([
        ("about".to_owned(), Value::from(about)),
        ("blocks".to_owned(), Value::Array(blocks)),
    ]);
    if let Some(plans) = config.get_mut("plans").and_then(Value::as_table_mut) {
        plans.insert(PLAN.to_owned(), Value::Table(plan));
    }
    if let Some(run) = config.get_mut("run").and_then(Value::as_table_mut) {
        run.insert("worker_memory_mib".to_owned(), MEMORY_MIB.into());
    }
    if let Some(models) = config.get_mut("models").and_then(Value::as_array_mut) {
        let model = |name: &&str| {
            let fields = [("name", *name), ("fixture", *name)];
            Value::Table(
                fields.map(|(key, value)| (key.to_owned(), Value::from(value))).into_iter().collect(),
            )
        };
        models.extend(further.iter().map(model));
    }
    toml::to_string(&config)
}

/// How a session fared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fare {
    Survives,
    Told,
    Wrong,
    Unknown,
}

impl Fare {
    const fn of(tone: Tone) -> Self {
        match tone {
            Tone::Good | Tone::Fair => Self::Survives,
            Tone::Safe => Self::Told,
            Tone::Weak | Tone::Bad => Self::Wrong,
            Tone::Blank => Self::Unknown,
        }
    }
}

fn dim<'c>(cell: &'c Cell, name: &str) -> &'c str {
    cell.dims.get(name).map_or("", String::as_str)
}

/// What a cell is of: a container of llama.cpp's own, or the engine.
fn container(cell: &Cell) -> Option<Container> {
    (dim(cell, "subject") == UNPROTECTED)
        .then(|| Container::from_name(dim(cell, "container")).unwrap_or(Container::SequenceFile))
}

/// What is the same in two cells that differ in who writes and who reads.
fn rest(cell: &Cell) -> Vec<&str> {
    ["subject", "container", "model", "kv", "flash"].map(|name| dim(cell, name)).to_vec()
}

/// Every cell, by what it is of and who writes and reads.
struct Cells<'r> {
    by: BTreeMap<(Vec<&'r str>, &'r str, &'r str), &'r Cell>,
}

impl<'r> Cells<'r> {
    fn of(results: &'r Results) -> Self {
        let key = |cell: &'r Cell| (rest(cell), dim(cell, "writer"), dim(cell, "reader"));
        Self { by: results.cells.iter().map(|cell| (key(cell), cell)).collect() }
    }

    /// How a session fares that crosses from one library to the other. Where one of both does not get back what it saved itself,
    /// nothing is known of the crossing.
    fn fare(&self, cell: &'r Cell) -> Fare {
        let own = |of| {
            let tone = self.by.get(&(rest(cell), of, of)).map(|cell| Style::of(cell.verdict).tone);
            tone.is_some_and(|tone| Fare::of(tone) == Fare::Survives)
        };
        if own(dim(cell, "writer")) && own(dim(cell, "reader")) {
            Fare::of(Style::of(cell.verdict).tone)
        } else {
            Fare::Unknown
        }
    }
}

impl Upstream {
    /// What the results of such a run, and the bytes that both libraries wrote, come to.
    pub(crate) fn of(results: &Results, base: &str, head: &str, compared: Comparison) -> Self {
        let cells = Cells::of(results);
        let kinds = std::iter::once(None).chain(Container::ALL.map(Some));
        let way = |kind: Option<Container>, from: &str, to: &str| {
            let mut way = Way::new(kind, from, to);
            for cell in &results.cells {
                if container(cell) == kind && dim(cell, "writer") == from && dim(cell, "reader") == to {
                    way.count(cell, cells.fare(cell));
                }
            }
            way
        };
        let ways = kinds.clone().map(|kind| [way(kind, base, head), way(kind, head, base)]).collect();
        let costs = kinds.filter_map(|kind| Cost::of(results, kind, [base, head])).collect();
        let lost = results.cells.iter().filter(|cell| {
            let crosses = container(cell).is_none() && dim(cell, "writer") != dim(cell, "reader");
            let fare = cells.fare(cell);
            let excused = fare == Fare::Survives || compared.is_announced(Container::RawSequence);
            crosses && (fare == Fare::Wrong || fare == Fare::Told && !cell.matched && !excused)
        });
        let engine_lost = lost.count();
        let families: BTreeSet<&str> = results.cells.iter().map(|cell| dim(cell, "model")).collect();
        Self {
            base: base.to_owned(),
            head: head.to_owned(),
            compared,
            ways,
            costs,
            families: families.into_iter().map(str::to_owned).collect(),
            engine_lost,
        }
    }

    /// What it comes to.
    pub(crate) fn outcome(&self) -> Outcome {
        let broken = |kind| self.is_broken(kind);
        let unannounced =
            Container::ALL.into_iter().any(|kind| broken(kind) && !self.compared.is_announced(kind));
        let changed = Container::ALL.into_iter().any(broken);
        if unannounced || self.compared.unannounced().next().is_some() {
            Outcome::Unannounced
        } else if self.engine_lost > 0 {
            Outcome::Lost
        } else if self.compared.compared == 0 || self.silent_rows().next().is_some() {
            Outcome::Unknown
        } else if changed || !self.compared.changes.is_empty() {
            Outcome::Announced
        } else {
            Outcome::Unchanged
        }
    }

    /// Whether a state in this container does not cross.
    fn is_broken(&self, container: Container) -> bool {
        let of = self.ways.iter().flatten().filter(|way| way.container == Some(container));
        of.map(|way| way.told + way.wrong).sum::<usize>() > 0
    }

    /// Ways that were tried, and of which nothing is known.
    pub(crate) fn silent_rows(&self) -> impl Iterator<Item = &Way> {
        self.ways.iter().flatten().filter(|way| way.unknown > 0 && way.survive + way.told + way.wrong == 0)
    }

    /// Whether anything is known of these containers: states of both were compared, and some of them were tried.
    fn is_known_of(&self, containers: &[Container]) -> bool {
        let is_of = |way: &&Way| way.container.is_some_and(|kind| containers.contains(&kind));
        let tried =
            self.ways.iter().flatten().filter(is_of).any(|way| way.survive + way.told + way.wrong > 0);
        tried && self.compared.compared > 0
    }

    /// What is to be said of each cell that breaks and what is not, put into the results: so that every rendering of them agrees.
    pub(crate) fn put_into(&self, results: &mut Results) {
        let fares: Vec<Fare> = {
            let cells = Cells::of(results);
            results.cells.iter().map(|cell| cells.fare(cell)).collect()
        };
        let mut findings = std::mem::take(&mut results.gate.findings);
        for (cell, fare) in results.cells.iter_mut().zip(fares) {
            if dim(cell, "writer") == dim(cell, "reader") {
                continue;
            }
            let engine_is_right = container(cell).is_none() && matches!(fare, Fare::Survives | Fare::Told);
            let kind = match container(cell) {
                Some(kind) if matches!(fare, Fare::Told | Fare::Wrong) => kind,
                // What the engine makes of states whose form is announced to be another one: a refusal, or the tokens again.
                None if engine_is_right && !cell.matched => Container::RawSequence,
                _ => continue,
            };
            if self.compared.is_announced(kind) {
                let reason = format!("{}: {}", kind.words(), self.compared.version_words(kind));
                cell.expected =
                    Expected { outcome: vec![cell.verdict], reason: Some(reason), ..Expected::default() };
                cell.matched = true;
                findings.retain(|finding| finding.cell.as_ref() != Some(&cell.id));
                continue;
            }
            if container(cell).is_none() {
                continue;
            }
            cell.matched = false;
            findings.push(Finding {
                kind: FindingKind::Worse,
                cell: Some(cell.id.clone()),
                message: format!(
                    "{} and {} each read their own, not each other's, and no version was raised ({}): {}",
                    self.base,
                    self.head,
                    self.compared.version_words(kind),
                    cell.message
                ),
            });
        }
        findings.extend(self.compared.unannounced().map(|change| Finding {
            kind: FindingKind::Worse,
            cell: None,
            message: format!(
                "the {} of {} changed and no version was raised: {}",
                change.of,
                change.container.words(),
                change.what
            ),
        }));
        // That something is better than expected says nothing of the change.
        findings.retain(|finding| finding.kind != FindingKind::Stale);
        if self.outcome() == Outcome::Unknown {
            findings.push(Finding { kind: FindingKind::NotRun, cell: None, message: self.headline() });
        }
        results.gate =
            decide(results.cells.len(), &judged_verdicts(&results.cells, &results.subjects), findings);
    }
}

impl Way {
    fn new(container: Option<Container>, from: &str, to: &str) -> Self {
        Self {
            container,
            from: from.to_owned(),
            to: to.to_owned(),
            survive: 0,
            again: 0,
            told: 0,
            wrong: 0,
            unknown: 0,
            example: None,
        }
    }

    fn count(&mut self, cell: &Cell, fare: Fare) {
        match fare {
            Fare::Survives => {
                self.survive += 1;
                self.again += usize::from(Style::of(cell.verdict).tone == Tone::Fair);
            }
            Fare::Told => self.told += 1,
            Fare::Wrong => self.wrong += 1,
            Fare::Unknown => self.unknown += 1,
        }
        let is_worse = fare == Fare::Wrong && self.wrong == 1;
        if matches!(fare, Fare::Told | Fare::Wrong) && (self.example.is_none() || is_worse) {
            self.example = Some((cell.id.clone(), cell.message.clone()));
        }
    }

    /// In a few words.
    pub(crate) fn words(&self) -> String {
        let known = self.survive + self.told + self.wrong;
        if known == 0 {
            return "not known".to_owned();
        }
        let again = match self.again {
            0 => String::new(),
            again => format!(" ({again} evaluated again)"),
        };
        if self.survive == known {
            return format!("all {known} come back{again}");
        }
        let mut parts = Vec::new();
        if self.survive > 0 {
            parts.push(format!("{} come back{again}", self.survive));
        }
        if self.told > 0 {
            parts.push(format!("{} refused", self.told));
        }
        if self.wrong > 0 {
            parts.push(format!("{} WRONG", self.wrong));
        }
        parts.join(", ")
    }
}

impl Cost {
    fn of(results: &Results, kind: Option<Container>, sides: [&str; 2]) -> Option<Self> {
        let own = |side: &str| -> Vec<&Cell> {
            let is_own = |cell: &&Cell| dim(cell, "writer") == side && dim(cell, "reader") == side;
            results.cells.iter().filter(|cell| container(cell) == kind).filter(is_own).collect()
        };
        let seconds = |side: &str| {
            let all: Vec<f64> = own(side).iter().filter_map(|cell| cell.load_seconds).collect();
            median(&all)
        };
        let bytes = |side: &str| own(side).iter().filter_map(|cell| cell.saved_bytes).sum::<u64>();
        let [base, head] = sides;
        Some(Self {
            container: kind,
            seconds: [seconds(base)?, seconds(head)?],
            bytes: [bytes(base), bytes(head)],
        })
    }
}
