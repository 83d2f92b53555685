//! The ggml tensor types that a cache can have.

/// The number of a ggml tensor type, as the state has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GgmlType(pub i32);

/// Size of one block of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Elements per block.
    pub elements: u32,
    /// Bytes per block.
    pub bytes: u32,
}

/// `(number, name, elements per block, bytes per block)` of every type that llama.cpp accepts for K and V.
const TYPES: [(i32, &str, u32, u32); 9] = [
    (0, "f32", 1, 4),
    (1, "f16", 1, 2),
    (2, "q4_0", 32, 18),
    (3, "q4_1", 32, 20),
    (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24),
    (8, "q8_0", 32, 34),
    (20, "iq4_nl", 32, 18),
    (30, "bf16", 1, 2),
];

impl GgmlType {
    /// 32-bit floats.
    pub const F32: Self = Self(0);
    /// IEEE half floats.
    pub const F16: Self = Self(1);
    /// 32 four-bit values and a half-float scale.
    pub const Q4_0: Self = Self(2);
    /// 32 eight-bit values and a half-float scale.
    pub const Q8_0: Self = Self(8);
    /// Brain floats.
    pub const BF16: Self = Self(30);

    /// The type of that ggml name (`f16`, `q8_0`, …).
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|row| row.1 == name).map(|row| Self(row.0))
    }

    /// ggml's name, or none for a number that is not known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        TYPES.iter().find(|row| row.0 == self.0).map(|row| row.1)
    }

    /// Block size, or none for a number that is not known.
    #[must_use]
    pub fn block(self) -> Option<BlockSize> {
        TYPES.iter().find(|row| row.0 == self.0).map(|row| BlockSize { elements: row.2, bytes: row.3 })
    }

    /// Whether values are stored in blocks with a scale, so that a single element has no bytes of its own.
    #[must_use]
    pub fn is_quantized(self) -> bool {
        self.block().is_some_and(|block| block.elements > 1)
    }
}

impl std::fmt::Display for GgmlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ggml type {}", self.0),
        }
    }
}
