//! A session to damage.

use std::collections::BTreeMap;

use intact_format::canary::Canary;
use intact_format::identity::{KvShape, ModelIdentity};
use intact_format::inputs::TemplateInputs;
use intact_format::kv_type::KvType;
use intact_format::layout::Layout;
use intact_format::message::{KvSpan, Message, Role, ToolCall};
use intact_format::parameters::{Parameters, RopeScalingType, SamplerState};
use intact_format::passport::{CacheSettings, Machine, Passport, RopeSettings};
use intact_format::session::SessionDocument;
use intact_format::session_id::SessionId;
use intact_format::token::{Position, Token};
use intact_format::version::FormatVersion;

/// A question and an answer, with everything that a document of the newest version holds but an image.
pub(crate) fn session() -> SessionDocument {
    let session = SessionDocument::new(SessionId::new("damaged").expect("an id"));
    let said = [
        Message::new(0, Role::User, "Which museum has the shortest queues in May?"),
        Message::new(1, Role::Assistant, "The Lázaro Galdiano. Go at ten."),
    ];
    saying(session, said)
}

/// A question, two calls of a tool after some thinking, one answered.
pub(crate) fn whole_chat() -> SessionDocument {
    let mut session = SessionDocument::new(SessionId::new("damaged").expect("an id"));
    session.inputs = Some(TemplateInputs {
        tools: Some(r#"[{"type": "function", "function": {"name": "queue"}}]"#.to_owned()),
        arguments: Some(r#"{"enable_thinking": true}"#.to_owned()),
        date: Some(jiff::civil::date(2026, 11, 22)),
    });
    let calls = [("a", r#"{"of": "Prado"}"#), ("b", r#"{"of":"Sorolla"}"#)];
    let calls = calls.map(|(id, arguments)| ToolCall::new(id, "queue", arguments));
    let said = [
        Message::new(0, Role::Developer, "Be brief."),
        Message::new(1, Role::User, "Which museum has the shortest queues?"),
        Message { id: 2, ..Message::calling(calls.to_vec()).with_reasoning("Ask both.") },
        Message { id: 3, ..Message::answering("a", "9 minutes.") },
    ];
    saying(session, said)
}

fn saying<const N: usize>(mut session: SessionDocument, said: [Message; N]) -> SessionDocument {
    let mut start = 0;
    for mut message in said {
        let calls = message.details.tool_calls.iter().map(|call| call.arguments.as_str());
        let text: String = calls.chain([message.content.as_str()]).collect();
        let size = u32::try_from(text.len()).expect("a short text");
        message.tokens = Some(text.bytes().map(|byte| Token(byte.into())).collect());
        message.span = Some(KvSpan { start, size });
        start += size;
        session.history.push(message);
    }
    let logits: Vec<f32> = (0..260_u16).map(|token| f32::from(token * 37 % 263) / 7.0).collect();
    session.canary = Canary::of(Token(i32::from(b'.')), Position(start - 1), &logits);
    session.parameters = Some(Parameters::default());
    session.sampler = Some(SamplerState { seed: 42 });
    session.passport = Some(passport());
    session
}

fn passport() -> Passport {
    let layout = Layout::newest().id.to_owned();
    Passport {
        engine: "0.1.0".to_owned(),
        format: FormatVersion::OF_TEXT,
        release: layout.clone(),
        layout: Some(layout),
        model: ModelIdentity {
            repository: None,
            revision: None,
            file: "llama.gguf".to_owned(),
            size: 1_338_080,
            sha256: "a1".repeat(32),
            architecture: "llama".to_owned(),
            quantization: "F16".to_owned(),
            name: None,
            shape: KvShape(BTreeMap::from([("block_count".to_owned(), "2".to_owned())])),
            vocabulary: "b2".repeat(32),
            chat_template: None,
        },
        cache: CacheSettings {
            type_k: KvType::F16,
            type_v: KvType::F16,
            v_transposed: false,
            rotation_k: 0,
            rotation_v: 0,
            unified: false,
            streams: 1,
            n_seq_max: 1,
            n_ctx: 4096,
            swa_full: None,
        },
        rope: RopeSettings {
            scaling: RopeScalingType::None,
            base: 10_000.0,
            scale: 1.0,
            yarn_ext_factor: -1.0,
            yarn_attn_factor: 1.0,
            yarn_beta_fast: 32.0,
            yarn_beta_slow: 1.0,
            yarn_orig_ctx: 4096,
        },
        adapters: Vec::new(),
        preset: None,
        machine: Machine {
            backend: "CPU".to_owned(),
            cpu_features: vec!["avx2".to_owned()],
            threads: 2,
            flash_attention: true,
        },
        saved_at: "2026-11-22T12:00:00Z".parse().expect("a time"),
        migrations: Vec::new(),
    }
}
