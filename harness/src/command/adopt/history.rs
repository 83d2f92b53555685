//! Conversations as other programs write them: the messages of OpenAI-style APIs, with or without the request around them,
//! node-llama-cpp's chat history, and what the web interface of llama-server exports.

use intact_protocol::{Message, Role, ToolCall};
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a document is no conversation.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum HistoryError {
    /// It has another form.
    #[error("it has no messages: {0}")]
    Form(String),
    /// A message has another form, or nothing that can be said again.
    #[error("message {number}: {reason}")]
    Message {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// What is read.
pub(super) const FORMS: &str = "it is one of: [{\"role\": \"user\", \"content\": \"...\"}, ...] with the roles system, developer, user, \
     assistant and tool, as OpenAI-style APIs take it (also within {\"messages\": [...], \"tools\": [...]}); the chat history of node-llama-cpp \
     (type, text, response); one conversation as the web interface of llama-server exports it";

/// Objects that hold the messages under such a name.
const AROUND: [&str; 3] = ["messages", "chatHistory", "history"];

/// The messages of a conversation.
pub(super) fn messages(document: &Value) -> Result<Vec<Message>, HistoryError> {
    let list = match document {
        Value::Array(list) => list.iter().collect(),
        Value::Object(object) => within(object)?,
        other => return Err(HistoryError::Form(format!("it is {}", kind(other)))),
    };
    // An export is a list of conversations.
    let conversations: Vec<&Map<String, Value>> =
        list.iter().filter_map(|entry| entry.as_object()).filter(|entry| is_conversation(entry)).collect();
    let list = match conversations.as_slice() {
        [] => list,
        [one] if list.len() == 1 => within(one)?,
        several => {
            let text =
                format!("it holds {} conversations; keep the one that belongs to the state", several.len());
            return Err(HistoryError::Form(text));
        }
    };
    let mut messages = Vec::new();
    for (index, entry) in list.into_iter().enumerate() {
        let read = message(entry).map_err(|reason| HistoryError::Message { number: index + 1, reason })?;
        messages.extend(read);
    }
    if messages.is_empty() {
        return Err(HistoryError::Form("the list is empty".into()));
    }
    Ok(messages)
}

fn is_conversation(entry: &Map<String, Value>) -> bool {
    !entry.contains_key("role") && AROUND.iter().any(|name| entry.get(*name).is_some_and(Value::is_array))
}

/// The messages in an object, those of the branch that is shown where it has several.
fn within(object: &Map<String, Value>) -> Result<Vec<&Value>, HistoryError> {
    let found = AROUND.iter().find_map(|name| object.get(*name)?.as_array());
    let list = found.ok_or_else(|| {
        let names: Vec<&str> = object.keys().take(6).map(String::as_str).collect();
        HistoryError::Form(format!("it is an object of {}", names.join(", ")))
    })?;
    let shown = object.get("conv").and_then(|conversation| conversation.get("currNode"));
    Ok(shown.and_then(|leaf| branch(list, leaf)).unwrap_or_else(|| list.iter().collect()))
}

/// From the first message to this one, each the parent of the next.
fn branch<'v>(list: &'v [Value], leaf: &Value) -> Option<Vec<&'v Value>> {
    let find = |id: &Value| list.iter().find(|message| message.get("id") == Some(id));
    let mut branch = vec![find(leaf)?];
    while let Some(parent) = branch.last()?.get("parent").and_then(find) {
        if branch.len() >= list.len() {
            return None;
        }
        branch.push(parent);
    }
    branch.reverse();
    Some(branch)
}

/// A message; none where it only holds others together.
fn message(entry: &Value) -> Result<Option<Message>, String> {
    let object = entry.as_object().ok_or_else(|| format!("it is {}", kind(entry)))?;
    let word = |name: &str| object.get(name).and_then(Value::as_str);
    if word("type") == Some("root") {
        return Ok(None);
    }
    let said = match (word("role"), word("type")) {
        (Some(role), _) => spoken(of_role(role)?, object)?,
        (None, Some("model")) => Message::new(Role::Assistant, parts(object.get("response"))?),
        (None, Some(role @ ("system" | "user"))) => {
            Message::new(of_role(role)?, content(object.get("text"))?)
        }
        (None, Some(other)) => return Err(format!("there is no speaker `{other}`")),
        (None, None) => return Err("it has neither `role` nor `type`".into()),
    };
    Ok(Some(said))
}

/// A message of an OpenAI-style API, with all that it can have there.
fn spoken(role: Role, object: &Map<String, Value>) -> Result<Message, String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let said = object.get("content");
    let tool_calls = match (object.get("tool_calls"), object.get("function_call")) {
        (Some(Value::Array(calls)), _) => calls.iter().map(call).collect::<Result<_, _>>()?,
        (None | Some(Value::Null), Some(function @ Value::Object(_))) => vec![function_of(None, function)?],
        (None | Some(Value::Null), _) => Vec::new(),
        (Some(other), _) => return Err(format!("its `tool_calls` are {}", kind(other))),
    };
    let answers = role == Role::Assistant;
    Ok(Message {
        // Who says nothing while calling tools says so by a null, or by leaving it out.
        without_text: answers && said.is_none_or(Value::is_null) && !tool_calls.is_empty(),
        name: text("name"),
        reasoning: REASONING.iter().find_map(|name| text(name)).filter(|_| answers),
        tool_calls,
        tool_call_id: text("tool_call_id"),
        ..Message::new(role, content(said)?)
    })
}

/// The names that servers give to what a model thought.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

fn call(call: &Value) -> Result<ToolCall, String> {
    let function = call.get("function").ok_or("a tool call in it has no `function`")?;
    function_of(call.get("id").and_then(Value::as_str), function)
}

fn function_of(id: Option<&str>, function: &Value) -> Result<ToolCall, String> {
    let name = function.get("name").and_then(Value::as_str).ok_or("a tool call in it has no name")?;
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "{}".to_owned(),
        Some(other) => other.to_string(),
    };
    Ok(ToolCall { id: id.map(str::to_owned), name: name.to_owned(), arguments })
}

fn of_role(name: &str) -> Result<Role, String> {
    match name {
        "system" => Ok(Role::System),
        "developer" => Ok(Role::Developer),
        "user" => Ok(Role::User),
        "assistant" | "model" => Ok(Role::Assistant),
        "tool" | "function" => Ok(Role::Tool),
        other => {
            Err(format!("there is no role `{other}`; there are system, developer, user, assistant and tool"))
        }
    }
}

/// The text of a message: as it is, in parts, or none.
fn content(content: Option<&Value>) -> Result<String, String> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(_)) => parts(content),
        Some(other) => Err(format!("its text is {}", kind(other))),
    }
}

/// Text in parts: strings, and objects with a text.
fn parts(list: Option<&Value>) -> Result<String, String> {
    let list = list.and_then(Value::as_array).ok_or("it has no text")?;
    let part = |part: &Value| -> Result<String, String> {
        if let Some(text) = part.as_str() {
            return Ok(text.to_owned());
        }
        let text = part.get("text").and_then(Value::as_str);
        let named = part.get("type").and_then(Value::as_str).unwrap_or("something else");
        text.map(str::to_owned).ok_or_else(|| format!("a part of it is not text but `{named}`"))
    };
    list.iter().map(part).collect()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One conversation: rules, a question, an answer.
    fn told() -> Vec<Message> {
        let message = Message::new;
        vec![
            message(Role::System, "Be brief."),
            message(Role::User, "Hi"),
            message(Role::Assistant, "Hello!"),
        ]
    }

    #[test]
    fn a_conversation_is_read_as_programs_write_it() {
        let openai = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
            {"role": "assistant", "content": "Hello!", "refusal": null, "tool_calls": []},
        ]);
        let node = json!([
            {"type": "system", "text": "Be brief."},
            {"type": "user", "text": "Hi"},
            {"type": "model", "response": ["Hel", {"type": "segment", "segmentType": "comment", "text": "lo!"}]},
        ]);
        let server = json!([{
            "conv": {"id": "c", "name": "Hi", "currNode": "4", "lastModified": 1},
            "messages": [
                {"id": "0", "type": "root", "role": "system", "content": "", "parent": null, "children": ["1"]},
                {"id": "1", "type": "system", "role": "system", "content": "Be brief.", "parent": "0"},
                {"id": "2", "type": "text", "role": "user", "content": "Hi", "parent": "1", "children": ["3", "4"]},
                {"id": "3", "type": "text", "role": "assistant", "content": "Another branch.", "parent": "2"},
                {"id": "4", "type": "text", "role": "assistant", "content": "Hello!", "parent": "2", "timings": {}},
            ],
        }]);
        for document in [
            openai.clone(),
            json!({"model": "m", "messages": openai, "temperature": 0}),
            node.clone(),
            json!({"chatHistory": node}),
            server.clone(),
            server[0].clone(),
        ] {
            assert_eq!(messages(&document), Ok(told()), "{document}");
        }
    }

    #[test]
    fn tools_reasoning_and_names_are_read_to_the_letter() {
        let read = messages(&json!([
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi", "name": "ada"},
            {"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1, \"a\": 2}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": {"x": 1}}},
            ]},
            {"role": "tool", "tool_call_id": "a", "name": "f", "content": "4"},
            {"role": "assistant", "content": "", "function_call": {"name": "old", "arguments": "{}"}},
            {"role": "function", "name": "old", "content": "5"},
        ]))
        .expect("read");
        let plain = Message::new;
        let called = |id: Option<&str>, name: &str, arguments: &str| ToolCall {
            id: id.map(str::to_owned),
            name: name.into(),
            arguments: arguments.into(),
        };
        let expected = [
            plain(Role::Developer, "Be brief."),
            Message { name: Some("ada".into()), ..plain(Role::User, "Hi") },
            Message {
                without_text: true,
                reasoning: Some("Hm.".into()),
                tool_calls: vec![
                    called(Some("a"), "f", "{\"b\":1, \"a\": 2}"),
                    called(Some("b"), "g", "{\"x\":1}"),
                ],
                ..plain(Role::Assistant, "")
            },
            Message { name: Some("f".into()), tool_call_id: Some("a".into()), ..plain(Role::Tool, "4") },
            Message { tool_calls: vec![called(None, "old", "{}")], ..plain(Role::Assistant, "") },
            Message { name: Some("old".into()), ..plain(Role::Tool, "5") },
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_message_without_text_says_nothing() {
        let read =
            messages(&json!([{"role": "assistant", "content": null}, {"role": "user"}])).expect("read");
        assert_eq!(read.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["", ""]);
    }

    #[test]
    fn what_is_no_conversation_is_named() {
        for (document, told) in [
            (json!("Hi"), "it is a text"),
            (json!([]), "the list is empty"),
            (json!({"a": 1, "b": 2}), "an object of a, b"),
            (json!([1]), "message 1: it is a number"),
            (json!([{"content": "Hi"}]), "message 1: it has neither `role` nor `type`"),
            (json!([{"role": "assistant", "tool_calls": 4}]), "its `tool_calls` are a number"),
            (json!([{"role": "assistant", "tool_calls": [{"id": "a"}]}]), "has no `function`"),
            (json!([{"role": "assistant", "tool_calls": [{"function": {}}]}]), "has no name"),
            (json!([{"role": "robot", "content": "Hi"}]), "there is no role `robot`"),
            (json!([{"role": "user", "content": 5}]), "its text is a number"),
            (
                json!([{"type": "model", "response": [{"type": "functionCall", "name": "f"}]}]),
                "not text but `functionCall`",
            ),
            (json!([{"type": "model", "text": "Hi"}]), "it has no text"),
            (
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
                "not text but `image_url`",
            ),
            (json!([{"messages": []}, {"messages": []}]), "2 conversations"),
            (
                json!({"conv": {"currNode": 1}, "messages": [{"id": 1, "parent": 1, "role": "user"}, {"id": 2}]}),
                "neither",
            ),
        ] {
            let error = messages(&document).expect_err("no conversation").to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
