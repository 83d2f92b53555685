//! Carrying out the steps on a state.

use crate::layout::{
    Attention, CacheFormat, CellData, CellExtension, ConvertError, Distances, Layout, MemoryShape,
    RotationRule, Section, SectionShape, State, StreamShape,
};
use crate::token::Token;

/// The memory that a state is brought into the form of.
#[derive(Debug, Clone, Copy)]
pub struct Geometry<'a> {
    /// Layout of the release.
    pub layout: &'static Layout,
    /// The caches.
    pub shape: &'a MemoryShape,
    /// What every attention cache stores, in order.
    pub formats: &'a [CacheFormat],
    /// Where the sequence is among the streams.
    pub streams: StreamShape,
    /// The session's tokens by position: for cells that carry their token here and did not where they were saved.
    pub tokens: &'a [Token],
}

/// A state in another form, and what that cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoded<'a> {
    /// The state, as sequence 0.
    pub state: State<'a>,
    /// How far its numbers are from those that were saved.
    pub distances: Distances,
}

/// A state that cannot be brought into a form.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// The model has other caches here.
    #[error("the saved KV is of a memory with {saved}, the one here has {here}{why}")]
    Shape {
        /// Caches of the state, in words.
        saved: String,
        /// Caches here, in words.
        here: String,
        /// Why that is, where it is known: to follow the sentence.
        why: &'static str,
    },
    /// Numbers that cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// Brings a state into the form of another memory. What has that form already keeps its bytes.
///
/// # Errors
/// [`TranscodeError`] where the memories are of different kinds, or a cache cannot be converted.
pub fn image<'a>(state: State<'a>, here: &Geometry<'_>) -> Result<Transcoded<'a>, TranscodeError> {
    here.accept(&state.shape())?;
    let mut distances = Distances::default();
    let mut sections = Vec::with_capacity(state.sections.len());
    for (at, section) in state.sections.into_iter().enumerate() {
        let (section, apart) = self::section(section, at, here)?;
        distances.join(apart);
        sections.push(section);
    }
    Ok(Transcoded { state: State { sequence: 0, streams: here.streams, sections }, distances })
}

/// Brings some cells of section `at` into the form of a memory that accepts the whole: what [`image`] does, in parts.
///
/// # Errors
/// As for [`image`].
pub fn section<'a>(
    section: Section<'a>,
    at: usize,
    here: &Geometry<'_>,
) -> Result<(Section<'a>, Distances), TranscodeError> {
    let mut attention = match section {
        Section::Attention(attention) => attention,
        recurrent @ Section::Recurrent(_) => return Ok((recurrent, Distances::default())),
    };
    let caches = here.shape.sections.iter().enumerate().filter_map(|(at, shape)| match shape {
        SectionShape::Attention(shape) => Some((at, shape)),
        SectionShape::Recurrent(_) => None,
    });
    let mut caches = caches.zip(here.formats);
    let ((_, shape), wanted) = caches.find(|((cache, _), _)| *cache == at).ok_or(ConvertError::Sections)?;
    let (shape, mut wanted) = (*shape, *wanted);
    attention.shape = shape;
    settle_rotation(&mut attention, &wanted, here.layout, is_latent(here.shape))?;
    name_tokens(&mut attention, here);
    // V of a cache without V, and the transposition of a cache without cells, are not worth a conversion.
    if !shape.values {
        wanted.values = wanted.keys;
    }
    let (attention, distances) = attention.converted(&wanted)?;
    Ok((Section::Attention(attention), distances))
}

impl Geometry<'_> {
    /// Whether a memory of that shape is one of the same kind: releases differ in whether cells are seen to have an
    /// extension.
    ///
    /// # Errors
    /// [`TranscodeError::Shape`] where it is not. [`ConvertError::Sections`] where there is not one format for every attention
    /// cache here.
    pub fn accept(&self, saved: &MemoryShape) -> Result<(), TranscodeError> {
        let here = self.shape;
        let same = |saved: &SectionShape, here: &SectionShape| match (saved, here) {
            (SectionShape::Attention(saved), SectionShape::Attention(here)) => saved.values == here.values,
            (saved, here) => saved == here,
        };
        let alike = saved.sections.len() == here.sections.len();
        if !(alike && saved.sections.iter().zip(&here.sections).all(|(saved, here)| same(saved, here))) {
            let latent = is_latent(here) != is_latent(saved) && alike;
            let why = if latent { V_OF_LATENT_ATTENTION } else { "" };
            return Err(TranscodeError::Shape { saved: told(saved), here: told(here), why });
        }
        let caches = here.sections.iter().filter(|shape| matches!(shape, SectionShape::Attention(_)));
        if caches.count() == self.formats.len() { Ok(()) } else { Err(ConvertError::Sections.into()) }
    }
}

fn told(shape: &MemoryShape) -> String {
    let caches: Vec<&str> = shape
        .sections
        .iter()
        .map(|section| match section {
            SectionShape::Attention(attention) if attention.values => "K and V",
            SectionShape::Attention(_) => "K alone",
            SectionShape::Recurrent(_) => "a recurrent state",
        })
        .collect();
    if caches.is_empty() { "nothing".to_owned() } else { caches.join(", then ") }
}

/// What became of the V of such models.
const V_OF_LATENT_ATTENTION: &str = ": from b7832 on llama.cpp keeps no V for models with latent attention (MLA), and one form \
                                     is not turned into the other; the tokens can be evaluated again";

/// One attention cache without V: latent attention.
fn is_latent(shape: &MemoryShape) -> bool {
    let mut attention = shape.sections.iter().filter_map(|section| match section {
        SectionShape::Attention(attention) => Some(attention.values),
        SectionShape::Recurrent(_) => None,
    });
    attention.next() == Some(false) && attention.next().is_none()
}

/// Caches without V have rules of their own. Latent attention never rotates, whatever size a release records. Indexers
/// rotate or do not, depending on the architecture and not on their type; where the state does not say, only what does not
/// change is safe.
fn settle_rotation(
    section: &mut Attention<'_>,
    wanted: &CacheFormat,
    layout: &Layout,
    latent: bool,
) -> Result<(), ConvertError> {
    if section.shape.values {
        return Ok(());
    }
    let quantized =
        wanted.keys.is_quantized() || section.keys.iter().any(|matrix| matrix.kind.is_quantized());
    let unchanged = section.keys.iter().all(|matrix| matrix.kind == wanted.keys);
    if latent {
        section.rotation = Some(wanted.rotation);
        return Ok(());
    }
    match section.rotation {
        Some(rotation) if rotation == wanted.rotation => Ok(()),
        None if unchanged && layout.rotation != RotationRule::Recorded => {
            section.rotation = Some(wanted.rotation);
            Ok(())
        }
        None if !quantized && wanted.rotation.keys == 0 => {
            section.rotation = Some(wanted.rotation);
            Ok(())
        }
        _ => Err(ConvertError::UnknownRotation),
    }
}

/// Fills in the tokens that cells carry in newer layouts and did not in older ones.
fn name_tokens(section: &mut Attention<'_>, here: &Geometry<'_>) {
    if here.layout.cell_extension != CellExtension::PositionAndToken || !section.shape.extended_cells {
        return;
    }
    for cell in &mut section.cells {
        let token =
            usize::try_from(cell.position).ok().and_then(|at| here.tokens.get(at)).map(|token| token.0);
        let data = cell.extension.unwrap_or(CellData { x: cell.position, y: cell.position, token: None });
        cell.extension = Some(CellData { token: data.token.or(token), ..data });
    }
}
