//! Sessions that cross from one llama.cpp release to another: can I upgrade, can I roll back, and what was predicted.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::dim;
use super::pivot::{Row, Slot};
use super::requantization::Requantization;
use super::story::{is_control, is_lost};
use crate::results::{Cell, Results};
use crate::style::Tone;
use crate::verdict::Verdict;

/// What a run shows of the ways between releases.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossings {
    /// "Can I upgrade?" and "Can I roll back?".
    pub questions: Vec<Question>,
    /// What crossing the rotation of quantized K and V costs.
    pub requantization: Option<Requantization>,
    /// Between which releases the kernels compute the same, in a sentence.
    pub kernels: String,
    /// The releases, oldest first: the columns of the tables.
    pub releases: Vec<String>,
    /// A table for each KV type: a row for each writer.
    pub tables: Vec<(String, Vec<Row>)>,
    /// Releases that did not take part, and why.
    pub missing: Vec<String>,
}

/// A question, its answer in a sentence, and a sentence for each KV type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub title: &'static str,
    /// How the answer looks at a glance.
    pub tone: Tone,
    /// The answer.
    pub answer: String,
    /// KV types, and what became of them.
    pub lines: Vec<(String, String)>,
}

/// Whether cells have to do with a question: by the place of writer and reader among the releases.
type Direction = fn(usize, usize) -> bool;

const QUESTIONS: [Asked; 2] = [
    Asked {
        title: "Can I upgrade llama.cpp?",
        to: "a newer release",
        direction: |writer, reader| writer < reader,
        into_rotation: true,
    },
    Asked {
        title: "Can I roll back?",
        to: "an older release",
        direction: |writer, reader| writer > reader,
        into_rotation: false,
    },
];

struct Asked {
    title: &'static str,
    to: &'static str,
    direction: Direction,
    /// Where sessions that cross the rotation of quantized K and V go in this direction.
    into_rotation: bool,
}

impl Crossings {
    /// The crossings of a run; `None` where it has one release only.
    #[must_use]
    pub fn of(results: &Results) -> Option<Self> {
        let part = |release: &&crate::results::ReleaseInfo| release.problem.is_none();
        let releases: Vec<String> =
            results.releases.iter().filter(part).map(|release| release.release.clone()).collect();
        let crossing = Crossing { results, releases: &releases };
        let kv_types = crossing.kv_types();
        let requantization = Requantization::of(results);
        let question = |question| crossing.question(question, &kv_types, requantization.as_ref());
        (releases.len() > 1).then(|| Self {
            questions: QUESTIONS.iter().map(question).collect(),
            requantization: requantization.clone(),
            kernels: crossing.kernels(),
            tables: kv_types.iter().map(|kv| (kv.clone(), crossing.table(kv))).collect(),
            missing: results.releases.iter().filter_map(|release| release.problem.clone()).collect(),
            releases: releases.clone(),
        })
    }
}

struct Crossing<'a> {
    results: &'a Results,
    releases: &'a [String],
}

impl<'a> Crossing<'a> {
    /// Cells that differ in nothing but the release, with the places of writer and reader.
    fn cells(&self) -> impl Iterator<Item = (&'a Cell, usize, usize)> {
        let bases: BTreeMap<&str, &str> = self
            .results
            .plan
            .axes
            .iter()
            .filter(|axis| MISMATCHES.contains(&axis.name.as_str()))
            .filter_map(|axis| Some((axis.name.as_str(), axis.values.first()?.as_str())))
            .collect();
        let plain = move |cell: &&Cell| {
            bases.iter().all(|(axis, base)| {
                cell.dims.get(*axis).is_none_or(|value| value == super::attempt::NONE || value == base)
            })
        };
        let place = |release: &str| self.releases.iter().position(|known| known == release);
        self.results.cells.iter().filter(plain).filter_map(move |cell| {
            Some((cell, place(cell.dims.get("writer")?)?, place(cell.dims.get("reader")?)?))
        })
    }

    fn kv_types(&self) -> Vec<String> {
        let axis = self.results.plan.axes.iter().find(|axis| axis.name == "kv");
        let used: BTreeSet<String> = self.cells().map(|(cell, ..)| dim(cell, "kv")).collect();
        axis.map_or_else(Vec::new, |axis| {
            axis.values.iter().filter(|value| used.contains(*value)).cloned().collect()
        })
    }

    fn question(&self, asked: &Asked, kv_types: &[String], turned: Option<&Requantization>) -> Question {
        let Asked { title, to, direction, into_rotation } = asked;
        let cells: Vec<&Cell> = self
            .cells()
            .filter(|(_, writer, reader)| direction(*writer, *reader))
            .map(|(cell, ..)| cell)
            .collect();
        let (unprotected, judged): (Vec<&Cell>, Vec<&Cell>) = cells
            .into_iter()
            .filter(|cell| cell.verdict.is_verdict())
            .partition(|cell| is_control(self.results, cell));
        let lost: Vec<Verdict> =
            judged.iter().filter(|cell| is_lost(cell)).map(|cell| cell.verdict).collect();
        let worst = Tone::worst(lost.iter().copied());
        let again = judged.iter().filter(|cell| cell.verdict == Verdict::Recomputed).count();
        let refused = judged.iter().filter(|cell| cell.verdict == Verdict::Refused).count();
        let silent = unprotected.iter().filter(|cell| is_silent(cell)).count();
        let (tone, answer) = match (judged.len(), lost.len()) {
            (0, _) => (Tone::Blank, "Not tested.".to_owned()),
            (all, 0) => (
                if again + refused == 0 { Tone::Good } else { Tone::Fair },
                format!(
                    "Yes. With intact, {} of {all} sessions went on in {to} without being computed again{}, and none was \
                     wrong. With llama.cpp's own files and blobs, {silent} of {} went wrong without any error.",
                    all - again - refused,
                    rest(again, refused),
                    unprotected.len()
                ),
            ),
            (all, lost) => (worst, format!("No. {lost} of {all} sessions did not survive {to}.")),
        };
        let line = |kv: &String| {
            let of = |cells: &[&Cell]| tally(cells.iter().filter(|cell| dim(cell, "kv") == *kv).copied());
            (kv.clone(), format!("{}; unprotected {}", of(&judged), of(&unprotected)))
        };
        let rotation = turned.and_then(|turned| turned.direction(*into_rotation));
        let rotation = rotation.map(|told| ("rotation".to_owned(), told));
        Question { title, tone, answer, lines: kv_types.iter().map(line).chain(rotation).collect() }
    }

    fn table(&self, kv: &str) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .releases
            .iter()
            .map(|name| Row { name: name.clone(), slots: vec![Slot::default(); self.releases.len()] })
            .collect();
        for (cell, writer, reader) in self.cells().filter(|(cell, ..)| dim(cell, "kv") == kv) {
            rows[writer].slots[reader].count(cell, is_control(self.results, cell));
        }
        rows
    }

    /// Releases that compute bit for bit the same, by the f16 sessions that were restored between them.
    fn kernels(&self) -> String {
        let mut exact: BTreeMap<(usize, usize), bool> = BTreeMap::new();
        let mut farthest: f64 = 0.0;
        for (cell, writer, reader) in self.cells() {
            let restored = matches!(cell.verdict, Verdict::Exact | Verdict::Equivalent);
            if dim(cell, "kv") != "f16" || is_control(self.results, cell) || !restored {
                continue;
            }
            farthest = farthest.max(cell.nmse.unwrap_or_default());
            *exact.entry((writer.min(reader), writer.max(reader))).or_insert(true) &=
                cell.verdict == Verdict::Exact;
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for release in 0..self.releases.len() {
            let same = |group: &Vec<usize>| {
                group.iter().all(|member| exact.get(&(*member, release)).copied().unwrap_or(false))
            };
            match groups.iter_mut().find(|group| same(group)) {
                Some(group) => group.push(release),
                None => groups.push(vec![release]),
            }
        }
        let named = |group: &Vec<usize>| {
            group.iter().map(|member| self.releases[*member].as_str()).collect::<Vec<_>>().join(", ")
        };
        let groups: Vec<String> = groups.iter().map(|group| format!("{{{}}}", named(group))).collect();
        format!(
            "f16 sessions are bit for bit the same among the releases of each of these groups, in both directions and on \
             every model: {}. Between groups the kernels changed, and the sessions are the same within the noise floor \
             (NMSE at most {farthest:.0e}).",
            groups.join(" ")
        )
    }
}

/// Axes that are a mismatch of their own, or a longer way.
const MISMATCHES: [&str; 5] =
    ["scenario", "written_rotation", "read_rotation", "writer_layouts", "reader_layouts"];

fn is_silent(cell: &Cell) -> bool {
    matches!(cell.verdict, Verdict::Corrupt | Verdict::Inert)
}

fn rest(again: usize, refused: usize) -> String {
    match (again, refused) {
        (0, 0) => String::new(),
        (again, 0) => format!(", {again} were computed again"),
        (0, refused) => format!(", {refused} were refused with a reason"),
        (again, refused) => {
            format!(", {again} were computed again and {refused} refused with a reason")
        }
    }
}

fn tally<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut counts: BTreeMap<(Verdict, bool), usize> = BTreeMap::new();
    for cell in cells {
        let declared = cell.code.as_deref() == Some("declared-loss");
        *counts.entry((cell.verdict, declared)).or_default() += 1;
    }
    if counts.is_empty() {
        return "nothing was tried".to_owned();
    }
    let told = |((verdict, declared), count): (&(Verdict, bool), &usize)| {
        let name = if *declared { "converted with a declared loss" } else { verdict.name() };
        format!("{count} {name}")
    };
    counts.iter().map(told).collect::<Vec<_>>().join(", ")
}
