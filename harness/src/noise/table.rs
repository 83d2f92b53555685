//! From figures to the gap between right and wrong.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Finding, Kind, Measure, Study, View};

/// How far right and wrong are apart on one route by one measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The route.
    pub route: String,
    /// What was looked at.
    pub view: View,
    /// The measure.
    pub measure: Measure,
    /// The largest figure of what is right.
    pub right: f64,
    /// The smallest figure of what is wrong.
    pub wrong: f64,
    /// What that is.
    pub case: String,
    /// The second divided by the first, or by what the measure can resolve.
    pub factor: f64,
}

/// A factor from which on two cases are told apart safely.
const SAFE: f64 = 10.0;

type Key = (View, Measure);

/// The gaps of a study, route by route, the widest first. Damage is no wrong content: hashes see it.
#[must_use]
pub fn gaps(findings: &[Finding]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for route in routes(findings) {
        let of = |kind: Kind| {
            findings.iter().filter(move |finding| finding.route == route && finding.kind == kind)
        };
        let right = largest(of(Kind::Right));
        let mut here: Vec<Gap> = right
            .iter()
            .filter_map(|(&(view, measure), &right)| {
                let wrongs =
                    of(Kind::Wrong).filter_map(|finding| Some((value(finding, (view, measure))?, finding)));
                let (wrong, finding) = wrongs.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
                let factor = wrong / right.max(measure.resolution());
                let (route, case) = (route.to_owned(), finding.case.clone());
                Some(Gap { route, view, measure, right, wrong, case, factor })
            })
            .collect();
        here.sort_by(|a, b| b.factor.total_cmp(&a.factor));
        gaps.extend(here);
    }
    gaps
}

fn routes(findings: &[Finding]) -> Vec<&str> {
    let mut routes: Vec<&str> = Vec::new();
    for finding in findings {
        if !routes.contains(&finding.route.as_str()) {
            routes.push(&finding.route);
        }
    }
    routes
}

fn value(finding: &Finding, key: Key) -> Option<f64> {
    finding.figures.iter().find(|figure| (figure.view, figure.measure) == key).map(|figure| figure.value)
}

fn largest<'f>(findings: impl Iterator<Item = &'f Finding>) -> BTreeMap<Key, f64> {
    let mut largest: BTreeMap<Key, f64> = BTreeMap::new();
    for figure in findings.flat_map(|finding| &finding.figures) {
        let most = largest.entry((figure.view, figure.measure)).or_insert(0.0);
        *most = most.max(figure.value);
    }
    largest
}

/// What is looked at together: neither sees everything. Nothing of attention is in the first layer, so that its noise is
/// least; what happens in the layers behind it shows in the worst one.
const TOGETHER: [Measure; 3] = [Measure::FirstLayer, Measure::WorstK, Measure::WorstV];

/// The wrong case of a route that is nearest to what is right, where the first layer and the worst one are looked at together.
#[must_use]
pub fn weakest(findings: &[Finding], route: &str) -> Option<Gap> {
    let of =
        |kind: Kind| findings.iter().filter(move |finding| finding.route == route && finding.kind == kind);
    let right = largest(of(Kind::Right));
    let seen = |(view, measure): &Key| *view == View::Cells && TOGETHER.contains(measure);
    let right: BTreeMap<Key, f64> = right.into_iter().filter(|(key, _)| seen(key)).collect();
    let cases = of(Kind::Wrong).filter_map(|finding| {
        let (key, factor) = best(finding, &right)?;
        let (wrong, right) = (value(finding, key)?, *right.get(&key)?);
        let (route, case) = (route.to_owned(), finding.case.clone());
        Some(Gap { route, view: key.0, measure: key.1, right, wrong, case, factor })
    });
    cases.min_by(|a, b| a.factor.total_cmp(&b.factor))
}

/// Several studies in one table: for each route and model, the wrong case that is nearest to what is right.
#[must_use]
pub fn overview(studies: &[Study]) -> String {
    let mut out = String::from(
        "| route | model | nearest wrong case | told by | largest right | the case | factor |\n|---|---|---|---|---|---|---|\n",
    );
    let mut all: Vec<&str> = Vec::new();
    for route in studies.iter().flat_map(|study| routes(&study.findings)) {
        if !all.contains(&route) {
            all.push(route);
        }
    }
    for route in all {
        for study in studies {
            let Some(gap) = weakest(&study.findings, route) else { continue };
            let _ = writeln!(
                out,
                "| {route} | {} | {} | {} | {} | {} | {} |",
                study.model,
                gap.case,
                named(gap.view, gap.measure),
                short(gap.right),
                short(gap.wrong),
                short(gap.factor)
            );
        }
    }
    out
}

/// The measure by which one case is furthest from all that is right.
fn best(finding: &Finding, right: &BTreeMap<Key, f64>) -> Option<(Key, f64)> {
    let factors = finding.figures.iter().filter_map(|figure| {
        let key = (figure.view, figure.measure);
        Some((key, figure.value / right.get(&key)?.max(figure.measure.resolution())))
    });
    factors.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// The study as Markdown: the widest gap of every route, every measure where nothing else differs, and every wrong case.
#[must_use]
pub fn markdown(study: &Study) -> String {
    let mut out = format!("## {} ({} weights, llama.cpp {})\n\n", study.model, study.weights, study.release);
    let all = gaps(&study.findings);
    out += "| route | measure | largest right | smallest wrong | factor |\n|---|---|---|---|---|\n";
    for route in routes(&study.findings) {
        let mut gaps = all.iter().filter(|gap| gap.route == route);
        let cells = gaps.clone().find(|gap| gap.view == View::Cells);
        let logits = gaps.find(|gap| gap.view != View::Cells);
        for gap in cells.into_iter().chain(logits) {
            out += &row(gap);
        }
        if let Some(gap) = weakest(&study.findings, route) {
            let both = "K, V: the first layer, or the worst one";
            let (right, wrong, factor) = (short(gap.right), short(gap.wrong), short(gap.factor));
            let _ = writeln!(out, "| {route} | {both} | {right} | {wrong} ({}) | {factor} |", gap.case);
        }
    }
    out +=
        "\nWhat parts each wrong case best from everything that is right, and what catches it besides:\n\n";
    out += "| route | wrong | by | factor | caught by |\n|---|---|---|---|---|\n";
    for route in routes(&study.findings) {
        let here = || study.findings.iter().filter(|finding| finding.route == route);
        let right = largest(here().filter(|finding| finding.kind == Kind::Right));
        for finding in here().filter(|finding| finding.kind != Kind::Right) {
            let Some(((view, measure), factor)) = best(finding, &right) else { continue };
            let told = if factor < SAFE { " (not told apart safely)" } else { "" };
            let _ = writeln!(
                out,
                "| {route} | {} | {} | {}{told} | {} |",
                finding.case,
                named(view, measure),
                short(factor),
                finding.caught_by.as_deref().unwrap_or_default()
            );
        }
    }
    for line in &study.left_out {
        let _ = writeln!(out, "\nLeft out: {line}");
    }
    out
}

fn row(gap: &Gap) -> String {
    format!(
        "| {} | {} | {} | {} ({}) | {} |\n",
        gap.route,
        named(gap.view, gap.measure),
        short(gap.right),
        short(gap.wrong),
        gap.case,
        short(gap.factor)
    )
}

fn named(view: View, measure: Measure) -> String {
    match view {
        View::Cells => measure.name().to_owned(),
        View::Restored => format!("{}, restored", measure.name()),
        View::Again => format!("{}, evaluated again", measure.name()),
    }
}

/// Two digits.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        1.0..10.0 => format!("{value:.1}"),
        10.0..10_000.0 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;

    fn finding(kind: Kind, case: &str, figures: &[(Measure, f64)]) -> Finding {
        let figure = |&(measure, value): &(Measure, f64)| Figure { view: View::Cells, measure, value };
        let (route, case) = ("a".to_owned(), case.to_owned());
        Finding { route, kind, case, caught_by: None, figures: figures.iter().map(figure).collect() }
    }

    /// The gap is between the worst of what is right and the best of what is wrong, whatever damage shows.
    #[test]
    fn the_widest_gap_comes_first_and_damage_narrows_none() {
        let findings = [
            finding(Kind::Right, "one", &[(Measure::FirstLayer, 0.0), (Measure::WorstK, 1e-4)]),
            finding(Kind::Right, "two", &[(Measure::FirstLayer, 1e-6), (Measure::WorstK, 3e-4)]),
            finding(Kind::Wrong, "near", &[(Measure::FirstLayer, 1e-4), (Measure::WorstK, 9e-4)]),
            finding(Kind::Wrong, "far", &[(Measure::FirstLayer, 1.0), (Measure::WorstK, 2.0)]),
            finding(Kind::Damage, "a row", &[(Measure::FirstLayer, 0.0), (Measure::WorstK, 0.0)]),
        ];
        let gaps = gaps(&findings);
        assert_eq!(gaps.len(), 2);
        assert_eq!((gaps[0].measure, gaps[0].case.as_str()), (Measure::FirstLayer, "near"));
        assert!((gaps[0].factor - 100.0).abs() < 1e-9 && (gaps[1].factor - 3.0).abs() < 1e-9, "{gaps:?}");
    }

    /// Each case is told by the layer that sees it; the weakest is the one that both see least.
    #[test]
    fn the_first_layer_and_the_worst_one_see_together_what_neither_sees_alone() {
        let findings = [
            finding(Kind::Right, "one", &[(Measure::FirstLayer, 0.0), (Measure::WorstK, 1e-3)]),
            finding(Kind::Wrong, "weights", &[(Measure::FirstLayer, 2e-6), (Measure::WorstK, 2e-3)]),
            finding(Kind::Wrong, "swapped", &[(Measure::FirstLayer, 0.0), (Measure::WorstK, 2.0)]),
        ];
        let gap = weakest(&findings, "a").expect("a gap");
        assert_eq!((gap.case.as_str(), gap.measure), ("weights", Measure::FirstLayer));
        assert!((gap.factor - 20.0).abs() < 1e-9, "{gap:?}");
        assert!(gaps(&findings).iter().all(|gap| gap.factor < 10.0), "neither alone");
    }

    #[test]
    fn nothing_against_nothing_is_no_gap() {
        let figures = [(Measure::FirstLayer, 0.0)];
        let findings = [finding(Kind::Right, "one", &figures), finding(Kind::Wrong, "two", &figures)];
        assert_eq!(gaps(&findings)[0].factor, 0.0);
        let study = Study {
            model: "m".into(),
            weights: "F16".into(),
            release: "r".into(),
            findings: findings.to_vec(),
            left_out: vec!["adapters: none".into()],
        };
        let text = markdown(&study);
        assert!(text.contains("not told apart safely") && text.contains("Left out: adapters"), "{text}");
    }
}
