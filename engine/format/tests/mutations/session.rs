//! A session to damage.

use std::collections::BTreeMap;

use intact_format::canary::Canary;
use intact_format::identity::{KvShape, ModelIdentity};
use intact_format::kv_type::KvType;
use intact_format::layout::Layout;
use intact_format::message::{KvSpan, Message, Role};
use intact_format::parameters::{Parameters, RopeScalingType, SamplerState};
use intact_format::passport::{CacheSettings, Machine, Passport, RopeSettings};
use intact_format::session::SessionDocument;
use intact_format::session_id::SessionId;
use intact_format::token::{Position, Token};
use intact_format::version::FormatVersion;

/// A question and an answer, with everything that a document of the newest version holds but an image.
pub(crate) fn session() -> SessionDocument {
    let mut session = SessionDocument::new(SessionId::new("damaged").expect("an id"));
    let said = [
        (Role::User, "Which museum has the shortest queues in May?"),
        (Role::Assistant, "The Lázaro Galdiano. Go at ten."),
    ];
    let mut start = 0;
    for (id, (role, text)) in (0..).zip(said) {
        let mut message = Message::new(id, role, text);
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
        format: FormatVersion::CURRENT,
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
