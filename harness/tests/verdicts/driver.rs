//! The worker driver against processes that do not behave.

use std::time::Duration;

use intact_harness::worker::{Worker, WorkerError};
use intact_protocol::{Forget, Outcome, Request};

use crate::scene::command;

/// Tests of the driver.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a worker that behaves says hello and leaves", a_worker_that_behaves_says_hello_and_leaves),
    (
        "a worker that never answers is killed with its group",
        a_worker_that_never_answers_is_killed_with_its_group,
    ),
    (
        "a worker that dies says of what, with its last words",
        a_worker_that_dies_says_of_what_with_its_last_words,
    ),
    ("a flood is cut off and noise is not", a_flood_is_cut_off_and_noise_is_not),
    ("a program that is none or speaks no protocol is refused", a_program_that_is_none_is_refused),
    ("a dropped worker leaves no process behind", a_dropped_worker_leaves_no_process_behind),
];

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

fn forget() -> Request {
    Request::Forget(Forget { session: "nobody".into() })
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// Answers `hello` and the compliance probe as a shell can, then does something else.
fn after_greeting(then: &str) -> Vec<String> {
    let hello = r#"{"kind":"reply","seq":1,"outcome":{"status":"ok","result":{"op":"hello","protocol":1,"subject":"sh","version":"1","release":"none","operations":[]}}}"#;
    let probe = r#"{"kind":"reply","seq":2,"outcome":{"status":"unsupported","message":"no"}}"#;
    shell(&format!("read a; echo '{hello}'; read b; echo '{probe}'; {then}"))
}

fn start(command: &[String]) -> Worker {
    Worker::start(command, LONG).map(|(worker, _)| worker).unwrap_or_else(|error| panic!("{error}"))
}

fn failure(then: &str, timeout: Duration) -> (WorkerError, Vec<String>) {
    let mut worker = start(&after_greeting(then));
    let error = worker.ask(forget(), timeout, &mut |_| {}).expect_err("no answer");
    (error, worker.log())
}

fn is_running(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn a_worker_that_behaves_says_hello_and_leaves() {
    let (mut worker, hello) =
        Worker::start(&command("nothing", None), LONG).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(hello.protocol, intact_protocol::PROTOCOL);
    let answer = worker.ask(forget(), LONG, &mut |_| {}).expect("an answer");
    assert!(!matches!(answer, Outcome::Error { .. }), "{answer:?}");
    worker.leave(LONG);
}

fn a_worker_that_never_answers_is_killed_with_its_group() {
    let dir = tempfile::tempdir().expect("a folder");
    let pids = dir.path().join("pids");
    let then = format!("sleep 600 & echo $$ $! > {}; read c; sleep 600", pids.display());
    let (error, _) = failure(&then, SHORT);
    assert!(matches!(error, WorkerError::Hung { op: "forget", .. }), "{error}");
    let pids = std::fs::read_to_string(pids).expect("pids");
    for pid in pids.split_whitespace() {
        assert!(gone(pid), "process {pid} is still there");
    }
}

fn a_worker_that_dies_says_of_what_with_its_last_words() {
    for (then, code) in [
        ("read c; echo 'GGML_ASSERT failed' >&2; kill -ABRT $$", "SIGABRT"),
        ("read c; echo 'GGML_ASSERT failed' >&2; kill -SEGV $$", "SIGSEGV"),
        ("read c; echo 'GGML_ASSERT failed' >&2; exit 3", "exit 3"),
        ("read c; echo 'GGML_ASSERT failed' >&2; printf '{\"kind\":\"rep'; exit 0", "exit 0"),
    ] {
        let (error, log) = failure(then, LONG);
        let WorkerError::Crashed { op: "forget", code: found, .. } = &error else {
            panic!("{then}: {error}")
        };
        assert_eq!(found, code, "{then}");
        assert_eq!(log.last().map(String::as_str), Some("GGML_ASSERT failed"), "{then}");
    }
}

fn a_flood_is_cut_off_and_noise_is_not() {
    let (error, _) = failure("read c; yes 'llama_context: n_ctx = 512'", LONG);
    assert!(
        matches!(&error, WorkerError::Protocol { how, .. } if how.contains("lines that are no answer")),
        "{error}"
    );
    let reply = r#"{"kind":"reply","seq":3,"outcome":{"status":"error","message":"no"}}"#;
    let mut worker =
        start(&after_greeting(&format!("read c; yes noise | head -5000; echo '{reply}'; read d")));
    let outcome = worker.ask(forget(), LONG, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome, Outcome::Error { message: "no".into() });
    assert_eq!(worker.strays(), 5000);
}

fn a_program_that_is_none_is_refused() {
    let start = |command: &[String]| Worker::start(command, LONG).map(|_| ()).expect_err("refused");
    assert!(matches!(start(&["/no/such/program".to_owned()]), WorkerError::Spawn { .. }));
    assert!(matches!(start(&[]), WorkerError::Spawn { .. }));
    assert!(matches!(start(&["true".to_owned()]), WorkerError::Crashed { .. }));
    assert!(matches!(start(&command("other-protocol", None)), WorkerError::Noncompliant(_)));
    assert!(matches!(start(&command("know-everything", None)), WorkerError::Noncompliant(_)));
}

fn a_dropped_worker_leaves_no_process_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let pid = dir.path().join("pid");
    let worker = start(&after_greeting(&format!("echo $$ > {}; read c", pid.display())));
    while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(worker);
    let pid = std::fs::read_to_string(pid).expect("a pid");
    assert!(gone(pid.trim()), "process {pid} is still there");
}

/// Whether a process is gone soon.
fn gone(pid: &str) -> bool {
    (0..200).any(|_| {
        if !is_running(pid) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
        false
    })
}
