//! Whatever a template is: it compiles or is an error, it renders a chat or is one, and what it renders is what is cut.

use intact_format::message::Role;
use jiff::civil::date;
use proptest::prelude::*;

use super::{ChatMessage, ChatTemplate, TemplateError};

/// What templates are made of.
const FRAGMENTS: [&str; 44] = [
    "{% for m in messages %}",
    "{%- for m in messages[::-1] -%}",
    "{% for i in range(messages | length, -2, -1) %}",
    "{% endfor %}",
    "{%- else -%}",
    "{% if loop.first %}",
    "{% if m.role == 'user' %}",
    "{% if m is defined and '</think>' in m.content %}",
    "{% elif m.role != \"system\" %}",
    "{% endif %}",
    "{% set x = m.content %}",
    "{% set ns = namespace(s='', l=[], n=-1) %}",
    "{% set ns.s = ns.s ~ m.content %}",
    "{% set ns.l = ns.l + [m] %}",
    "{% set ns.n = ns.n * 2 ** 9 %}",
    "{% set b %}",
    "{% endset %}",
    "{% macro f(a, b='(') %}",
    "{% endmacro %}",
    "{{ f(m.content) }}",
    "{{ f(x, b=f('y')) }}",
    "{{ m.content }}",
    "{{- m['content'] | trim -}}",
    "{{ m.role ~ '\\n' + m.content * 3 }}",
    "{{ m.content.split('</think>')[-1] }}",
    "{{ m.content[1:-1] }}",
    "{{ messages[0].content | tojson }}",
    "{{ messages | map(attribute='content') | join(x) }}",
    "{{ x | replace('a', 'bb') | indent(9) }}",
    "{{ 'one\\\n two\\x41\\'' }}",
    "{{ bos_token }}",
    "{{ eos_token -}}",
    "{{ raise_exception('no') }}",
    "{{ strftime_now('%d %b %Y') }}",
    "{{ [m, [x], {'k': x}] }}",
    "{% generation %}",
    "{% endgeneration %}",
    "{% if add_generation_prompt %}",
    "{% continue %}",
    "{% break %}",
    "{# a note #}",
    "{% raw %}{{ {% endraw %}",
    "<|im_start|>",
    "\n  ",
];

fn sources() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        8 => proptest::sample::select(FRAGMENTS.to_vec()).prop_map(str::to_owned),
        1 => "[{}%#'\"\\\\.|()\\[\\]a-z0-9 \n-]{0,6}",
        1 => "\\PC{0,4}",
    ];
    prop_oneof![
        4 => proptest::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat()),
        // A loop around them, which most of them need.
        4 => proptest::collection::vec(proptest::sample::select(FRAGMENTS[9..36].to_vec()), 0..8)
            .prop_map(|inner| format!("{{% for m in messages %}}{}{{% endfor %}}", inner.concat())),
        1 => "\\PC{0,40}",
    ]
}

fn sayings() -> impl Strategy<Value = Vec<String>> {
    let said = prop_oneof![
        Just("<|im_end|>a</think>b".to_owned()),
        "\\PC{0,12}",
        Just(" \u{f8e0}{{ x }} ".to_owned())
    ];
    proptest::collection::vec(said, 1..5)
}

/// How many templates are made up: `INTACT_TEMPLATES`, or enough to notice what is often wrong.
fn wanted() -> u32 {
    std::env::var("INTACT_TEMPLATES").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: wanted(), ..ProptestConfig::default() })]

    #[test]
    fn a_template_is_an_error_or_cuts_what_it_renders(source in sources(), said in sayings(), opening: bool) {
        let compiled = ChatTemplate::compile_at(&source, "<s>", "</s>", date(2026, 4, 23));
        let template = match compiled {
            Ok(template) => template.with_controls(vec!["<|im_start|>".into(), "<|im_end|>".into()]),
            Err(error) => {
                prop_assert!(matches!(error, TemplateError::Syntax { .. }), "{error}");
                return Ok(());
            }
        };
        let roles = [Role::System, Role::User, Role::Assistant, Role::User];
        let chat: Vec<_> =
            roles.into_iter().zip(&said).map(|(role, content)| ChatMessage::new(role, content)).collect();
        let rendered = match template.render(&chat, opening) {
            Ok(rendered) => rendered,
            Err(error) => {
                prop_assert!(!error.to_string().contains("panicked"), "{error}");
                return Ok(());
            }
        };
        let whole = template.whole(&chat, opening).unwrap();
        let stretches: Vec<_> = whole.runs.iter().flatten().chain(&whole.opening).collect();
        prop_assert_eq!(stretches.iter().map(|stretch| stretch.text.as_str()).collect::<String>(), rendered);
        prop_assert_eq!(whole.runs.len(), chat.len());
        // What a template adds with a message may be what it never says at once; it must not bring the process down.
        let _added: Vec<_> = (0..chat.len()).map(|at| template.suffix(&chat, at)).collect();
        let _closing = template.closing(&chat);
        let _opening = template.generation_prompt(&chat);
    }
}
