//! Runs that have little time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use intact_harness::exit::Exit;
use intact_harness::results::{Cell, Results};
use intact_harness::run::{self, Progress, RunOptions};
use intact_harness::trust::Trust;
use intact_harness::verdict::Verdict;

use crate::folder::ran;
use crate::scene::Scene;

/// Tests of budgets.
pub(crate) const TESTS: &[(&str, fn())] = &[
    (
        "without time one cell is played and the others are named, and the run can be gone on with",
        without_time_one_cell_is_played,
    ),
    ("nothing is begun when the time is over", nothing_is_begun_when_the_time_is_over),
];

fn left_out(results: &Results) -> Vec<&Cell> {
    results.cells.iter().filter(|cell| cell.code.as_deref() == Some("budget")).collect()
}

fn without_time_one_cell_is_played() {
    let scene = Scene::new("nothing", None);
    let hurried = ran(&RunOptions { budget: Some(Duration::ZERO), ..scene.options() });
    let left: Vec<&Cell> = left_out(&hurried);
    assert_eq!(left.len(), hurried.cells.len() - 1);
    assert!(left.iter().all(|cell| cell.verdict == Verdict::Filtered));
    let note = hurried.run.notes.concat();
    assert!(left.iter().all(|cell| note.contains(&cell.id)), "{note}");

    let resumed = RunOptions::resumed(&scene.path("out")).expect("a run");
    let whole = ran(&RunOptions { trust: Trust::given(), ..resumed });
    assert_eq!((left_out(&whole).len(), whole.gate.exit), (0, Exit::Fine));
}

/// Takes all of a run's time when the first cell is judged.
#[derive(Default)]
struct Dawdling {
    cells: AtomicUsize,
    phases: Mutex<Vec<String>>,
}

const TIME: Duration = Duration::from_secs(3);

impl Progress for Dawdling {
    fn phase(&self, name: &str, _steps: usize) {
        self.phases.lock().expect("sound").push(name.to_owned());
    }

    fn step(&self) {}

    fn cell(&self, _cell: &Cell) {
        if self.cells.fetch_add(1, Ordering::Relaxed) == 0 {
            sleep(TIME);
        }
    }
}

fn nothing_is_begun_when_the_time_is_over() {
    // Every cell is worse than expected, so each would be played again.
    let scene = Scene::new("garbage", None);
    let options = RunOptions { budget: Some(TIME), jobs: Some(1), ..scene.options() };
    let progress = Dawdling::default();
    let results = run::run(&options, &progress).unwrap_or_else(|error| panic!("{error}"));
    let judged = results.cells.len() - left_out(&results).len();
    assert!(judged <= 1, "{judged} were played, of which the first one took all the time");
    let phases = progress.phases.into_inner().expect("sound");
    assert!(!phases.iter().any(|phase| phase.starts_with("retrying")), "{phases:?}");
}
