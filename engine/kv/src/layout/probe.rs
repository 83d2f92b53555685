//! Finding the shape of a state from its bytes alone.

use super::cursor::Cursor;
use super::parse::{Container, Owner, at_end, section};
use super::{AttentionShape, CellExtension, Layout, LayoutError, MemoryShape, RecurrentShape, SectionShape};

/// Caches that one sequence's state can have: base, window, recurrent and indexer, and one to spare.
const MAX_SECTIONS: usize = 5;
/// Layers of one recurrent memory that are tried.
const MAX_LAYERS: u32 = 1024;

/// The one shape with which the bytes parse exactly to their end, or none.
#[must_use]
pub fn probe(bytes: &[u8], layout: &Layout, container: Container) -> Option<MemoryShape> {
    identify(bytes, layout, container).ok()
}

/// The one shape with which the bytes parse exactly to their end.
///
/// The state must hold at least one cell. Layouts without cell extension cannot tell whether the model needs one: it is
/// reported as not needed.
///
/// # Errors
/// [`LayoutError::Ambiguous`] when several shapes fit; otherwise the error of the attempt that came furthest.
pub fn identify(bytes: &[u8], layout: &Layout, container: Container) -> Result<MemoryShape, LayoutError> {
    let mut cursor = Cursor::new(bytes);
    let owner = Owner::prefixed(&mut cursor, layout, container)?;
    let mut search = Search { layout, found: Vec::new(), furthest: None };
    search.sections(cursor, owner, &mut Vec::new());
    let mut found = search.found.into_iter();
    match (found.next(), found.next()) {
        (Some(shape), None) => Ok(shape),
        (Some(first), Some(second)) => Err(LayoutError::Ambiguous { first, second }),
        (None, _) => {
            Err(search.furthest.map_or(LayoutError::Trailing { offset: 0, bytes: bytes.len() }, |(_, e)| e))
        }
    }
}

struct Search<'l> {
    layout: &'l Layout,
    found: Vec<MemoryShape>,
    furthest: Option<(usize, LayoutError)>,
}

impl Search<'_> {
    fn sections(&mut self, cursor: Cursor<'_>, owner: Owner, before: &mut Vec<SectionShape>) {
        if self.found.len() > 1 || before.len() == MAX_SECTIONS {
            return;
        }
        for shape in self.candidates(cursor) {
            let (mut ahead, mut owner) = (cursor, owner);
            match section(&mut ahead, self.layout, &shape, &mut owner) {
                Ok(parsed) if parsed.cell_count() > 0 => {
                    before.push(shape);
                    if at_end(&ahead).is_ok() {
                        self.found.push(MemoryShape { sections: before.clone() });
                    } else {
                        self.sections(ahead, owner, before);
                    }
                    before.pop();
                }
                Ok(_) => {}
                Err(error) => self.note(error),
            }
        }
    }

    fn candidates(&self, cursor: Cursor<'_>) -> Vec<SectionShape> {
        let extensions: &[bool] =
            if self.layout.cell_extension == CellExtension::Absent { &[false] } else { &[false, true] };
        let mut shapes = Vec::new();
        for &extended_cells in extensions {
            for values in [true, false] {
                shapes.push(SectionShape::Attention(AttentionShape { extended_cells, values }));
            }
        }
        shapes.extend(recurrent_candidates(cursor, self.layout).into_iter().map(SectionShape::Recurrent));
        shapes
    }

    fn note(&mut self, error: LayoutError) {
        let offset = match &error {
            LayoutError::Truncated { offset, .. }
            | LayoutError::Unexpected { offset, .. }
            | LayoutError::Trailing { offset, .. } => *offset,
            _ => 0,
        };
        if self.furthest.as_ref().is_none_or(|(furthest, _)| offset > *furthest) {
            self.furthest = Some((offset, error));
        }
    }
}

/// Recurrent shapes that the words at the cursor allow: the header gives the model's layers, of which any number may be
/// present.
fn recurrent_candidates(mut cursor: Cursor<'_>, layout: &Layout) -> Vec<RecurrentShape> {
    let mut header = || -> Result<(usize, u32), LayoutError> {
        let cells = cursor.count("cell_count", 8)?;
        cursor.take("cells", cells, 8)?;
        let transposed = cursor.u32("s_trans")?;
        cursor.expect("s_trans", transposed.into(), transposed == 0, || "0".to_owned())?;
        Ok((cells, cursor.u32("n_layer")?))
    };
    let Ok((cells, layers)) = header() else { return Vec::new() };
    let fits = u32::try_from(cursor.remaining() / 24).unwrap_or(u32::MAX);
    let layers = layers.min(MAX_LAYERS).min(fits);
    let mut shapes = Vec::new();
    for present_layers in 1..=layers {
        shapes.push(RecurrentShape { present_layers, second_rows: Vec::new() });
        if layout.second_rows
            && let Some(second_rows) = second_rows(cursor, cells, present_layers)
        {
            shapes.push(RecurrentShape { present_layers, second_rows });
        }
    }
    shapes
}

/// Which layers have a second row, if any has: those whose row is not followed by another header of the same type and size.
fn second_rows(mut cursor: Cursor<'_>, cells: usize, layers: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let mut first = None;
    for layer in 0..layers {
        let header = (cursor.i32("R type").ok()?, cursor.u64("R row size").ok()?);
        if *first.get_or_insert(header) != header {
            return None;
        }
        cursor.take("R rows", cells, header.1).ok()?;
        let mut ahead = cursor;
        let next = (ahead.i32("type").ok()?, ahead.u64("row size").ok()?);
        let kind = super::GgmlType(next.0);
        let follows =
            if layer + 1 < layers { next == header } else { kind.block().is_some() && next.1 <= 1 << 31 };
        if !follows {
            let size = cursor.u64("second row size").ok()?;
            cursor.take("second rows", cells, size).ok()?;
            found.push(layer);
        }
    }
    (!found.is_empty()).then_some(found)
}
