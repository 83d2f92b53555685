//! Cutting sections at cells, and joining the pieces again. Nothing is copied: only borrowed ranges change.

use std::ops::Range;

use super::{Attention, Block, LayoutError, Matrix, Order, Recurrent, SecondRow, Section};

impl<'a> Attention<'a> {
    /// The cells of `range` alone. The range is clamped to the cells that there are.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.cells.len());
        let range = range.start.min(end)..end;
        Self {
            shape: self.shape,
            cells: self.cells[range.clone()].to_vec(),
            transposed: self.transposed,
            rotation: self.rotation,
            keys: self.keys.iter().map(|matrix| matrix.slice(range.clone())).collect(),
            values: self.values.iter().map(|matrix| matrix.slice(range.clone())).collect(),
        }
    }

    /// Has it exactly the cells of these positions, in order?
    #[must_use]
    pub fn is_at(&self, positions: Range<usize>) -> bool {
        let found = self.cells.iter().map(|cell| usize::try_from(cell.position).ok());
        found.eq(positions.map(Some))
    }

    /// Appends the cells of `next`, which must be of the same cache: same layers, types, row sizes, order and rotation.
    ///
    /// # Errors
    /// When the two do not belong together.
    pub fn join(&mut self, next: Self) -> Result<(), LayoutError> {
        self.matches(&next)?;
        self.cells.extend(next.cells);
        for (mine, other) in self.keys.iter_mut().zip(next.keys) {
            mine.blocks.extend(other.blocks);
        }
        for (mine, other) in self.values.iter_mut().zip(next.values) {
            mine.blocks.extend(other.blocks);
        }
        Ok(())
    }

    /// Whether the cells of `other` are of the same cache.
    ///
    /// # Errors
    /// [`LayoutError::Mismatch`] where they are not.
    pub(crate) fn matches(&self, other: &Attention<'_>) -> Result<(), LayoutError> {
        let differs = |what: &str| Err(LayoutError::Mismatch { what: format!("{what} of two slices") });
        if self.shape != other.shape || self.transposed != other.transposed {
            return differs("the shape or transposition");
        }
        if self.rotation != other.rotation {
            return differs("the rotation");
        }
        if self.keys.len() != other.keys.len() || self.values.len() != other.values.len() {
            return differs("the layer count");
        }
        let mut pairs = self.keys.iter().chain(&self.values).zip(other.keys.iter().chain(&other.values));
        if pairs.any(|(mine, other)| mine.kind != other.kind || mine.order != other.order) {
            return differs("the tensor type or row size");
        }
        Ok(())
    }

    /// The cache without its cells.
    pub(crate) fn emptied(&self) -> Attention<'static> {
        Attention {
            shape: self.shape,
            cells: Vec::new(),
            transposed: self.transposed,
            rotation: self.rotation,
            keys: self.keys.iter().map(Matrix::emptied).collect(),
            values: self.values.iter().map(Matrix::emptied).collect(),
        }
    }
}

impl Section<'_> {
    /// The section without its cells.
    #[must_use]
    pub fn emptied(&self) -> Section<'static> {
        match self {
            Section::Attention(attention) => Section::Attention(attention.emptied()),
            Section::Recurrent(recurrent) => Section::Recurrent(recurrent.emptied()),
        }
    }
}

impl Recurrent<'_> {
    fn emptied(&self) -> Recurrent<'static> {
        let second = |row: &SecondRow<'_>| SecondRow { layer: row.layer, matrix: row.matrix.emptied() };
        Recurrent {
            positions: Vec::new(),
            model_layers: self.model_layers,
            rows: self.rows.iter().map(Matrix::emptied).collect(),
            second_rows: self.second_rows.iter().map(second).collect(),
            states: self.states.iter().map(Matrix::emptied).collect(),
        }
    }
}

impl<'a> Matrix<'a> {
    /// The cells of `range` alone. The range is clamped to the cells that there are.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut blocks = Vec::new();
        let mut first = 0;
        for block in &self.blocks {
            let here = first..first + block.cells.len();
            let (from, to) = (range.start.max(here.start), range.end.min(here.end));
            if from < to {
                let offset = block.cells.start;
                blocks.push(Block {
                    bytes: block.bytes.clone(),
                    stored_cells: block.stored_cells,
                    cells: offset + from - first..offset + to - first,
                });
            }
            first = here.end;
        }
        Self { kind: self.kind, order: self.order, blocks }
    }

    /// The matrix without its cells.
    fn emptied(&self) -> Matrix<'static> {
        Matrix { kind: self.kind, order: self.order, blocks: Vec::new() }
    }

    /// Appends the data in its own order.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.order {
            Order::ByCell { row_bytes } => {
                for block in &self.blocks {
                    out.extend_from_slice(block.rows(row_bytes));
                }
            }
            Order::ByElement { element_bytes, elements } => {
                for element in 0..elements as usize {
                    for block in &self.blocks {
                        out.extend_from_slice(block.element(element, element_bytes));
                    }
                }
            }
        }
    }
}

impl Matrix<'_> {
    /// Writes the data into a matrix of `cells` cells, from cell `first` on. None where either is shorter than it should be.
    pub(super) fn place(&self, out: &mut [u8], first: usize, cells: usize) -> Option<()> {
        let mut first = first;
        for block in &self.blocks {
            let count = block.cells.len();
            match self.order {
                Order::ByCell { row_bytes } => {
                    let row = usize::try_from(row_bytes).ok()?;
                    copy(out, first * row, count * row, block.rows(row_bytes))?;
                }
                Order::ByElement { element_bytes, elements } => {
                    let size = element_bytes as usize;
                    for element in 0..elements as usize {
                        let at = (element * cells + first) * size;
                        copy(out, at, count * size, block.element(element, element_bytes))?;
                    }
                }
            }
            first += count;
        }
        Some(())
    }
}

fn copy(out: &mut [u8], at: usize, length: usize, bytes: &[u8]) -> Option<()> {
    let room = out.get_mut(at..at + length)?;
    (bytes.len() == length).then(|| room.copy_from_slice(bytes))
}

impl Block<'_> {
    /// The rows of the cells, in a matrix by cell.
    pub(super) fn rows(&self, row_bytes: u64) -> &[u8] {
        // A block in memory cannot be longer than usize, so neither can its rows.
        let row_bytes = usize::try_from(row_bytes).unwrap_or(usize::MAX);
        self.range(self.cells.start.saturating_mul(row_bytes), self.cells.end.saturating_mul(row_bytes))
    }

    /// One element of every cell, in a matrix by element.
    pub(super) fn element(&self, element: usize, element_bytes: u32) -> &[u8] {
        let element_bytes = element_bytes as usize;
        let row = element.saturating_mul(self.stored_cells);
        let from = row.saturating_add(self.cells.start).saturating_mul(element_bytes);
        self.range(from, row.saturating_add(self.cells.end).saturating_mul(element_bytes))
    }

    fn range(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }
}
