//! The fixtures' vocabulary, as llama.cpp reads it: any text survives, and the special tokens are what they say.

use std::sync::{Arc, LazyLock};

use intact_engine::llama::{Model, ModelSettings};
use proptest::prelude::*;

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let path = intact_fixtures::cached("llama").expect("a fixture model");
    Model::load(&path, &ModelSettings::default()).expect("a model")
});

fn there_and_back(text: &str) -> Vec<u8> {
    MODEL.tokenize(text, false, false).into_iter().flat_map(|token| MODEL.piece(token, true)).collect()
}

#[test]
fn any_script_and_any_whitespace_comes_back() {
    for text in [
        "",
        " ",
        "the thing is in it",
        "  \t\r\n\n x",
        "Grüezi, 世界! 👩‍👩‍👧‍👦 مرحبا",
        "\u{0}\u{7f}\u{ad}\u{fffd}",
        "<|im_end|>",
    ] {
        assert_eq!(String::from_utf8_lossy(&there_and_back(text)), text);
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        prop_assert_eq!(there_and_back(&text), text.as_bytes());
    }
}

#[test]
fn special_tokens_are_one_token_only_where_they_are_parsed() {
    assert_eq!(MODEL.tokenize("<|im_start|>", false, true).len(), 1);
    assert_eq!(MODEL.tokenize("<|im_start|>", false, false).len(), "<|im_start|>".len());
}

#[test]
fn a_turn_ends_where_the_template_ends_it() {
    let token = |text| MODEL.tokenize(text, false, true)[0];
    assert!(MODEL.ends_generation(token("<|im_end|>")));
    assert!(!MODEL.ends_generation(token("<|im_start|>")));
    assert!(!MODEL.ends_generation(token("a")));
    assert!(!MODEL.adds_bos());
}

#[test]
fn a_text_has_more_than_one_tokenization() {
    let joined = MODEL.tokenize("the thing", false, false);
    let apart: Vec<_> =
        "the thing".chars().flat_map(|c| MODEL.tokenize(&c.to_string(), false, false)).collect();
    assert!(joined.len() < apart.len());
    let spelled =
        |tokens: &[_]| tokens.iter().flat_map(|token| MODEL.piece(*token, true)).collect::<Vec<_>>();
    assert_eq!(spelled(&joined), spelled(&apart));
}
