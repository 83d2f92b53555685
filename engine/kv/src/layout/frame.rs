//! Where the parts of an attention cache lie in its state: known from its form and the number of its cells, so that the cells
//! can be written a few at a time.

use super::encode::{cell_words, data_words, matrix_words, word};
use super::{Attention, Layout, LayoutError, Matrix, Order, StreamShape};

/// Bytes of the words in front of a matrix.
const MATRIX_WORDS: usize = 12;

/// The section of an attention cache, but for its cells.
#[derive(Debug)]
pub(crate) struct Frame<'l> {
    layout: &'l Layout,
    sequence: i32,
    /// The cache without cells.
    form: Attention<'static>,
    cells: usize,
    cell_bytes: usize,
    /// What comes before the cells.
    head: Vec<u8>,
    /// What comes between the cells and the first matrix. None where a stream without cells ends with its count.
    words: Option<Vec<u8>>,
    /// What comes behind the last matrix.
    tail: Vec<u8>,
    bytes: usize,
}

impl<'l> Frame<'l> {
    /// The frame of a cache that has `cells` cells of the form of `section`.
    ///
    /// # Errors
    /// When the layout has no words for it, or it contradicts itself.
    pub(crate) fn of(
        section: &Attention<'_>,
        cells: usize,
        layout: &'l Layout,
        sequence: i32,
        streams: StreamShape,
    ) -> Result<Self, LayoutError> {
        check(section)?;
        let count = u32::try_from(cells).map_err(|_| too_large(cells))?;
        let mut head = Vec::new();
        if layout.stream_count {
            word(&mut head, streams.count);
        }
        (0..streams.index).for_each(|_| word(&mut head, 0));
        word(&mut head, count);
        let tail = vec![0; 4 * (streams.count - streams.index).saturating_sub(1) as usize];
        let stops = cells == 0 && layout.empty_stream_stops;
        let words = (!stops).then(|| data_words(section, layout)).transpose()?;
        let cell_bytes = layout.cell_bytes(section.shape);
        let mut frame = Self {
            layout,
            sequence,
            form: section.emptied(),
            cells,
            cell_bytes,
            head,
            words,
            tail,
            bytes: 0,
        };
        frame.bytes = frame.size().ok_or_else(|| too_large(cells))?;
        Ok(frame)
    }

    /// Bytes of the whole section.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes everything but the cells into as many bytes as the section has.
    pub(crate) fn start(&self, out: &mut [u8]) -> Result<(), LayoutError> {
        write(out, 0, &self.head)?;
        if let Some(words) = &self.words {
            let mut at = self.head.len() + self.cells * self.cell_bytes;
            write(out, at, words)?;
            at += words.len();
            for matrix in self.matrices() {
                write(out, at, &matrix_words(matrix))?;
                at += self.matrix_bytes(matrix.order);
            }
        }
        write(out, self.bytes - self.tail.len(), &self.tail)
    }

    /// Writes cells into their places, from cell `first` on.
    ///
    /// # Errors
    /// When they are not of the cache, or there are more than it has.
    pub(crate) fn place(
        &self,
        out: &mut [u8],
        first: usize,
        part: &Attention<'_>,
    ) -> Result<(), LayoutError> {
        check(part)?;
        self.form.matches(part)?;
        if first.checked_add(part.cells.len()).is_none_or(|end| end > self.cells) {
            return Err(mismatch(format!("{} cells from {first} on, of {}", part.cells.len(), self.cells)));
        }
        let mut cells = Vec::with_capacity(part.cells.len() * self.cell_bytes);
        for cell in &part.cells {
            cell_words(&mut cells, cell, self.layout, part.shape, self.sequence)?;
        }
        write(out, self.head.len() + first * self.cell_bytes, &cells)?;
        let Some(words) = &self.words else { return Ok(()) };
        let mut at = self.head.len() + self.cells * self.cell_bytes + words.len();
        for matrix in part.keys.iter().chain(&part.values) {
            let end = at + self.matrix_bytes(matrix.order);
            let room = out.get_mut(at + MATRIX_WORDS..end);
            room.and_then(|room| matrix.place(room, first, self.cells))
                .ok_or_else(|| mismatch("cells and shorter rows".to_owned()))?;
            at = end;
        }
        Ok(())
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix<'static>> {
        self.form.keys.iter().chain(&self.form.values)
    }

    fn matrix_bytes(&self, order: Order) -> usize {
        // That this fits was found out when the frame was made.
        MATRIX_WORDS + self.cells * usize::try_from(order.cell_bytes()).unwrap_or(usize::MAX)
    }

    fn size(&self) -> Option<usize> {
        let cells = self.cells.checked_mul(self.cell_bytes)?;
        let size = self.head.len().checked_add(cells)?.checked_add(self.tail.len())?;
        let Some(words) = &self.words else { return Some(size) };
        self.matrices().try_fold(size.checked_add(words.len())?, |size, matrix| {
            let row = usize::try_from(matrix.order.cell_bytes()).ok()?;
            size.checked_add(self.cells.checked_mul(row)?)?.checked_add(MATRIX_WORDS)
        })
    }
}

/// Fails for a section that contradicts itself.
fn check(section: &Attention<'_>) -> Result<(), LayoutError> {
    let cells = section.cells.len();
    if section.shape.values && section.values.len() != section.keys.len() {
        let what = format!("{} layers of K and {} of V", section.keys.len(), section.values.len());
        return Err(mismatch(what));
    }
    if !section.shape.values && !section.values.is_empty() {
        return Err(mismatch("V in a section whose shape has none".to_owned()));
    }
    if let Some(matrix) =
        section.keys.iter().chain(&section.values).find(|matrix| matrix.cell_count() != cells)
    {
        return Err(mismatch(format!("{cells} cells and a tensor of {}", matrix.cell_count())));
    }
    let by_cell = |matrix: &Matrix<'_>| matches!(matrix.order, Order::ByCell { .. });
    if !section.keys.iter().all(by_cell)
        || section.values.iter().any(|value| by_cell(value) == section.transposed)
    {
        return Err(mismatch("the order of K or V and the section's transposition".to_owned()));
    }
    Ok(())
}

fn write(out: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), LayoutError> {
    let room = at.checked_add(bytes.len()).and_then(|end| out.get_mut(at..end));
    room.ok_or_else(|| mismatch("a section and another one's frame".to_owned()))?.copy_from_slice(bytes);
    Ok(())
}

fn too_large(cells: usize) -> LayoutError {
    mismatch(format!("{cells} cells and what can be addressed"))
}

fn mismatch(what: String) -> LayoutError {
    LayoutError::Mismatch { what }
}
