//! Runs that go on, are split, and are put together again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use intact_harness::exit::Exit;
use intact_harness::folder::{Event, RunFolder};
use intact_harness::results::{Cell, FindingKind, Results};
use intact_harness::run::{self, MergeOptions, RunOptions, Silent};
use intact_harness::trust::Trust;
use intact_harness::verdict::Verdict;

use crate::scene::{Scene, command};

/// Tests of runs' folders.
pub(crate) const TESTS: &[(&str, fn())] = &[
    (
        "a run that is gone on with plays only what is left",
        a_run_that_is_gone_on_with_plays_only_what_is_left,
    ),
    ("a run of another plan is not gone on with", a_run_of_another_plan_is_not_gone_on_with),
    ("failed cells are played again when that is asked for", failed_cells_are_played_again_when_asked_for),
    ("a flaky cell fails and shows its attempts", a_flaky_cell_fails_and_shows_its_attempts),
    ("what is saved here and loaded there is one run", what_is_saved_here_and_loaded_there_is_one_run),
    ("parts make a whole, and a lost one leaves holes", parts_make_a_whole_and_a_lost_one_leaves_holes),
    (
        "runs that disagree or are of other plans are not put together",
        what_is_not_one_run_is_not_put_together,
    ),
    (
        "what a filter leaves out is no reason to remove an expectation",
        what_a_filter_leaves_out_is_no_reason_to_remove_an_expectation,
    ),
    ("a session that nobody saved is not run", a_session_that_nobody_saved_is_not_run),
    ("a torn index of artifacts is gone on with", a_torn_index_of_artifacts_is_gone_on_with),
    ("a damaged artifact says nothing of the subject", a_damaged_artifact_says_nothing_of_the_subject),
    #[cfg(unix)]
    ("no worker outlives a command that is killed", no_worker_outlives_a_command_that_is_killed),
    #[cfg(target_os = "linux")]
    ("nothing is left of runs that are killed", nothing_is_left_of_runs_that_are_killed),
    #[cfg(unix)]
    ("an interrupted run tells what is left and goes on", an_interrupted_run_tells_what_is_left_and_goes_on),
    #[cfg(unix)]
    (
        "what interrupts a command is not put down to a model",
        what_interrupts_a_command_is_not_put_down_to_a_model,
    ),
];

pub(crate) fn ran(options: &RunOptions) -> Results {
    run::run(options, &Silent).unwrap_or_else(|error| panic!("{error}"))
}

/// A run that is gone on with, by somebody who trusts it.
fn going_on(folder: impl AsRef<Path>) -> RunOptions {
    let options = RunOptions::resumed(folder.as_ref()).expect("a run");
    RunOptions { trust: Trust::given(), ..options }
}

/// What was saved elsewhere, loaded by somebody who trusts it.
fn consuming(folders: &[PathBuf]) -> RunOptions {
    RunOptions { trust: Trust::given(), ..RunOptions::consuming(folders).expect("produced") }
}

/// What a run says, without when and how long.
pub(crate) fn said(results: &Results) -> Vec<Cell> {
    let timeless = |cell: &Cell| {
        let receipt = cell.receipt.clone().map(|receipt| intact_protocol::Receipt {
            timings: intact_protocol::Timings::default(),
            ..receipt
        });
        Cell { seconds: 0.0, load_seconds: None, reproduce: String::new(), receipt, ..cell.clone() }
    };
    results.cells.iter().map(timeless).collect()
}

fn judged(folder: &Path) -> Vec<String> {
    let events =
        RunFolder::open(folder).and_then(|folder| folder.events()).unwrap_or_else(|error| panic!("{error}"));
    let judged = events.into_iter().filter_map(|event| match event {
        Event::Judged(judged) => Some(judged.cell),
        _ => None,
    });
    judged.collect()
}

/// Cuts the log behind so many judged cells, in the middle of the next line, as a kill does.
fn tear(folder: &Path, cells: usize) {
    let path = folder.join("events.jsonl");
    let text = fs::read_to_string(&path).expect("a log");
    let mut seen = 0;
    let mut kept = String::new();
    for line in text.lines() {
        if line.contains("\"judged\"") {
            if seen == cells {
                kept += &line[..line.len() / 2];
                break;
            }
            seen += 1;
        }
        kept += line;
        kept.push('\n');
    }
    fs::write(path, kept).expect("written");
}

fn a_run_that_is_gone_on_with_plays_only_what_is_left() {
    let scene = Scene::new("nothing", None).with_control("garbage");
    let whole = ran(&scene.options());
    let out = scene.path("out");
    assert_eq!(judged(&out).len(), 12);
    tear(&out, 5);
    let first = judged(&out);
    assert_eq!(first.len(), 5);
    let resumed = ran(&RunOptions { jobs: Some(2), ..going_on(out.as_path()) });
    assert_eq!(said(&resumed), said(&whole));
    assert_eq!(resumed.gate.exit, Exit::Fine);
    let all = judged(&out);
    assert_eq!((&all[..5], all.len()), (&first[..], 12), "what was judged is not judged again");
    assert_eq!(ran(&going_on(out.as_path())).gate.exit, Exit::Fine);
    assert_eq!(judged(&out).len(), 12, "nothing was left to play");
}

fn a_run_of_another_plan_is_not_gone_on_with() {
    let scene = Scene::new("nothing", None);
    ran(&scene.options());
    scene.edit("intact.toml", "scored_tokens = 8", "scored_tokens = 9");
    let error = run::run(&going_on(scene.path("out")), &Silent).expect_err("another plan");
    assert_eq!(error.exit(), Exit::SetUp);
    assert!(error.to_string().contains("the configuration differ"), "{error}");
    let error = RunOptions::resumed(&scene.path("models")).expect_err("no run there");
    assert!(error.to_string().contains("no run.json"), "{error}");
}

fn failed_cells_are_played_again_when_asked_for() {
    let scene = Scene::new("refuse", None);
    assert_eq!(ran(&scene.options()).gate.exit, Exit::GateFailed);
    scene.edit("intact.toml", "\"refuse\"", "\"nothing\"");
    let resumed = going_on(scene.path("out"));
    assert_eq!(ran(&resumed).gate.exit, Exit::GateFailed, "judged cells stay as they are");
    let again = ran(&RunOptions { rerun_failed: true, ..resumed });
    assert_eq!(again.gate.exit, Exit::Fine, "{:?}", again.gate.findings);
    assert!(again.cells.iter().all(|cell| cell.attempts.is_empty() && !cell.flaky));
}

fn a_flaky_cell_fails_and_shows_its_attempts() {
    for (misbehaviour, flaky) in [("garbage", true), ("abort", true), ("nothing", false)] {
        let scene = Scene::new(misbehaviour, None);
        let once = scene.path("once");
        scene.edit("intact.toml", "\"--misbehave\"", &format!("\"--once\", {once:?}, \"--misbehave\""));
        let filter = Some("model(one) & ctx(512)".to_owned());
        let results = ran(&RunOptions { filter, ..scene.options() });
        let cell = &results.cells[0];
        assert_eq!((cell.flaky, cell.attempts.len()), (flaky, if flaky { 2 } else { 0 }), "{misbehaviour}");
        if flaky {
            assert_eq!(cell.attempts[1].verdict, Verdict::Exact, "{misbehaviour}");
            assert_eq!(cell.verdict, cell.attempts[0].verdict, "the worse one counts");
            assert_eq!(results.gate.findings[0].kind, FindingKind::Flaky);
            assert_eq!(results.gate.exit, Exit::GateFailed);
        }
    }
}

fn merged(scene: &Scene, runs: &[&str]) -> Result<Results, String> {
    let options = MergeOptions {
        runs: runs.iter().map(|name| scene.path(name)).collect(),
        out: scene.path("merged"),
        ..MergeOptions::default()
    };
    run::merge(&options).map_err(|error| error.to_string())
}

/// Another build of the same worker: a copy of the program elsewhere.
fn other_build(scene: &Scene) -> PathBuf {
    let copy = scene.path("elsewhere").join(format!("another-worker{}", std::env::consts::EXE_SUFFIX));
    fs::create_dir_all(copy.parent().expect("a folder")).expect("made");
    fs::copy(std::env::current_exe().expect("this program"), &copy).expect("copied");
    copy
}

fn what_is_saved_here_and_loaded_there_is_one_run() {
    let scene = Scene::new("drift", None).with_control("garbage");
    let here = ran(&scene.options());
    let produce = |name: &str, partition: &str| {
        let partition = Some(partition.parse().expect("a partition"));
        let options = RunOptions { out: scene.path(name), partition, ..scene.options() };
        run::produce(&options, &Silent).unwrap_or_else(|error| panic!("{error}")).sessions
    };
    assert_eq!(produce("saved-1", "1/2") + produce("saved-2", "2/2"), 12, "every session is saved once");

    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    let other = other_build(&scene);
    let own = command("drift", None)[0].clone();
    scene.write("elsewhere/intact.toml", &config.replace(&own, other.to_str().expect("UTF-8")));
    let consume = |name: &str, partition: &str| {
        let from = consuming(&[scene.path("saved-1"), scene.path("saved-2")]);
        ran(&RunOptions {
            out: scene.path(name),
            config: Some(scene.path("elsewhere/intact.toml")),
            partition: Some(partition.parse().expect("a partition")),
            jobs: Some(1),
            ..from
        })
    };
    for part in ["1/3", "2/3", "3/3"] {
        let name = format!("part-{}", &part[..1]);
        assert_eq!(consume(&name, part).subjects[0].command[0], other.display().to_string());
    }
    let whole = merged(&scene, &["part-1", "part-2", "part-3"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said(&whole), said(&here));
    assert_eq!((&whole.gate, &whole.counts, &whole.controls), (&here.gate, &here.counts, &here.controls));
    assert_eq!((&whole.plan, whole.gate.exit), (&here.plan, Exit::Fine));
    let again = merged(&scene, &["part-3", "saved-1", "part-1", "part-2", "part-1"]);
    assert_eq!(
        said(again.as_ref().unwrap_or_else(|error| panic!("{error}"))),
        said(&here),
        "in any order, and twice"
    );
    let notes = again.expect("one run").run.notes;
    assert!(whole.run.notes.is_empty() && notes.len() == 1, "{notes:?}");
}

fn parts_make_a_whole_and_a_lost_one_leaves_holes() {
    let scene = Scene::new("nothing", None);
    let whole = ran(&scene.options());
    let mut cells = 0;
    for (name, part) in [("a", "1/2"), ("b", "2/2")] {
        let partition = Some(part.parse().expect("a partition"));
        let results = ran(&RunOptions { out: scene.path(name), partition, ..scene.options() });
        assert_eq!(results.run.partition.as_deref(), Some(part));
        cells += results.cells.len();
    }
    assert_eq!(cells, 6);
    assert_eq!(said(&merged(&scene, &["b", "a"]).expect("one run")), said(&whole));
    // A matrix of two jobs that were both given the first part.
    let partition = Some("1/2".parse().expect("a partition"));
    ran(&RunOptions { out: scene.path("a again"), partition, ..scene.options() });
    let alike = merged(&scene, &["a", "a again"]).expect("one run");
    assert_eq!(alike.gate.exit, Exit::Incomplete);
    let [note] = alike.run.notes.as_slice() else { panic!("{:?}", alike.run.notes) };
    assert!(note.contains("a again") && note.contains("the same --partition"), "{note}");
    let torn = merged(&scene, &["a"]).expect("one run");
    let lost: Vec<&Cell> = torn.cells.iter().filter(|cell| cell.verdict == Verdict::NotRun).collect();
    assert!(!lost.is_empty() && torn.cells.len() == 6, "{} are lost", lost.len());
    assert!(lost.iter().all(|cell| cell.code.as_deref() == Some("missing")));
    assert_eq!(torn.gate.exit, Exit::Incomplete);
    let listed = torn.gate.findings.iter().filter(|finding| finding.kind == FindingKind::NotRun).count();
    assert_eq!(listed, lost.len(), "every hole is listed");
}

fn what_is_not_one_run_is_not_put_together() {
    let scene = Scene::new("nothing", None);
    ran(&RunOptions { out: scene.path("a"), ..scene.options() });
    scene.edit("intact.toml", "\"nothing\"", "\"garbage\"");
    ran(&RunOptions { out: scene.path("b"), ..scene.options() });
    let error = merged(&scene, &["a", "b"]).expect_err("they disagree");
    assert!(error.contains("is exact in") && error.contains("corrupt"), "{error}");
    ran(&RunOptions { out: scene.path("c"), seed: 1, ..scene.options() });
    let error = merged(&scene, &["a", "c"]).expect_err("another seed");
    assert!(error.contains("the seed differ"), "{error}");
    assert!(merged(&scene, &["a", "models"]).expect_err("no run").contains("no run.json"));
    assert!(merged(&scene, &["a", "merged"]).expect_err("its own target").contains("--out"));
}

fn what_a_filter_leaves_out_is_no_reason_to_remove_an_expectation() {
    let scene = Scene::new("nothing", None);
    let expected = "[[expect]]\nwhen = \"model(two)\"\noutcome = [\"exact\"]\nreason = \"r\"\n";
    scene.write("expectations.toml", &format!("version = 1\n{expected}"));
    let filter = Some("model(one)".to_owned());
    let here = ran(&RunOptions { filter: filter.clone(), ..scene.options() });
    run::produce(&RunOptions { filter, out: scene.path("saved"), ..scene.options() }, &Silent)
        .expect("produced");
    let from = consuming(&[scene.path("saved")]);
    let there = ran(&RunOptions { out: scene.path("loaded"), ..from });
    assert_eq!((said(&there), &there.gate), (said(&here), &here.gate));
    let merged = merged(&scene, &["loaded"]).expect("one run");
    assert_eq!((merged.gate.exit, &merged.gate), (Exit::Fine, &here.gate));
}

fn a_session_that_nobody_saved_is_not_run() {
    let scene = Scene::new("nothing", None);
    let partition = Some("1/2".parse().expect("a partition"));
    let produced = run::produce(&RunOptions { partition, ..scene.options() }, &Silent).expect("produced");
    let from = consuming(&[scene.path("out")]);
    let results = ran(&RunOptions { out: scene.path("loaded"), ..from });
    let exact = results.cells.iter().filter(|cell| cell.verdict == Verdict::Exact).count();
    let missing = results.cells.iter().filter(|cell| cell.code.as_deref() == Some("not-produced")).count();
    assert_eq!((exact, missing), (produced.sessions, 6 - produced.sessions));
    assert_eq!(results.gate.exit, Exit::Incomplete);
}

fn a_torn_index_of_artifacts_is_gone_on_with() {
    let scene = Scene::new("nothing", None);
    run::produce(&scene.options(), &Silent).expect("produced");
    let index = scene.path("out/artifacts.jsonl");
    let whole = fs::read_to_string(&index).expect("an index");
    let last = whole.trim_end().rfind('\n').expect("several entries");
    for torn in [last + 2, last + 40, whole.len() - 1] {
        fs::write(&index, &whole[..torn]).expect("written");
        let resumed = RunOptions { jobs: Some(1), ..going_on(scene.path("out")) };
        run::produce(&resumed, &Silent).unwrap_or_else(|error| panic!("{torn}: {error}"));
        let from = consuming(&[scene.path("out")]);
        assert_eq!(ran(&RunOptions { out: scene.path("loaded"), ..from }).gate.exit, Exit::Fine, "{torn}");
    }
}

fn a_damaged_artifact_says_nothing_of_the_subject() {
    let scene = Scene::new("nothing", None);
    run::produce(&scene.options(), &Silent).expect("produced");
    let mut shelves: Vec<PathBuf> = vec![scene.path("out/artifacts")];
    while let Some(path) = shelves.pop() {
        if path.is_dir() {
            shelves.extend(fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.path()));
        } else {
            fs::write(path, "other bytes").expect("written");
        }
    }
    let from = consuming(&[scene.path("out")]);
    let results = ran(&RunOptions { out: scene.path("loaded"), ..from });
    for cell in &results.cells {
        assert_eq!(cell.verdict, Verdict::HarnessError, "{}", cell.message);
        assert!(cell.message.contains("another hash"), "{}", cell.message);
    }
    assert_eq!(results.gate.exit, Exit::NoVerdict);
}

#[cfg(unix)]
fn started(scene: &Scene) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    command.args(["run", "--jobs", "2", "--out"]).arg(scene.path("out")).current_dir(scene.path(""));
    command.env_remove("CI").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

/// Waits until something is so; a slow machine takes its time.
#[cfg(unix)]
fn wait_until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes of this scene: those whose command line names its folder.
#[cfg(unix)]
fn workers(scene: &Scene) -> usize {
    let mark = scene.path("mark").display().to_string();
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let of_scene = |path: PathBuf| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&mark)
    };
    processes.filter(|entry| of_scene(entry.path())).count()
}

/// A scene whose workers hang at a load, and can be told from others.
#[cfg(unix)]
fn hanging() -> Scene {
    hanging_at(None)
}

/// The same, at an operation.
#[cfg(unix)]
fn hanging_at(operation: Option<&str>) -> Scene {
    let scene = Scene::new("hang", operation);
    let mark = scene.path("mark");
    scene.edit("intact.toml", "\"--misbehave\"", &format!("\"--once\", {mark:?}, \"--misbehave\""));
    scene
}

#[cfg(unix)]
fn kill(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("killed");
}

#[cfg(unix)]
fn no_worker_outlives_a_command_that_is_killed() {
    use rustix::process::Signal;
    if !cfg!(target_os = "linux") {
        return;
    }
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let scene = hanging();
        let mut child = started(&scene);
        wait_until("a worker hangs", || scene.path("mark").exists());
        assert!(workers(&scene) > 0, "the workers are seen");
        kill(&child, signal);
        child.wait().expect("ended");
        wait_until("the workers are gone", || workers(&scene) == 0);
    }
}

/// The environment variable by which processes of a test are found: whatever they start has it too.
#[cfg(target_os = "linux")]
const MARK: &str = "INTACT_TEST_OF";

/// Processes with this mark.
#[cfg(target_os = "linux")]
fn marked(mark: &str) -> Vec<String> {
    let mark = format!("{MARK}={mark}\0");
    let has_mark = |path: &PathBuf| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    let paths = fs::read_dir("/proc").expect("Linux").flatten().map(|entry| entry.path()).filter(has_mark);
    let line = |path: PathBuf| fs::read(path.join("cmdline")).unwrap_or_default();
    paths.map(|path| String::from_utf8_lossy(&line(path)).replace('\0', " ")).collect()
}

/// A scene whose worker is a script, which gets the command line of the fake worker.
#[cfg(target_os = "linux")]
fn scripted(script: &str) -> Scene {
    let scene = Scene::new("nothing", None);
    scene.write("worker.sh", script);
    let script = scene.path("worker.sh").display().to_string();
    let own = std::env::current_exe().expect("a program").display().to_string();
    scene.edit("intact.toml", &format!("{own:?}"), &format!("\"sh\", {script:?}, {own:?}"));
    scene
}

/// Kills commands at any moment, `INTACT_KILLED_RUNS` of them, whose workers do what makes them hard to end: they start programs,
/// also in sessions of their own, and never look whether anybody hears them. The command cannot act any more; its guard can.
#[cfg(target_os = "linux")]
fn nothing_is_left_of_runs_that_are_killed() {
    let runs = std::env::var("INTACT_KILLED_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(21);
    let kinds = ["brood", "orphan", "deaf", "hang", "nothing"].map(|kind| Scene::new(kind, None));
    let stray = scripted("setsid sleep 600 </dev/null >/dev/null 2>&1 &\nexec \"$@\"");
    let blind = scripted("sleep 600 &\nsetsid sleep 600\nwait");
    let scenes: Vec<Scene> = kinds.into_iter().chain([stray, blind]).collect();
    let mark = scenes[0].path("mark").display().to_string();
    for run in 0..runs {
        let scene = &scenes[run % scenes.len()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.args(["run", "--jobs", "2", "--out"]).arg(scene.path("out")).current_dir(scene.path(""));
        command.env_remove("CI").env(MARK, &mark).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        // From before its first worker to after its first cells.
        std::thread::sleep(Duration::from_millis(run as u64 * 37 % 400));
        kill(&child, rustix::process::Signal::KILL);
        child.wait().expect("ended");
    }
    let begin = Instant::now();
    while !marked(&mark).is_empty() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(marked(&mark), Vec::<String>::new(), "after {runs} runs");
    let calm = Scene::new("nothing", None);
    for scene in &scenes {
        let out = scene.path("out");
        let filter = Some("model(one) & ctx(512)".into());
        let again = RunOptions { out: out.clone(), filter, ..calm.options() };
        ran(&again);
        assert!(!out.join(".intact").exists(), "what a killed run left is cleared away");
    }
}

#[cfg(unix)]
fn what_interrupts_a_command_is_not_put_down_to_a_model() {
    for (operation, said) in [("hello", "interrupted while the run was set up"), ("save", "left to be saved")]
    {
        let scene = hanging_at(Some(operation));
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command
            .args(["produce", "--jobs", "1", "--out", "made"])
            .current_dir(scene.path(""))
            .env_remove("CI");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        wait_until("a worker hangs", || scene.path("mark").exists());
        kill(&child, rustix::process::Signal::TERM);
        let output = child.wait_with_output().expect("ended");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(output.status.code(), Some(i32::from(Exit::Incomplete.code())), "{told}");
        assert!(told.contains(said) && told.contains("interrupted"), "{told}");
        assert!(!told.contains("cannot be used") && !told.contains("could not be saved"), "{told}");
    }
}

#[cfg(unix)]
fn an_interrupted_run_tells_what_is_left_and_goes_on() {
    let scene = hanging();
    let mut child = started(&scene);
    wait_until("a worker hangs", || scene.path("mark").exists());
    kill(&child, rustix::process::Signal::INT);
    let status = child.wait().expect("ended");
    assert_eq!(status.code(), Some(i32::from(Exit::Incomplete.code())));
    let results = Results::read(&scene.path("out/results.json")).expect("results");
    let not_run = results.cells.iter().filter(|cell| cell.verdict == Verdict::NotRun).count();
    assert!(not_run > 0 && results.cells.iter().all(|cell| cell.verdict != Verdict::Crashed));
    let resumed = ran(&going_on(scene.path("out")));
    assert_eq!(resumed.gate.exit, Exit::Fine, "{:?}", resumed.gate.findings);
}
