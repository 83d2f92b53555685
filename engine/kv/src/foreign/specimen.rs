//! Which layout a library writes that nobody listed: told by small states that it wrote, and by nothing that it says of itself.

use super::{ForeignError, ForeignFile, ForeignKind};
use crate::layout::{
    Attention, CacheFormat, CellExtension, Container, GgmlType, LAYOUTS, Layout, LayoutError, Rotation,
    RotationRule, Section, State, identify, parse,
};

/// The states of one session of a model with heads of 64 elements, of which a rotation shows, each in a context with flash
/// attention.
#[derive(Clone, Copy, Debug)]
pub struct Specimens<'a> {
    /// A sequence file with K and V in `f16`.
    pub plain: &'a [u8],
    /// The same in `q8_0`.
    pub quantized: &'a [u8],
    /// The state in `f16` as the library hands it over, without a file around it.
    pub blob: &'a [u8],
}

/// No known layout is that of these states.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognized {
    /// They are no files of llama.cpp's.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// No release writes sequence files of that version.
    #[error(
        "it writes version {found} of sequence files, and of llama.cpp the versions {known} are known: a newer release, or not \
         llama.cpp's"
    )]
    Version {
        /// The version word.
        found: u32,
        /// Those that are known.
        known: String,
    },
    /// Releases write that version, and each of them otherwise.
    #[error("it writes version {version} of sequence files, and not as llama.cpp does: {reasons}")]
    Otherwise {
        /// The version word.
        version: u32,
        /// What is against each layout.
        reasons: String,
    },
    /// More than one fits, and they mean different things.
    #[error("its states fit the layouts {0}, which mean different things")]
    Several(String),
}

/// How far K may be from itself, quantized, in normalised mean squared error: 1e-4 or so is what rounding costs, and K in
/// another basis is 2 from it.
const ITSELF: f64 = 0.05;
/// Elements of a head: the largest rotation that such a head has.
const HEAD: u32 = 64;

impl Specimens<'_> {
    /// The layout of these states.
    ///
    /// Layouts that differ in what a cell carries for models with 2D positions look the same here. Of those it is the newest:
    /// with it a state of such a model shows what its cells carry.
    ///
    /// # Errors
    /// [`Unrecognized`].
    pub fn layout(&self) -> Result<&'static Layout, Unrecognized> {
        let file = ForeignFile::read(self.plain)?;
        let version = file.version;
        let mut fitting: Vec<&'static Layout> = Vec::new();
        let mut reasons = Vec::new();
        for layout in file.layouts().filter(|_| file.kind == ForeignKind::SequenceFile) {
            match self.against(layout)? {
                None => fitting.push(layout),
                Some(reason) => reasons.push(format!("{}: {reason}", layout.id)),
            }
        }
        let Some(newest) = fitting.last().copied() else {
            let known = |layout: &Layout| layout.sequence_file_version.to_string();
            let mut known: Vec<String> = LAYOUTS.iter().map(known).collect();
            known.dedup();
            return Err(match reasons.as_slice() {
                [] => Unrecognized::Version { found: version, known: known.join(", ") },
                _ => Unrecognized::Otherwise { version, reasons: reasons.join("; ") },
            });
        };
        if fitting.iter().all(|layout| is_but_for_extensions(layout, newest)) {
            return Ok(newest);
        }
        let ids: Vec<&str> = fitting.iter().map(|layout| layout.id).collect();
        Err(Unrecognized::Several(ids.join(", ")))
    }

    /// What is against a layout.
    fn against(&self, layout: &Layout) -> Result<Option<String>, ForeignError> {
        let [plain, quantized] = [ForeignFile::read(self.plain)?, ForeignFile::read(self.quantized)?];
        let understood = || {
            understood(self.blob, layout, Container::Blob)?;
            let plain = understood(plain.state, layout, Container::File)?;
            Ok::<_, LayoutError>((plain, understood(quantized.state, layout, Container::File)?))
        };
        Ok(match understood() {
            Err(error) => Some(error.to_string()),
            Ok((plain, quantized)) => match (attention(&plain), attention(&quantized)) {
                (Some(plain), Some(quantized)) => turned_otherwise(plain, quantized, layout),
                _ => Some("there is no attention cache in it".to_owned()),
            },
        })
    }
}

fn understood<'b>(bytes: &'b [u8], layout: &Layout, container: Container) -> Result<State<'b>, LayoutError> {
    parse(bytes, layout, &identify(bytes, layout, container)?, container)
}

fn attention<'s, 'b>(state: &'s State<'b>) -> Option<&'s Attention<'b>> {
    state.sections.iter().find_map(|section| match section {
        Section::Attention(attention) => Some(attention),
        Section::Recurrent(_) => None,
    })
}

/// Whether quantized K is turned otherwise than the layout has it, and how.
fn turned_otherwise(plain: &Attention<'_>, quantized: &Attention<'_>, layout: &Layout) -> Option<String> {
    let turned = Rotation::expected(RotationRule::Silent, [GgmlType::Q8_0; 2], [HEAD; 2]);
    let is = |rotation: Rotation| {
        distance(plain, Rotation::default(), quantized, rotation).is_some_and(|distance| distance < ITSELF)
    };
    let expected = match layout.rotation {
        RotationRule::Never => Rotation::default(),
        RotationRule::Silent => turned,
        RotationRule::Recorded => quantized.rotation.unwrap_or_default(),
    };
    if is(expected) {
        return None;
    }
    Some(match (is(Rotation::default()), is(turned)) {
        (true, _) => "quantized K is as it is, and not turned".to_owned(),
        (_, true) => "quantized K is turned".to_owned(),
        _ => "quantized K is not the K of the same tokens in f16".to_owned(),
    })
}

/// How far the K of the first layer, which depends on no other, is from that of the other cache.
fn distance(
    one: &Attention<'_>,
    turned: Rotation,
    other: &Attention<'_>,
    other_turned: Rotation,
) -> Option<f64> {
    let (one, other) = (keys(one, turned)?, keys(other, other_turned)?);
    if one.len() != other.len() || one.is_empty() {
        return None;
    }
    let square = |number: f32| f64::from(number) * f64::from(number);
    let error: f64 = one.iter().zip(&other).map(|(one, other)| square(one - other)).sum();
    let energy: f64 = one.iter().map(|number| square(*number)).sum();
    (energy > 0.0).then_some(error / energy)
}

/// K of the first layer as numbers, where the cache is turned like this.
fn keys(section: &Attention<'_>, rotation: Rotation) -> Option<Vec<f32>> {
    let stored = Attention { rotation: Some(rotation), ..section.clone() };
    let wanted = CacheFormat {
        keys: GgmlType::F32,
        values: GgmlType::F32,
        rotation: Rotation::default(),
        transposed: false,
    };
    let converted = stored.convert(&wanted).ok()?.section;
    let blocks = &converted.keys.first()?.blocks;
    let numbers = blocks.iter().flat_map(|block| block.bytes.as_chunks::<4>().0);
    Some(numbers.map(|number| f32::from_le_bytes(*number)).collect())
}

fn is_but_for_extensions(one: &Layout, other: &Layout) -> bool {
    let rest = |layout: &Layout| Layout {
        id: "",
        since: "",
        crates: 0..=0,
        cell_extension: CellExtension::Absent,
        ..*layout
    };
    rest(one) == rest(other)
}
