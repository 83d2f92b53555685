//! How a run goes, on standard error: a bar with the time left on a terminal, plain lines otherwise.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::quantity::as_expected;
use crate::report::Style;
use crate::results::Cell;
use crate::run::Progress;

const COUNTED: &str = "{msg:30} {bar:32} {pos}/{len}  {eta} left";
const UNCOUNTED: &str = "{spinner} {msg}";

/// Shows a run on standard error.
pub(super) struct Shown {
    bar: Mutex<ProgressBar>,
    terminal: bool,
    /// Whether cells that are not as expected are told one by one.
    cells: bool,
}

impl Shown {
    /// A bar where standard error is a terminal, lines otherwise.
    pub(super) fn new() -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()), terminal: stderr().is_terminal(), cells: true }
    }

    /// The same, for a run in which nothing is expected.
    pub(super) fn quiet() -> Self {
        Self { cells: false, ..Self::new() }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.with(ProgressBar::finish_and_clear);
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        act(&self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn say(&self, line: &str) {
        if self.terminal {
            self.with(|bar| bar.println(line));
        } else {
            eprintln!("{line}");
        }
    }
}

impl Progress for Shown {
    fn phase(&self, name: &str, steps: usize) {
        if !self.terminal {
            eprintln!("{}", announced(name, steps));
            return;
        }
        let bar = if steps > 0 { ProgressBar::new(steps as u64) } else { ProgressBar::new_spinner() };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = if steps > 0 { COUNTED } else { UNCOUNTED };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut shown = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shown.finish_and_clear();
        *shown = bar;
    }

    fn step(&self) {
        self.with(|bar| bar.inc(1));
    }

    fn note(&self, text: &str) {
        self.say(&format!("note: {text}"));
    }

    fn cell(&self, cell: &Cell) {
        if self.cells && !cell.matched {
            self.say(&unexpected(cell));
        }
    }
}

fn announced(name: &str, steps: usize) -> String {
    if steps > 0 { format!("{name}: {steps}") } else { name.to_owned() }
}

fn unexpected(cell: &Cell) -> String {
    format!("{} {} is {}, {}", Style::of(cell.verdict).glyph, cell.id, cell.verdict, as_expected(cell))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_part_of_a_run_is_announced_with_its_steps_where_they_are_known() {
        assert_eq!(super::announced("saving", 40), "saving: 40");
        assert_eq!(super::announced("preparing models", 0), "preparing models");
    }
}
