//! The engine's answers in the protocol's words.

use std::time::Duration;

use intact_engine::{EngineError, Receipt as EngineReceipt, Timings as EngineTimings};
use intact_format::inputs::TemplateInputs;
use intact_format::message::{
    Details, Message as DocumentMessage, Role as DocumentRole, ToolCall as DocumentCall,
};
use intact_format::passport::Difference;
use intact_format::place::is_no_room;
use intact_protocol::{
    AxisReport, Inputs, LogitsError, Message, Outcome, Receipt, Refusal, Role, Timings, ToolCall,
};

use crate::pace::Took;

/// The subject cannot do this.
pub(crate) fn unsupported(message: impl Into<String>) -> Outcome {
    Outcome::Unsupported { message: message.into(), issue: None }
}

/// A decision of the engine's is a refusal with a code; everything else is an error.
pub(crate) fn failure(error: &EngineError) -> Outcome {
    if let EngineError::Unsupported { .. } = error {
        return unsupported(error.to_string());
    }
    match error.code() {
        Some(code) => Outcome::Refused(refusal(code, error)),
        None => Outcome::Error { message: error.to_string(), no_room: error.is_no_room() },
    }
}

/// A file of ours that the system did not take.
pub(crate) fn unwritten(error: &LogitsError) -> Outcome {
    Outcome::Error { message: error.to_string(), no_room: is_no_room(error) }
}

fn refusal(code: &str, error: &EngineError) -> Refusal {
    let axes = error
        .refusal()
        .map_or_else(Vec::new, |refusal| refusal.axes.iter().map(|axis| axis.axis.to_string()).collect());
    Refusal { code: code.to_owned(), message: error.to_string(), axes }
}

/// A refusal that the format gave.
pub(crate) fn told(refusal: &intact_format::route::Refusal) -> Refusal {
    Refusal {
        code: refusal.code.to_string(),
        message: refusal.message.clone(),
        axes: refusal.axes.iter().map(|axis| axis.axis.to_string()).collect(),
    }
}

pub(crate) fn receipt(receipt: EngineReceipt, took: Took) -> Receipt {
    let mut notes = receipt.notes;
    notes.extend(Some(receipt.because).filter(|because| !because.is_empty()));
    notes.dedup();
    Receipt {
        route: receipt.route.to_string(),
        axes: receipt.axes.iter().filter(|axis| axis.saved != axis.here).map(axis).collect(),
        tokens_restored: small(receipt.tokens_restored),
        tokens_evaluated: u32::try_from(receipt.tokens_evaluated).unwrap_or(u32::MAX),
        // JSON has no infinity: a canary that cannot be compared has the greatest distance there is.
        canary_distance: receipt.canary.map(|canary| canary.max_abs.min(f32::MAX)),
        parameters: Some(receipt.parameters.to_string()),
        notes,
        timings: timings(&receipt.timings, took),
    }
}

pub(crate) fn axis(difference: &Difference) -> AxisReport {
    AxisReport {
        axis: difference.axis.to_string(),
        saved: difference.saved.clone(),
        here: difference.here.clone(),
        consequence: difference.consequence.to_string(),
        reason: difference.reason.clone(),
    }
}

pub(crate) fn history(messages: &[DocumentMessage]) -> Vec<Message> {
    let told = |message: &DocumentMessage| {
        let details = message.details.clone();
        let tool_call =
            |call: DocumentCall| ToolCall { id: call.id, name: call.name, arguments: call.arguments };
        Message {
            role: role(message.role),
            text: message.content.clone(),
            without_text: details.without_content,
            name: details.name,
            reasoning: details.reasoning,
            tool_calls: details.tool_calls.into_iter().map(tool_call).collect(),
            tool_call_id: details.tool_call_id,
        }
    };
    messages.iter().map(told).collect()
}

/// A message of a request, as the engine takes it.
pub(crate) fn message(message: Message) -> DocumentMessage {
    let role = match message.role {
        Role::System => DocumentRole::System,
        Role::Developer => DocumentRole::Developer,
        Role::User => DocumentRole::User,
        Role::Assistant => DocumentRole::Assistant,
        Role::Tool => DocumentRole::Tool,
    };
    let tool_call = |call: ToolCall| DocumentCall { id: call.id, name: call.name, arguments: call.arguments };
    let details = Details {
        name: message.name,
        reasoning: message.reasoning,
        tool_calls: message.tool_calls.into_iter().map(tool_call).collect(),
        tool_call_id: message.tool_call_id,
        without_content: message.without_text,
    };
    DocumentMessage { details, ..DocumentMessage::new(0, role, message.text) }
}

/// What a chat template is given, as the engine takes it.
pub(crate) fn inputs(inputs: Inputs) -> Result<TemplateInputs, Refusal> {
    let Inputs { tools, arguments, date } = inputs;
    let given = TemplateInputs { tools, arguments, date: None };
    let given = date.map_or(Ok(given.clone()), |day| given.on(&day));
    given.map_err(|error| Refusal {
        code: "template-refused".to_owned(),
        message: error.to_string(),
        axes: Vec::new(),
    })
}

/// The engine's parts of what took that long as seen from here.
pub(crate) fn timings(timings: &EngineTimings, took: Took) -> Timings {
    Timings {
        total_seconds: took.elapsed.as_secs_f64(),
        counts: took.counts,
        steps: timings
            .steps
            .iter()
            .map(|(name, step)| ((*name).to_owned(), Duration::as_secs_f64(step)))
            .collect(),
    }
}

pub(crate) fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn role(role: DocumentRole) -> Role {
    match role {
        DocumentRole::System => Role::System,
        DocumentRole::Developer => Role::Developer,
        DocumentRole::User => Role::User,
        DocumentRole::Assistant => Role::Assistant,
        DocumentRole::Tool => Role::Tool,
    }
}
