//! One way to read a state.

use crate::layout::{
    Container, Layout, LayoutError, Rotation, RotationRule, Section, State, identify, parse,
};
use crate::route::{Refusal, RefusalCode};
use crate::transcode::HeadSizes;

/// One meaning of a state's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The layouts whose releases write these bytes with this meaning, oldest first.
    pub layouts: Vec<&'static Layout>,
    /// The state; every attention cache with K and V has its rotation.
    pub state: State<'a>,
}

impl Reading<'_> {
    /// The releases that may have written it, in words.
    #[must_use]
    pub fn writers(&self) -> String {
        let ids: Vec<&str> = self.layouts.iter().map(|layout| layout.id).collect();
        format!("a llama.cpp release with the state layout of {}", ids.join(" or "))
    }

    /// Tokens that the state holds: its cells are those of the positions from 0 on, without a gap; windows and recurrent
    /// state end with them.
    ///
    /// # Errors
    /// A [`Refusal`] where they do not.
    pub fn extent(&self) -> Result<usize, Refusal> {
        let last = self.state.last_position().ok_or_else(|| disagrees("the state holds no cells"))?;
        let mut seen_all = false;
        for section in &self.state.sections {
            let mut positions: Vec<i32> = match section {
                Section::Attention(cache) => cache.cells.iter().map(|cell| cell.position).collect(),
                Section::Recurrent(memory) => memory.positions.clone(),
            };
            positions.sort_unstable();
            if let Some(gap) = positions.windows(2).find(|pair| pair[1] - pair[0] != 1) {
                return Err(disagrees(&format!(
                    "the cells of positions {} and {} follow each other: the context was shifted, or holds media",
                    gap[0], gap[1]
                )));
            }
            if positions.last() != Some(&last) {
                return Err(disagrees(&format!(
                    "one cache ends at position {:?}, another at {last}",
                    positions.last()
                )));
            }
            let whole = matches!(section, Section::Attention(_)) && !seen_all;
            if whole && positions.first() != Some(&0) {
                return Err(disagrees(&format!("its first cell is of position {:?}", positions.first())));
            }
            seen_all |= whole;
        }
        usize::try_from(last).map(|last| last + 1).map_err(|_| disagrees("a position is negative"))
    }
}

fn disagrees(detail: &str) -> Refusal {
    Refusal::new(RefusalCode::PositionsDisagree, detail)
}

/// The readings of one state, found layout by layout.
pub(super) struct Attempts<'a, 'h> {
    heads: &'h HeadSizes,
    found: Vec<Reading<'a>>,
    error: Option<LayoutError>,
}

impl<'a, 'h> Attempts<'a, 'h> {
    pub(super) fn new(heads: &'h HeadSizes) -> Self {
        Self { heads, found: Vec::new(), error: None }
    }

    /// Adds what the bytes mean in this layout, if they fit it to their last byte.
    pub(super) fn read(&mut self, bytes: &'a [u8], layout: &'static Layout, container: Container) {
        let read =
            identify(bytes, layout, container).and_then(|shape| parse(bytes, layout, &shape, container));
        match read {
            Ok(state) => {
                for state in self.meanings(&state, layout) {
                    match self.found.iter_mut().find(|known| known.state == state) {
                        Some(known) => known.layouts.push(layout),
                        None => self.found.push(Reading { layouts: vec![layout], state }),
                    }
                }
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// A layout that rotates and does not say so writes either: its rotation can be turned off where it runs.
    fn meanings(&self, state: &State<'a>, layout: &Layout) -> Vec<State<'a>> {
        let mut rotated = state.clone();
        let mut plain = state.clone();
        let mut windowed = false;
        for (rotated, plain) in rotated.sections.iter_mut().zip(&mut plain.sections) {
            let (Section::Attention(rotated), Section::Attention(plain)) = (rotated, plain) else { continue };
            if let (None, Some(keys), Some(values)) =
                (rotated.rotation, rotated.keys.first(), rotated.values.first())
            {
                let rotation = self.heads.rotation(layout, [keys.kind, values.kind], windowed);
                rotated.rotation = Some(rotation.unwrap_or_default());
                plain.rotation = Some(Rotation::default());
            }
            windowed = true;
        }
        if layout.rotation == RotationRule::Silent && plain != rotated {
            vec![rotated, plain]
        } else {
            vec![rotated]
        }
    }

    /// What was found, or the last layout's error.
    pub(super) fn readings(self) -> Result<Vec<Reading<'a>>, Option<LayoutError>> {
        if self.found.is_empty() { Err(self.error) } else { Ok(self.found) }
    }
}
