//! The worker driver against processes that do not behave.

use std::time::{Duration, Instant};

use intact_harness::worker::{Limits, Worker, WorkerError};
use intact_protocol::{Forget, Outcome, Request, Say};

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
    ("a worker that reads nothing is hung and not waited for", a_worker_that_reads_nothing_is_hung),
    ("a worker that no longer hears has crashed", a_worker_that_no_longer_hears_has_crashed),
    (
        "a worker that dies has crashed, whatever keeps its output open",
        a_worker_that_dies_has_crashed_whatever_keeps_its_output_open,
    ),
    ("a stream without end ends at the deadline", a_stream_without_end_ends_at_the_deadline),
    ("an answer that cannot be read is told at once", an_answer_that_cannot_be_read_is_told_at_once),
    #[cfg(unix)]
    ("a request that cannot be written costs no worker", a_request_that_cannot_be_written_costs_no_worker),
    #[cfg(target_os = "linux")]
    ("a worker gets no more memory than it is given", a_worker_gets_no_more_memory_than_it_is_given),
    #[cfg(unix)]
    ("a worker leaves no core file", a_worker_leaves_no_core_file),
    ("what a worker started ends with it", what_a_worker_started_ends_with_it),
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
        matches!(&error, WorkerError::Protocol { how, .. } if how.contains("lines that are not answers")),
        "{error}"
    );
    let reply = r#"{"kind":"reply","seq":3,"outcome":{"status":"error","message":"no"}}"#;
    let mut worker =
        start(&after_greeting(&format!("read c; yes noise | head -5000; echo '{reply}'; read d")));
    let outcome = worker.ask(forget(), LONG, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome, Outcome::error("no"));
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

/// Asks what is larger than any pipe.
fn long() -> Request {
    Request::Say(Say {
        session: "a".into(),
        system: None,
        text: "a".repeat(1 << 20),
        reply: None,
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    })
}

/// What came of it must have come before a worker would have been given up that is only waited for.
fn promptly<T>(work: impl FnOnce() -> T) -> T {
    let clock = Instant::now();
    let done = work();
    assert!(clock.elapsed() < LONG / 2, "{:?}", clock.elapsed());
    done
}

fn a_worker_that_reads_nothing_is_hung() {
    let mut worker = start(&after_greeting("sleep 600"));
    let error = promptly(|| worker.ask(long(), SHORT, &mut |_| {})).expect_err("no answer");
    assert!(matches!(error, WorkerError::Hung { op: "say", .. }), "{error}");
}

fn a_worker_that_no_longer_hears_has_crashed() {
    let dir = tempfile::tempdir().expect("a folder");
    let deaf = dir.path().join("deaf");
    let mut worker = start(&after_greeting(&format!("exec 0<&-; echo > {}; sleep 600", deaf.display())));
    while !deaf.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = promptly(|| worker.ask(forget(), LONG, &mut |_| {})).expect_err("no answer");
    assert!(matches!(&error, WorkerError::Crashed { code, .. } if code == "closed-input"), "{error}");
}

fn a_worker_that_dies_has_crashed_whatever_keeps_its_output_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let pid = dir.path().join("pid");
    // In its group, where it ends with it; and out of it, where it cannot be reached, and must not be waited for.
    for (keeper, reached) in [("sleep 600", true), ("setsid sleep 30", false)] {
        let then = format!("read c; {keeper} & echo $! > {}; exit 3", pid.display());
        let (error, _) = promptly(|| failure(&then, LONG));
        assert!(matches!(&error, WorkerError::Crashed { code, .. } if code == "exit 3"), "{keeper}: {error}");
        let pid = std::fs::read_to_string(&pid).expect("a pid");
        assert!(!reached || gone(pid.trim()), "{keeper}: process {pid} is still there");
    }
}

fn a_stream_without_end_ends_at_the_deadline() {
    let piece = r#"{"kind":"event","seq":3,"text":"and "}"#;
    let (error, _) = promptly(|| failure(&format!("read c; yes '{piece}'"), SHORT));
    assert!(matches!(error, WorkerError::Hung { .. }), "{error}");
}

fn an_answer_that_cannot_be_read_is_told_at_once() {
    for (answer, told) in [
        (r#"echo '{"kind":"reply","seq":3,'"#, "EOF while parsing"),
        (r#"echo '{"kind":"reply","seq":3,"outcome":{"status":"well"}}'"#, "unknown variant `well`"),
        (
            r#"echo '{"kind":"reply","seq":3,"outcome":{"status":"refused","code":7,"message":"m"}}'"#,
            "integer `7`",
        ),
        (
            r#"echo '{"kind":"reply","seq":3,"outcome":{"status":"refused","code":"c"}}'"#,
            "missing field `message`",
        ),
        (r#"echo '{"status":"refused","code":"c","message":"m"}'"#, "missing field `kind`"),
        (r#"printf '{"kind":"event","seq":3,"text":"\377"}\n'"#, "invalid utf-8"),
        (r#"printf '{"kind":"reply","text":"'; yes | tr -d '\n'"#, "longer than"),
    ] {
        let (error, _) = promptly(|| failure(&format!("read c; {answer}; sleep 600"), LONG));
        let WorkerError::Protocol { op: "forget", how } = &error else { panic!("{answer}: {error}") };
        assert!(how.contains("its answer cannot be read") && how.contains(told), "{answer}: {how}");
    }
}

#[cfg(unix)]
fn a_request_that_cannot_be_written_costs_no_worker() {
    use std::os::unix::ffi::OsStringExt;
    let path = std::ffi::OsString::from_vec(b"/tmp/\xff/a.json".to_vec()).into();
    let mut worker = start(&command("nothing", None));
    let save = intact_protocol::Save { session: "a".into(), path, format: None, manifest: false, own: false };
    let error = worker.ask(Request::Save(save), LONG, &mut |_| {}).expect_err("no line");
    assert!(matches!(error, WorkerError::Unwritable { op: "save", .. }), "{error}");
    assert!(error.leaves_worker_alive() && error.to_string().contains("UTF-8"), "{error}");
    let answer = worker.ask(forget(), LONG, &mut |_| {}).expect("it is alive");
    assert!(matches!(answer, Outcome::Refused(_)), "{answer:?}");
}

#[cfg(target_os = "linux")]
fn a_worker_gets_no_more_memory_than_it_is_given() {
    for (memory, crashes) in [(Some(256 << 20), true), (None, false)] {
        let command = command("gorge", Some("forget"));
        let (mut worker, _) = Worker::start_in(&command, &[], &Limits { memory, ..Limits::default() }, LONG)
            .unwrap_or_else(|error| panic!("{error}"));
        let asked = worker.ask(forget(), LONG, &mut |_| {});
        assert_eq!(matches!(asked, Err(WorkerError::Crashed { .. })), crashes, "{memory:?}: {asked:?}");
    }
}

#[cfg(unix)]
fn a_worker_leaves_no_core_file() {
    let (_, log) = failure("read c; ulimit -c >&2; exit 3", LONG);
    assert_eq!(log, ["0"]);
}

fn what_a_worker_started_ends_with_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let pid = dir.path().join("pid");
    let bye = r#"{"kind":"reply","seq":3,"outcome":{"status":"ok","result":{"op":"bye"}}}"#;
    let worker = start(&after_greeting(&format!(
        "sleep 600 & echo $! > {}; read c; echo '{bye}'; exit 0",
        pid.display()
    )));
    promptly(|| worker.leave(LONG));
    let pid = std::fs::read_to_string(pid).expect("a pid");
    assert!(gone(pid.trim()), "process {pid} is still there");
}
