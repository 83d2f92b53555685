//! How two states of the same session differ.

use std::collections::{BTreeMap, BTreeSet};

use intact_format::foreign::ForeignFile;
use intact_format::layout::{
    self, Attention, Block, GgmlType, LAYOUTS, Layout, LayoutError, Matrix, MemoryShape, Recurrent, Rotation,
    RotationRule, Section, SectionShape, State, identify, parse,
};

use super::{Container, Fingerprint, Probe};
use crate::explain::changes;

/// How two states of the same session differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Difference {
    /// Not at all, but for a version.
    None,
    /// By how the same numbers are computed: normalised mean squared error.
    Rounded(f64),
    /// Other words in other places.
    Form(String),
    /// The same words, which mean something else.
    Meaning(String),
    /// The same words for other numbers, which the model computes otherwise: normalised mean squared error.
    Computed(f64),
}

/// How far numbers may be from themselves where two libraries compute them, in normalised mean squared error. Other kernels are
/// 1e-4 apart at most; numbers in another basis 2.
const ITSELF: f64 = 0.05;
/// Bytes that are others where numbers were rounded otherwise, of all bytes. In another basis nearly all are.
const ROUNDED: f64 = 0.25;
/// Elements of a head: the rotations that are tried where quantized K is another one.
const HEADS: [u32; 4] = [64, 128, 32, 256];

/// How the states of a probe differ, which two libraries wrote.
pub(super) fn of(
    probe: &Probe,
    before: &[u8],
    after: &[u8],
    base: &Fingerprint,
    head: &Fingerprint,
) -> Difference {
    let difference = between(probe, before, after, base, head);
    let plain = Probe { kv: "f16".to_owned(), container: Container::SequenceFile, ..probe.clone() };
    match (&difference, base.bytes(&plain), head.bytes(&plain)) {
        // What is quantized cannot tell by itself whether the model computes something else.
        (Difference::Meaning(_), Some(before), Some(after)) if plain != *probe => {
            match between(&plain, before, after, base, head) {
                Difference::Computed(nmse) => Difference::Computed(nmse),
                _ => difference,
            }
        }
        _ => difference,
    }
}

fn between(probe: &Probe, before: &[u8], after: &[u8], base: &Fingerprint, head: &Fingerprint) -> Difference {
    if before == after {
        return Difference::None;
    }
    match probe.container {
        Container::RawSequence => of_states(before, after, layout::Container::Blob),
        Container::SequenceFile => match [before, after].map(ForeignFile::read) {
            [Ok(before), Ok(after)] if before.tokens != after.tokens => {
                Difference::Meaning("the same session has other tokens".to_owned())
            }
            [Ok(before), Ok(after)] => of_states(before.state, after.state, layout::Container::File),
            [before, after] => unread([before.err(), after.err()]),
        },
        Container::SessionFile => match [before, after].map(ForeignFile::read) {
            [Ok(one), Ok(other)] => {
                let of_sequence = Probe { container: Container::SequenceFile, ..probe.clone() };
                let [left, right] = [base, head].map(|of| of.bytes(&of_sequence));
                let of_sequence =
                    left.zip(right).map(|(left, right)| between(&of_sequence, left, right, base, head));
                of_contexts(&one, &other, of_sequence)
            }
            [before, after] => unread([before.err(), after.err()]),
        },
    }
}

fn unread<E: std::fmt::Display>(errors: [Option<E>; 2]) -> Difference {
    let of = |who: &str, error: Option<E>| error.map(|error| format!("the {who} one: {error}"));
    let [before, after] = errors;
    let told: Vec<String> = [of("first", before), of("second", after)].into_iter().flatten().collect();
    Difference::Form(told.join("; "))
}

/// Whole contexts: what they hold besides the states of sequences is not known in detail.
fn of_contexts(
    before: &ForeignFile<'_>,
    after: &ForeignFile<'_>,
    of_sequence: Option<Difference>,
) -> Difference {
    if before.architecture != after.architecture {
        return Difference::Form("the architecture before the state is another one".to_owned());
    }
    if before.state == after.state {
        return Difference::None;
    }
    let [was, is] = [before.state.len(), after.state.len()];
    match (of_sequence, was == is) {
        (Some(same @ (Difference::Rounded(_) | Difference::Computed(_))), true) => same,
        (Some(Difference::None | Difference::Rounded(_) | Difference::Computed(_)), false) => {
            Difference::Form(format!(
                "what a context holds beside the states of its sequences (logits, embeddings, outputs) is {} bytes {}",
                was.abs_diff(is),
                if is > was { "more" } else { "less" }
            ))
        }
        (Some(Difference::Form(what)), _) => Difference::Form(format!("as in sequence files: {what}")),
        (Some(Difference::Meaning(what)), true) => {
            Difference::Meaning(format!("as in sequence files: {what}"))
        }
        (_, false) => Difference::Form(format!("the state has {is} bytes, which were {was}")),
        (_, true) => {
            let other = before.state.iter().zip(after.state).filter(|(one, other)| one != other).count();
            Difference::Form(format!("{other} of {is} bytes are others, beside the states of its sequences"))
        }
    }
}

/// The states of a sequence.
fn of_states(before: &[u8], after: &[u8], container: layout::Container) -> Difference {
    if before == after {
        return Difference::None;
    }
    let [was, is] = [before, after].map(|bytes| fits(bytes, container));
    let common = was.iter().rev().find(|fit| is.contains(fit));
    if let Some((layout, shape)) = common {
        let read = |bytes| parse(bytes, layout, shape, container);
        return match (read(before), read(after)) {
            (Ok(before), Ok(after)) => of_contents(&before, &after, layout),
            (before, after) => unread([before.err(), after.err()]),
        };
    }
    let against = |bytes| identify(bytes, Layout::newest(), container).err();
    Difference::Form(match (was.as_slice(), is.as_slice()) {
        ([], []) => format!(
            "neither is laid out in a way that is known here; {} bytes, which were {}",
            after.len(),
            before.len()
        ),
        ([], _) => format!("it is laid out as in llama.cpp {}, and was in no way that is known", is[0].0.id),
        (_, []) => format!("it is laid out in no way that is known: {}", reason(against(after))),
        (was, is) => in_words(was, is),
    })
}

fn reason(error: Option<LayoutError>) -> String {
    error.map_or_else(|| "it fits several".to_owned(), |error| error.to_string())
}

type Fit = (&'static Layout, MemoryShape);

/// The layouts that a state fits to its last byte, oldest first, with its shape in each.
fn fits(bytes: &[u8], container: layout::Container) -> Vec<Fit> {
    LAYOUTS.iter().filter_map(|layout| Some((layout, identify(bytes, layout, container).ok()?))).collect()
}

/// What changed, by the two fits that follow each other most closely: other caches in one layout, or another layout.
fn in_words(was: &[Fit], is: &[Fit]) -> String {
    let place = |layout: &Layout| LAYOUTS.iter().position(|known| known.id == layout.id).unwrap_or_default();
    let pairs = was.iter().flat_map(|was| is.iter().map(move |is| (was, is)));
    let closest = pairs.min_by_key(|((was, _), (is, _))| place(was).abs_diff(place(is)));
    let Some(((was, before), (is, after))) = closest else { return "it is laid out differently".to_owned() };
    if was.id == is.id {
        return of_shapes(before, after);
    }
    // What the versions are is told beside it.
    let changed: Vec<String> =
        changes(was, is).into_iter().filter(|change| !change.starts_with("version of")).collect();
    if changed.is_empty() { format!("it is laid out as in llama.cpp {}", is.id) } else { changed.join("; ") }
}

/// What is written of a model's memory, where that is all that changed.
fn of_shapes(before: &MemoryShape, after: &MemoryShape) -> String {
    if before.sections.len() != after.sections.len() {
        return format!("{} caches are written, which were {}", after.sections.len(), before.sections.len());
    }
    let told = |what: &str, was: bool, is: bool| {
        (was != is).then(|| format!("{what} {}", if is { "from now on" } else { "no longer" }))
    };
    let mut words: Vec<String> = before
        .sections
        .iter()
        .zip(&after.sections)
        .flat_map(|sections| match sections {
            (SectionShape::Attention(was), SectionShape::Attention(is)) => [
                told("cells carry their position in two dimensions", was.extended_cells, is.extended_cells),
                told("V is written", was.values, is.values),
            ],
            (SectionShape::Recurrent(was), SectionShape::Recurrent(is)) => [
                (was.present_layers != is.present_layers)
                    .then(|| "other recurrent layers are written".to_owned()),
                told(
                    "recurrent layers have second rows",
                    !was.second_rows.is_empty(),
                    !is.second_rows.is_empty(),
                ),
            ],
            _ => [Some("a cache of another kind is written".to_owned()), None],
        })
        .flatten()
        .collect();
    words.dedup();
    if words.is_empty() { "other caches are written".to_owned() } else { words.join("; ") }
}

/// Two states of one form.
fn of_contents(before: &State<'_>, after: &State<'_>, layout: &Layout) -> Difference {
    if before.streams != after.streams || before.sequence != after.sequence {
        return Difference::Form("the sequence has another number, or is in another stream".to_owned());
    }
    let mut numbers = Numbers::default();
    for sections in before.sections.iter().zip(&after.sections) {
        let difference = match sections {
            (Section::Attention(before), Section::Attention(after)) => {
                of_caches(before, after, layout, &mut numbers)
            }
            (Section::Recurrent(before), Section::Recurrent(after)) => {
                of_recurrent(before, after, &mut numbers)
            }
            _ => Some(Difference::Form("other caches are written".to_owned())),
        };
        if let Some(difference) = difference {
            return difference;
        }
    }
    numbers.difference()
}

fn of_caches(
    before: &Attention<'_>,
    after: &Attention<'_>,
    layout: &Layout,
    numbers: &mut Numbers,
) -> Option<Difference> {
    if before.cells != after.cells {
        return Some(Difference::Meaning("other cells are kept, or they say something else".to_owned()));
    }
    if before.transposed != after.transposed {
        return Some(Difference::Form("V is stored the other way round".to_owned()));
    }
    if before.rotation != after.rotation {
        return Some(Difference::Meaning(
            "K and V are rotated differently, and the state says so".to_owned(),
        ));
    }
    // Turning twice is turning back: which of both turns them does not show.
    if is_turned(before, after, layout) {
        let what = "quantized K and V are in another rotation, and nothing in the state says so";
        return Some(Difference::Meaning(what.to_owned()));
    }
    numbers
        .compare("K", &before.keys, &after.keys)
        .or_else(|| numbers.compare("V", &before.values, &after.values))
}

/// Whether quantized K is that of another cache, rotated; or V, where K is the same.
fn is_turned(plain: &Attention<'_>, turned: &Attention<'_>, layout: &Layout) -> bool {
    let kinds =
        [&turned.keys, &turned.values].map(|of| of.first().map_or(GgmlType::F32, |matrix| matrix.kind));
    let is_same = plain.keys.iter().zip(&turned.keys).all(|(one, other)| one.blocks == other.blocks);
    if layout.rotation == RotationRule::Recorded || !kinds.iter().any(|kind| kind.is_quantized()) {
        return false;
    }
    let as_if = |cache: &Attention<'_>, rotation| {
        let plain = Attention { rotation: Some(rotation), ..cache.clone() }.plain().ok()?;
        if is_same { plain.values } else { plain.keys }.into_iter().next()
    };
    let Some(before) = as_if(plain, Rotation::default()) else { return false };
    let is = |rotation| {
        as_if(turned, rotation).is_some_and(|after| apart(&before, &after).is_some_and(|nmse| nmse < ITSELF))
    };
    // What is near as it is has only been rounded.
    let heads = HEADS.map(|head| Rotation::expected(RotationRule::Silent, kinds, [head; 2]));
    !is(Rotation::default()) && heads.into_iter().any(is)
}

fn of_recurrent(before: &Recurrent<'_>, after: &Recurrent<'_>, numbers: &mut Numbers) -> Option<Difference> {
    if before.positions != after.positions {
        return Some(Difference::Meaning("other positions are kept".to_owned()));
    }
    let seconds =
        |of: &Recurrent<'_>| of.second_rows.iter().map(|second| owned(&second.matrix)).collect::<Vec<_>>();
    numbers
        .compare(ROWS, &before.rows, &after.rows)
        .or_else(|| numbers.compare(STATES, &before.states, &after.states))
        .or_else(|| numbers.compare(ROWS, &seconds(before), &seconds(after)))
}

fn owned(matrix: &Matrix<'_>) -> Matrix<'static> {
    let blocks = matrix.blocks.iter().map(|block| Block {
        bytes: block.bytes.to_vec().into(),
        stored_cells: block.stored_cells,
        cells: block.cells.clone(),
    });
    Matrix { kind: matrix.kind, order: matrix.order, blocks: blocks.collect() }
}

/// What recurrent layers keep of their last inputs.
const ROWS: &str = "rows of recurrent layers";
/// What they keep of all of them.
const STATES: &str = "recurrent states";

/// How far the numbers of two states are apart, by what they are.
#[derive(Debug, Default)]
struct Numbers {
    /// Those that nothing but rounding parts: the largest distance.
    rounded: f64,
    /// Those that are others: the largest distance, if they can be read.
    other: BTreeMap<&'static str, f64>,
    /// Those that are the same in another order.
    reordered: BTreeSet<&'static str>,
    /// Types of those that cannot be read.
    unread: BTreeSet<String>,
    quantized: bool,
}

impl Numbers {
    /// Compares matrices of one kind, layer by layer. Gives what makes comparing them pointless.
    fn compare(
        &mut self,
        what: &'static str,
        before: &[Matrix<'_>],
        after: &[Matrix<'_>],
    ) -> Option<Difference> {
        if before.len() != after.len() {
            let (is, was) = (after.len(), before.len());
            return Some(Difference::Form(format!("{what} of {is} layers are written, which were {was}")));
        }
        for (before, after) in before.iter().zip(after) {
            if before.kind != after.kind {
                let [was, is] = [before, after].map(|matrix| typed(matrix.kind));
                return Some(Difference::Form(format!("{what} of type {was} is of type {is}")));
            }
            if before.order != after.order || before.cell_count() != after.cell_count() {
                return Some(Difference::Form(format!("{what} have rows of another size")));
            }
            self.quantized |= before.kind.is_quantized();
            if before.blocks == after.blocks {
                continue;
            }
            match apart(before, after) {
                Some(nmse) if nmse < ITSELF => self.rounded = self.rounded.max(nmse),
                Some(_) if is_reordered(before, after) => {
                    self.reordered.insert(what);
                }
                Some(nmse) => {
                    let most = self.other.entry(what).or_default();
                    *most = most.max(nmse);
                }
                // Rounding changes few of them.
                None if share(before, after) < ROUNDED => self.rounded = self.rounded.max(f64::MIN_POSITIVE),
                None => {
                    self.unread.insert(typed(before.kind));
                }
            }
        }
        None
    }

    fn difference(self) -> Difference {
        let named = |what: Vec<&str>| what.join(" and ");
        if !self.reordered.is_empty() {
            let what = named(self.reordered.into_iter().collect());
            return Difference::Meaning(format!("{what} are the same numbers in another order"));
        }
        if let Some(most) = self.other.values().copied().reduce(f64::max) {
            // What layers read of those before them is another one too where a model is computed otherwise, and not where the
            // same numbers are only kept in another way.
            let follows = ["V", ROWS].iter().any(|what| self.other.contains_key(what));
            if follows && !self.quantized {
                return Difference::Computed(most);
            }
            let what = named(self.other.into_keys().collect());
            return Difference::Meaning(format!(
                "{what} are other numbers of the same tokens (NMSE {most:.1})"
            ));
        }
        if !self.unread.is_empty() {
            return Difference::Meaning("other numbers of types that are not read here are kept".to_owned());
        }
        if self.rounded > 0.0 { Difference::Rounded(self.rounded) } else { Difference::None }
    }
}

/// How far the same numbers may be apart, one by one in the order of their size: far less than two sets of numbers that are
/// spread alike.
const SAME_NUMBERS: f64 = 1e-5;

/// Whether a matrix has the numbers of another one in another order.
fn is_reordered(one: &Matrix<'_>, other: &Matrix<'_>) -> bool {
    let sorted = |of: &Matrix<'_>| -> Option<Vec<f32>> {
        let plain = of.plain().ok()?;
        let bytes = plain.blocks.iter().flat_map(|block| block.bytes.as_chunks::<4>().0);
        let mut numbers: Vec<f32> = bytes.map(|number| f32::from_le_bytes(*number)).collect();
        numbers.sort_by(f32::total_cmp);
        Some(numbers)
    };
    let (Some(one), Some(other)) = (sorted(one), sorted(other)) else { return false };
    let square = |number: f32| f64::from(number) * f64::from(number);
    let error: f64 = one.iter().zip(&other).map(|(one, other)| square(one - other)).sum();
    let energy: f64 = one.iter().copied().map(square).sum();
    one.len() == other.len() && error < SAME_NUMBERS * energy
}

fn typed(kind: GgmlType) -> String {
    format!("{kind} (number {})", kind.0)
}

/// How many bytes of a matrix are others, of all.
fn share(one: &Matrix<'_>, other: &Matrix<'_>) -> f64 {
    let bytes =
        |of: &Matrix<'_>| of.blocks.iter().flat_map(|block| block.bytes.to_vec()).collect::<Vec<u8>>();
    let [one, other] = [bytes(one), bytes(other)];
    if one.len() != other.len() || one.is_empty() {
        return 1.0;
    }
    let differ = one.iter().zip(&other).filter(|(one, other)| one != other).count();
    differ as f64 / one.len() as f64
}

/// How far the numbers of one matrix are from those of the other; `None` where they cannot be read, or are none.
fn apart(one: &Matrix<'_>, other: &Matrix<'_>) -> Option<f64> {
    let [one, other] = [one.plain().ok()?, other.plain().ok()?];
    let pairs: Vec<(usize, usize)> = (0..one.cell_count()).map(|cell| (cell, cell)).collect();
    let nmse = one.apart(&other, &pairs).nmse();
    nmse.is_finite().then_some(nmse)
}
