//! Why state bytes were not understood, or could not be written for a layout.

/// A state that does not parse, or that a layout cannot represent. Offsets count from the first byte that was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The input ends inside a field.
    #[error(
        "the state ends inside `{field}` at byte {offset}: {needed} bytes needed, {available} left; the data is truncated or of another layout"
    )]
    Truncated {
        /// The field that was read.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
        /// Bytes that the field takes.
        needed: u64,
        /// Bytes left.
        available: usize,
    },
    /// A word has a value that no state of this layout and shape has.
    #[error(
        "`{field}` at byte {offset} is {found}, expected {expected}; the data is damaged or of another layout"
    )]
    Unexpected {
        /// The field that was read.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
        /// What it may be.
        expected: String,
        /// What it is.
        found: i64,
    },
    /// Bytes are left behind the last section.
    #[error(
        "{bytes} bytes are left at byte {offset}, behind the last section; the data is of another layout or another model"
    )]
    Trailing {
        /// Where the state should have ended.
        offset: usize,
        /// How many bytes follow.
        bytes: usize,
    },
    /// More than one way to read the bytes is exact.
    #[error(
        "the state parses exactly as {first:?} and as {second:?}; save a longer state to tell them apart"
    )]
    Ambiguous {
        /// One reading.
        first: super::MemoryShape,
        /// Another.
        second: super::MemoryShape,
    },
    /// The target layout has no words for something that the state holds.
    #[error("layout {layout} cannot represent {what}; evaluate the tokens again instead")]
    Unrepresentable {
        /// The target layout.
        layout: &'static str,
        /// What is lost.
        what: String,
    },
    /// Sections or slices that do not belong together.
    #[error("these parts do not belong together: {what}")]
    Mismatch {
        /// What differs.
        what: String,
    },
}
