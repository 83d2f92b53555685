//! Saved in one process, loaded in another.

use intact_fixtures::Purpose;
use intact_protocol::{Give, Inputs, Request};

use crate::client::{CONVERSATION, Worker};

/// One model of every memory kind and shape.
const FAMILIES: [&str; 7] = ["llama", "qwen2", "qwen3", "gemma3", "mamba2", "lfm2", "granite-hybrid"];

/// One model of every architecture and shape.
fn architectures() -> impl Iterator<Item = &'static str> {
    let families = intact_fixtures::families();
    families.filter(|model| model.family.purpose != Purpose::KvShape).map(|model| model.id.as_str())
}

#[test]
fn a_session_of_any_architecture_goes_on_in_another_process_bit_by_bit_as_if_it_had_not_been_interrupted() {
    for model in architectures() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("trip.json");

        let mut writer = Worker::with_model(&[], model);
        writer.converse("trip");
        writer.save("trip", &file);

        let mut control = Worker::with_model(&[], model);
        control.converse("trip");
        let expected = control.score("trip", folder.path());

        let mut reader = Worker::with_model(&[], model);
        let receipt = reader.load(&file).receipt;
        assert_eq!(receipt.route, "direct", "{model}: {receipt:?}");
        assert_eq!(receipt.canary_distance, Some(0.0), "{model}");
        assert!(receipt.tokens_evaluated <= 1, "{model}: {receipt:?}");
        assert!(reader.score("trip", folder.path()) == expected, "{model}: the restored session");
        assert!(writer.score("trip", folder.path()) == expected, "{model}: the session that was saved");
    }
}

#[test]
fn a_session_that_is_saved_and_loaded_after_every_turn_does_not_drift() {
    for model in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("relay.json");
        let mut runner = Worker::with_model(&[], model);
        for turn in CONVERSATION {
            runner.say("relay", turn);
            runner.save("relay", &file);
            runner = Worker::with_model(&[], model);
            assert_eq!(runner.load(&file).receipt.route, "direct", "{model}");
        }
        let mut control = Worker::with_model(&[], model);
        control.converse("relay");
        let (left, right) = (runner.score("relay", folder.path()), control.score("relay", folder.path()));
        assert!(left == right, "{model}");
    }
}

#[test]
fn a_chat_with_tools_goes_on_in_another_process_with_the_tools_that_it_was_given() {
    const TEMPLATE: &str = "{{ tools | tojson if tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n\
        {{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let folder = tempfile::tempdir().expect("a folder");
    let (file, model) = (folder.path().join("tools.json"), folder.path().join("model.gguf"));
    let bytes = std::fs::read(crate::client::fixture("llama")).expect("a fixture model");
    let bytes = intact_fixtures::with_template(bytes, TEMPLATE).expect("room for the template");
    std::fs::write(&model, bytes).expect("written");
    let open = || Worker::with_model_file(&[], &model);
    let given = |worker: &mut Worker| {
        let tools = r#"[{"type": "function", "function": {"name": "clock", "parameters": {}}}]"#.to_owned();
        let inputs = Inputs { tools: Some(tools), ..Inputs::default() };
        let session = "tools".to_owned();
        worker.done(Request::Give(Give { session, system: Some("Be brief.".into()), inputs }));
    };
    let [first, rest @ ..] = CONVERSATION;

    let mut control = open();
    given(&mut control);
    control.converse("tools");
    let expected = control.score("tools", folder.path());

    let mut writer = open();
    given(&mut writer);
    writer.say("tools", first);
    writer.save("tools", &file);
    let mut reader = open();
    let receipt = reader.load(&file).receipt;
    assert_eq!((receipt.route.as_str(), receipt.tokens_evaluated), ("direct", 1), "{receipt:?}");
    rest.into_iter().for_each(|turn| reader.say("tools", turn));
    assert!(reader.score("tools", folder.path()) == expected);

    let mut untold = open();
    untold.converse("tools");
    assert!(untold.score("tools", folder.path()) != expected, "the tools make a difference");
}

#[test]
fn the_blind_path_works_where_nothing_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trip.json");
    let mut writer = Worker::with_model(&["--subject", "blind"], "llama");
    writer.converse("trip");
    writer.save("trip", &file);
    let expected = writer.score("trip", folder.path());
    let mut reader = Worker::with_model(&["--subject", "blind"], "llama");
    assert_eq!(reader.load(&file).receipt.route, "blind");
    assert!(reader.score("trip", folder.path()) == expected);
}
