//! Whole runs over the fake worker.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use intact_fake_worker::Misbehaviour;
use intact_harness::exit::Exit;
use intact_harness::results::{FindingKind, Results};
use intact_harness::run::{self, RunError, RunOptions, Silent};
use intact_harness::self_test::toy;
use intact_harness::verdict::Verdict;
use tempfile::TempDir;

/// The argument that makes this program the fake worker.
pub(crate) const AS_WORKER: &str = "--as-worker";

/// Tests of whole runs beside the table.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a dead worker costs its own cell and no other", a_dead_worker_costs_its_own_cell_and_no_other),
    (
        "a worker that dies while it saves is judged by that",
        a_worker_that_dies_while_it_saves_is_judged_by_that,
    ),
    (
        "an axis that the control comes through is untested",
        an_axis_that_the_control_comes_through_is_untested,
    ),
    ("a filter runs the cells that it selects", a_filter_runs_the_cells_that_it_selects),
    (
        "the command that reproduces a cell selects it alone",
        the_command_that_reproduces_a_cell_selects_it_alone,
    ),
    ("a bad filter, plan or worker ends the run before it starts", what_cannot_start_says_so),
    (
        "a release without a worker is not run, and is told how to build",
        a_release_without_a_worker_is_not_run,
    ),
    ("two runs give the same verdicts in the same order", two_runs_give_the_same_verdicts_in_the_same_order),
    (
        "parameters are judged whatever the axes are called",
        parameters_are_judged_whatever_the_axes_are_called,
    ),
    ("an adopted session is held to its writer's own", an_adopted_session_is_held_to_its_writers_own),
];

/// A folder with models and a configuration whose only judged subject misbehaves.
pub(crate) struct Scene {
    dir: TempDir,
}

impl Scene {
    pub(crate) fn new(misbehaviour: &str, at: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let models = ["one", "two", "three"].map(|model| {
            let path = dir.path().join(format!("{model}.gguf"));
            fs::write(&path, model).expect("written");
            (model, path.display().to_string())
        });
        let config = toy::config(models, [("engine", "judged", command(misbehaviour, at))]);
        let scene = Self { dir };
        scene.write("intact.toml", &config);
        scene.write("expectations.toml", "version = 1\n");
        scene
    }

    /// With so little time for an answer that a worker that hangs is found out soon.
    fn impatient(self) -> Self {
        let config = fs::read_to_string(self.path("intact.toml")).expect("read");
        self.write("intact.toml", &config.replace("timeout_seconds = 30", "timeout_seconds = 1"));
        self
    }

    pub(crate) fn with_control(self, misbehaviour: &str) -> Self {
        let config = fs::read_to_string(self.path("intact.toml")).expect("read");
        self.write(
            "intact.toml",
            &(config + &toy::subject("blind", "control", &command(misbehaviour, None))),
        );
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("read");
        assert!(text.contains(from), "{from} in {text}");
        self.write(name, &text.replace(from, to));
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn options(&self) -> RunOptions {
        RunOptions {
            out: self.path("out"),
            config: Some(self.path("intact.toml")),
            tags: Some(self.path("tags")),
            jobs: Some(2),
            ..Default::default()
        }
    }

    fn run(&self) -> Result<Results, RunError> {
        run::run(&self.options(), &Silent)
    }

    fn results(&self) -> Results {
        self.run().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The command line of the fake worker.
pub(crate) fn command(misbehaviour: &str, at: Option<&str>) -> Vec<String> {
    let own = std::env::current_exe().expect("a program");
    let mut command =
        vec![own.display().to_string(), AS_WORKER.into(), "--misbehave".into(), misbehaviour.into()];
    command.extend(at.into_iter().flat_map(|at| ["--at".to_owned(), at.to_owned()]));
    command
}

/// A run over a subject that misbehaves in this way comes to the verdict that the table names, in every cell.
pub(crate) fn judged_as_the_table_says(row: &Misbehaviour) {
    let expected = Verdict::from_name(row.verdict).expect("a verdict");
    let scene = Scene::new(row.name, None);
    let run = if expected == Verdict::Hung { scene.impatient().run() } else { scene.run() };
    if ["hello", "unknown"].contains(&row.at) {
        let error = run.expect_err("it does not pass the compliance probe");
        assert_eq!(error.exit(), Exit::SetUp, "{error}");
        return;
    }
    let results = run.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(results.cells.len(), 6);
    for cell in &results.cells {
        assert_eq!(cell.verdict, expected, "{}: {} {:?} {:?}", cell.id, cell.message, cell.code, cell.log);
        assert_eq!(cell.matched, expected.passes() || expected == Verdict::Unsupported, "{cell:?}");
    }
    let exit = match expected {
        Verdict::HarnessError | Verdict::Unsupported => Exit::NoVerdict,
        expected if expected.passes() => Exit::Fine,
        _ => Exit::GateFailed,
    };
    assert_eq!(results.gate.exit, exit, "{:?}", results.gate.findings);
}

fn a_dead_worker_costs_its_own_cell_and_no_other() {
    let scene = Scene::new("nothing", None).with_control("segfault");
    let results = scene.results();
    for cell in &results.cells {
        let (verdict, code) = match cell.dims["subject"].as_str() {
            "engine" => (Verdict::Exact, None),
            _ => (Verdict::Crashed, Some("SIGSEGV")),
        };
        assert_eq!((cell.verdict, cell.code.as_deref()), (verdict, code), "{}", cell.id);
        assert!(cell.matched, "a control is not judged: {}", cell.id);
    }
    assert_eq!(results.gate.exit, Exit::Fine);
    assert_eq!(results.counts.verdicts["blind"][&Verdict::Crashed], 6);
}

fn a_worker_that_dies_while_it_saves_is_judged_by_that() {
    for (misbehaviour, at, verdict) in [
        ("abort", "save", Verdict::Crashed),
        ("hang", "save", Verdict::Hung),
        ("segfault", "score", Verdict::Crashed),
        ("leave", "open", Verdict::Crashed),
    ] {
        if at == "open" {
            let error = Scene::new(misbehaviour, Some(at)).run().expect_err("its models cannot be opened");
            assert_eq!(error.exit(), Exit::SetUp);
            continue;
        }
        let scene = Scene::new(misbehaviour, Some(at));
        let scene = if verdict == Verdict::Hung { scene.impatient() } else { scene };
        for cell in scene.results().cells {
            assert_eq!(cell.verdict, verdict, "{misbehaviour} at {at}: {}", cell.message);
            assert!(cell.message.contains(at), "{}", cell.message);
        }
    }
}

fn an_axis_that_the_control_comes_through_is_untested() {
    for (misbehaviour, tested) in [("nothing", false), ("drift", false), ("garbage", true), ("abort", true)] {
        let results = Scene::new("nothing", None).with_control(misbehaviour).results();
        let control = results.controls.iter().find(|control| control.axis == "ctx").expect("an axis");
        assert_eq!(control.tested, tested, "{misbehaviour}");
        assert_eq!(control.cells.len(), 3, "{misbehaviour}");
        let note = control.note.as_deref().unwrap_or_default();
        assert_eq!(note.starts_with("Caught: blind/"), tested, "{misbehaviour}: {note}");
    }
}

fn parameters_are_judged_whatever_the_axes_are_called() {
    let axis = "[[axes]]\nname = \"parameters\"\nabout = \"Where parameters come from.\"\nsets = [\"parameters\"]\n\
                values = [\"saved\"]\n";
    for other in ["", &axis.replace("name = \"parameters\"", "name = \"source\"")] {
        let scene = Scene::new("forget-parameters", None);
        scene.edit("intact.toml", axis, other);
        for cell in scene.results().cells {
            assert_eq!(cell.verdict, Verdict::Degraded, "{other:?}: {}: {}", cell.id, cell.message);
        }
    }
    // A subject that the axis means nothing to has none to keep.
    let scene = Scene::new("forget-parameters", None);
    scene.edit("intact.toml", "name = \"engine\"", "name = \"engine\"\ninapplicable = [\"parameters\"]");
    assert!(scene.results().cells.iter().all(|cell| cell.verdict == Verdict::Exact));
}

fn an_adopted_session_is_held_to_its_writers_own() {
    for (misbehaviour, verdict) in [("nothing", Verdict::Exact), ("abort", Verdict::Crashed)] {
        let scene = Scene::new(misbehaviour, Some("adopt"));
        scene.edit(
            "intact.toml",
            "[conversation]",
            "[[axes]]\nname = \"operation\"\nabout = \"How.\"\nsets = [\"operation\"]\nvalues = [\"load\", \"adopt\"]\n\n\
             [conversation]",
        );
        let results = scene.results();
        let (adopted, loaded): (Vec<_>, Vec<_>) =
            results.cells.iter().partition(|cell| cell.dims["operation"] == "adopt");
        assert_eq!((adopted.len(), loaded.len()), (6, 6));
        for cell in adopted {
            assert_eq!(cell.verdict, verdict, "{}: {}", cell.id, cell.message);
            let route = (verdict == Verdict::Exact).then_some("adopted");
            assert_eq!(cell.route.as_deref(), route, "{}", cell.id);
        }
        assert!(loaded.iter().all(|cell| cell.verdict == Verdict::Exact));
    }
}

fn a_filter_runs_the_cells_that_it_selects() {
    let scene = Scene::new("nothing", None);
    for (filter, cells, exit) in
        [("model(one|two)", 4, Exit::Fine), ("ctx(1024) & !model(one)", 2, Exit::Fine)]
    {
        let options = RunOptions { filter: Some(filter.to_owned()), ..scene.options() };
        let results = run::run(&options, &Silent).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((results.cells.len(), results.gate.exit), (cells, exit), "{filter}");
        assert_eq!((results.plan.planned, results.plan.selected as usize), (6, cells), "{filter}");
        assert_eq!(run::plan(&options).expect("a plan").cells.len(), cells, "{filter}");
    }
    let none = RunOptions { filter: Some("none()".into()), ..scene.options() };
    assert_eq!(run::plan(&none).expect("a plan").cells.len(), 0);
    assert_eq!(run::run(&none, &Silent).expect_err("nothing").exit(), Exit::NothingSelected);
}

fn the_command_that_reproduces_a_cell_selects_it_alone() {
    let scene = Scene::new("nothing", None);
    for cell in scene.results().cells {
        let (_, filter) = cell.reproduce.split_once("-E ").expect("a filter");
        let options = RunOptions { filter: Some(filter.trim_matches('\'').to_owned()), ..scene.options() };
        let selected = run::plan(&options).expect("a plan");
        assert_eq!(selected.cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>(), [cell.id]);
    }
}

fn what_cannot_start_says_so() {
    let scene = Scene::new("nothing", None);
    let exit = |options: RunOptions| run::run(&options, &Silent).expect_err("it cannot start").exit();
    assert_eq!(exit(RunOptions { filter: Some("modle(one)".into()), ..scene.options() }), Exit::BadFilter);
    assert_eq!(exit(RunOptions { filter: Some("model(one".into()), ..scene.options() }), Exit::BadFilter);
    assert_eq!(
        exit(RunOptions { filter: Some("verdict(exact)".into()), ..scene.options() }),
        Exit::BadFilter
    );
    assert_eq!(exit(RunOptions { plan: Some("nightly".into()), ..scene.options() }), Exit::SetUp);
    assert_eq!(exit(RunOptions { models: vec!["missing.gguf".into()], ..scene.options() }), Exit::SetUp);
    assert_eq!(exit(RunOptions { config: Some("missing.toml".into()), ..scene.options() }), Exit::SetUp);
    scene.write(
        "expectations.toml",
        "version = 1\n[[expect]]\nwhen = \"all()\"\noutcome = [\"corrupt\"]\nreason = \"r\"\n",
    );
    assert_eq!(exit(scene.options()), Exit::SetUp);
    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    scene.write("expectations.toml", "version = 1\n");
    scene.write(
        "intact.toml",
        &config.replace(&command("nothing", None)[0], Path::new("/no/such/worker").to_str().expect("utf-8")),
    );
    assert_eq!(exit(scene.options()), Exit::SetUp);
}

fn two_runs_give_the_same_verdicts_in_the_same_order() {
    let scene = Scene::new("refuse", None).with_control("garbage");
    scene.write(
        "expectations.toml",
        "version = 1\n[[expect]]\nwhen = \"model(one)\"\noutcome = [\"refused\"]\ncode = \"other-model\"\nreason = \"r\"\n\
         [[expect]]\nwhen = \"model(two)\"\noutcome = [\"degraded\"]\nreason = \"r\"\n",
    );
    let seen = |results: Results| {
        let findings: Vec<_> = results.gate.findings.iter().map(|finding| finding.kind).collect();
        let cells: Vec<_> =
            results.cells.into_iter().map(|cell| (cell.id, cell.verdict, cell.nmse, cell.matched)).collect();
        (cells, findings)
    };
    let first = seen(scene.results());
    assert_eq!(first, seen(scene.results()));
    use FindingKind::{Stale, Worse};
    assert_eq!(first.1, [Stale, Stale, Worse, Worse]);
    let written =
        Results::read(&scene.path("out").join("results.json")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen(written), first);
    let left = fs::read_dir(scene.path("out")).expect("a folder").flatten();
    let left: BTreeSet<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let kept = [
        "artifacts",
        "artifacts.jsonl",
        "events.jsonl",
        "expectations.toml",
        "intact.toml",
        "plan.json",
        "results.json",
        "run.json",
    ];
    assert_eq!(left, kept.map(str::to_owned).into());
}

fn a_release_without_a_worker_is_not_run() {
    let scene = Scene::new("nothing", None);
    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    let axis = r#"
[[axes]]
name = "reader"
about = "The release that loads."
sets = ["reader.release"]
releases = true
"#;
    scene.write("intact.toml", &(config + axis));
    let impostor = scene.path("tags").join("b8783");
    fs::create_dir_all(&impostor).expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let script = format!("#!/bin/sh\nexec {} {AS_WORKER}\n", program.display());
    let worker = impostor.join(format!("intact-worker{}", std::env::consts::EXE_SUFFIX));
    fs::write(&worker, script).expect("written");
    make_executable(&worker);
    let results = run::run(&scene.options(), &Silent).expect("a run");
    assert_eq!(results.gate.exit, Exit::Incomplete, "cells that were not run are no pass");
    let of = |release: &str| {
        let cell = results.cells.iter().find(|cell| cell.dims["reader"] == release);
        cell.unwrap_or_else(|| panic!("no cell of {release}"))
    };
    assert_eq!(of("toy").verdict, Verdict::Exact, "the configured worker's own release");
    assert_eq!(of("b5686").verdict, Verdict::NotRun);
    assert!(of("b5686").message.contains("`intact tags build b5686`"), "{}", of("b5686").message);
    if cfg!(unix) {
        assert_eq!(of("b8783").verdict, Verdict::NotRun);
        assert!(of("b8783").message.contains("it is of llama.cpp toy"), "{}", of("b8783").message);
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) {}
