//! Sessions that cross the rotation of quantized K and V: what the engine's re-encoding costs them, beside what quantizing
//! the same numbers in another basis costs by itself. Everything is measured in one run.

use std::collections::BTreeMap;

use super::attempt::dim;
use super::story::is_control;
use crate::results::{Cell, Results};
use crate::verdict::Verdict;

/// What the columns of the table are.
pub(crate) const REQUANTIZATION: &str = "All is measured in this run, as KL divergence from the logits of the session that was never interrupted. \
     Re-quantizing alone: the same turn within one release, by switching its rotation off on one side. Never saved: two \
     uninterrupted sessions, one with the writer's release and settings, one with the reader's.";

/// What a run shows of sessions whose K and V are rotated on one side only.
#[derive(Debug, Clone, PartialEq)]
pub struct Requantization {
    /// A row for each KV type, model and direction.
    pub rows: Vec<Turned>,
}

/// Sessions of one KV type and model whose K and V are turned in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Turned {
    /// The KV type.
    pub kv: String,
    /// The model.
    pub model: String,
    /// Into the rotated basis, as sessions go that are upgraded, or out of it.
    pub into: bool,
    /// Sessions that another release restored so.
    pub cells: usize,
    /// The most tokens that one of those loads evaluated.
    pub evaluated: u32,
    /// KL of those sessions from uninterrupted ones.
    pub restored: Span,
    /// KL of sessions that were turned in the same way within one release: re-quantizing, and nothing else.
    pub alone: Option<Span>,
    /// KL between two sessions that were never saved, one with the writer's release and settings, one with the reader's.
    pub never_saved: Option<Span>,
    /// What became of the same sessions without protection.
    pub unprotected: String,
}

/// The smallest and the largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Requantization {
    /// `None` where no session crossed a rotation from one release to another.
    #[must_use]
    pub fn of(results: &Results) -> Option<Self> {
        let mut groups: BTreeMap<(String, String, bool), [Vec<&Cell>; 2]> = BTreeMap::new();
        for cell in results.cells.iter().filter(|cell| !is_control(results, cell)) {
            if let Some(into) = into_rotation(cell) {
                let key = (dim(cell, "kv"), dim(cell, "model"), into);
                groups.entry(key).or_default()[usize::from(stays(cell))].push(cell);
            }
        }
        let rows: Vec<Turned> = groups
            .into_iter()
            .filter(|(_, [crossing, _])| !crossing.is_empty())
            .map(|((kv, model, into), [crossing, within])| Turned {
                kv,
                model,
                into,
                cells: crossing.len(),
                evaluated: crossing.iter().filter_map(|cell| cell.tokens_evaluated).max().unwrap_or_default(),
                restored: Span::of(crossing.iter().map(|cell| cell.kl)).unwrap_or(Span::UNKNOWN),
                alone: Span::of(within.iter().map(|cell| cell.kl)),
                never_saved: Span::of(crossing.iter().filter_map(|cell| cell.floor).map(|floor| floor.kl)),
                unprotected: without_protection(results, &crossing),
            })
            .collect();
        (!rows.is_empty()).then_some(Self { rows })
    }

    /// All of it in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        told(&self.rows.iter().collect::<Vec<_>>())
    }

    /// What goes into the rotation, or out of it, in words.
    #[must_use]
    pub fn direction(&self, into: bool) -> Option<String> {
        let rows: Vec<&Turned> = self.rows.iter().filter(|row| row.into == into).collect();
        (!rows.is_empty()).then(|| told(&rows))
    }
}

impl Turned {
    /// The direction in words.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        if self.into { "into the rotation" } else { "out of the rotation" }
    }

    /// The largest KL of a restored session as a multiple of the largest that re-quantizing alone gave.
    #[must_use]
    pub fn times_alone(&self) -> Option<f64> {
        self.alone.map(|alone| self.restored.most / alone.most).filter(|times| times.is_finite())
    }
}

impl Span {
    /// Of something that could not be measured.
    const UNKNOWN: Self = Self { least: f64::NAN, most: f64::NAN };

    /// `None` where there are no numbers, [`Self::UNKNOWN`] where one of them is none.
    fn of(numbers: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let numbers: Vec<f64> = numbers.map(|number| number.unwrap_or(f64::NAN)).collect();
        let spread =
            |span: Self, number: f64| Self { least: span.least.min(number), most: span.most.max(number) };
        match numbers.first() {
            None => None,
            Some(_) if numbers.iter().any(|number| number.is_nan()) => Some(Self::UNKNOWN),
            Some(&first) => Some(numbers.iter().copied().fold(Self { least: first, most: first }, spread)),
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, most] = [self.least, self.most].map(|number| format!("{number:.1e}"));
        match (self.least.is_nan(), least == most) {
            (true, _) => f.write_str("not a number"),
            (_, true) => f.write_str(&most),
            _ => write!(f, "{least} to {most}"),
        }
    }
}

/// Whether a load turned K and V into the rotation or out of it, where that was all that it did to the numbers.
fn into_rotation(cell: &Cell) -> Option<bool> {
    let receipt = cell.receipt.as_ref().filter(|receipt| receipt.route == TRANSCODED)?;
    if dim(cell, "scenario") != "resume" {
        return None;
    }
    let grave = receipt.axes.iter().filter(|axis| !matches!(axis.consequence.as_str(), "same" | "harmless"));
    let mut turned = None;
    for axis in grave {
        match axis.axis.as_str() {
            "rotation-k" | "rotation-v" => {
                turned = Some(axis.saved == "none");
            }
            "layout" => {}
            _ => return None,
        }
    }
    turned
}

/// The route of loads that convert what was saved.
const TRANSCODED: &str = "transcoded";

fn stays(cell: &Cell) -> bool {
    dim(cell, "writer") == dim(cell, "reader")
}

/// What became of the same cells of subjects without protection, in llama.cpp's sequence files.
fn without_protection(results: &Results, cells: &[&Cell]) -> String {
    const WHAT_DIFFERS: [&str; 2] = ["writer", "reader"];
    const WHAT_IS_ALIKE: [&str; 6] =
        ["model", "kv", "flash", "scenario", "written_rotation", "read_rotation"];
    let same = |left: &Cell, right: &Cell| {
        WHAT_DIFFERS.iter().chain(&WHAT_IS_ALIKE).all(|name| dim(left, name) == dim(right, name))
    };
    let twins = results.cells.iter().filter(|cell| {
        is_control(results, cell)
            && matches!(dim(cell, "container").as_str(), "sequence-file" | super::attempt::NONE)
            && cells.iter().any(|own| same(own, cell))
    });
    let mut counts: BTreeMap<Verdict, (usize, f64)> = BTreeMap::new();
    for twin in twins {
        let (count, most) = counts.entry(twin.verdict).or_default();
        (*count, *most) = (*count + 1, most.max(twin.kl.unwrap_or_default()));
    }
    let told = counts.iter().map(|(verdict, (count, most))| match verdict {
        Verdict::Corrupt => format!("{count} {verdict}, KL up to {most:.1}"),
        _ => format!("{count} {verdict}"),
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Cells of some rows in words: how many, what they cost, and what re-quantizing alone costs.
fn told(rows: &[&Turned]) -> String {
    let cells: usize = rows.iter().map(|row| row.cells).sum();
    let evaluated = rows.iter().map(|row| row.evaluated).max().unwrap_or_default();
    let mut by_kind: BTreeMap<&str, Vec<&Turned>> = BTreeMap::new();
    for row in rows {
        by_kind.entry(&row.kv).or_default().push(row);
    }
    let kinds: Vec<String> = by_kind.iter().map(|(kv, rows)| format!("{kv} {}", cost(rows))).collect();
    format!(
        "{cells} sessions turned and quantized once more, with at most {evaluated} {} evaluated; {}",
        if evaluated == 1 { "token" } else { "tokens" },
        kinds.join("; ")
    )
}

/// What the rows of one KV type cost, each beside what re-quantizing alone costs on the same model in the same direction.
fn cost(rows: &[&Turned]) -> String {
    let largest = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
    let restored = largest(&mut rows.iter().map(|row| row.restored.most));
    let times: Vec<f64> = rows.iter().filter_map(|row| row.times_alone()).collect();
    match rows.iter().any(|row| row.restored.most.is_nan()) {
        true => "with a KL that is not a number".to_owned(),
        false if times.is_empty() => format!("with a KL of up to {restored:.1e}"),
        false => format!(
            "with a KL of up to {restored:.1e}, at most {:.2} times that of re-quantizing alone",
            largest(&mut times.into_iter())
        ),
    }
}

#[cfg(test)]
mod tests {
    use intact_protocol::{AxisReport, Receipt};

    use super::super::tests::{base, cell};
    use super::*;
    use crate::distance::Measured;

    fn turned(writer: &str, reader: &str, saved: &str, kl: f64) -> Cell {
        let axis = |axis: &str, consequence: &str| AxisReport {
            axis: axis.into(),
            saved: saved.into(),
            here: if saved == "none" { "64" } else { "none" }.into(),
            consequence: consequence.into(),
            reason: String::new(),
        };
        let receipt = Receipt {
            route: "transcoded".into(),
            axes: vec![
                axis("layout", "transcode"),
                axis("rotation-k", "transcode"),
                axis("release", "harmless"),
            ],
            tokens_restored: 9,
            tokens_evaluated: 1,
            canary_distance: None,
            parameters: None,
            notes: Vec::new(),
            timings: intact_protocol::Timings::default(),
        };
        let floor = Measured {
            bit_equal: false,
            nmse: Some(0.5),
            kl: Some(0.75),
            top1_agreement: 1.0,
            largest: None,
        };
        let dims = [("kv", "q8_0"), ("scenario", "resume"), ("writer", writer), ("reader", reader)];
        Cell {
            receipt: Some(receipt),
            kl: Some(kl),
            tokens_evaluated: Some(1),
            floor: Some(floor),
            ..cell("engine", &dims, Verdict::Degraded)
        }
    }

    fn garbled(writer: &str, reader: &str) -> Cell {
        let dims = [("kv", "q8_0"), ("scenario", "resume"), ("writer", writer), ("reader", reader)];
        Cell { kl: Some(5.6), ..cell("blind", &dims, Verdict::Corrupt) }
    }

    #[test]
    fn a_crossing_stands_beside_what_re_quantizing_alone_costs() {
        let cells = vec![
            turned("old", "new", "none", 0.25),
            turned("older", "new", "none", 0.5),
            turned("new", "new", "none", 0.4),
            turned("new", "old", "64", 0.125),
            garbled("old", "new"),
            garbled("new", "old"),
        ];
        let found = Requantization::of(&base(cells)).expect("crossings");
        let [out, into] = found.rows.as_slice() else { panic!("{found:?}") };
        assert_eq!((into.into, into.cells, into.evaluated), (true, 2, 1));
        assert_eq!(into.restored, Span { least: 0.25, most: 0.5 });
        assert_eq!((into.alone, into.times_alone()), (Some(Span { least: 0.4, most: 0.4 }), Some(1.25)));
        assert_eq!(into.never_saved, Some(Span { least: 0.75, most: 0.75 }));
        assert_eq!(into.unprotected, "1 corrupt, KL up to 5.6");
        assert_eq!((out.into, out.cells, out.alone), (false, 1, None));
        let told = found.direction(true).expect("upgrades");
        assert!(
            told.contains("q8_0 with a KL of up to 5.0e-1, at most 1.25 times that of re-quantizing alone"),
            "{told}"
        );
        assert!(told.contains("at most 1 token evaluated"), "{told}");
    }

    #[test]
    fn a_load_that_changed_more_than_the_basis_is_no_such_crossing() {
        let mut converted = turned("old", "new", "none", 0.25);
        let receipt = converted.receipt.as_mut().expect("a receipt");
        receipt.axes.push(AxisReport { axis: "kv-type-k".into(), ..receipt.axes[0].clone() });
        let mut relayed = turned("old", "new", "none", 0.25);
        relayed.dims.insert("scenario".into(), "relay".into());
        assert_eq!(
            Requantization::of(&base(vec![converted, relayed, turned("new", "new", "none", 0.4)])),
            None
        );
    }

    #[test]
    fn a_distance_that_is_no_number_is_never_small() {
        let mut broken = turned("old", "new", "none", 0.25);
        broken.kl = None;
        let found =
            Requantization::of(&base(vec![broken, turned("old", "new", "none", 0.5)])).expect("crossings");
        assert!(found.rows[0].restored.most.is_nan(), "{found:?}");
        assert_eq!(found.rows[0].restored.to_string(), "not a number");
    }
}
