//! Bounds-checked reading of little-endian words.

use super::LayoutError;

/// A position in the input.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    pub(super) const fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, LayoutError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, LayoutError> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, LayoutError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// The next `count * size` bytes.
    pub(super) fn take(
        &mut self,
        field: &'static str,
        count: usize,
        size: u64,
    ) -> Result<&'a [u8], LayoutError> {
        let needed = (count as u64).saturating_mul(size);
        match usize::try_from(needed) {
            Ok(length) if length <= self.remaining() => {
                let taken = &self.bytes[self.offset..self.offset + length];
                self.offset += length;
                Ok(taken)
            }
            _ => Err(self.truncated(field, needed)),
        }
    }

    /// A count word that announces at least `size` bytes per item, so that nothing is allocated that the input could not fill.
    pub(super) fn count(&mut self, field: &'static str, size: usize) -> Result<usize, LayoutError> {
        let start = *self;
        let count = self.u32(field)? as usize;
        let needed = count.saturating_mul(size);
        if needed > self.remaining() {
            return Err(start.truncated(field, needed as u64));
        }
        Ok(count)
    }

    /// Checks the word that was just read.
    pub(super) fn expect(
        &self,
        field: &'static str,
        found: i64,
        holds: bool,
        expected: impl FnOnce() -> String,
    ) -> Result<(), LayoutError> {
        if holds {
            return Ok(());
        }
        Err(LayoutError::Unexpected {
            field,
            offset: self.offset.saturating_sub(4),
            expected: expected(),
            found,
        })
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], LayoutError> {
        let taken = self.take(field, N, 1)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    fn truncated(&self, field: &'static str, needed: u64) -> LayoutError {
        LayoutError::Truncated { field, offset: self.offset, needed, available: self.remaining() }
    }
}
