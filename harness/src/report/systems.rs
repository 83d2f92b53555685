//! Systems side by side: what each does where another would go wrong, who reads what whom wrote, what a session costs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use intact_protocol::{Hello, Oracle};

use super::attempt::{NONE, dim};
use super::called::called;
use super::pivot::{Row, Slot};
use super::safest::Standing;
use super::story::is_control;
use crate::perf::statistics::median;
use crate::properties::system;
use crate::results::{Cell, PropertyAnswer, PropertyResult, Results, SubjectInfo};
use crate::style::Tone;
use crate::verdict::Verdict;

/// What a run shows of other systems beside this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Systems<'a> {
    /// Who took part, versions from the oldest to the newest.
    pub parties: Vec<Party<'a>>,
    /// Who did not, and why.
    pub missing: Vec<(&'a str, &'a str)>,
    /// The systems that questions were asked of, the safest first: the columns of the answers.
    pub asked: Vec<&'a str>,
    /// For each of them: of how many questions it is safe, and how many were asked.
    pub safe: Vec<(usize, usize)>,
    /// The questions, each with the answers of every one of them.
    pub questions: Vec<Asked<'a>>,
    /// Those that read: the columns of the grids.
    pub readers: Vec<String>,
    /// A grid for each KV type: a row for each that wrote.
    pub grids: Vec<(String, Vec<Row>)>,
    /// What the same session costs in each of them.
    pub costs: Vec<Cost<'a>>,
}

/// A system that took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its name: a subject, with its version where several are installed.
    pub name: &'a str,
    /// What it said of itself, in words.
    pub what: String,
    /// What its verdicts rest on; `None` where nothing was compared.
    pub oracle: Option<Oracle>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The question.
    pub property: &'a PropertyResult,
    /// For each system that was asked its answers: several where its cells disagree, none where none was asked.
    pub answers: Vec<Vec<Given<'a>>>,
}

/// An answer of one system, and how it looks: as the worst of the cells behind it, which look so everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given<'a> {
    /// The answer.
    pub answer: &'a PropertyAnswer,
    /// How it looks.
    pub tone: Tone,
}

/// What restoring a session costs in a system.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost<'a> {
    /// The system.
    pub system: String,
    /// The type of its K and V.
    pub kv: String,
    /// Bytes that the writer saved.
    pub bytes: Option<u64>,
    /// Seconds from the request to load to its answer: the median.
    pub seconds: f64,
    /// The same by the system's own clock, where it tells.
    pub own_seconds: Option<f64>,
    /// How many loads that is the median of.
    pub loads: usize,
    /// Tokens that were evaluated for it.
    pub evaluated: Option<u32>,
    /// The cell in which the system loads what it saved itself, or the first of the others.
    pub cell: &'a str,
}

/// How to read the costs.
pub(super) const ABOUT_COSTS: &str = "Medians over the loads of this run that restored it, with all else that ran beside \
    them: to compare orders of magnitude. The engine makes a context for each load and evaluates one token to prove it, and \
    adopting evaluates every token once; the others load into a context that is there.";

/// The axes that the grids and the costs are about; all others are at their base value there.
const SHOWN: [&str; 4] = ["reader", "writer", "kv", "operation"];
/// The operation by which a state of another system is taken over.
const ADOPT: &str = "adopt";

impl Party<'_> {
    /// Its name in words.
    #[must_use]
    pub fn called(&self) -> &str {
        called(self.name)
    }
}

impl<'a> Systems<'a> {
    /// The systems of a run; `None` where no installed one was asked for.
    #[must_use]
    pub fn of(results: &'a Results) -> Option<Self> {
        if results.subjects.iter().all(|subject| subject.systems.is_empty()) {
            return None;
        }
        let (parties, missing) = parties(results);
        let names: Vec<&str> = parties.iter().map(|party| party.name).collect();
        let scored = names.iter().map(|name| (*name, Standing::asked(results, name)));
        let mut scored: Vec<(&str, (usize, usize))> = scored.filter(|(_, (_, asked))| *asked > 0).collect();
        // The safest come first; of those that are as safe, the ones that were asked the most.
        scored.sort_by_key(|(_, (safe, asked))| (Reverse(safe * 1_000 / asked), Reverse(*asked)));
        let asked: Vec<&str> = scored.iter().map(|(name, _)| *name).collect();
        let verdicts: BTreeMap<&str, Verdict> =
            results.cells.iter().map(|cell| (cell.id.as_str(), cell.verdict)).collect();
        let plain: Vec<&Cell> = plain(results);
        let readers = readers(&names, &plain);
        Some(Self {
            questions: results
                .properties
                .iter()
                .map(|property| Asked::of(property, &asked, &verdicts))
                .collect(),
            grids: kv_types(results, &plain)
                .into_iter()
                .map(|kv| (kv.clone(), grid(results, &plain, &kv, &names, &readers)))
                .collect(),
            costs: costs(results, &plain, &readers),
            parties,
            missing,
            asked,
            safe: scored.into_iter().map(|(_, score)| score).collect(),
            readers,
        })
    }
}

impl<'a> Asked<'a> {
    fn of(property: &'a PropertyResult, asked: &[&str], verdicts: &BTreeMap<&str, Verdict>) -> Self {
        let given = |answer: &'a PropertyAnswer| {
            let behind = answer.cells.iter().filter_map(|id| verdicts.get(id.as_str()).copied());
            Given { answer, tone: Given::tone(answer.safe, Tone::worst(behind)) }
        };
        let of = |name: &&str| {
            property.answers.iter().filter(|answer| answer.system == **name).map(given).collect()
        };
        Self { property, answers: asked.iter().map(of).collect() }
    }
}

impl Given<'_> {
    /// A session that comes back where it must not is as bad as one that comes back wrong.
    const fn tone(safe: bool, behind: Tone) -> Tone {
        match (safe, behind) {
            (false, Tone::Good | Tone::Fair | Tone::Blank) => Tone::Bad,
            (true, Tone::Blank) => Tone::Good,
            (_, tone) => tone,
        }
    }
}

/// Who took part, and who did not and why.
fn parties(results: &Results) -> (Vec<Party<'_>>, Vec<(&str, &str)>) {
    let mut oracles: BTreeMap<&str, Oracle> = BTreeMap::new();
    for cell in results.cells.iter().filter(|cell| dim(cell, "operation") != ADOPT) {
        if let Some(oracle) = cell.oracle {
            let weakest = oracles.entry(system(cell)).or_insert(oracle);
            *weakest = oracle.max(*weakest);
        }
    }
    let (mut parties, mut missing) = (Vec::new(), Vec::new());
    for subject in &results.subjects {
        for (name, hello, problem) in versions(subject) {
            match (hello, problem) {
                (Some(hello), None) => parties.push(Party {
                    name,
                    what: format!("{} {}, llama.cpp {}", hello.subject, hello.version, hello.release),
                    oracle: oracles.get(name).copied(),
                }),
                (_, problem) => missing.push((name, problem.unwrap_or("it did not take part"))),
            }
        }
    }
    (parties, missing)
}

/// Systems and releases that were asked for and are not here.
pub(super) fn absent(results: &Results) -> Vec<&str> {
    let systems = results.subjects.iter().flat_map(versions).filter(|(_, hello, _)| hello.is_none());
    let releases = results.releases.iter().filter(|release| release.problem.is_some());
    systems.map(|(name, ..)| name).chain(releases.map(|release| release.release.as_str())).collect()
}

/// A name, what it says of itself, and why it could not take part.
type Version<'a> = (&'a str, Option<&'a Hello>, Option<&'a str>);

/// A subject, or every version of it that is configured.
fn versions(subject: &SubjectInfo) -> Vec<Version<'_>> {
    if subject.systems.is_empty() {
        return vec![(&subject.name, subject.hello.as_ref(), subject.problem.as_deref())];
    }
    let systems = subject.systems.iter();
    systems.map(|system| (system.name.as_str(), system.hello.as_ref(), system.problem.as_deref())).collect()
}

/// Cells in which nothing but what is shown differs from the base.
fn plain(results: &Results) -> Vec<&Cell> {
    let axes = || results.plan.axes.iter().filter(|axis| !SHOWN.contains(&axis.name.as_str()));
    let is_base = |cell: &Cell| {
        axes().all(|axis| {
            let value = dim(cell, &axis.name);
            value == NONE || axis.values.first().is_none_or(|base| *base == value)
        })
    };
    results.cells.iter().filter(|cell| is_base(cell)).collect()
}

/// Who takes the session, and how, where that is not by loading it.
fn reader(cell: &Cell) -> String {
    let reader = dim(cell, "reader");
    if dim(cell, "operation") == ADOPT { format!("{reader}, adopting") } else { reader }
}

fn readers(names: &[&str], cells: &[&Cell]) -> Vec<String> {
    let there: BTreeSet<String> = cells.iter().map(|cell| reader(cell)).collect();
    let both = names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}, adopting")]);
    both.filter(|name| there.contains(name)).collect()
}

fn kv_types(results: &Results, cells: &[&Cell]) -> Vec<String> {
    let used: BTreeSet<String> = cells.iter().map(|cell| dim(cell, "kv")).collect();
    let axis = results.plan.axes.iter().find(|axis| axis.name == "kv");
    axis.map_or_else(Vec::new, |axis| {
        axis.values.iter().filter(|value| used.contains(*value)).cloned().collect()
    })
}

fn grid(results: &Results, cells: &[&Cell], kv: &str, writers: &[&str], readers: &[String]) -> Vec<Row> {
    let row = |name: &&str| Row { name: (*name).to_owned(), slots: vec![Slot::default(); readers.len()] };
    let mut rows: Vec<Row> = writers.iter().map(row).collect();
    for cell in cells.iter().filter(|cell| dim(cell, "kv") == kv) {
        let (written, read) = (dim(cell, "writer"), reader(cell));
        let row = rows.iter_mut().find(|row| row.name == written);
        let column = readers.iter().position(|name| *name == read);
        if let (Some(row), Some(column)) = (row, column) {
            row.slots[column].count(cell, is_control(results, cell));
        }
    }
    rows.retain(|row| row.slots.iter().any(|slot| *slot != Slot::default()));
    rows
}

fn costs<'a>(results: &Results, cells: &[&'a Cell], readers: &[String]) -> Vec<Cost<'a>> {
    let mut costs = Vec::new();
    for kv in kv_types(results, cells) {
        for name in readers {
            let restored = |cell: &&&Cell| {
                matches!(cell.verdict, Verdict::Exact | Verdict::Equivalent)
                    && dim(cell, "kv") == kv
                    && reader(cell) == *name
            };
            let loads: Vec<&Cell> = cells.iter().filter(restored).copied().collect();
            let own = |cell: &&&Cell| dim(cell, "writer") == dim(cell, "reader");
            let Some(shown) = loads.iter().find(own).or(loads.first()).copied() else { continue };
            let Some(seconds) =
                median(&loads.iter().filter_map(|cell| cell.load_seconds).collect::<Vec<_>>())
            else {
                continue;
            };
            let told = loads.iter().filter_map(|cell| Some(cell.receipt.as_ref()?.timings.total_seconds));
            costs.push(Cost {
                system: name.clone(),
                kv: kv.clone(),
                bytes: shown.saved_bytes,
                seconds,
                own_seconds: median(&told.filter(|seconds| *seconds > 0.0).collect::<Vec<_>>()),
                loads: loads.len(),
                evaluated: shown.tokens_evaluated,
                cell: &shown.id,
            });
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::super::tests::{base, cell};
    use super::*;
    use crate::results::{AxisInfo, SystemInfo};

    fn results(cells: Vec<Cell>) -> Results {
        let mut results = base(cells);
        let axis = |name: &str, values: &[&str]| AxisInfo {
            name: name.into(),
            about: String::new(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        results.plan.axes.push(axis("reader", &["node@1", "node@2", "engine"]));
        results.plan.axes.push(axis("writer", &["same", "node@1", "node@2", "engine"]));
        results.plan.axes.push(axis("operation", &["load", "adopt"]));
        let system = |name: &str, problem: Option<&str>| SystemInfo {
            name: name.into(),
            command: Vec::new(),
            hello: problem.is_none().then(|| hello(name)),
            problem: problem.map(str::to_owned),
        };
        let mut node = results.subjects[0].clone();
        node.name = "node".into();
        node.systems = vec![system("node@1", None), system("node@2", None), system("node@3", Some("gone"))];
        results.subjects[0].hello = Some(hello("engine"));
        results.subjects = vec![node, results.subjects[0].clone()];
        results
    }

    fn hello(name: &str) -> Hello {
        Hello {
            protocol: 1,
            subject: name.into(),
            version: "1".into(),
            release: "b1".into(),
            versions: BTreeMap::new(),
            operations: Vec::new(),
            formats: Vec::new(),
            features: Vec::new(),
        }
    }

    fn load(writer: &str, reader: &str, operation: &str, seconds: f64, verdict: Verdict) -> Cell {
        let subject = crate::plan::subject_of(reader);
        let dims = [("writer", writer), ("reader", reader), ("operation", operation)];
        Cell { load_seconds: Some(seconds), saved_bytes: Some(7), ..cell(subject, &dims, verdict) }
    }

    #[test]
    fn a_run_without_installed_systems_has_nothing_side_by_side() {
        assert_eq!(Systems::of(&base(vec![cell("engine", &[], Verdict::Exact)])), None);
    }

    #[test]
    fn who_took_part_is_told_with_the_weakest_oracle_and_who_did_not_with_the_reason() {
        let seen = |oracle, writer| Cell {
            oracle: Some(oracle),
            ..load(writer, "node@1", "load", 1.0, Verdict::Exact)
        };
        let results = results(vec![seen(Oracle::Logits, "node@1"), seen(Oracle::Probabilities, "node@2")]);
        let systems = Systems::of(&results).expect("installed systems");
        let told: Vec<_> = systems.parties.iter().map(|party| (party.name, party.oracle)).collect();
        assert_eq!(told, [("node@1", Some(Oracle::Probabilities)), ("node@2", None), ("engine", None)]);
        assert_eq!(systems.missing, [("node@3", "gone")]);
    }

    #[test]
    fn a_grid_has_who_wrote_and_who_read_and_sets_adopting_apart() {
        let results = results(vec![
            load("node@1", "node@2", "load", 1.0, Verdict::Corrupt),
            load("node@1", "engine", "load", 1.0, Verdict::Refused),
            load("node@1", "engine", "adopt", 1.0, Verdict::Equivalent),
            Cell { dims: [("flash".into(), "off".into())].into(), ..cell("engine", &[], Verdict::Exact) },
        ]);
        let systems = Systems::of(&results).expect("installed systems");
        assert_eq!(systems.readers, ["node@2", "engine", "engine, adopting"]);
        let [(kv, rows)] = systems.grids.as_slice() else { panic!("{:?}", systems.grids) };
        assert_eq!((kv.as_str(), rows.len(), rows[0].name.as_str()), ("f16", 1, "node@1"));
        let judged: Vec<_> = rows[0].slots.iter().flat_map(|slot| slot.judged.keys().copied()).collect();
        assert_eq!(judged, [Verdict::Corrupt, Verdict::Refused, Verdict::Equivalent]);
    }

    #[test]
    fn a_cost_is_the_median_of_loads_that_restored_and_names_its_own_cell() {
        let results = results(vec![
            load("node@1", "node@2", "load", 3.0, Verdict::Exact),
            load("node@2", "node@2", "load", 2.0, Verdict::Exact),
            load("engine", "node@2", "load", 9.0, Verdict::Exact),
            load("engine", "engine", "load", 5.0, Verdict::Corrupt),
        ]);
        let systems = Systems::of(&results).expect("installed systems");
        let [cost] = systems.costs.as_slice() else { panic!("{:?}", systems.costs) };
        assert_eq!((cost.system.as_str(), cost.seconds, cost.loads), ("node@2", 3.0, 3));
        assert_eq!((cost.bytes, cost.own_seconds), (Some(7), None));
        assert!(cost.cell.contains("writer=node@2"), "{}", cost.cell);
    }
}
