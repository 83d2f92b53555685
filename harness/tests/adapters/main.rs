//! The adapters over stubs of their subjects: no network, nothing installed. Where an interpreter is missing, its tests
//! are shown as ignored.

mod stubbed;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use intact_harness::installed::{Outcome as Met, conformance};
use intact_harness::worker::{Worker, WorkerError};
use intact_protocol::{
    Forget, Load, Loaded, Logits, Open, Oracle, Outcome, ParameterSource, Replied, Request, Save, Say, Score,
    Settings,
};
use libtest_mimic::{Arguments, Trial};
use stubbed::Stubbed;
use tempfile::TempDir;

/// What a test needs, what it says, and the test.
type Test = (&'static str, &'static str, fn());

const TESTS: &[Test] = &[
    ("python3", "the example to begin with does all that a worker must", || all_is_met(&Stubbed::example())),
    ("python3", "llama-server's adapter does all that a worker must", || {
        all_is_met(&Stubbed::llama_server(""));
    }),
    ("python3", "llama-cpp-python's adapter does all that a worker must", || {
        all_is_met(&Stubbed::llama_cpp_python());
    }),
    ("node", "node-llama-cpp's adapter does all that a worker must", || {
        all_is_met(&Stubbed::node_llama_cpp());
    }),
    ("python3", "a program tells its version when it is added", a_program_tells_its_version),
    ("python3", "a slot that is computed again is seen to have restored nothing", an_inert_slot_is_seen),
    ("python3", "a server that dies takes its adapter with it, by the same signal", a_crash_is_a_crash),
    ("python3", "a server that does not load its model in time is stopped", a_late_server_is_stopped),
    ("python3", "llama-server's one sentence for everything is no reason", || {
        no_reason(&Stubbed::llama_server(""));
    }),
    ("python3", "a pickle that cannot be read is no reason", || no_reason(&Stubbed::llama_cpp_python())),
    ("node", "node-llama-cpp's one sentence for everything is no reason", || {
        no_reason(&Stubbed::node_llama_cpp());
    }),
    ("python3", "llama-server's adapter scores the vocabulary of a real model", || {
        scores_a_real_vocabulary(Stubbed::llama_server(""));
    }),
    ("python3", "llama-cpp-python's adapter scores the vocabulary of a real model", || {
        scores_a_real_vocabulary(Stubbed::llama_cpp_python());
    }),
    ("node", "node-llama-cpp's adapter scores the vocabulary of a real model", || {
        scores_a_real_vocabulary(Stubbed::node_llama_cpp());
    }),
    (
        "python3",
        "what is thrown in llama-cpp-python's adapter is an error, and nothing that it does not offer",
        || {
            an_error_is_one(Stubbed::llama_cpp_python());
        },
    ),
    (
        "node",
        "what is thrown in node-llama-cpp's adapter is an error, and nothing that it does not offer",
        || {
            an_error_is_one(Stubbed::node_llama_cpp());
        },
    ),
    ("python3", "a setting that llama-server has no option for is unsupported", || {
        unsupported(&Stubbed::llama_server(""), fragmented());
    }),
    ("python3", "a setting that llama-cpp-python has no argument for is unsupported", || {
        unsupported(&Stubbed::llama_cpp_python(), fragmented());
    }),
    ("node", "a setting that node-llama-cpp has no option for is unsupported", || {
        unsupported(&Stubbed::node_llama_cpp(), fragmented());
    }),
    ("node", "a version that ignores the type of K and V is not taken at its word", || {
        unsupported(&Stubbed::node_llama_cpp(), quantized());
    }),
];

fn main() -> ExitCode {
    let trials = TESTS.iter().map(|(interpreter, name, test)| {
        let trial = Trial::test(*name, || {
            test();
            Ok(())
        });
        trial.with_kind(*interpreter).with_ignored_flag(!is_here(interpreter))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn is_here(interpreter: &str) -> bool {
    let asked =
        Command::new(interpreter).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

const PATIENCE: Duration = Duration::from_secs(60);

fn all_is_met(subject: &Stubbed) {
    let scratch = tempfile::tempdir().expect("a folder");
    let checks = conformance(&subject.command, &subject.model(), scratch.path()).expect("a worker");
    assert!(checks.len() >= 9, "{checks:#?}");
    for check in checks {
        assert!(matches!(check.outcome, Met::Met(_)), "{check:?}");
    }
}

fn a_program_tells_its_version() {
    let subject = Stubbed::llama_server("");
    assert_eq!(subject.name, "llama-server@b4242");
}

fn a_late_server_is_stopped() {
    let script = folder("tests/adapters/stopping.py");
    let adapter = folder("adapters/llama-server");
    let ended = Command::new("python3").arg("-B").arg(script).arg(adapter).output().expect("python3");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// A worker with a model open and a session in it, which is saved.
struct Desk {
    worker: Worker,
    folder: TempDir,
}

impl Desk {
    fn with_a_saved_session(subject: &Stubbed) -> Self {
        let (worker, _) = Worker::start(&subject.command, PATIENCE).expect("a worker");
        let mut desk = Self { worker, folder: tempfile::tempdir().expect("a folder") };
        desk.ok(Request::Open(Box::new(Open::new(subject.model(), Settings::default()))));
        desk.ok(Request::Say(Say {
            session: "kept".into(),
            system: Some("Be brief.".into()),
            text: "What did you see?".into(),
            reply: Some("Three ships.".into()),
            max_tokens: None,
            greedy: true,
            cancel_after: None,
            stream: false,
        }));
        let save =
            Save { session: "kept".into(), path: desk.document(), format: None, manifest: false, own: false };
        desk.ok(Request::Save(save));
        desk.ok(Request::Forget(Forget { session: "kept".into() }));
        desk
    }

    fn document(&self) -> PathBuf {
        self.folder.path().join("kept.json")
    }

    fn ok(&mut self, request: Request) -> Replied {
        match self.worker.ask(request, PATIENCE, &mut |_| {}).expect("an answer") {
            Outcome::Ok { result } => *result,
            other => panic!("{other:?}"),
        }
    }

    /// Scores four tokens after the session that was loaded.
    fn score(&mut self) -> Outcome {
        let path = self.folder.path().join("scored.logits");
        let score = Score {
            session: "loaded".into(),
            text: "And so it went on.".into(),
            max_tokens: 4,
            path,
            afresh: false,
        };
        self.worker.ask(Request::Score(score), PATIENCE, &mut |_| {}).expect("an answer")
    }

    fn load(&mut self) -> Result<Outcome, WorkerError> {
        let load = Load {
            path: self.document(),
            session: Some("loaded".into()),
            reader_format: None,
            routes: None,
            parameters: ParameterSource::Saved,
            manifest: false,
        };
        self.worker.ask(Request::Load(load), PATIENCE, &mut |_| {})
    }
}

fn loaded(outcome: Outcome) -> Loaded {
    match outcome {
        Outcome::Ok { result } => match *result {
            Replied::Load(loaded) => loaded,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn an_inert_slot_is_seen() {
    let sound = loaded(Desk::with_a_saved_session(&Stubbed::llama_server("")).load().expect("an answer"));
    assert!(sound.receipt.tokens_restored > 10, "{:?}", sound.receipt);
    assert_eq!(sound.receipt.tokens_evaluated, 1);
    let inert = Stubbed::llama_server("is inert");
    let inert = loaded(Desk::with_a_saved_session(&inert).load().expect("an answer"));
    assert_eq!(inert.receipt.tokens_restored, 0, "{:?}", inert.receipt);
}

fn a_crash_is_a_crash() {
    let error = Desk::with_a_saved_session(&Stubbed::llama_server("crashes")).load().expect_err("it dies");
    assert!(
        matches!(&error, WorkerError::Crashed { op: "load", code, .. } if code == "SIGABRT"),
        "{error:?}"
    );
}

/// A refusal without a reason must be told as one: with an empty code.
fn no_reason(subject: &Stubbed) {
    let mut desk = Desk::with_a_saved_session(subject);
    let state = desk.document().with_extension("kv");
    std::fs::write(&state, b"[1, 2").expect("written");
    match desk.load().expect("an answer") {
        Outcome::Refused(refusal) => assert_eq!(refusal.code, "", "{refusal:?}"),
        other => panic!("{other:?}"),
    }
}

fn fragmented() -> Settings {
    Settings { fragmented: true, ..Settings::default() }
}

fn quantized() -> Settings {
    Settings { type_k: Some("q8_0".into()), ..Settings::default() }
}

fn unsupported(subject: &Stubbed, settings: Settings) {
    let (mut worker, _) = Worker::start(&subject.command, PATIENCE).expect("a worker");
    let open = Request::Open(Box::new(Open::new(subject.model(), settings)));
    let outcome = worker.ask(open, PATIENCE, &mut |_| {}).expect("an answer");
    assert!(matches!(outcome, Outcome::Unsupported { .. }), "{outcome:?}");
}

/// Tokens of a real model: more than a call can have arguments.
const REAL: usize = 150_000;

fn scores_a_real_vocabulary(subject: Stubbed) {
    let subject = subject.with("STUB_VOCAB", &REAL.to_string());
    let mut desk = Desk::with_a_saved_session(&subject);
    loaded(desk.load().expect("an answer"));
    let scored = match desk.score() {
        Outcome::Ok { result } => match *result {
            Replied::Score(scored) => scored,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!((scored.n_vocab, scored.rows), (150_000, 5));
    let logits = Logits::read(&scored.path).expect("rows");
    assert_eq!((logits.n_vocab(), logits.rows().len()), (REAL, 5));
    for row in logits.rows().filter(|_| logits.oracle() == Oracle::Probabilities) {
        let sum: f64 = row.iter().map(|logarithm| f64::from(*logarithm).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-3, "probabilities of all tokens: {sum}");
    }
}

fn an_error_is_one(subject: Stubbed) {
    let subject = subject.with("STUB", "throws");
    let mut desk = Desk::with_a_saved_session(&subject);
    loaded(desk.load().expect("an answer"));
    let outcome = desk.score();
    assert!(matches!(&outcome, Outcome::Error { message, .. } if message.contains("aximum")), "{outcome:?}");
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
