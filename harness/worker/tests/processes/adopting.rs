//! States that llama.cpp itself kept in one process, adopted in another.

use std::path::Path;

use intact_protocol::{Adopt, Adopted, FlashAttention, Message, Outcome, Replied, Request, Role, Settings};

use crate::client::{CONVERSATION, Worker, fixture};

const NO_ROTATION: (&str, &str) = ("LLAMA_ATTN_ROT_DISABLE", "1");

fn quantized(subject: &[&str], environment: &[(&str, &str)]) -> Worker {
    let mut worker = Worker::start_in(subject, environment);
    let settings = Settings {
        n_ctx: Some(1024),
        threads: Some(1),
        type_k: Some("q8_0".into()),
        type_v: Some("q8_0".into()),
        flash_attention: Some(FlashAttention::On),
        ..Settings::default()
    };
    worker.open(&fixture("llama"), settings);
    worker
}

fn adopt(worker: &mut Worker, file: &Path, history: Option<Vec<Message>>) -> Outcome {
    let request = Adopt { path: file.to_owned(), session: "adopted".into(), history, inputs: None };
    worker.ask(Request::Adopt(request))
}

fn adopted(outcome: Outcome) -> Adopted {
    match outcome {
        Outcome::Ok { result } => match *result {
            Replied::Adopt(adopted) => adopted,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn transcoded(adopted: &Adopted) -> bool {
    adopted.notes.iter().any(|note| note.contains("transcoded"))
}

/// llama.cpp's own switch, on the side that saves or on the side that adopts: read as they lie, the bytes are garbage.
#[test]
fn a_state_with_another_rotation_is_turned_and_never_taken_as_it_is() {
    for (saving, adopting, turns) in [
        (&[][..], &[][..], false),
        (&[NO_ROTATION], &[], true),
        (&[], &[NO_ROTATION], true),
        (&[NO_ROTATION], &[NO_ROTATION], false),
    ] {
        let what = format!("saved in {saving:?}, adopted in {adopting:?}");
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = quantized(&["--subject", "blind"], saving);
        writer.converse("kept");
        writer.save("kept", &folder.path().join("kept.json"));

        let mut reader = quantized(&[], adopting);
        let adopted = adopted(adopt(&mut reader, &folder.path().join("kept.kv"), None));
        assert_eq!(transcoded(&adopted), turns, "{what}: {:?}", adopted.notes);
        assert!(adopted.nmse_k.max(adopted.nmse_v) <= adopted.nmse_allowed, "{what}: {adopted:?}");
        assert!(adopted.logprob_distance < 0.102, "{what}: {adopted:?}");
    }
}

#[test]
fn an_adopted_session_goes_on_in_another_process_with_its_conversation() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Worker::with_model(&["--subject", "blind"], "llama");
    writer.converse("kept");
    writer.save("kept", &folder.path().join("kept.json"));

    let system = Message::new(Role::System, "You are a patient guide.");
    let turns = CONVERSATION.iter().flat_map(|(text, reply)| {
        [(Role::User, *text), (Role::Assistant, *reply)].map(|(role, text)| Message::new(role, text))
    });
    let history: Vec<Message> = std::iter::once(system).chain(turns).collect();
    let mut reader = Worker::with_model(&[], "llama");
    let adopted = adopted(adopt(&mut reader, &folder.path().join("kept.kv"), Some(history.clone())));
    assert!(adopted.what.starts_with("sequence file"), "{}", adopted.what);
    let session = folder.path().join("session.json");
    reader.save("adopted", &session);
    let expected = reader.score("adopted", folder.path());

    let mut other = Worker::with_model(&[], "llama");
    let loaded = other.load(&session);
    assert_eq!(loaded.receipt.route, "direct", "{:?}", loaded.receipt);
    assert_eq!(loaded.history, Some(history));
    assert!(other.score("adopted", folder.path()) == expected, "bit for bit");
}

#[test]
fn the_blind_path_adopts_nothing() {
    let mut worker = Worker::with_model(&["--subject", "blind"], "llama");
    let outcome = adopt(&mut worker, Path::new("any"), None);
    assert!(matches!(outcome, Outcome::Unsupported { .. }), "{outcome:?}");
}
