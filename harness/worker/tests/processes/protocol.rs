//! What every worker promises, whatever it is asked.

use intact_protocol::{Answer, Forget, Outcome, Replied, Request, Say};

use crate::client::{Worker, load, save};

#[test]
fn unknown_operations_and_broken_lines_are_answered_and_survived() {
    let mut worker = Worker::start(&[]);
    worker.send_line(r#"{"seq":41,"request":{"op":"levitate"}}"#);
    let answer = worker.answer().expect("an answer");
    assert!(matches!(answer, Answer::Reply { seq: 41, outcome: Outcome::Unsupported { .. } }), "{answer:?}");
    for broken in ["{", "null", r#"{"seq":42}"#, r#"{"seq":42,"request":{"op":"open"}}"#] {
        worker.send_line(broken);
        let answer = worker.answer().expect("an answer");
        assert!(
            matches!(answer, Answer::Reply { outcome: Outcome::Error { .. }, .. }),
            "{broken}: {answer:?}"
        );
    }
    assert!(matches!(worker.done(Request::Bye), Replied::Bye));
    assert_eq!(worker.end(), Some(0));
}

#[test]
fn what_needs_a_model_or_a_session_is_refused_with_a_code_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = |outcome: Outcome| match outcome {
        Outcome::Refused(refusal) => refusal.code,
        outcome => panic!("{outcome:?}"),
    };
    let mut worker = Worker::start(&[]);
    assert_eq!(code(worker.ask(load(&folder.path().join("none.json")))), "nothing-open");
    let mut worker = Worker::with_model(&[], "llama");
    assert_eq!(code(worker.ask(load(&folder.path().join("none.json")))), "file-not-found");
    assert_eq!(code(worker.ask(load(folder.path()))), "file-unreadable");
    assert_eq!(code(worker.ask(save("nobody", &folder.path().join("a.json")))), "session-not-found");
    assert_eq!(code(worker.ask(Request::Forget(Forget { session: "nobody".into() }))), "session-not-found");
}

#[test]
fn a_reply_is_streamed_in_whole_characters_that_add_up_to_its_text() {
    let mut worker = Worker::with_model(&[], "llama");
    worker.send(Request::Say(Say {
        session: "stream".into(),
        system: None,
        text: "Say something.".into(),
        reply: Some("Größe, 東京 and 🦀.".into()),
        max_tokens: None,
        greedy: false,
        cancel_after: None,
        stream: true,
    }));
    let mut streamed = String::new();
    let said = loop {
        match worker.answer().expect("an answer") {
            Answer::Event { text, .. } => streamed.push_str(&text),
            Answer::Reply { outcome, .. } => break outcome,
        }
    };
    assert_eq!(streamed, "Größe, 東京 and 🦀.");
    assert!(
        matches!(said, Outcome::Ok { result } if matches!(&*result, Replied::Say(said) if said.text == streamed))
    );
}

#[test]
fn a_worker_whose_input_ends_exits() {
    let worker = Worker::with_model(&[], "llama");
    assert_eq!(worker.end(), Some(0));
}

#[test]
fn the_only_lines_on_standard_output_are_answers() {
    // llama.cpp prints while it loads a model and creates contexts; every line that the client reads is parsed.
    let mut worker = Worker::with_model(&["--subject", "blind"], "gemma3");
    worker.converse("quiet");
    assert!(matches!(worker.done(Request::Bye), Replied::Bye));
    assert!(worker.answer().is_none(), "nothing follows the answer to bye");
}
