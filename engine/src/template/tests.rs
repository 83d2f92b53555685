use intact_format::inputs::TemplateInputs;
use intact_format::message::Role;
use jiff::civil::date;
use proptest::prelude::*;

use super::{ChatMessage, ChatTemplate, TemplateError, TemplateOrigin};

/// Templates in the manner of the families that people run; `None` is the fallback.
const STYLES: [(&str, Option<&str>); 7] = [
    ("fallback", None),
    ("chatml", Some(include_str!("styles/chatml.jinja"))),
    ("headers", Some(include_str!("styles/headers.jinja"))),
    ("turns", Some(include_str!("styles/turns.jinja"))),
    ("inst", Some(include_str!("styles/inst.jinja"))),
    ("inst_system_last", Some(include_str!("styles/inst_system_last.jinja"))),
    ("thinking", Some(include_str!("styles/thinking.jinja"))),
];

fn style(name: &str) -> ChatTemplate {
    let (_, source) = STYLES.iter().find(|(known, _)| *known == name).unwrap();
    match source {
        Some(source) => compile(source),
        None => ChatTemplate::of_model(None, "<s>", "</s>").unwrap(),
    }
}

fn compile(source: &str) -> ChatTemplate {
    ChatTemplate::compile_at(source, "<s>", "</s>", date(2026, 4, 23)).unwrap()
}

fn system(content: &str) -> ChatMessage<'_> {
    ChatMessage::new(Role::System, content)
}

fn user(content: &str) -> ChatMessage<'_> {
    ChatMessage::new(Role::User, content)
}

fn assistant(content: &str) -> ChatMessage<'_> {
    ChatMessage::new(Role::Assistant, content)
}

const CHAT: [ChatMessage<'_>; 5] = [
    ChatMessage::new(Role::System, "Be brief."),
    ChatMessage::new(Role::User, "Plan a trip to Madrid in May."),
    ChatMessage::new(Role::Assistant, "Day 1: the Prado."),
    ChatMessage::new(Role::User, "Three museums worth visiting?"),
    ChatMessage::new(Role::Assistant, "Prado, Reina Sofía, Thyssen."),
];

#[test]
fn whole_chats_are_rendered_as_their_authors_mean_them() {
    for (name, _) in STYLES {
        insta::assert_snapshot!(format!("whole-{name}"), style(name).render(&CHAT, false).unwrap());
        let question = style(name).render(&CHAT[..4], true).unwrap();
        insta::assert_snapshot!(format!("question-{name}"), question);
    }
}

#[test]
fn each_message_adds_its_own_text() {
    for name in ["fallback", "chatml", "headers", "turns", "inst"] {
        let template = style(name);
        let suffixes: Vec<_> = (0..CHAT.len()).map(|index| template.suffix(&CHAT, index).unwrap()).collect();
        insta::assert_debug_snapshot!(format!("suffixes-{name}"), suffixes);
        assert_eq!(suffixes.concat(), template.render(&CHAT, false).unwrap(), "{name}");
    }
}

#[test]
fn question_answer_and_closing_together_are_the_next_chat() {
    for name in ["fallback", "chatml", "headers", "turns"] {
        let template = style(name);
        let prompt =
            template.render(&CHAT[..4], false).unwrap() + &template.generation_prompt(&CHAT[..4]).unwrap();
        assert_eq!(prompt, template.render(&CHAT[..4], true).unwrap(), "{name}");
        let closing = template.closing(&CHAT[..4]).unwrap();
        assert_eq!(prompt + CHAT[4].content + &closing, template.render(&CHAT, false).unwrap(), "{name}");
    }
}

#[test]
fn the_closing_is_what_ends_an_answer() {
    let table = [
        ("fallback", "<|im_end|>\n"),
        ("chatml", "<|im_end|>\n"),
        ("headers", "<|eot_id|>"),
        ("turns", "<end_of_turn>\n"),
        ("inst", "</s>"),
        ("inst_system_last", "</s>"),
        ("thinking", "<|im_end|>\n"),
    ];
    for (name, expected) in table {
        assert_eq!(style(name).closing(&CHAT[..2]).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_template_without_an_opening_for_answers_has_an_empty_generation_prompt() {
    assert_eq!(style("inst").generation_prompt(&CHAT[..2]).unwrap(), "");
    assert_eq!(style("turns").generation_prompt(&CHAT[..2]).unwrap(), "<start_of_turn>model\n");
}

#[test]
fn a_system_prompt_that_needs_a_question_waits_for_it() {
    for name in ["turns", "inst"] {
        let template = style(name);
        assert_eq!(template.suffix(&CHAT, 0).unwrap(), "", "{name}");
        let first = template.suffix(&CHAT, 1).unwrap();
        assert!(first.starts_with("<s>") && first.contains("Be brief.\n\nPlan a trip"), "{name}: {first}");
        assert!(template.begins_with_bos(&first));
    }
}

#[test]
fn a_default_system_prompt_belongs_to_the_first_message() {
    let first = style("chatml").suffix(&[user("Hi")], 0).unwrap();
    assert!(first.starts_with("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"), "{first}");
}

#[test]
fn stripping_the_reasoning_of_earlier_answers_is_reported_with_the_message_that_changes() {
    let template = style("thinking");
    let chat = [
        user("2 + 2?"),
        assistant("<think>\nEasy.\n</think>\n\n4"),
        user("And 3 + 3?"),
        assistant("<think>\nAlso easy.\n</think>\n\n6"),
    ];
    assert_eq!(
        template.suffix(&chat, 1).unwrap(),
        "<|im_start|>assistant\n<think>\nEasy.\n</think>\n\n4<|im_end|>\n"
    );
    let error = template.suffix(&chat, 2).unwrap_err();
    assert_eq!(error, TemplateError::Rewrites { message: 1, by: 2 });
    assert!(error.to_string().contains("rendered as a whole"));
    insta::assert_snapshot!("thinking-whole", template.render(&chat[..3], true).unwrap());
}

#[test]
fn moving_the_system_prompt_to_the_newest_question_is_reported() {
    let template = style("inst_system_last");
    assert!(template.suffix(&CHAT, 1).unwrap().contains("Be brief."));
    assert_eq!(template.suffix(&CHAT, 2), Err(TemplateError::Rewrites { message: 1, by: 2 }));
    assert_eq!(template.suffix(&CHAT, 4), Err(TemplateError::Rewrites { message: 1, by: 4 }));
}

#[test]
fn what_a_template_refuses_is_told_in_its_own_words() {
    let error = style("turns").render(&[assistant("one")], false).unwrap_err();
    let reason = "Conversation roles must alternate user/assistant/user/assistant/...".to_owned();
    assert_eq!(error, TemplateError::Refused { reason });
}

#[test]
fn two_messages_in_a_row_are_rendered_as_one_where_the_template_refuses_them() {
    let twice = [user("one"), user("two")];
    let rendered = style("turns").render(&twice, false).unwrap();
    assert_eq!(rendered, "<s><start_of_turn>user\none\n\ntwo<end_of_turn>\n");
    assert_eq!(style("turns").suffix(&twice, 1), Err(TemplateError::Rewrites { message: 0, by: 1 }));
    let apart = style("chatml").suffix(&twice, 1).unwrap();
    assert_eq!(apart, "<|im_start|>user\ntwo<|im_end|>\n");
}

#[test]
fn a_model_without_a_template_gets_chatml_and_says_so() {
    for source in [None, Some(""), Some(" \n")] {
        let template = ChatTemplate::of_model(source, "", "").unwrap();
        assert_eq!(template.origin(), TemplateOrigin::Fallback);
        assert_eq!(
            template.render(&[user("Hi")], true).unwrap(),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }
    assert_eq!(style("chatml").origin(), TemplateOrigin::Given);
}

#[test]
fn keys_keep_their_order_unless_a_template_asks_for_another() {
    let tools = r#"[{"type": "function", "function": {"name": "n", "a": 1}}]"#;
    let inputs = TemplateInputs { tools: Some(tools.to_owned()), ..TemplateInputs::default() };
    let rendered =
        |source: &str| compile(source).with_inputs(&inputs).unwrap().render(&[user("Hi")], false).unwrap();
    assert_eq!(rendered("{{ tools | tojson }}"), tools);
    assert_eq!(
        rendered("{{ tools | tojson(sort_keys=true) }}"),
        r#"[{"function": {"a": 1, "name": "n"}, "type": "function"}]"#
    );
}

#[test]
fn jinja_behaves_as_the_authors_tools_do() {
    let table = [
        ("{% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"),
        ("{{ strftime_now('%Y-%m-%d') }}", "2026-04-23"),
        ("{{ {'a': [1, 'ü<', none, true]} | tojson }}", r#"{"a": [1, "ü<", null, true]}"#),
        ("{{ {'a': 1} | tojson(indent=2) }}", "{\n  \"a\": 1\n}"),
        ("{{ 'a-b'.split('-')[-1] }}{{ ' x '.strip() }}{{ 'abc'[::-1] }}", "bxcba"),
        (
            "{% for n in range(9) %}{% if n == 2 %}{% continue %}{% endif %}{% if n == 4 %}{% break %}{% endif %}{{ n }}{% endfor %}",
            "013",
        ),
        ("{% generation %}x{% endgeneration %}{%- generation -%} y {%- endgeneration -%}", "xy"),
        ("{{ tools is none }}{{ documents is none }}{{ enable_thinking is defined }}", "TrueTrueFalse"),
        ("{{ messages[0].tool_calls is defined }}{{ nothing }}", "False"),
        ("{{ '<&>' }}", "<&>"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(bos_token) }}{{ m(eos_token) }}", "[<s>][</s>]"),
    ];
    for (source, expected) in table {
        assert_eq!(compile(source).render(&[user("Hi")], false).unwrap(), expected, "{source}");
    }
}

#[test]
fn broken_templates_are_errors_and_never_hang() {
    let compiled = ChatTemplate::compile("{% for x in %}", "", "");
    assert!(matches!(compiled, Err(TemplateError::Syntax { .. })), "{compiled:?}");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    for source in ["{{ messages.0.x.y }}", "{{ unknown() }}", endless] {
        let rendered = compile(source).render(&[user("Hi")], false);
        assert!(matches!(rendered, Err(TemplateError::Failed { .. })), "{source}: {rendered:?}");
    }
    let hiding = compile("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}");
    assert_eq!(hiding.closing(&[user("Hi")]), Err(TemplateError::HidesAnswer { message: 1 }));
}

proptest! {
    /// Whatever is said: what the messages add, put together, is the whole chat.
    #[test]
    fn suffixes_put_together_are_the_whole(
        contents in prop::collection::vec(any::<String>(), 1..6),
        prompt in prop::option::of("[a-z .]{1,20}"),
        name in prop::sample::select(vec!["fallback", "chatml", "headers", "turns", "inst"]),
    ) {
        let speakers = [user as fn(&str) -> ChatMessage<'_>, assistant];
        let turns = contents.iter().zip(speakers.iter().cycle()).map(|(content, speaker)| speaker(content));
        let chat: Vec<_> = prompt.iter().map(|prompt| system(prompt)).chain(turns).collect();
        let template = style(name);
        let suffixes: String = (0..chat.len()).map(|index| template.suffix(&chat, index).unwrap()).collect();
        prop_assert_eq!(suffixes, template.render(&chat, false).unwrap());
    }
}
