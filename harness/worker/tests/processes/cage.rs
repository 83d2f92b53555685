//! What a worker that was told its cage can still be asked for.

use std::fs;
use std::path::Path;

use intact_protocol::{
    CAGE, CAGED_FILES, CAGED_NETWORK, Cage, HelloRequest, OFF, Open, Outcome, PROTOCOL, Replied, Request,
    Score, Settings,
};

use crate::client::{CONVERSATION, Worker, fixture, load, save};

/// A worker in a cage, and the features that it names.
fn caged(cage: &str) -> (Worker, Vec<String>) {
    let mut worker = Worker::start_in(&[], &[(CAGE, cage)]);
    let Replied::Hello(hello) = worker.done(Request::Hello(HelloRequest { protocol: PROTOCOL })) else {
        panic!("another answer");
    };
    (worker, hello.features)
}

fn open(model: &Path) -> Request {
    let settings = Settings { n_ctx: Some(1024), ..Settings::default() };
    Request::Open(Box::new(Open::new(model, settings)))
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_reads_and_writes_what_it_was_told_and_nothing_else() {
    let root = tempfile::tempdir().expect("a folder");
    let [inside, outside] = ["inside", "outside"].map(|name| root.path().join(name));
    for folder in [&inside, &outside] {
        fs::create_dir(folder).expect("made");
    }
    let cage = Cage { read: vec![fixture("llama")], write: vec![inside.clone()] };
    let (mut worker, features) = caged(&cage.variable());
    if !features.iter().any(|feature| feature == CAGED_FILES) {
        eprintln!("NOT TESTED: this system cannot keep a worker from files");
        return;
    }
    assert!(!matches!(worker.ask(open(&fixture("qwen3"))), Outcome::Ok { .. }), "it reads another model");
    worker.done(open(&fixture("llama")));
    worker.say("a", CONVERSATION[0]);
    let session = inside.join("a.json");
    worker.save("a", &session);
    for file in ["a.json", "a.kv"] {
        fs::copy(inside.join(file), outside.join(file)).expect("copied");
    }
    worker.save("a", &session);
    worker.load(&session);
    worker.score("a", &inside);

    let score = Score {
        session: "a".into(),
        text: "More.".into(),
        max_tokens: 1,
        path: outside.join("logits"),
        afresh: false,
    };
    let escapes = [load(&outside.join("a.json")), save("a", &outside.join("b.json")), Request::Score(score)];
    for escape in escapes {
        let what = format!("{escape:?}");
        assert!(!matches!(worker.ask(escape), Outcome::Ok { .. }), "carried out: {what}");
    }
    let mut left: Vec<_> =
        fs::read_dir(&outside).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.json", "a.kv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_keeps_is_said() {
    let (_, features) = caged(&Cage::default().variable());
    for feature in [CAGED_FILES, CAGED_NETWORK] {
        if !features.iter().any(|named| named == feature) {
            eprintln!("NOT TESTED: this system has no way to be {feature}");
        }
    }
    let (_, features) = caged(OFF);
    assert!(!features.iter().any(|feature| feature.starts_with("caged")), "{features:?}");
}

#[test]
fn a_worker_that_does_not_understand_its_cage_does_nothing() {
    let worker = Worker::start_in(&[], &[(CAGE, "{}")]);
    assert_eq!(worker.end(), Some(1));
}
