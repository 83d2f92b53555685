//! Templates that mean harm: each is an error, soon, and takes little memory.

use intact_format::message::Role;

use super::{ChatMessage, ChatTemplate, TemplateError};

const CHAT: [ChatMessage<'_>; 1] = [ChatMessage::new(Role::User, "Hi")];

fn refused_at_once(what: &str, source: &str) {
    let compiled = ChatTemplate::compile(source, "", "");
    assert!(matches!(compiled, Err(TemplateError::Syntax { .. })), "{what}: {:?}", compiled.map(drop));
}

fn fails(source: &str) -> bool {
    let template = ChatTemplate::compile(source, "", "").expect("a template");
    matches!(template.render(&CHAT, false), Err(TemplateError::Failed { .. }))
}

#[test]
fn what_nests_without_end_does_not_compile() {
    let tag = |inner: String| format!("{{{{ {inner} }}}}");
    refused_at_once("nots", &tag("not ".repeat(50_000) + "x"));
    refused_at_once("joined", &tag("a ~ ".repeat(200_000) + "a"));
    refused_at_once("members", &tag("a".to_owned() + &".a".repeat(100_000)));
    refused_at_once("filters", &tag("a".to_owned() + &"|trim".repeat(100_000)));
    refused_at_once("indices", &tag("a".to_owned() + &"[0]".repeat(100_000)));
    refused_at_once("calls", &tag("a".to_owned() + &"()".repeat(100_000)));
    refused_at_once("conditions", &tag("a if b else ".repeat(50_000) + "c"));
    refused_at_once("parentheses", &tag("(".repeat(100_000) + "a" + &")".repeat(100_000)));
    refused_at_once("lists", &tag("[".repeat(100_000) + &"]".repeat(100_000)));
    refused_at_once("lists in lists, side by side", &tag("[a,".repeat(90_000) + "a" + &"]".repeat(90_000)));
    refused_at_once("negations", &tag("- ".repeat(100_000) + "1"));
    refused_at_once("powers", &tag("2 ** ".repeat(100_000) + "2"));
    refused_at_once("comparisons", &tag("1 < ".repeat(100_000) + "2"));
    refused_at_once("tests", &tag("a".to_owned() + &" is string".repeat(50_000)));
    refused_at_once("blocks", &("{% if a %}".repeat(50_000) + &"{% endif %}".repeat(50_000)));
    refused_at_once("loops", &("{% for a in b %}".repeat(20_000) + &"{% endfor %}".repeat(20_000)));
    refused_at_once("branches", &format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(50_000)));
    refused_at_once("more than can be read", &"x".repeat((1 << 20) + 1));
    refused_at_once("a tag without end", "{{ 'a");
    refused_at_once("a comment without end", "{# a");
    refused_at_once("a raw block without end", "{% raw %} a");
    refused_at_once("a bracket without end", "{{ (a }}");
    refused_at_once("a taken name", "{{ intact_measured(1) }}");
}

#[test]
fn what_only_is_long_compiles() {
    let list = "1, ".repeat(20_000);
    let text = "word ".repeat(20_000);
    let source = format!(
        "{{% set l = [{list}] %}}{{{{ l | length }}}}{text}{}",
        "{{ messages[0].content }}".repeat(2_000)
    );
    let rendered = ChatTemplate::compile(&source, "", "").unwrap().render(&CHAT, false).unwrap();
    assert!(rendered.starts_with("20000word ") && rendered.ends_with("HiHi"));
}

#[test]
fn what_makes_more_than_a_chat_can_need_is_stopped() {
    let doubled = |kept: &str| {
        format!("{{% set ns = namespace(s='x') %}}{{% for i in range(99) %}}{kept}{{% endfor %}}")
    };
    let table = [
        ("a text doubled by ~", doubled("{% set ns.s = ns.s ~ ns.s %}")),
        ("a text doubled by +", doubled("{% set ns.s = ns.s + ns.s %}")),
        ("a text doubled in parentheses", doubled("{% set ns.s = ('' ~ (ns.s ~ ns.s)) %}")),
        ("a text doubled in a call", doubled("{% set ns.s = ns.s.replace('x', 'xx') %}")),
        ("a text doubled in a filter", doubled("{% set ns.s = ns.s | replace('x', 'xx') %}")),
        ("a text joined of itself", doubled("{% set ns.s = [ns.s, ns.s] | join(ns.s) %}")),
        ("a text joined by a method", doubled("{% set ns.s = ns.s.join([ns.s, ns.s]) %}")),
        ("a text formatted into itself", doubled("{% set ns.s = '%s%s' | format(ns.s, ns.s) %}")),
        ("a text multiplied", doubled("{% set ns.s = ns.s * 3 %}")),
        ("a captured text", doubled("{% set s %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = s %}")),
        (
            "a text doubled in a macro",
            "{% macro m(s, n) %}{% if n %}{{ m(s ~ s, n - 1) }}{% endif %}{% endmacro %}{{ m('x', 99) }}".to_owned(),
        ),
        ("texts doubled one behind the other", "{% set s = 'xxxxxxxx' %}".to_owned() + &"{% set s = s ~ s %}".repeat(60) + "{{ s | length }}"),
        ("a list doubled", doubled("{% set ns.s = [] %}") + &doubled("").replace("'x'", "[1]").replace("{% endfor %}", "{% set ns.s = ns.s + ns.s %}{% endfor %}")),
        ("a list repeated", "{{ ([1] * 999999999999) | list | length }}".to_owned()),
        ("many long texts", "{% set ns = namespace(l=[]) %}{% set s = 'x' * 4000000 %}{% for i in range(9999) %}{% set ns.l = ns.l + [s ~ i] %}{% endfor %}".to_owned()),
        ("upper texts kept", "{% set ns = namespace(l=[]) %}{% set s = 'x' * 4000000 %}{% for i in range(9999) %}{% set ns.l = ns.l + [s | upper] %}{% endfor %}".to_owned()),
        ("a wide indent", "{{ 'a\nb' | indent(9999999999) }}".to_owned()),
        ("a wide indent by name", "{{ 'a\nb' | indent(width=9999999999) }}".to_owned()),
        ("a wide format", "{{ '%9999999999d' | format(1) }}".to_owned()),
        ("a wide format by a method", "{{ '{:9999999999}'.format(1) }}".to_owned()),
        ("large batches", "{{ [1] | batch(9999999999, 0) | list }}".to_owned()),
        ("many slices", "{{ [1] | slice(9999999999) | list }}".to_owned()),
        ("a text as a list", "{{ ('x' * 90000000) | list | length }}{{ 'x' * 90000000 }}".to_owned()),
        ("endless output", "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}".to_owned()),
        ("endless text", format!("{{% for a in range(9999) %}}{{% for b in range(9999) %}}{}{{% endfor %}}{{% endfor %}}", "word ".repeat(9_999))),
        ("endless text in a block", format!("{{% set x %}}{{% for a in range(9999) %}}{}{{% endfor %}}{{% endset %}}", "word ".repeat(99_999))),
        ("endless white space", format!("{{% for a in range(9999) %}}x{}y{{% endfor %}}", " ".repeat(900_000))),
        ("endless work", "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}".to_owned()),
        ("an endless macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned()),
        ("a template that includes itself", "{% include 'chat' %}".to_owned()),
    ];
    let passed: Vec<_> = table.iter().filter(|(_, source)| !fails(source)).map(|(what, _)| what).collect();
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn no_value_can_lie_in_itself_or_too_deep_in_others() {
    let table = [
        ("a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"),
        ("a namespace in a list in itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}"),
        (
            "a namespace in a map in itself",
            "{% set ns = namespace() %}{% set ns.x = {'a': ns} %}{{ ns == ns }}",
        ),
        (
            "two namespaces in each other",
            "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{% set b.x = a %}{{ a == b }}{{ a | tojson }}",
        ),
        (
            "a namespace made of another",
            "{% set a = namespace() %}{% set b = namespace(x=a) %}{% set a.x = b %}{{ a }}",
        ),
        (
            "lists in lists",
            "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}",
        ),
        (
            "maps in maps",
            "{% set ns = namespace(l={}) %}{% for i in range(9999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
        ),
        (
            "maps by a function",
            "{% set ns = namespace(l={}) %}{% for i in range(9999) %}{% set ns.l = dict(a=ns.l) %}{% endfor %}",
        ),
        (
            "lists in lists in a macro",
            "{% macro m(l, n) %}{% if n %}{{ m([[[[[[[[l]]]]]]]], n - 1) }}{% endif %}{% endmacro %}{{ m([], 99) }}",
        ),
    ];
    let passed: Vec<_> = table.iter().filter(|(_, source)| !fails(source)).map(|(what, _)| what).collect();
    assert!(passed.is_empty(), "{passed:?}");
}
