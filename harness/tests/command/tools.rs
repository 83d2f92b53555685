//! Chats with tools: given by a file, saved, shown, and gone on with.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::chat::with;
use super::cli::{intact, worker};

/// A template that shows tools.
const KNOWS_TOOLS: &str = "{{ tools | tojson if tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n\
    {{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "weather", "description": "x", "parameters": {}}},
    {"type": "function", "function": {"name": "clock"}}]"#;

/// A folder with tools and a fixture model, which has this template where there is one.
fn scene(template: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tools.json"), TOOLS).expect("written");
    let mut model = fs::read(intact_fixtures::cached("llama").expect("a fixture model")).expect("bytes");
    if let Some(template) = template {
        model = intact_fixtures::with_template(model, template).expect("room for the template");
    }
    fs::write(folder.path().join("model.gguf"), model).expect("written");
    folder
}

const CHAT: [&str; 4] = ["chat", "--greedy", "--max-tokens", "4"];

fn inspected(file: &Path) -> String {
    let said = intact([Path::new("inspect"), file]);
    assert_eq!(said.code, 0, "{}", said.err);
    said.out
}

#[test]
fn tools_of_a_file_are_told_saved_and_shown_and_the_chat_goes_on() {
    let folder = scene(Some(KNOWS_TOOLS));
    let said =
        with(&folder, worker(), &CHAT, &["/tools tools.json", "\"\"\"", "two", "/lines", "\"\"\"", "/save"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("the model is told of 2 tools"), "{}", said.err);
    let shown = inspected(&folder.path().join("chat.json"));
    let has = |text: &str| assert!(shown.contains(text), "{text}: {shown}");
    has("format 2.2");
    has("weather, clock");
    has("two /lines");

    let again = [&CHAT[..], &["--load", "chat.json"]].concat();
    let said = with(&folder, worker(), &again, &["And?", "/tools", "/save"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("loaded chat: direct"), "{}", said.err);
    assert!(inspected(&folder.path().join("chat.json")).contains("format 2.1"), "the tools are taken away");
}

#[test]
fn a_session_that_is_begun_anew_has_the_tools_that_the_chat_was_given() {
    let folder = scene(Some(KNOWS_TOOLS));
    let lines = ["/tools tools.json", "one", "/new", "two", "/save", "/tools", "/new bare", "three", "/save"];
    let said = with(&folder, worker(), &CHAT, &lines);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(inspected(&folder.path().join("chat.json")).contains("weather, clock"));
    assert!(inspected(&folder.path().join("bare.json")).contains("format 2.1"), "they were taken away");
}

#[test]
fn an_empty_list_of_tools_is_called_that() {
    let folder = scene(Some(KNOWS_TOOLS));
    fs::write(folder.path().join("empty.json"), "[]").expect("written");
    let said = with(&folder, worker(), &CHAT, &["/tools empty.json", "one"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("the list is empty: the model has no tools"), "{}", said.err);
}

#[test]
fn tools_that_the_model_would_not_see_are_refused_and_the_chat_goes_on() {
    let folder = scene(None);
    fs::write(folder.path().join("object.json"), "{}").expect("written");
    let lines = ["Hello", "/tools tools.json", "/tools object.json", "/tools none.json", "Again", "/save"];
    let said = with(&folder, worker(), &CHAT, &lines);
    assert_ne!(said.code, 0);
    let has = |text: &str| assert!(said.err.contains(text), "{text}: {}", said.err);
    has("does not show the definitions of tools");
    has("object.json: the tools are not a JSON array");
    has("none.json");
    let shown = inspected(&folder.path().join("chat.json"));
    assert!(shown.contains("format 2.1") && shown.contains("Again"), "{shown}");
}
