//! The performance part of the page: rows of a comparison, their changes drawn beside each other, and charts.

use crate::exit::Exit;
use crate::perf::comparison::{Compared, Comparison};
use crate::perf::history::{Entry, Recorded, tracks};
use crate::perf::plot::{Chart, over_time, over_tokens};
use crate::perf::verdict::Verdict;
use crate::perf::{change, table};
use crate::report::performance::Performance;
use crate::style::Tone;

/// Charts of single rows over time at most.
const CHARTS: usize = 24;
/// Room at the edges of the drawing of changes, in percent, so that marks and figures at its ends are whole.
const EDGE: f64 = 4.0;
/// Ratios beyond this are drawn at the edge.
const FARTHEST: f64 = 2.0;

/// What was measured, to be shown.
pub(crate) struct Speed {
    pub(super) told: Option<Told>,
    pub(super) charts: Vec<Drawn>,
}

/// A comparison.
pub(crate) struct Told {
    pub(super) summary: String,
    pub(super) tone: &'static str,
    pub(super) base: String,
    pub(super) candidate: String,
    pub(super) head: [&'static str; 7],
    pub(super) rows: Vec<(&'static str, [String; 7])>,
    pub(super) remarks: Vec<String>,
    pub(super) forest: Forest,
}

/// Every change with its interval, over one axis of ratios. Places are percents of the width.
pub(crate) struct Forest {
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) intervals: Vec<Interval>,
}

/// One change: where its interval begins and ends, and its middle.
pub(crate) struct Interval {
    pub(super) name: String,
    pub(super) tone: &'static str,
    pub(super) glyph: char,
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) width: f64,
    pub(super) told: String,
}

/// A chart, drawn.
pub(crate) struct Drawn {
    pub(super) title: String,
    pub(super) svg: String,
}

impl Speed {
    pub(super) fn of(performance: &Performance) -> Result<Self, String> {
        let history = &performance.history;
        let newest: Vec<Entry> = match &performance.comparison {
            Some(comparison) => vec![candidate(comparison)],
            None => history.clone(),
        };
        let mut charts = over_tokens(&newest);
        let trends = tracks(history).into_iter().filter(|track| track.points.len() > 1);
        charts.extend(trends.take(CHARTS).map(|track| {
            let figures: Vec<f64> = track.points.iter().map(|(_, seconds)| *seconds).collect();
            over_time(&track, &change::steps(&figures, change::ALPHA, change::SMALLEST))
        }));
        Ok(Self {
            told: performance.comparison.as_ref().map(Told::of),
            charts: charts.iter().map(Drawn::of).collect::<Result<_, _>>()?,
        })
    }
}

/// What the candidate measured, as an entry of a history has it.
fn candidate(comparison: &Comparison) -> Entry {
    let recorded = |compared: &Compared| Recorded {
        row: compared.row.clone(),
        bytes: compared.bytes,
        seconds: compared.blocks.iter().flat_map(|block| block.candidate.iter().copied()).collect(),
    };
    Entry {
        version: crate::perf::history::ENTRY_VERSION,
        recorded: comparison.made.clone(),
        environment: comparison.environment.clone(),
        release: comparison.candidate.release.clone(),
        subject: comparison.candidate.version.clone(),
        commit: None,
        rows: comparison.rows.iter().map(recorded).collect(),
    }
}

impl Told {
    fn of(comparison: &Comparison) -> Self {
        let tone = match comparison.exit {
            Exit::Fine => Tone::Good,
            Exit::Regression => Tone::Bad,
            _ => Tone::Weak,
        };
        Self {
            summary: comparison.summary.clone(),
            tone: tone.name(),
            base: table::subject(&comparison.base),
            candidate: table::subject(&comparison.candidate),
            head: table::HEAD,
            rows: comparison.rows.iter().map(|row| (tone_of(row.verdict), table::cells(row))).collect(),
            remarks: table::remarks(comparison),
            forest: Forest::of(&comparison.rows),
        }
    }
}

const fn tone_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Improved | Verdict::Unchanged => Tone::Good.name(),
        Verdict::Regressed => Tone::Bad.name(),
        Verdict::Noisy | Verdict::Unproven => Tone::Blank.name(),
    }
}

impl Forest {
    fn of(rows: &[Compared]) -> Self {
        let place = |ratio: f64| {
            let share = (ratio.ln() / FARTHEST.ln()).clamp(-1.0, 1.0);
            EDGE + (100.0 - 2.0 * EDGE) * (share + 1.0) / 2.0
        };
        let compared = rows.iter().filter_map(|row| Some((row, row.change?)));
        let intervals: Vec<Interval> = compared
            .map(|(row, change)| Interval {
                name: row.row.to_string(),
                tone: tone_of(row.verdict),
                glyph: row.verdict.glyph(),
                low: place(change.low),
                middle: place(change.ratio),
                width: (place(change.high) - place(change.low)).max(0.2),
                told: format!("{:.2} times, {:.2} to {:.2}", change.ratio, change.low, change.high),
            })
            .collect();
        let ticks = [0.5, 0.75, 1.0, 1.5, 2.0].map(|ratio: f64| (place(ratio), format!("{ratio} ×")));
        Self { ticks: ticks.into(), intervals }
    }
}

impl Drawn {
    fn of(chart: &Chart) -> Result<Self, String> {
        Ok(Self { title: chart.title.clone(), svg: chart.svg().map_err(|error| error.to_string())? })
    }
}
