//! Exit codes where the reader of the output goes away: a gate that fails is red in every shell of a CI.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use intact_harness::exit::Exit;
use intact_harness::results::Results;

use crate::scene::Scene;

/// Tests of closed pipes.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a failing gate is red through every pipe of a CI's shell", a_failing_gate_is_red_through_every_pipe),
    ("a closed pipe changes no exit code of any command", a_closed_pipe_changes_no_exit_code),
    ("output that is lost is no success", output_that_is_lost_is_no_success),
    #[cfg(unix)]
    ("a terminal that is closed turns no gate green", a_terminal_that_is_closed_turns_no_gate_green),
];

/// One failing cell is enough of a gate.
const RUN: &str = "intact run --no-retry --out out -E 'model(one) & ctx(512)'";

/// GitHub's shell for `run:`, GitLab's for a job in bash, and in a shell that knows the option.
const SHELLS: [(&str, &[&str], &str); 4] = [
    ("GitHub", &["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], ""),
    ("GitLab", &["bash", "-c"], "set -eo pipefail; set +o noclobber; "),
    (
        "GitLab, detecting",
        &["bash", "-c"],
        "if set -o | grep pipefail >/dev/null; then set -o pipefail; fi; set -o errexit; ",
    ),
    ("strict", &["bash", "-euo", "pipefail", "-c"], ""),
];

/// What a step does with the output. None of it fails by itself.
const READERS: [&str; 7] = [
    "",
    " | true",
    " | head -n 1",
    " 2>&1 | head -n 1",
    " | tee log",
    " 2>&1 | tee log | head -n 1",
    " | (exec 0<&-; sleep 0.2)",
];

fn in_the_search_path(command: &mut Command) -> &mut Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
    command
        .env("PATH", format!("{}:{path}", beside.display()))
        .env("NO_COLOR", "1")
        .env_remove("INTACT_WORKER")
}

fn a_failing_gate_is_red_through_every_pipe() {
    let scene = Scene::new("garbage", None);
    for (name, shell, head) in SHELLS {
        for reader in READERS {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).arg(format!("{head}{RUN}{reader}; echo reached >after"));
            let output =
                in_the_search_path(&mut command).current_dir(scene.path("")).output().expect("a shell");
            let code = output.status.code();
            // Where the reader is ended by the next one, the shell takes its code: red too.
            let red = if reader.contains("tee log | head") { [100, 141] } else { [100, 100] };
            assert!(code.is_some_and(|code| red.contains(&code)), "{name}: {reader:?}: {output:?}");
            assert!(!scene.path("after").exists(), "{name}: {reader:?}: the next command must not run");
            let results = Results::read(&scene.path("out/results.json")).expect("the run came to its end");
            assert_eq!(results.gate.exit, Exit::GateFailed);
            assert!(scene.path("out/report.html").is_file(), "{name}: {reader:?}");
            fs::remove_dir_all(scene.path("out")).expect("removed");
        }
    }
    // A shell without pipefail takes the reader's code: there, the command must not be piped, and need not be.
    for form in ["intact() { command intact \"$@\" >log 2>&1; }; ", "exec >log; ", "exec >&-; "] {
        let mut command = Command::new("sh");
        command.args(["-ec", &format!("{form}{RUN}; echo reached >after")]);
        let output = in_the_search_path(&mut command).current_dir(scene.path("")).output().expect("a shell");
        assert_eq!(output.status.code(), Some(i32::from(Exit::GateFailed.code())), "{form}: {output:?}");
        assert!(!scene.path("after").exists(), "{form}");
    }
}

/// Runs the command with output that nobody reads, and gives its code.
fn unread(scene: &Scene, words: &str) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    in_the_search_path(&mut command).env_remove("CI");
    let mut child = command.current_dir(scene.path("")).spawn().expect("started");
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().expect("ended").code()
}

fn a_closed_pipe_changes_no_exit_code() {
    let scene = Scene::new("garbage", None);
    let model = scene.path("one.gguf").display().to_string();
    let cells = "-E model(one)&ctx(512)";
    assert_eq!(scene.intact(&format!("run --no-retry --out ran {cells}")).code, 100);
    scene.write("broken.json", "{");
    for words in [
        format!("run --no-retry --out out {cells}"),
        format!("produce --out saved {cells}"),
        "consume --no-retry --from saved --out loaded".to_owned(),
        "merge ran --out whole".to_owned(),
        "report ran".to_owned(),
        "report ran --markdown".to_owned(),
        "expect check".to_owned(),
        "expect review".to_owned(),
        "expect explain engine/one/base --from ran".to_owned(),
        "expect update --from ran --dry-run".to_owned(),
        "plan --format cells".to_owned(),
        "run --list".to_owned(),
        "config show".to_owned(),
        "filters".to_owned(),
        "schema --list".to_owned(),
        "completions bash".to_owned(),
        "models list".to_owned(),
        "tags list".to_owned(),
        "subjects list".to_owned(),
        format!("inspect {model}"),
        "inspect broken.json".to_owned(),
        "verify broken.json".to_owned(),
        "check broken.json".to_owned(),
        "key fingerprint nowhere".to_owned(),
        "perf history nowhere".to_owned(),
        "nonsense".to_owned(),
    ] {
        let read = scene.intact(&words).code;
        assert_eq!(unread(&scene, &words), Some(read), "intact {words}");
    }
}

#[cfg(target_os = "linux")]
fn output_that_is_lost_is_no_success() {
    let cells = "-E model(one)&ctx(512)";
    for (misbehaviour, words, code) in [
        ("nothing", format!("run --out out {cells}"), Exit::SetUp),
        ("garbage", format!("run --no-retry --out out {cells}"), Exit::GateFailed),
        ("nothing", "schema results".to_owned(), Exit::SetUp),
    ] {
        let scene = Scene::new(misbehaviour, None);
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.args(words.split_whitespace()).stdout(full).current_dir(scene.path(""));
        let output = in_the_search_path(&mut command).output().expect("ended");
        assert_eq!(output.status.code(), Some(i32::from(code.code())), "{words}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("the output could not be written"), "{told}");
        assert_eq!(words.starts_with("run"), scene.path("out/report.html").is_file(), "{words}");
    }
}

#[cfg(not(target_os = "linux"))]
fn output_that_is_lost_is_no_success() {}

/// Starts what it is given in a terminal of its own, closes the terminal as soon as the file `mark` is there, and prints how
/// the program ended.
#[cfg(unix)]
const TERMINAL: &str = r#"
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
deadline = time.monotonic() + 60
while not os.path.exists(sys.argv[1]) and time.monotonic() < deadline:
    time.sleep(0.01)
os.close(terminal)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
"#;

#[cfg(unix)]
fn a_terminal_that_is_closed_turns_no_gate_green() {
    if Command::new("python3").arg("-c").arg("import pty").output().is_err() {
        return;
    }
    // Closed in the middle of the run, and when all that is left is to say how it ended; with and without the signal.
    for (misbehaviour, mark, ignoring) in [
        ("hang", "once", ""),
        ("garbage", "out/results.json", ""),
        ("garbage", "out/run.json", "trap '' HUP; "),
    ] {
        let scene = Scene::new(misbehaviour, None);
        let once = scene.path("once");
        if misbehaviour == "hang" {
            scene.edit("intact.toml", "\"--misbehave\"", &format!("\"--once\", {once:?}, \"--misbehave\""));
        }
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL]).arg(scene.path(mark));
        command.args(["sh", "-c", &format!("{ignoring}exec {RUN}")]);
        let output = in_the_search_path(&mut command).current_dir(scene.path("")).output().expect("python3");
        let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let red = [Exit::GateFailed, Exit::Incomplete].map(|exit| exit.code().to_string());
        assert!(red.contains(&code), "{misbehaviour} {mark}: {code:?} {output:?}");
        assert!(scene.path("out/results.json").is_file(), "{misbehaviour} {mark}");
    }
}
