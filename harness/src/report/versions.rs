//! Systems in several versions: can their users upgrade, can they roll back?

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::crossing::Question;
use super::story::is_control;
use crate::filter::compare_versions;
use crate::quantity::counted;
use crate::results::Results;
use crate::style::Tone;
use crate::upgrade::{Fare, Way};

/// The questions, where a system took part in several versions.
pub(super) fn versions(results: &Results) -> Option<Vec<Question>> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let judged = results.cells.iter().filter(|cell| cell.verdict.is_verdict() && !is_control(results, cell));
    for system in judged.flat_map(|cell| [cell.dims.get("writer"), cell.dims.get("reader")]).flatten() {
        // A llama.cpp release can stand for a system: its tag is name and version.
        let is_release = compare_versions(system, system).is_some();
        if let Some((name, version)) =
            system.split_once('@').or_else(|| is_release.then_some(("", system.as_str())))
        {
            versions.entry(name).or_default().insert(version);
        }
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, versions) in &versions {
        let mut versions: Vec<&str> = versions.iter().copied().collect();
        versions.sort_by(|left, right| {
            compare_versions(left, right).unwrap_or(Ordering::Equal).then(left.cmp(right))
        });
        let full = |version: &str| {
            if name.is_empty() { version.to_owned() } else { format!("{name}@{version}") }
        };
        pairs.extend(versions.windows(2).map(|pair| (full(pair[0]), full(pair[1]))));
        if let [first, _, .., last] = versions.as_slice() {
            pairs.push((full(first), full(last)));
        }
    }
    if pairs.is_empty() {
        return None;
    }
    let upgrades: Vec<Way> = pairs.iter().map(|(old, new)| Way::of(results, old, new)).collect();
    let rollbacks: Vec<Way> = pairs.iter().map(|(old, new)| Way::of(results, new, old)).collect();
    Some(vec![question("Can I upgrade?", &upgrades), question("Can I roll back?", &rollbacks)])
}

fn question(title: &'static str, ways: &[Way]) -> Question {
    let count = |wanted: Option<bool>| ways.iter().filter(|way| way.survives() == wanted).count();
    let (lost, unknown) = (count(Some(false)), count(None));
    let all = ways.len();
    let fares = ways.iter().flat_map(|way| &way.types).filter_map(|(_, fare, _)| *fare);
    let worst = fares.map(Fare::tone).fold(Tone::Blank, Tone::or_worse);
    let (tone, answer) = match (lost, unknown) {
        (0, 0) => (worst, format!("Yes: sessions survive {} between versions.", of_ways(all))),
        (0, unknown) if unknown == all => {
            (Tone::Blank, "Not known: no session was judged between two versions.".into())
        }
        (0, unknown) => (
            Tone::Blank,
            format!("Not known of {unknown} of {} between versions; the others are fine.", of_ways(all)),
        ),
        (lost, _) if lost == all => {
            (worst, format!("No: sessions are lost on {} between versions.", of_ways(all)))
        }
        (lost, _) => (
            worst,
            format!("Not everywhere: sessions are lost on {lost} of {} between versions.", of_ways(all)),
        ),
    };
    let lines = ways.iter().map(|way| (format!("{} -> {}", way.from, way.to), fared(way))).collect();
    Question { title, tone, answer, lines }
}

fn of_ways(all: usize) -> String {
    if all == 1 { "the one way".to_owned() } else { counted(all, "way", "ways") }
}

/// How sessions fare on a way, by KV type.
fn fared(way: &Way) -> String {
    let mut fares: BTreeMap<Option<Fare>, Vec<&str>> = BTreeMap::new();
    for (kv, fare, _) in &way.types {
        fares.entry(*fare).or_default().push(kv);
    }
    let told = fares
        .iter()
        .map(|(fare, types)| format!("{}: {}", types.join(", "), fare.map_or("not known", Fare::words)));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "not tried".to_owned() } else { told.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::verdict::Verdict;

    fn run(cells: &[(&str, &str, Verdict)]) -> Results {
        let cell = |(from, to, verdict): &(&str, &str, Verdict)| {
            cell("node", &[("writer", from), ("reader", to)], *verdict)
        };
        base(cells.iter().map(cell).collect())
    }

    #[test]
    fn versions_of_a_system_are_held_against_each_other_in_their_order() {
        use Verdict::{Exact, RefusedUnclear};
        let cells = [
            ("node@3.9.0", "node@3.18.1", Exact),
            ("node@3.18.1", "node@3.22.1", RefusedUnclear),
            ("node@3.9.0", "node@3.22.1", RefusedUnclear),
            ("node@3.18.1", "node@3.9.0", Exact),
        ];
        let questions = versions(&run(&cells)).expect("three versions");
        let [upgrade, rollback] = questions.as_slice() else { panic!("{questions:?}") };
        assert_eq!(upgrade.answer, "Not everywhere: sessions are lost on 2 of 3 ways between versions.");
        assert_eq!(upgrade.tone, Tone::Safe, "lost, but told");
        assert_eq!(
            upgrade.lines[1],
            ("node@3.18.1 -> node@3.22.1".into(), "f16: sessions are lost, and the program says so".into())
        );
        assert_eq!(rollback.answer, "Not known of 2 of 3 ways between versions; the others are fine.");
        assert_eq!(rollback.tone, Tone::Blank);
    }

    #[test]
    fn one_way_is_answered_as_one() {
        let answers =
            |verdict| versions(&run(&[("a@1", "a@2", verdict)])).expect("two versions")[0].answer.clone();
        assert_eq!(answers(Verdict::Exact), "Yes: sessions survive the one way between versions.");
        assert_eq!(answers(Verdict::Corrupt), "No: sessions are lost on the one way between versions.");
    }

    #[test]
    fn releases_that_stand_for_systems_are_versions() {
        let questions =
            versions(&run(&[("b9842", "0.6.0", Verdict::Exact), ("0.6.0", "b9842", Verdict::Exact)]));
        let questions = questions.expect("two releases");
        assert_eq!(questions[0].lines, [("b9842 -> 0.6.0".to_owned(), "f16: sessions survive".to_owned())]);
    }

    #[test]
    fn without_versions_nothing_is_asked() {
        assert_eq!(
            versions(&run(&[("engine", "engine", Verdict::Exact), ("a@1", "a@1", Verdict::Exact)])),
            None
        );
        assert_eq!(versions(&run(&[("a@1", "a@2", Verdict::NotRun)])), None);
    }
}
