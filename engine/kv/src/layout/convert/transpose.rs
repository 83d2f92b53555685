//! Values by cell to values by element and back: bytes only.

use crate::layout::{Matrix, Order};

/// Cells and elements that are moved together, so that both sides stay in the cache.
const TILE: usize = 32;

impl Matrix<'_> {
    /// The same values by cell, in one block.
    pub(super) fn by_cell(&self) -> Matrix<'static> {
        let cells = self.cell_count();
        let row_bytes = self.order.cell_bytes();
        let mut bytes = Vec::with_capacity(cells * usize::try_from(row_bytes).unwrap_or(0));
        match self.order {
            Order::ByCell { .. } => self.write(&mut bytes),
            Order::ByElement { element_bytes, elements } => {
                let mut by_element = Vec::with_capacity(bytes.capacity());
                self.write(&mut by_element);
                bytes = transposed(&by_element, elements as usize, cells, element_bytes as usize);
            }
        }
        Matrix::whole(self.kind, Order::ByCell { row_bytes }, bytes, cells)
    }

    /// The same values by element, in one block. The type must not be quantized.
    pub(super) fn by_element(&self) -> Matrix<'static> {
        let cells = self.cell_count();
        let element_bytes = self.kind.block().map_or(1, |block| block.bytes);
        let row_bytes = self.order.cell_bytes();
        let elements = u32::try_from(row_bytes / u64::from(element_bytes)).unwrap_or(u32::MAX);
        let mut by_cell = Vec::with_capacity(cells * usize::try_from(row_bytes).unwrap_or(0));
        self.write(&mut by_cell);
        let bytes = transposed(&by_cell, cells, elements as usize, element_bytes as usize);
        Matrix::whole(self.kind, Order::ByElement { element_bytes, elements }, bytes, cells)
    }
}

/// A matrix of `rows` × `columns` items of `size` bytes, turned.
fn transposed(bytes: &[u8], rows: usize, columns: usize, size: usize) -> Vec<u8> {
    let mut turned = vec![0; bytes.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for row in first_row..rows.min(first_row + TILE) {
                for column in first_column..columns.min(first_column + TILE) {
                    let from = (row * columns + column) * size;
                    let to = (column * rows + row) * size;
                    if let (Some(from), Some(to)) =
                        (bytes.get(from..from + size), turned.get_mut(to..to + size))
                    {
                        to.copy_from_slice(from);
                    }
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_change_places_and_twice_is_not_at_all() {
        assert_eq!(transposed(b"aabbccddeeff", 2, 3, 2), b"aaddbbeeccff");
        let bytes: Vec<u8> = (0..70 * 45 * 2).map(|index| (index % 251) as u8).collect();
        assert_eq!(transposed(&transposed(&bytes, 70, 45, 2), 45, 70, 2), bytes);
    }
}
