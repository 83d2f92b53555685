//! Which chunks of an earlier save a grown sequence keeps, and which of its cells become new ones.

use std::ops::Range;

use super::ChunkReference;

/// Most chunks that a block of cells is left in. Saves after short turns put a small chunk behind the others; a block that
/// would get too many is written again as one.
const CHUNKS_OF_BLOCK: usize = 4;

/// How the cells of a sequence become chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Chunks of the earlier save that are kept: the first ones.
    pub kept: usize,
    /// Cells of the new chunks, in order, from the end of the kept ones to the last cell.
    pub new: Vec<Range<u32>>,
}

/// Plans a save of `cells` cells after one that left `chunks`, of whose cells the first `unchanged` are as they were.
/// New chunks end at multiples of `block`, as those of a first save do.
#[must_use]
pub fn grow(chunks: &[ChunkReference], unchanged: u32, cells: u32, block: u32) -> Growth {
    let limit = unchanged.min(cells);
    let end = |chunk: &ChunkReference| chunk.first_cell.saturating_add(chunk.cells);
    let mut kept = chunks.iter().take_while(|chunk| end(chunk) <= limit).count();
    let block = block.max(1);
    let mut from = chunks[..kept].last().map_or(0, end);
    if from < cells {
        let start = from / block * block;
        let whole = chunks[..kept].iter().rposition(|chunk| chunk.first_cell < start).map_or(0, |at| at + 1);
        // A chunk may reach over the start of the block where it was cut otherwise: then the block stays as it is.
        let aligned = chunks.get(whole).is_some_and(|chunk| chunk.first_cell == start);
        if aligned && kept - whole >= CHUNKS_OF_BLOCK {
            (kept, from) = (whole, start);
        }
    }
    let mut new = Vec::new();
    while from < cells {
        let to = (from / block + 1).saturating_mul(block).min(cells);
        new.push(from..to);
        from = to;
    }
    Growth { kept, new }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::ChunkId;

    fn references(ends: &[u32]) -> Vec<ChunkReference> {
        let starts = std::iter::once(&0).chain(ends);
        let pairs = starts.zip(ends);
        pairs
            .map(|(&from, &to)| ChunkReference {
                id: ChunkId::of(&to.to_le_bytes()),
                first_cell: from,
                cells: to - from,
                bytes: 1,
            })
            .collect()
    }

    /// Ends of the earlier chunks, cells unchanged, cells now, chunks kept, ends of the new chunks.
    type Row = (&'static [u32], u32, u32, usize, &'static [u32]);

    const ROWS: [Row; 10] = [
        (&[], 0, 0, 0, &[]),
        (&[], 0, 20, 0, &[8, 16, 20]),
        (&[8, 16, 20], 20, 20, 3, &[]),
        (&[8, 16, 20], 20, 22, 3, &[22]),
        (&[8, 16, 20], 20, 27, 3, &[24, 27]),
        (&[8, 16, 20], 19, 27, 2, &[24, 27]),
        (&[8, 16, 20], 8, 9, 1, &[9]),
        (&[8, 16, 20], 20, 12, 1, &[12]),
        (&[8, 9, 10, 11], 11, 13, 4, &[13]),
        (&[8, 9, 10, 11, 12], 12, 13, 1, &[13]),
    ];

    #[test]
    fn a_grown_sequence_keeps_what_it_can() {
        for (before, unchanged, cells, kept, new) in ROWS {
            let growth = grow(&references(before), unchanged, cells, 8);
            let ends: Vec<u32> = growth.new.iter().map(|range| range.end).collect();
            assert_eq!((growth.kept, ends.as_slice()), (kept, new), "{before:?}, {unchanged}, {cells}");
        }
    }

    proptest! {
        #[test]
        fn saves_tile_the_sequence_and_write_little_again(
            turns in prop::collection::vec((1u32..40, 0u32..60), 1..60),
        ) {
            let (mut chunks, mut cells) = (Vec::new(), 0u32);
            for (new, back) in turns {
                let unchanged = cells.saturating_sub(back);
                let before = unchanged;
                cells = unchanged + new;
                let growth = grow(&chunks, unchanged, cells, 16);
                chunks.truncate(growth.kept);
                let mut next = chunks.last().map_or(0, |chunk: &ChunkReference| chunk.first_cell + chunk.cells);
                prop_assert!(next <= unchanged, "what changed is written again");
                prop_assert!(before - next <= 2 * 16, "{} cells are written again", before - next);
                for range in growth.new {
                    prop_assert_eq!(range.start, next);
                    prop_assert!(range.end > next && range.end - next <= 16);
                    next = range.end;
                    let id = ChunkId::of(&[0]);
                    let cells = range.end - range.start;
                    chunks.push(ChunkReference { id, first_cell: range.start, cells, bytes: 1 });
                }
                prop_assert_eq!(next, cells);
                let most = CHUNKS_OF_BLOCK;
                let crowded = (0..cells.div_ceil(16)).find(|block| {
                    chunks.iter().filter(|chunk| chunk.first_cell / 16 == *block).count() > most
                });
                prop_assert_eq!(crowded, None);
            }
        }
    }
}
