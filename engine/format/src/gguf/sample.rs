//! Writes small GGUF files for tests.

pub(crate) enum Item {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'static str),
    Texts(Vec<&'static str>),
    U32s(Vec<u32>),
    F32s(Vec<f32>),
}

pub(crate) struct Sample {
    pub(crate) version: u32,
    pub(crate) pairs: Vec<(&'static str, Item)>,
    /// Name, shape, type, offset.
    pub(crate) tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
    pub(crate) data: Vec<u8>,
}

/// A small, sound language model file.
pub(crate) fn tiny() -> Sample {
    Sample {
        version: 3,
        pairs: vec![
            ("general.architecture", Item::Text("llama")),
            ("general.name", Item::Text("tiny")),
            ("general.file_type", Item::U32(15)),
            ("llama.block_count", Item::U32(2)),
            ("llama.context_length", Item::U32(2048)),
            ("llama.attention.head_count", Item::U32(4)),
            ("llama.attention.head_count_kv", Item::U32s(vec![2, 1])),
            ("llama.rope.freq_base", Item::F32(10_000.0)),
            ("tokenizer.ggml.model", Item::Text("gpt2")),
            ("tokenizer.ggml.tokens", Item::Texts(vec!["a", "b", "ab"])),
            ("tokenizer.ggml.scores", Item::F32s(vec![0.0; 3000])),
            ("tokenizer.ggml.add_bos_token", Item::Bool(true)),
            ("tokenizer.chat_template", Item::Text("{{ messages }}")),
        ],
        tensors: vec![("token_embd.weight", vec![32, 3], 8, 0), ("blk.0.attn_norm.weight", vec![32], 0, 128)],
        data: vec![7; 256],
    }
}

impl Sample {
    pub(crate) fn set(mut self, key: &'static str, item: Item) -> Self {
        self.pairs.retain(|(known, _)| *known != key);
        self.pairs.push((key, item));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, item) in &self.pairs {
            text(&mut out, key);
            value(&mut out, item);
        }
        for (name, shape, kind, offset) in &self.tensors {
            text(&mut out, name);
            out.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
            shape.iter().for_each(|length| out.extend(length.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }
}

fn value(out: &mut Vec<u8>, item: &Item) {
    match item {
        Item::U32(number) => {
            out.extend(4_u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        Item::F32(number) => {
            out.extend(6_u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        Item::Bool(truth) => {
            out.extend(7_u32.to_le_bytes());
            out.push(u8::from(*truth));
        }
        Item::Text(content) => {
            out.extend(8_u32.to_le_bytes());
            text(out, content);
        }
        Item::Texts(contents) => {
            array(out, 8, contents.len());
            contents.iter().for_each(|content| text(out, content));
        }
        Item::U32s(numbers) => {
            array(out, 4, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Item::F32s(numbers) => {
            array(out, 6, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }
}

fn array(out: &mut Vec<u8>, element: u32, length: usize) {
    out.extend(9_u32.to_le_bytes());
    out.extend(element.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
}

fn text(out: &mut Vec<u8>, content: &str) {
    out.extend((content.len() as u64).to_le_bytes());
    out.extend(content.as_bytes());
}
