//! Runs whose parts meet where all machines can reach.

use std::fs;

use intact_harness::exit::Exit;
use intact_harness::results::{FindingKind, Results};

use crate::folder::{ran, said};
use crate::scene::Scene;

/// Tests of depots.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("jobs that share a depot alone make one run", jobs_that_share_a_depot_alone_make_one_run),
    ("a part that never came to the depot is listed", a_part_that_never_came_is_listed),
    ("a depot keeps the parts of one run", a_depot_keeps_the_parts_of_one_run),
    (
        "a part that is kept again takes the place of the old one",
        a_part_that_is_kept_again_replaces_the_old_one,
    ),
];

impl Scene {
    /// Runs the command, which has to end with this code, and gives what it said.
    fn ends_with(&self, words: &str, code: i32) -> String {
        let said = self.intact(words);
        assert_eq!(said.code, code, "intact {words}: {}{}", said.out, said.err);
        said.out + &said.err
    }

    fn forget(&self, folder: &str) {
        fs::remove_dir_all(self.path(folder)).expect("removed");
    }

    fn results_in(&self, folder: &str) -> Results {
        Results::read(&self.path(folder).join("results.json")).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn jobs_that_share_a_depot_alone_make_one_run() {
    let scene = Scene::new("drift", None).with_control("garbage");
    let here = ran(&scene.options());
    // Whatever a job leaves in its own folder is gone when the next one begins.
    for part in ["1/2", "2/2"] {
        scene.ends_with(&format!("produce --artifacts depot --out job --partition {part}"), 0);
        scene.forget("job");
    }
    for part in ["1/3", "2/3", "3/3"] {
        scene.ends_with(&format!("consume --artifacts depot --out job --partition {part}"), 0);
        scene.forget("job");
    }
    let told = scene.ends_with("merge --artifacts depot --out job", 0);
    for part in ["consume-1-of-3", "consume-2-of-3", "consume-3-of-3"] {
        assert!(told.contains(&format!("parts/{part}  began 2")), "{part} in {told}");
    }
    let whole = scene.results_in("job");
    assert_eq!(said(&whole), said(&here));
    assert_eq!((&whole.gate, &whole.counts, &whole.controls), (&here.gate, &here.counts, &here.controls));
    assert_eq!(said(&scene.results_in("depot/whole")), said(&here), "the whole is kept too");
    for file in ["report.html", "report.md", "junit.xml", "run.json"] {
        assert!(scene.path("depot/whole").join(file).is_file(), "{file}");
    }
}

fn a_part_that_never_came_is_listed() {
    let scene = Scene::new("nothing", None);
    scene.ends_with("run --partition 1/2 --artifacts depot --out one", 0);
    scene.ends_with("merge --artifacts depot --out torn", i32::from(Exit::Incomplete.code()));
    let torn = scene.results_in("torn");
    let holes = torn.gate.findings.iter().filter(|finding| finding.kind == FindingKind::NotRun).count();
    assert!(holes > 0 && torn.cells.len() == 6, "{holes}");
    scene.ends_with("run --partition 2/2 --artifacts depot --out two", 0);
    scene.ends_with("merge --artifacts depot --out whole", 0);
}

fn a_depot_keeps_the_parts_of_one_run() {
    let scene = Scene::new("nothing", None);
    let set_up = i32::from(Exit::SetUp.code());
    let told = scene.ends_with("consume --artifacts depot --out none", set_up);
    assert!(told.contains("there is no saved session at"), "{told}");
    let told = scene.ends_with("merge --artifacts depot --out none", set_up);
    assert!(told.contains("there is no cell that was run at"), "{told}");
    assert!(!scene.path("depot").exists(), "who only looks makes nothing");
    scene.ends_with("produce --artifacts depot --out saved", 0);
    let told = scene.ends_with("produce --artifacts depot --out other --seed 1", set_up);
    assert!(told.contains("keeps another run: the seed differ"), "{told}");
    let told = scene.ends_with("run --artifacts ftp://example.org/x --out other", set_up);
    assert!(told.contains("s3://bucket/path"), "{told}");
    // What one place keeps can be judged for another.
    let depot = scene.path("depot").display().to_string();
    scene.ends_with(&format!("consume --from file://{depot} --artifacts arm --out loaded"), 0);
    assert!(scene.path("arm/parts/consume/run.json").is_file());
    assert!(!scene.path("depot/parts/consume").exists());
}

fn a_part_that_is_kept_again_replaces_the_old_one() {
    let scene = Scene::new("garbage", None);
    scene.ends_with("run --artifacts depot --out one", 100);
    scene.edit("intact.toml", "\"garbage\"", "\"nothing\"");
    let told = scene.ends_with("run --artifacts depot --out two", 0);
    assert!(told.contains("two jobs were given the same --partition"), "{told}");
    scene.ends_with("merge --artifacts depot --out whole", 0);
}
