//! Any text as the chat template of a model, over any chat and any tools: up to the first NUL the template, up to the second
//! the tools as JSON, and then a message after each.
#![no_main]

use intact_engine::template::{ChatMessage, ChatTemplate};
use intact_engine::{Details, Role, TemplateInputs};
use jiff::civil::date;
use libfuzzer_sys::fuzz_target;

const ROLES: [Role; 6] = [Role::System, Role::User, Role::Assistant, Role::Tool, Role::User, Role::Assistant];

fuzz_target!(|text: &str| {
    let mut parts = text.split('\0');
    let (source, tools) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(template) = ChatTemplate::compile_at(source, "<s>", "</s>", date(2026, 4, 23)) else { return };
    let template = template.with_controls(vec!["<|im_start|>".into(), "<|im_end|>".into()]);
    let inputs = TemplateInputs { tools: Some(tools.to_owned()), ..TemplateInputs::default() };
    let template = if inputs.check().is_ok() { template.with_inputs(&inputs).unwrap_or(template) } else { template };
    let details = Details::default();
    let chat: Vec<_> = ROLES
        .into_iter()
        .zip(parts)
        .map(|(role, content)| ChatMessage { role, content, details: &details })
        .collect();
    let Ok(rendered) = template.render(&chat, true) else { return };
    // A chat that renders is cut into its messages, and nothing of it is lost or made up.
    let whole = template.whole(&chat, true).expect("what renders can be cut");
    let stretches = whole.runs.iter().flatten().chain(&whole.opening);
    assert_eq!(stretches.map(|stretch| stretch.text.as_str()).collect::<String>(), rendered);
    assert_eq!(whole.runs.len(), chat.len());
    for at in 0..chat.len() {
        let _ = template.suffix(&chat, at);
    }
    let _ = (template.closing(&chat), template.generation_prompt(&chat), template.shows(&chat));
});
