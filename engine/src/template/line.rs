//! Messages on their way into a template.

use intact_format::message::{Details, Role, ToolCall};
use minijinja::value::Value;

use super::json::{self, Ordered};
use super::marks::Controls;

/// A message as templates see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatMessage<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: &'a str,
    /// What the message has besides.
    pub details: &'a Details,
}

static NOTHING: Details = Details {
    name: None,
    reasoning: None,
    tool_calls: Vec::new(),
    tool_call_id: None,
    without_content: false,
};

impl<'a> ChatMessage<'a> {
    /// A message that has nothing but a text.
    #[must_use]
    pub const fn new(role: Role, content: &'a str) -> Self {
        Self { role, content, details: &NOTHING }
    }
}

/// A message whose content is spelled, and perhaps marked.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) role: Role,
    pub(super) content: String,
    pub(super) details: &'a Details,
}

/// The form in which a template takes what differs between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// The arguments of a call are its JSON as a text, and not as an object.
    pub(super) arguments_as_text: bool,
    /// A message without content has none, and not an empty one.
    pub(super) knows_none: bool,
}

/// The form of a chat without tools.
pub(super) const PLAIN: Form = Form { arguments_as_text: true, knows_none: false };

/// The names under which templates look for reasoning; the first that one mentions is meant.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

impl<'a> Line<'a> {
    /// A message that has nothing but a text.
    pub(super) fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), details: &NOTHING }
    }

    /// The message with its content spelled.
    pub(super) fn of(message: &ChatMessage<'a>, controls: &Controls) -> Self {
        Self { role: message.role, content: controls.spelled(message.content), details: message.details }
    }

    /// Bytes of all its texts.
    pub(super) fn bytes(&self) -> u64 {
        let Details { name, reasoning, tool_calls, tool_call_id, .. } = self.details;
        let texts = [name, reasoning, tool_call_id].into_iter().flatten();
        let calls = tool_calls
            .iter()
            .map(|call| call.name.len() + call.arguments.len() + call.id.as_ref().map_or(0, String::len));
        (self.content.len() + texts.map(String::len).sum::<usize>() + calls.sum::<usize>()) as u64
    }

    /// The message as a template takes it.
    pub(super) fn value(&self, form: Form, reasoning_name: &str, controls: &Controls) -> Value {
        let Details { name, reasoning, tool_calls, tool_call_id, without_content } = self.details;
        let text = |text: &String| Value::from(controls.spelled(text));
        let content = match without_content {
            true if form.knows_none => Value::from(()),
            _ => Value::from(self.content.as_str()),
        };
        let calls = || tool_calls.iter().map(|call| called(call, form, controls)).collect::<Vec<_>>();
        let entries = [
            Some(("role", Value::from(self.role.as_str()))),
            Some(("content", content)),
            name.as_ref().map(|name| ("name", text(name))),
            reasoning.as_ref().map(|reasoning| (reasoning_name, text(reasoning))),
            (!tool_calls.is_empty()).then(|| ("tool_calls", Value::from(calls()))),
            tool_call_id.as_ref().map(|id| ("tool_call_id", text(id))),
        ];
        Ordered::value(entries.into_iter().flatten())
    }
}

fn called(call: &ToolCall, form: Form, controls: &Controls) -> Value {
    let text = |text: &str| Value::from(controls.spelled(text));
    let object = (!form.arguments_as_text).then(|| json::parsed(&call.arguments, controls).ok()).flatten();
    // What the model wrote may be no JSON: then it is what it wrote.
    let arguments = object.unwrap_or_else(|| text(&call.arguments));
    let function = Ordered::value([("name", text(&call.name)), ("arguments", arguments)]);
    let entries = [
        call.id.as_ref().map(|id| ("id", text(id))),
        Some(("type", Value::from("function"))),
        Some(("function", function)),
    ];
    Ordered::value(entries.into_iter().flatten())
}

/// Neighbours of the same speaker as one message, where they have nothing but texts.
pub(super) fn merged<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut merged: Vec<Line<'a>> = Vec::new();
    for line in lines {
        match merged.last_mut() {
            Some(last) if last.role == line.role && last.details.is_empty() && line.details.is_empty() => {
                last.content = format!("{}\n\n{}", last.content, line.content);
            }
            _ => merged.push(line.clone()),
        }
    }
    merged
}

/// The system messages that a chat begins with in front of its first question, where there is one.
pub(super) fn folded<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    let systems = lines.iter().take_while(|line| line.role == Role::System).count();
    let (system, rest) = lines.split_at(systems);
    let Some(first) = rest.iter().position(|line| line.role == Role::User) else { return lines.to_vec() };
    let mut folded = rest.to_vec();
    for line in system.iter().rev() {
        folded[first].content = format!("{}\n\n{}", line.content, folded[first].content);
    }
    folded
}

/// What a developer says as a system prompt, the first ones as one with the system prompt that stands before them.
pub(super) fn without_developer<'a>(mut lines: Vec<Line<'a>>) -> Vec<Line<'a>> {
    let first = lines.iter().take_while(|line| line.role.instructs()).count();
    for line in lines.iter_mut().filter(|line| line.role == Role::Developer) {
        line.role = Role::System;
    }
    let rest = lines.split_off(first);
    let mut lines = merged(&lines);
    lines.extend(rest);
    lines
}
