//! Charts of what was measured, as SVG: time over tokens with the floors under it, and time over entries of a history.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use thiserror::Error;

use super::change::Step;
use super::history::{Entry, Track};
use super::row::{Operation, Part};
use super::statistics::median;
use super::table::unit;

/// Width and height, in pixels of the SVG.
const SIZE: (u32, u32) = (960, 540);

/// Distinct to people who see colours differently (Okabe and Ito's palette); every line has a mark of its own too.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

/// A chart could not be drawn.
#[derive(Debug, Error)]
#[error("the chart cannot be drawn: {0}")]
pub struct PlotError(String);

/// A chart of times.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis counts.
    pub counted: &'static str,
    /// The lines.
    pub lines: Vec<Line>,
    /// Places on the horizontal axis where something changed.
    pub steps: Vec<f64>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Count and seconds.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed: nothing can be below it.
    pub floor: bool,
}

/// Time over tokens, a line for each operation and the floors dashed: one chart for each model and KV type, of the newest
/// figures that there are of each row.
#[must_use]
pub fn over_tokens(entries: &[Entry]) -> Vec<Chart> {
    let mut newest = BTreeMap::new();
    for recorded in entries.iter().flat_map(|entry| &entry.rows) {
        if let Some(seconds) = median(&recorded.seconds) {
            newest.insert(recorded.row.clone(), seconds);
        }
    }
    let mut sessions: Vec<_> = newest.keys().map(|row| (row.model.clone(), row.kv.clone())).collect();
    sessions.dedup();
    sessions
        .into_iter()
        .map(|(model, kv)| Chart {
            title: format!("{model}, KV in {kv}: time over tokens of the session"),
            counted: "tokens",
            lines: Operation::ALL
                .into_iter()
                .map(|operation| Line {
                    name: operation.title().to_owned(),
                    points: newest
                        .iter()
                        .filter(|(row, _)| row.operation == operation && row.model == model && row.kv == kv)
                        .map(|(row, seconds)| (f64::from(row.tokens), *seconds))
                        .collect(),
                    floor: operation.part() == Part::Control,
                })
                .filter(|line| !line.points.is_empty())
                .collect(),
            steps: Vec::new(),
        })
        .collect()
}

/// One row over the entries of a history, with the steps that were found in it.
#[must_use]
pub fn over_time(track: &Track, steps: &[Step]) -> Chart {
    let points: Vec<(f64, f64)> =
        track.points.iter().map(|(entry, seconds)| (*entry as f64 + 1.0, *seconds)).collect();
    Chart {
        title: track.row.to_string(),
        counted: "entry of the history",
        steps: steps.iter().filter_map(|step| points.get(step.at)).map(|(entry, _)| entry - 0.5).collect(),
        lines: vec![Line {
            name: track.row.operation.title().to_owned(),
            points,
            floor: track.row.operation.part() == Part::Control,
        }],
    }
}

impl Chart {
    /// Draws it.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn svg(&self) -> Result<String, PlotError> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw(&area).map_err(|error| PlotError(error.to_string()))?;
        drop(area);
        Ok(svg)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = bounds(points().map(|(count, _)| *count)).unwrap_or((1.0, 2.0));
        let up = bounds(points().map(|(_, seconds)| *seconds)).unwrap_or((1e-3, 1.0));
        let times = (up.0 / 1.5..up.1 * 1.5).log_scale();
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(84);
        // Lengths double from one to the next; entries of a history follow one another.
        if across.0 > 0.0 && across.1 / across.0 > 8.0 && self.steps.is_empty() {
            self.fill(
                &mut builder.build_cartesian_2d((across.0 / 1.2..across.1 * 1.2).log_scale(), times)?,
                up,
            )
        } else {
            let room = ((across.1 - across.0) * 0.04).max(0.5);
            self.fill(&mut builder.build_cartesian_2d(across.0 - room..across.1 + room, times)?, up)
        }
    }

    fn fill<'area, 'svg: 'area, X>(
        &self,
        chart: &mut Plane<'area, 'svg, X>,
        up: (f64, f64),
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .x_desc(self.counted)
            .y_desc("time (logarithmic)")
            .y_label_formatter(&|seconds| told(*seconds))
            .x_label_formatter(&|count| format!("{count:.0}"))
            .light_line_style(RGBColor(240, 240, 240))
            .draw()?;
        for step in &self.steps {
            let line = [(*step, up.0 / 1.4), (*step, up.1 * 1.4)];
            chart.draw_series([DashedPathElement::new(line, 6, 4, RED.stroke_width(2))])?;
        }
        for (number, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let style = colour.stroke_width(2);
            let drawn = if line.floor {
                chart.draw_series([DashedPathElement::new(line.points.clone(), 8, 5, style)])?
            } else {
                chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?
            };
            drawn.label(&line.name).legend(move |(x, y)| {
                EmptyElement::at((x, y))
                    + PathElement::new([(0, 0), (20, 0)], style)
                    + mark(number, (10, 0), colour)
            });
            let marks =
                line.points.iter().map(|point| EmptyElement::at(*point) + mark(number, (0, 0), colour));
            chart.draw_series(marks)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
        Ok(())
    }
}

type Plane<'area, 'svg, X> = ChartContext<'area, SVGBackend<'svg>, Cartesian2d<X, LogCoord<f64>>>;

/// A mark that tells a line from the others without its colour.
fn mark(number: usize, at: (i32, i32), colour: RGBColor) -> Polygon<(i32, i32)> {
    const SHAPES: [&[(i32, i32)]; 5] = [
        &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        &[(0, -5), (5, 4), (-5, 4)],
        &[(0, -6), (5, 0), (0, 6), (-5, 0)],
        &[(0, 5), (5, -4), (-5, -4)],
        &[(-2, -5), (2, -5), (5, -2), (5, 2), (2, 5), (-2, 5), (-5, 2), (-5, -2)],
    ];
    let corners = SHAPES[number % SHAPES.len()].iter().map(|(x, y)| (at.0 + x, at.1 + y));
    Polygon::new(corners.collect::<Vec<_>>(), colour.filled())
}

fn bounds(figures: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = figures.filter(|figure| figure.is_finite() && *figure > 0.0);
    finite.fold(None, |bounds, figure| match bounds {
        None => Some((figure, figure)),
        Some((low, high)) => Some((figure.min(low), figure.max(high))),
    })
}

/// A time for an axis.
fn told(seconds: f64) -> String {
    let (size, name) = unit(seconds);
    let figure = format!("{:.3}", seconds / size);
    format!("{} {name}", figure.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
