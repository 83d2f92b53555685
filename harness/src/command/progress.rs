//! How a run goes, on standard error: a bar with the time left on a terminal, plain lines otherwise.

mod running;

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::colour;
use crate::printing;
use crate::quantity::as_expected;
use crate::report::{Style, Tone};
use crate::results::Cell;
use crate::run::Progress;
use running::Running;

const COUNTED: &str = "{msg:32} {bar:24} {pos}/{len}, about {eta} left";
const UNCOUNTED: &str = "{msg:32} {spinner} {elapsed}";
/// How often it is looked for cells that take long.
const LOOK: Duration = Duration::from_secs(1);

/// Shows a run on standard error.
pub(super) struct Shown {
    board: Arc<Board>,
    /// Whether cells that are not as expected are told one by one.
    cells: bool,
}

/// What is shown.
struct Board {
    bar: Mutex<ProgressBar>,
    running: Mutex<Running>,
    terminal: bool,
    coloured: bool,
}

impl Shown {
    /// A bar where standard error is a terminal, lines otherwise.
    pub(super) fn new() -> Self {
        let board = Arc::new(Board {
            bar: Mutex::new(ProgressBar::hidden()),
            running: Mutex::default(),
            terminal: stderr().is_terminal(),
            coloured: colour::on_errors(),
        });
        let watched = Arc::downgrade(&board);
        thread::spawn(move || watch(&watched));
        Self { board, cells: true }
    }

    /// The same, for a run in which nothing is expected.
    pub(super) fn quiet() -> Self {
        Self { cells: false, ..Self::new() }
    }

    /// Ends the part of the run that is shown.
    pub(super) fn finish(&self) {
        self.board.finish();
    }
}

impl Board {
    fn finish(&self) {
        *self.running() = Running::default();
        let bar = self.bar();
        let told = ended(&bar.message(), bar.position(), bar.length(), bar.elapsed());
        let shown = !bar.is_hidden() && !bar.is_finished();
        bar.finish_and_clear();
        if shown {
            eprintln!("{told}");
        }
    }

    fn bar(&self) -> MutexGuard<'_, ProgressBar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        if self.terminal {
            self.bar().suspend(|| eprintln!("{line}"));
        } else {
            eprintln!("{line}");
        }
    }

    fn say_in(&self, tone: Tone, line: &str) {
        if self.coloured {
            let painted = colour::painted(tone, line) + "\n";
            self.bar().suspend(|| printing::coloured(&painted));
        } else {
            self.say(line);
        }
    }
}

/// Names cells that take long, while anything is shown.
fn watch(board: &Weak<Board>) {
    loop {
        thread::sleep(LOOK);
        let Some(board) = board.upgrade() else { return };
        let lines = board.running().slow(Instant::now());
        lines.iter().for_each(|line| board.say_in(Tone::Weak, line));
    }
}

impl Progress for Shown {
    fn phase(&self, name: &str, steps: usize) {
        if !self.board.terminal {
            eprintln!("{}", announced(name, steps));
            return;
        }
        // One bar at a time: two of them draw over each other.
        self.board.finish();
        let bar = if steps > 0 { ProgressBar::new(steps as u64) } else { ProgressBar::new_spinner() };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = if steps > 0 { COUNTED } else { UNCOUNTED };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.board.bar() = bar;
    }

    fn step(&self) {
        self.board.bar().inc(1);
    }

    fn note(&self, text: &str) {
        self.board.say(&format!("note: {text}"));
    }

    fn begin(&self, cell: &str) {
        self.board.running().begin(cell, Instant::now());
    }

    fn cell(&self, cell: &Cell) {
        self.board.running().end(&cell.id);
        if self.cells && !cell.matched {
            let line = unexpected(cell);
            self.board.say_in(Style::of(cell.verdict).tone, &line);
        }
        if let Some(line) = slow(cell) {
            self.board.say_in(Tone::Weak, &line);
        }
    }
}

fn announced(name: &str, steps: usize) -> String {
    if steps > 0 { format!("{name}: {steps}") } else { name.to_owned() }
}

/// What is left of a part of a run that is over.
fn ended(name: &str, done: u64, of: Option<u64>, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    match of {
        Some(of) if of == done => format!("{name:32} {done} in {seconds:.1} s"),
        Some(of) => format!("{name:32} {done} of {of} in {seconds:.1} s"),
        None => format!("{name:32} {seconds:.1} s"),
    }
}

/// A cell that took long.
fn slow(cell: &Cell) -> Option<String> {
    (cell.seconds > running::SLOW.as_secs_f64()).then(|| format!("SLOW {:.0} s {}", cell.seconds, cell.id))
}

fn unexpected(cell: &Cell) -> String {
    format!("{} {} is {}, {}", Style::of(cell.verdict).glyph, cell.id, cell.verdict, as_expected(cell))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::results::{Cell, sample_cell};

    #[test]
    fn a_part_that_is_over_says_how_many_and_how_long() {
        let told = |done, of| super::ended("saving sessions", done, of, Duration::from_millis(12_340));
        assert_eq!(told(32, Some(32)), "saving sessions                  32 in 12.3 s");
        assert_eq!(told(30, Some(32)), "saving sessions                  30 of 32 in 12.3 s");
        assert_eq!(told(0, None), "saving sessions                  12.3 s");
    }

    #[test]
    fn a_cell_that_takes_long_is_named() {
        let cell = |seconds| Cell { seconds, ..sample_cell("engine/llama") };
        assert_eq!(super::slow(&cell(41.4)).as_deref(), Some("SLOW 41 s engine/llama"));
        assert_eq!(super::slow(&cell(3.0)), None);
    }

    #[test]
    fn a_part_of_a_run_is_announced_with_its_steps_where_they_are_known() {
        assert_eq!(super::announced("saving", 40), "saving: 40");
        assert_eq!(super::announced("preparing models", 0), "preparing models");
    }
}
