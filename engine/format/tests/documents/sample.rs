//! Sessions to test with: one that never changes, and generated ones.

use std::collections::BTreeMap;

use intact_format::canary::Canary;
use intact_format::digest::Digest;
use intact_format::identity::{KvShape, ModelIdentity};
use intact_format::image::{CellImage, ChunkId, ChunkReference, ImageReference, SectionImage};
use intact_format::inputs::TemplateInputs;
use intact_format::kv_type::KvType;
use intact_format::layout::MemoryShape;
use intact_format::manifest::Manifest;
use intact_format::media::{MediaFormat, MediaMetadata};
use intact_format::message::{Details, KvSpan, KvStatus, Message, Role, ToolCall};
use intact_format::noise::Noise;
use intact_format::parameters::{Parameters, RopeScalingType, SamplerState};
use intact_format::passport::{Adapter, AdapterKind, CacheSettings, Machine, Passport, RopeSettings};
use intact_format::session::SessionDocument;
use intact_format::session_id::SessionId;
use intact_format::token::{Position, Token};
use intact_format::version::FormatVersion;
use proptest::prelude::*;

pub(crate) const N_VOCAB: u32 = 260;

pub(crate) fn passport() -> Passport {
    Passport {
        engine: "0.1.0".to_owned(),
        format: FormatVersion::V2_0,
        release: "0.6.0".to_owned(),
        layout: Some("0.6.0".to_owned()),
        model: ModelIdentity {
            repository: Some("intact/fixtures".to_owned()),
            revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            file: "llama-a-f16.gguf".to_owned(),
            size: 1_234_567,
            sha256: "a1".repeat(32),
            architecture: "llama".to_owned(),
            quantization: "F16".to_owned(),
            name: Some("llama, seed a".to_owned()),
            shape: KvShape(BTreeMap::from([
                ("attention.head_count".to_owned(), "4".to_owned()),
                ("attention.head_count_kv".to_owned(), "2".to_owned()),
                ("block_count".to_owned(), "2".to_owned()),
                ("rope.freq_base".to_owned(), "10000.0".to_owned()),
            ])),
            vocabulary: "b2".repeat(32),
            chat_template: Some("c3".repeat(32)),
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
        adapters: vec![Adapter {
            kind: AdapterKind::Lora,
            file: "pirate.gguf".to_owned(),
            sha256: "d4".repeat(32),
            scale: 0.5,
        }],
        preset: Some("Qwen25Preset".to_owned()),
        machine: Machine {
            backend: "CPU".to_owned(),
            cpu_features: vec!["avx2".to_owned(), "fma".to_owned()],
            threads: 2,
            flash_attention: true,
        },
        saved_at: "2026-04-23T12:00:00Z".parse().expect("a time"),
        migrations: Vec::new(),
    }
}

/// Logits in which every token has another value, some of them awkward in decimal.
pub(crate) fn logits() -> Vec<f32> {
    (0..N_VOCAB)
        .map(|token| (f32::from(u16::try_from(token * 37 % 263).expect("small")) / 7.0).sin() * 9.0)
        .collect()
}

/// A session that uses every field there is.
pub(crate) fn session() -> SessionDocument {
    let mut session = SessionDocument::new(SessionId::new("madrid-trip").expect("an id"));
    let picture = MediaMetadata {
        digest: Some(Digest::of(b"a picture")),
        size: Some(9),
        format: MediaFormat::Png,
        mime_type: "image/png".to_owned(),
        width: 640,
        height: 480,
        description: Some("the Prado".to_owned()),
        file_name: Some("prado.png".to_owned()),
    };
    let said = [
        (Role::System, "You are a travel guide.", vec![]),
        (Role::User, "Plan a trip to Madrid in May.", vec![picture]),
        (Role::Assistant, "Three days: Prado, Retiro, and a day in Toledo. ¡Buen viaje! 🇪🇸", vec![]),
        (Role::User, "Which museum has the shortest queues?", vec![]),
    ];
    for (id, (role, content, media)) in said.into_iter().enumerate() {
        let mut message = Message::new(i32::try_from(id).expect("few"), role, content);
        message.media = media;
        session.history.push(message);
    }
    session.parameters = Some(Parameters::default());
    session.sampler = Some(SamplerState { seed: 42 });
    session.saved_at = Some(passport().saved_at);
    session.passport = Some(passport());
    session.manifest = Some(Manifest::of(&passport(), "madrid-trip.json".as_ref()));
    tokenize(&mut session);
    session.noise = Some(noise());
    session
}

/// A session that uses every field there is, of chats with tools and reasoning too: three calls of two tools, one of which
/// has not been answered yet.
pub(crate) fn whole_chat() -> SessionDocument {
    let mut session = session();
    let named = |name: &str, message: Message| Message {
        details: Details { name: Some(name.to_owned()), ..message.details },
        ..message
    };
    let more = [
        Message::new(0, Role::Developer, "Prefer museums that are open today."),
        named("ada", Message::new(0, Role::User, "And the weather there, now and in May?")),
        Message::calling(vec![
            ToolCall::new("call_1", "weather", r#"{"city": "Madrid", "day":"2026-05-01" }"#),
            ToolCall::new("call_2", "weather", r#"{"city":"Madrid","day":"2026-05-02"}"#),
        ])
        .with_reasoning("Two days will do. ¿Sí?"),
        named("weather", Message::answering("call_1", r#"{"celsius": 21.0}"#)),
        named("weather", Message::answering("call_2", "no forecast\u{2026}")),
        Message::calling(vec![ToolCall {
            id: None,
            name: "clock".to_owned(),
            arguments: "not JSON".to_owned(),
        }]),
    ];
    for (id, message) in (4..).zip(more) {
        session.history.push(Message { id, ..message });
    }
    session.inputs = Some(TemplateInputs {
        tools: Some(
            r#"[{"type": "function", "function": {"name": "weather", "parameters": {}}}, {"name":"clock"}]"#
                .to_owned(),
        ),
        arguments: Some(r#"{"enable_thinking": true}"#.to_owned()),
        date: Some(jiff::civil::date(2026, 4, 23)),
    });
    tokenize(&mut session);
    session
}

/// The session that uses every field which a version has.
pub(crate) fn session_of(version: FormatVersion) -> SessionDocument {
    if version >= FormatVersion::V2_2 { whole_chat() } else { session() }
}

pub(crate) fn noise() -> Noise {
    Noise { positions: 16, kl: 1.3e-3, logprob: 0.2, keys: Some(2.8e-4), values: Some(1.6e-3) }
}

/// Gives every message the tokens of its bytes, one after the other, and the session a canary and an image that fit.
pub(crate) fn tokenize(session: &mut SessionDocument) {
    let mut start = 0;
    for message in session.history.iter_mut().filter(|message| message.status != KvStatus::Unloaded) {
        let calls = message.details.tool_calls.iter().map(|call| call.arguments.as_str());
        let said: String = calls.chain([message.content.as_str()]).collect();
        let tokens: Vec<_> = said.bytes().map(|byte| Token(i32::from(byte))).collect();
        let size = u32::try_from(tokens.len()).expect("short");
        message.span = Some(KvSpan { start, size });
        message.tokens = Some(tokens);
        start += size;
    }
    let last = session.tokens().and_then(|tokens| tokens.last().copied());
    session.canary = last.and_then(|last| Canary::of(last, Position(start - 1), &logits()));
    session.image = session.canary.is_some().then(|| image(start - 1));
}

/// An image of `cells` cells whose chunks are named and are nowhere.
pub(crate) fn image(cells: u32) -> ImageReference {
    const CHUNK: u32 = 256;
    let chunks: Vec<_> = (0..cells.div_ceil(CHUNK))
        .map(|at| {
            let cells = CHUNK.min(cells - at * CHUNK);
            ChunkReference {
                id: ChunkId::of(&at.to_le_bytes()),
                first_cell: at * CHUNK,
                cells,
                bytes: u64::from(cells) * 1024,
            }
        })
        .collect();
    let positions = i32::try_from(cells).expect("few");
    ImageReference::Cells(CellImage {
        layout: "0.6.0".to_owned(),
        shape: MemoryShape::dense(),
        chunk_tokens: CHUNK,
        bytes: u64::from(cells) * 1024,
        sections: vec![SectionImage {
            cells,
            first_position: if cells == 0 { -1 } else { 0 },
            last_position: positions - 1,
            transposed: false,
            rotation: None,
            key_type: "f16".to_owned(),
            value_type: Some("f16".to_owned()),
            chunks,
        }],
    })
}

/// A finite number of any size.
pub(crate) fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |number| number.is_finite())
}

/// Texts of messages and calls, often none.
fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.3, ".{0,8}")
}

prop_compose! {
    fn calls()(
        calls in proptest::collection::vec((texts(), ".{1,6}", ".{0,12}"), 0..3),
    ) -> Vec<ToolCall> {
        calls.into_iter().map(|(id, name, arguments)| ToolCall { id, name, arguments }).collect()
    }
}

prop_compose! {
    /// A message of a chat with tools and reasoning.
    fn message_of_whole_chat()(
        message in message(),
        role in prop_oneof![Just(Role::User), Just(Role::Assistant), Just(Role::Tool), Just(Role::Developer)],
        (name, reasoning, tool_call_id) in (texts(), texts(), texts()),
        calls in calls(),
        without_content in any::<bool>(),
    ) -> Message {
        let (answers, tool) = (role == Role::Assistant, role == Role::Tool);
        let details = Details {
            name,
            reasoning: reasoning.filter(|_| answers),
            tool_calls: if answers { calls } else { Vec::new() },
            tool_call_id: tool_call_id.filter(|_| tool),
            without_content: without_content && answers,
        };
        let content = if details.without_content { String::new() } else { message.content };
        Message { role, details, content, ..message }
    }
}

prop_compose! {
    fn inputs()(
        tools in proptest::option::of(prop_oneof![Just("[]"), Just(r#"[{"name":"a"}, {"b": [1.50, "ü"]}]"#)]),
        arguments in proptest::option::of(prop_oneof![Just("{}"), Just(r#"{"enable_thinking":false}"#)]),
        day in proptest::option::of(0..3000_i32),
    ) -> TemplateInputs {
        let date = day.map(|day| jiff::civil::date(2024, 2, 29) + jiff::Span::new().days(day));
        TemplateInputs { tools: tools.map(str::to_owned), arguments: arguments.map(str::to_owned), date }
    }
}

prop_compose! {
    /// A session of any size up to a few messages, of a chat with tools and reasoning.
    pub(crate) fn whole_chats()(
        session in sessions(),
        messages in proptest::collection::vec(message_of_whole_chat(), 0..6),
        inputs in proptest::option::of(inputs()),
    ) -> SessionDocument {
        let parts = (session.canary.is_some(), session.image.is_some());
        let mut session = SessionDocument { inputs, ..session };
        session.history.extend(messages);
        for (id, message) in (-3..).zip(&mut session.history) {
            message.id = id;
        }
        tokenize(&mut session);
        if !parts.1 {
            session.image = None;
            if !parts.0 {
                session.canary = None;
            }
        }
        if session.passport.is_none() {
            session.canary = None;
            session.image = None;
        }
        session
    }
}

prop_compose! {
    fn message()(
        role in prop_oneof![Just(Role::User), Just(Role::Assistant)],
        content in ".{0,24}",
        status in prop_oneof![4 => Just(KvStatus::Loaded), 1 => Just(KvStatus::MarkedForCleanup), 1 => Just(KvStatus::Unloaded)],
        media in proptest::option::weighted(0.2, (any::<[u8; 12]>(), any::<u32>(), any::<u32>(), proptest::option::of(".{0,8}"))),
    ) -> Message {
        let mut message = Message::new(0, role, content);
        message.status = status;
        message.media = media
            .map(|(bytes, width, height, text)| MediaMetadata {
                width,
                height,
                description: text.clone(),
                file_name: text,
                ..MediaMetadata::of(&bytes)
            })
            .into_iter()
            .collect();
        message
    }
}

prop_compose! {
    /// A session of any size up to a few messages, with any numbers in its parameters.
    pub(crate) fn sessions()(
        id in "[a-zA-Z0-9 é_-]{0,20}[a-z0-9]",
        system in proptest::option::of(".{0,12}"),
        messages in proptest::collection::vec(message(), 0..6),
        first_id in -5..5_i32,
        temperature in finite(),
        bias in proptest::collection::btree_map(any::<i32>().prop_map(Token), finite(), 0..4),
        rope in proptest::option::of(finite()),
        seed in any::<u32>(),
        parts in any::<[bool; 4]>(),
        noise in proptest::option::of((any::<u32>(), finite(), finite(), proptest::option::of(finite()))),
    ) -> SessionDocument {
        let mut session = SessionDocument::new(SessionId::new(id).expect("an id"));
        let system = system.map(|text| Message::new(0, Role::System, text));
        session.history = system.into_iter().chain(messages).collect();
        for (id, message) in (first_id..).zip(&mut session.history) {
            message.id = id;
        }
        let mut parameters = Parameters::default();
        parameters.sampler_parameters.temperature = temperature;
        parameters.sampler_parameters.logit_bias = bias;
        parameters.context_parameters.rope_freq_base = rope;
        session.parameters = parts[0].then_some(parameters);
        session.sampler = parts[0].then_some(SamplerState { seed });
        session.passport = Some(passport());
        tokenize(&mut session);
        if !parts[1] {
            session.image = None;
            if !parts[2] {
                session.canary = None;
                session.passport = None;
            }
        }
        session.noise = noise
            .map(|(positions, kl, logprob, keys)| Noise { positions, kl, logprob, keys, values: keys });
        session.manifest = parts[3].then(|| Manifest::of(&passport(), "a.json".as_ref()));
        session.saved_at = parts[3].then(|| passport().saved_at);
        session
    }
}
