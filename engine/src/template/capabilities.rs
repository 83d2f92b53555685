//! What a template makes of tools, found out by trying.
//!
//! A template that does not show something leaves it out without a word, and a text that it escapes a second time is another
//! text. So a chat with a tool, a call and an answer is rendered in each form that templates are known to take, and the first
//! form whose rendering shows what was said is the template's.

use intact_format::message::{Details, Role, ToolCall};

use super::ChatTemplate;
use super::inputs::Inputs;
use super::line::{Form, Line};

/// What a template shows of a chat with tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The definitions of tools.
    pub(super) tools: bool,
    /// Calls, in the form in which it takes them.
    pub(super) calls: Option<Form>,
    /// What tools answer.
    pub(super) answers: bool,
    /// Every one of several calls in one message.
    pub(super) several: bool,
    /// A system prompt that is not among the first messages.
    pub(super) late_system: bool,
    /// A developer's message that is not among the first ones.
    pub(super) late_developer: bool,
    /// A developer's message behind a system prompt.
    pub(super) beside_system: bool,
}

const ARGUMENTS: &str = r#"{"needle_argument": "needle value"}"#;
const TOOLS: &str = r#"[{"type": "function", "function": {"name": "needle_tool", "description": "A needle.",
    "parameters": {"type": "object", "properties": {"needle_argument": {"type": "string", "description": "A needle."}},
    "required": ["needle_argument"]}}}]"#;
const OTHER_ARGUMENTS: &str = r#"{"needle_argument": "other value"}"#;
/// Some templates refuse ids that are not nine letters and digits.
const ID: &str = "needle001";
const OTHER_ID: &str = "needle002";

impl Capabilities {
    pub(super) fn of(template: &ChatTemplate) -> Self {
        let date = template.inputs.date();
        let plain = ChatTemplate { inputs: Inputs::on(date), ..template.clone() };
        let with_tools = ChatTemplate { inputs: Inputs::of_tools(TOOLS, date), ..plain.clone() };
        let question = Line::new(Role::User, "How are the needles?");
        let shows = |rendered: &Option<String>, what: &[&str]| {
            rendered.as_ref().is_some_and(|text| what.iter().all(|what| text.contains(what)))
        };
        let rendered =
            |template: &ChatTemplate, lines: &[Line<'_>], form| template.rendered_in(lines, true, form).ok();
        let forms = [true, false].map(|arguments_as_text| Form { arguments_as_text, knows_none: false });
        let tools =
            shows(&rendered(&with_tools, std::slice::from_ref(&question), forms[0]), &["needle_tool"]);

        let calling = Details {
            tool_calls: vec![ToolCall::new(ID, "needle_tool", ARGUMENTS)],
            without_content: true,
            ..Details::default()
        };
        let answering = Details {
            name: Some("needle_tool".to_owned()),
            tool_call_id: Some(ID.to_owned()),
            ..Details::default()
        };
        let call = Line { details: &calling, ..Line::new(Role::Assistant, "") };
        let answer = Line { details: &answering, ..Line::new(Role::Tool, "needle answer") };
        let chat = [question.clone(), call, answer];
        let within = if tools { &with_tools } else { &plain };
        let shown = |form: Form, chat: &[Line<'_>]| {
            let said: &[&str] =
                if form.arguments_as_text { &[ARGUMENTS] } else { &["needle_argument", "needle value"] };
            shows(&rendered(within, chat, form), said)
        };
        // One that refuses what tools answer may show calls all the same.
        let tried = [&chat[..], &chat[..2]].into_iter();
        let form =
            tried.flat_map(|chat| forms.map(|form| (form, chat))).find(|(form, chat)| shown(*form, chat));
        let form = form.map(|(form, _)| form);
        let calls = form.map(|form| {
            let known = Form { knows_none: true, ..form };
            let nones = |rendered: &Option<String>| {
                rendered.as_ref().map(|text| text.to_lowercase().matches("none").count())
            };
            let (empty, none) = (rendered(within, &chat, form), rendered(within, &chat, known));
            let knows_none = none.is_some() && nones(&none) <= nones(&empty);
            Form { knows_none, ..form }
        });
        let answers = shows(&rendered(within, &chat, calls.unwrap_or(forms[0])), &["needle answer"]);

        let both = Details {
            tool_calls: vec![
                ToolCall::new(ID, "needle_tool", ARGUMENTS),
                ToolCall::new(OTHER_ID, "needle_tool", OTHER_ARGUMENTS),
            ],
            ..calling.clone()
        };
        let other_answering = Details { tool_call_id: Some(OTHER_ID.to_owned()), ..answering.clone() };
        let several = [
            question.clone(),
            Line { details: &both, ..Line::new(Role::Assistant, "") },
            Line { details: &answering, ..Line::new(Role::Tool, "needle answer") },
            Line { details: &other_answering, ..Line::new(Role::Tool, "other answer") },
        ];
        let several = calls.is_some_and(|form| {
            let shown =
                |chat: &[Line<'_>]| shows(&rendered(within, chat, form), &["needle value", "other value"]);
            shown(&several) || shown(&several[..2])
        });

        let late = |role| {
            let said = Line::new(role, "A late needle.");
            let chat = [question.clone(), Line::new(Role::Assistant, "Well."), said, question.clone()];
            shows(&rendered(&plain, &chat, forms[0]), &["A late needle."])
        };
        let (late_system, late_developer) = (late(Role::System), late(Role::Developer));
        let beside = [
            Line::new(Role::System, "A first needle."),
            Line::new(Role::Developer, "A second needle."),
            question.clone(),
        ];
        let beside_system =
            shows(&rendered(&plain, &beside, forms[0]), &["A first needle.", "A second needle."]);
        Self { tools, calls, answers, several, late_system, late_developer, beside_system }
    }
}
