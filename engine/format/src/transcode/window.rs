//! Window caches across releases: from b9473 on, a release does not write cells that the window has passed. Cells that an
//! older one wrote are put into the cache all the same, and are missing when it is read again.

use crate::layout::{Attention, Layout, Section, State, encode_section};

/// Whether a memory that was given a state holds it: `found` is `given`, but that window caches may have lost cells that are
/// older than all that they kept. The first attention cache sees everything and may lose nothing.
#[must_use]
pub fn holds(given: &State<'_>, found: &State<'_>, layout: &Layout) -> bool {
    let mut windowed = false;
    given.sections.len() == found.sections.len()
        && given.sections.iter().zip(&found.sections).all(|(given, found)| match (given, found) {
            (Section::Attention(given), Section::Attention(found)) => {
                let may_lose = std::mem::replace(&mut windowed, true);
                kept(given, found).is_some_and(|kept| {
                    (may_lose || kept.cells.len() == given.cells.len()) && same(&kept, found, layout)
                })
            }
            (given, found) => encode_section(given, layout) == encode_section(found, layout),
        })
}

/// The cells of `given` that `found` has, where the others are older.
fn kept<'a>(given: &Attention<'a>, found: &Attention<'_>) -> Option<Attention<'a>> {
    let oldest = found.cells.iter().map(|cell| cell.position).min()?;
    let mut kept = given.slice(0..0);
    for (at, _) in given.cells.iter().enumerate().filter(|(_, cell)| cell.position >= oldest) {
        kept.join(given.slice(at..at + 1)).ok()?;
    }
    Some(kept)
}

fn same(kept: &Attention<'_>, found: &Attention<'_>, layout: &Layout) -> bool {
    let bytes = |section: &Attention<'_>| encode_section(&Section::Attention(section.clone()), layout).ok();
    let kept = Attention { rotation: kept.rotation.or(found.rotation), ..kept.clone() };
    kept.cells == found.cells && bytes(&kept).is_some_and(|kept| Some(kept) == bytes(found))
}
