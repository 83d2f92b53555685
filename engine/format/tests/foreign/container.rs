//! What programs put around a memory.

use intact_format::layout::{Container, Layout, State, encode};

/// A way to keep a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// `llama_state_seq_save_file`, and llama-server's slots until b10388.
    SequenceFile,
    /// llama-server's slots since: tokens are packed.
    Slot,
    /// `llama_state_save_file` of a context with one sequence.
    SessionFile,
    /// The same before b8133: outputs, logits and embeddings come first.
    SessionFileWithOutputs,
    /// `llama_state_seq_get_data`.
    SequenceBlob,
    /// `llama_state_get_data`.
    ContextBlob,
}

pub(crate) const CONTAINERS: [Kept; 6] = [
    Kept::SequenceFile,
    Kept::Slot,
    Kept::SessionFile,
    Kept::SessionFileWithOutputs,
    Kept::SequenceBlob,
    Kept::ContextBlob,
];

/// A memory in its container.
pub(crate) struct Contained {
    pub(crate) bytes: Vec<u8>,
    /// How the memory itself is framed.
    pub(crate) framing: Container,
    /// The tokens beside it, where the container has them.
    pub(crate) tokens: Option<Vec<i32>>,
    offset: usize,
}

const SEQUENCE: u32 = 0x6767_7371;
const SESSION: u32 = 0x6767_736e;

impl Contained {
    pub(crate) fn new(kept: Kept, state: &State<'_>, layout: &Layout) -> Self {
        let framing = if kept == Kept::SequenceBlob { Container::Blob } else { Container::File };
        let memory = encode(state, layout, framing).expect("it is of this layout");
        let named = [words(&[5]), b"llama".to_vec()].concat();
        // Two outputs, three logits, one embedding: counts of them, and the numbers.
        let outputs = words(&[2, 0, 1, 3, 0, 11, 12, 13, 1, 0, 14]);
        let before = match kept {
            Kept::SequenceFile => words(&[SEQUENCE, layout.sequence_file_version, 3, 7, 8, 9]),
            Kept::Slot => words(&[SEQUENCE, layout.sequence_file_version, 7, u32::MAX, 1, 3, 7, 8, 9, 0]),
            Kept::SessionFile => [words(&[SESSION, layout.session_file_version, 3, 7, 8, 9]), named].concat(),
            Kept::SessionFileWithOutputs => {
                [words(&[SESSION, layout.session_file_version, 3, 7, 8, 9]), named, outputs].concat()
            }
            Kept::SequenceBlob => Vec::new(),
            Kept::ContextBlob => named,
        };
        let tokens = !matches!(kept, Kept::SequenceBlob | Kept::ContextBlob);
        Self {
            offset: before.len(),
            bytes: [before, memory].concat(),
            framing,
            tokens: tokens.then(|| vec![7, 8, 9]),
        }
    }

    /// The memory alone.
    pub(crate) fn memory(&self) -> &[u8] {
        &self.bytes[self.offset..]
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
