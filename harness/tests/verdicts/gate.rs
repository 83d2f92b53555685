//! What the command says to the shell that started it, over whole runs.

use std::fs;
use std::process::Command;

use intact_harness::exit::Exit;

use crate::scene::{Scene, command};

/// Tests of the command.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("every way in which a run ends has its exit code", every_way_in_which_a_run_ends_has_its_exit_code),
    (
        "a project turns red by an incompatibility and green by a review",
        a_project_turns_red_by_an_incompatibility_and_green_by_a_review,
    ),
    ("where CI is set nothing is rewritten", where_ci_is_set_nothing_is_rewritten),
    (
        "an improvement makes an expectation stale until it is removed",
        an_improvement_is_stale_until_it_is_removed,
    ),
    (
        "a system that is not installed is left out unless it is required",
        a_system_that_is_not_installed_is_left_out_unless_it_is_required,
    ),
    ("a bundle plays its cell again", a_bundle_plays_its_cell_again),
    ("a plan is split into parts for a matrix of jobs", a_plan_is_split_into_parts_for_a_matrix_of_jobs),
    (
        "what selects nothing touches nothing of an earlier run",
        what_selects_nothing_touches_nothing_of_an_earlier_run,
    ),
    ("a full disk ends a run, and the rest is played later", a_full_disk_ends_a_run_that_can_go_on),
    (
        "a model that no axis can have is found before anything starts",
        a_model_that_no_axis_can_have_is_found_before_anything_starts,
    ),
    (
        "what is in force is shown with where it comes from",
        what_is_in_force_is_shown_with_where_it_comes_from,
    ),
    ("what is written to begin with can be planned at once", what_is_written_to_begin_with_can_be_planned),
    ("the self-test finds every mutant out", the_self_test_finds_every_mutant_out),
];

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Scene {
    pub(crate) fn intact(&self, words: &str) -> Said {
        self.intact_with(words, &[])
    }

    /// Runs the command in the scene's folder.
    pub(crate) fn intact_with(&self, words: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        for variable in ["CI", "INTACT_PROFILE", "INTACT_PLAN", "INTACT_WORKER", "GITHUB_ACTIONS"] {
            command.env_remove(variable);
        }
        command.env("INTACT_HOME", self.path("home")).env("NO_COLOR", "1");
        command.args(words.split_whitespace()).envs(variables.iter().copied());
        let output = command.current_dir(self.path("")).output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("it ends by itself");
        Said { code, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

fn every_way_in_which_a_run_ends_has_its_exit_code() {
    let stale = "[[expect]]\nwhen = \"all()\"\noutcome = [\"recomputed\"]\nreason = \"r\"\n";
    for (misbehaviour, expectations, words, exit) in [
        ("nothing", "", "run", Exit::Fine),
        ("nothing", "", "run -E none()", Exit::NothingSelected),
        ("nothing", "", "run -E model(one", Exit::BadFilter),
        ("nothing", "", "run -E verdict(exact)", Exit::BadFilter),
        ("nothing", "", "run --config nowhere.toml", Exit::SetUp),
        ("garbage", "", "run", Exit::GateFailed),
        ("flood", "", "run --no-retry -E model(one)&ctx(512)", Exit::NoVerdict),
        ("nothing", stale, "run", Exit::Stale),
    ] {
        let scene = Scene::new(misbehaviour, None);
        scene.write("expectations.toml", &format!("version = 1\n{expectations}"));
        let said = scene.intact(words);
        assert_eq!(said.code, i32::from(exit.code()), "{misbehaviour} {words}: {}\n{}", said.out, said.err);
    }
    let scene = Scene::new("nothing", None);
    assert_eq!(scene.intact("run --partition 1/2 --out part").code, 0);
    let said = scene.intact("merge part --out whole");
    assert_eq!(said.code, i32::from(Exit::Incomplete.code()), "{}", said.err);
    assert!(said.out.contains("cells were not run") || said.out.contains("cell was not run"), "{}", said.out);
}

/// Systems as sides of cells, one of which is not installed.
const SYSTEMS: &str = r#"
[[subjects]]
name = "peer"
part = "judged"
installed = ["1.0"]

[[axes]]
name = "reader"
about = "The system that loads."
sets = ["reader.subject"]
subjects = true
uncontrolled = "There is no control."

[[axes]]
name = "writer"
about = "The system that saves."
sets = ["writer.subject"]
values = ["same"]
subjects = true
mirrors = "reader"
uncontrolled = "There is no control."

[plans.systems]
about = "Every system reads what every other one wrote."

[[plans.systems.blocks]]
vary = "all"
axes = ["reader", "writer"]
"#;

fn a_system_that_is_not_installed_is_left_out_unless_it_is_required() {
    let scene = Scene::new("nothing", None);
    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    scene.write("intact.toml", &(config + SYSTEMS));
    let said = scene.intact("run --plan systems");
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    let told = "system is not installed, and not required: peer@1.0";
    assert_eq!(said.err.matches(told).count(), 1, "{}", said.err);

    scene.edit("intact.toml", "installed = [\"1.0\"]", "installed = [\"1.0\"]\nrequire = [\"1.0\"]");
    let said = scene.intact("run --plan systems --out required");
    assert_eq!(said.code, i32::from(Exit::Incomplete.code()), "{}\n{}", said.out, said.err);
    scene.edit("intact.toml", "require = [\"1.0\"]", "require = [\"2.0\"]");
    let said = scene.intact("run --plan systems --out wrong");
    assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{}", said.err);
    assert!(said.err.contains("requires version 2.0, which is none that `installed` names"), "{}", said.err);
}

/// The ten lines of another project's CI.
const TEN_LINES: &str = "set -eu\n\
intact expect check\n\
intact run --out out\n";

fn a_project_turns_red_by_an_incompatibility_and_green_by_a_review() {
    let scene = Scene::new("nothing", None);
    let ci = |scene: &Scene| {
        let path = std::env::var("PATH").unwrap_or_default();
        let beside = std::path::Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
        let mut shell = Command::new("sh");
        shell.args(["-c", TEN_LINES]).current_dir(scene.path("")).env("CI", "true").env("NO_COLOR", "1");
        let output = shell.env("PATH", format!("{}:{path}", beside.display())).output().expect("a shell");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(ci(&scene).0, Some(0), "green at first");

    // From now on, sessions of a longer context come back wrong.
    let misbehaving =
        format!("{:?}, \"--context\", \"1024\"", command("garbage", None)).replace(['[', ']'], "");
    let behaving = format!("{:?}", command("nothing", None)).replace(['[', ']'], "");
    scene.edit("intact.toml", &behaving, &misbehaving);
    let (code, out) = ci(&scene);
    assert_eq!(code, Some(100), "red after it: {out}");
    assert!(out.contains("Every cell with ctx=1024 fails (3)"), "the smallest combination is named: {out}");

    let said = scene.intact("expect update --from out");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("0 entries removed, 0 changed, 1 added"), "{}", said.out);
    let (code, out) = ci(&scene);
    assert_eq!(code, Some(100), "not green before somebody has looked at it");
    assert!(out.contains("nobody has reviewed the expectation `ctx(=1024)`"), "{out}");

    assert_eq!(scene.intact("expect review").code, 100);
    assert_eq!(scene.intact("expect review 1 --reason known").code, 96, "`corrupt` needs an issue");
    let said = scene.intact("expect review 1 --reason known --issue #7");
    assert_eq!(said.code, 0, "{}", said.err);
    let said = scene.intact("expect review 1 --reason other --issue #8");
    assert!(said.code == 96 && said.err.contains("entry 1 has been reviewed: known"), "{}", said.err);
    let (code, out) = ci(&scene);
    assert_eq!(code, Some(0), "green after the review: {out}");
    let explained = scene.intact("expect explain engine/one/ctx=1024 --from out").out;
    assert!(explained.contains("entry 1 counts") && explained.contains("known"), "{explained}");
}

fn where_ci_is_set_nothing_is_rewritten() {
    let scene = Scene::new("garbage", None);
    assert_eq!(scene.intact("run").code, 100);
    let before = fs::read_to_string(scene.path("expectations.toml")).expect("read");
    let said = scene.intact_with("expect update --from out", &[("CI", "true")]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("CI is set"), "{}", said.err);
    assert_eq!(fs::read_to_string(scene.path("expectations.toml")).expect("read"), before);
    assert_eq!(scene.intact("expect update --from out --dry-run").code, 0);
    assert_eq!(fs::read_to_string(scene.path("expectations.toml")).expect("read"), before);
    assert_eq!(scene.intact_with("expect update --from out", &[("CI", "false")]).code, 0);
}

fn an_improvement_is_stale_until_it_is_removed() {
    let scene = Scene::new("nothing", None);
    let kept = "# The head.\nversion = 1\n\n# About longer contexts.\n\n";
    let entry = |when: &str, outcome: &str| {
        format!("[[expect]]\nwhen = \"{when}\"\noutcome = [\"{outcome}\"]\nreason = \"r\"\n")
    };
    let text = format!("{kept}{}\n{}", entry("ctx(1024)", "refused"), entry("model(one)", "exact"));
    scene.write("expectations.toml", &text);
    assert_eq!(scene.intact("run").code, i32::from(Exit::Stale.code()));
    let said = scene.intact("expect update --from out");
    assert!(said.out.contains("1 entry removed, 0 changed, 0 added"), "{}", said.out);
    let edited = fs::read_to_string(scene.path("expectations.toml")).expect("read");
    assert_eq!(edited, format!("{kept}{}", entry("model(one)", "exact")));
    assert_eq!(scene.intact("run").code, 0);
}

fn a_bundle_plays_its_cell_again() {
    let scene = Scene::new("garbage", None);
    assert_eq!(scene.intact("run").code, 100);
    let said = scene.intact("repro engine/two/ctx=1024 --from out --out bundle");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("1 session from the run, 0 saved again"), "{}", said.out);
    // Elsewhere, without the run and without the models' own files.
    fs::rename(scene.path("bundle"), scene.path("moved")).expect("moved");
    for gone in ["out", "two.gguf", "intact.toml"] {
        let path = scene.path(gone);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("removed");
    }
    let replay = |words: &[&str]| {
        let mut command = Command::new(scene.path("moved/replay.sh"));
        command
            .args(words)
            .env("INTACT", env!("CARGO_BIN_EXE_intact"))
            .env("INTACT_HOME", scene.path("home"));
        let replay = command.output().expect("it runs");
        (replay.status.code(), String::from_utf8_lossy(&replay.stderr).into_owned())
    };
    let (code, told) = replay(&[]);
    assert_eq!(code, Some(95), "it lies elsewhere now, and names a program: {told}");
    assert!(told.contains("--as-worker") && told.contains("--trust"), "the program is shown: {told}");
    let (code, told) = replay(&["--trust"]);
    assert_eq!(code, Some(100), "{told}");
    let results =
        intact_harness::results::Results::read(&scene.path("moved/replay/results.json")).expect("results");
    let cells: Vec<_> = results.cells.iter().map(|cell| (cell.id.as_str(), cell.verdict.name())).collect();
    assert_eq!(cells, [("engine/two/ctx=1024", "corrupt")]);
    let wrong = Scene::new("nothing", None);
    assert_eq!(wrong.intact("run").code, 0);
    let said = wrong.intact("repro engine/two/ctx=1025");
    assert!(said.code == 96 && said.err.contains("did you mean"), "{}", said.err);
}

fn a_plan_is_split_into_parts_for_a_matrix_of_jobs() {
    let scene = Scene::new("nothing", None);
    let said = scene.intact("plan");
    assert!(said.code == 0 && said.out.contains("digest") && said.out.contains("6 of 6"), "{}", said.out);
    let matrix: serde_json::Value =
        serde_json::from_str(&scene.intact("plan --format github --parts 2").out).expect("JSON");
    let jobs = matrix["include"].as_array().expect("jobs");
    let cells: u64 = jobs.iter().filter_map(|job| job["cells"].as_u64()).sum();
    assert_eq!((cells, jobs[0]["partition"].as_str()), (6, Some("1/2")));
    let ids = |words: &str| scene.intact(words).out.lines().map(str::to_owned).collect::<Vec<_>>();
    let parts = [ids("plan --format cells --partition 1/2"), ids("plan --format cells --partition 2/2")];
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 6);
    let plan: serde_json::Value =
        serde_json::from_str(&scene.intact("plan --format json").out).expect("JSON");
    assert_eq!(scene.intact("run").code, 0);
    let run: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(scene.path("out/plan.json")).expect("read")).expect("JSON");
    assert_eq!(plan, run, "what is planned is what is run");
    assert_eq!(scene.intact("plan -E none()").code, 4);
}

fn what_selects_nothing_touches_nothing_of_an_earlier_run() {
    let scene = Scene::new("nothing", None);
    assert_eq!(scene.intact("run").code, 0);
    let before = files_of(&scene);
    assert!(before.iter().any(|(name, _)| name.ends_with("results.json")), "{:?}", before.len());
    for (filter, exit, told) in [
        ("model(noe)", Exit::BadFilter, "`model` has no value `noe`; did you mean `one`?"),
        ("ctx(513)|model(one)", Exit::BadFilter, "`ctx` has no value `513`; did you mean `512`?"),
        ("!ctx(77777)", Exit::BadFilter, "`ctx` has no value `77777`; it has "),
        ("none()", Exit::NothingSelected, "selects no cell of the plan `all`"),
        ("model(one)&model(two)", Exit::NothingSelected, "nothing was run, and nothing was written"),
    ] {
        let said = scene.intact(&format!("run -E {filter}"));
        assert_eq!(said.code, i32::from(exit.code()), "{filter}: {}", said.err);
        let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(err.contains(told), "{told}: {}", said.err);
        assert!(files_of(&scene) == before, "{filter}: the run that was there is not as it was");
    }
}

fn a_full_disk_ends_a_run_that_can_go_on() {
    for at in ["save", "score"] {
        let scene = Scene::new("full-disk", Some(at));
        let once = scene.path("there-was-no-room").display().to_string();
        scene.edit("intact.toml", "\"full-disk\"", &format!("\"full-disk\", \"--once\", {once:?}"));
        let said = scene.intact("run");
        let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.code, i32::from(Exit::Incomplete.code()), "{}", said.err);
        assert!(err.contains("is full: No space left on device (os error 28)"), "{}", said.err);
        assert_eq!(err.matches("os error 28").count(), 1, "it is said once: {}", said.err);
        assert!(err.contains("--resume"), "{}", said.err);
        assert!(!scene.path("out/results.json").exists());
        // There is room again.
        let said = scene.intact("run --resume out");
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(scene.path("out/results.json").exists());
    }
}

/// The files of the run, with what is in them.
fn files_of(scene: &Scene) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![scene.path("out")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.file_type().expect("a kind").is_dir() {
                true => folders.push(entry.path()),
                false => {
                    files.push((entry.path().display().to_string(), fs::read(entry.path()).expect("read")));
                }
            }
        }
    }
    files.sort();
    files
}

fn a_model_that_no_axis_can_have_is_found_before_anything_starts() {
    let scene = Scene::new("nothing", None);
    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    let wrong = config.replacen("\nvalues = [\"one\"]", "\nvalues = [\"oen\"]", 1);
    assert_ne!(wrong, config, "{config}");
    scene.write("intact.toml", &wrong);
    let said = scene.intact("run");
    assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{}", said.err);
    assert!(
        said.err.contains("there is no model `oen`") && said.err.contains("did you mean `one`?"),
        "{}",
        said.err
    );
}

fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let scene = Scene::new("nothing", None);
    let config = fs::read_to_string(scene.path("intact.toml")).expect("read");
    scene.write("intact.toml", &format!("{config}\n[profiles.slow]\ntimeout_seconds = 77\n"));
    let said = scene.intact_with("config show --short --profile slow", &[("INTACT_SCORED_TOKENS", "5")]);
    for line in [
        "run.timeout_seconds = 77  from the profile `slow`",
        "run.scored_tokens = 5  from INTACT_SCORED_TOKENS",
        "run.plan = \"all\"  from intact.toml",
    ] {
        assert!(said.out.contains(line), "{line} in {}", said.out);
    }
    let whole = scene.intact("config show").out;
    assert!(toml::from_str::<toml::Table>(&whole).is_ok_and(|table| table.contains_key("axes")), "{whole}");
    let said = scene.intact("run --profile slwo");
    assert!(said.code == 96 && said.err.contains("did you mean `slow`?"), "{}", said.err);
}

fn what_is_written_to_begin_with_can_be_planned() {
    let scene = Scene::new("nothing", None);
    let said = scene.intact("init fresh");
    assert_eq!(said.code, 0, "the folder is made: {}", said.err);
    assert_eq!(scene.intact("init fresh").code, 96, "nothing is overwritten");
    assert_eq!(scene.intact("plan --config fresh/intact.toml").code, 0);
    assert_eq!(scene.intact("plan nightly --config fresh/intact.toml").code, 0);
    let said = scene.intact("expect check --config fresh/intact.toml");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

fn the_self_test_finds_every_mutant_out() {
    let said = Scene::new("nothing", None).intact("self-test");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let ways = intact_fake_worker::MISBEHAVIOURS.len();
    let right = format!("{ways} of {ways} misbehaviours are judged rightly");
    assert!(said.out.contains(&right), "{}", said.out);
    assert!(!said.out.contains("IT LIVES"), "{}", said.out);
}
