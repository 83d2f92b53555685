//! What parts two libraries is told apart: other words, words that mean something else, numbers that are computed otherwise, and
//! rounding.

use intact_format::foreign::{SEQUENCE_FILE_MAGIC, SESSION_FILE_MAGIC};
use intact_format::layout::{
    self, Attention, AttentionShape, Block, CacheFormat, Cell, GgmlType, Layout, Matrix, Order, Rotation,
    Section, State, StreamShape, encode,
};

use super::{Comparison, Container, Fingerprint, Kind, Probe};

const CELLS: usize = 4;
const ELEMENTS: usize = 64;

/// Numbers of a cache, each by its place.
fn numbers(of: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..CELLS * ELEMENTS).map(of).collect()
}

/// Numbers that nobody would take for others.
fn keys(place: usize) -> f32 {
    ((place * 37 + 11) % 101) as f32 / 50.0 - 1.0
}

fn values(place: usize) -> f32 {
    ((place * 53 + 29) % 97) as f32 / 48.0 - 1.0
}

fn matrix(numbers: &[f32]) -> Matrix<'static> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let row_bytes = u64::try_from(ELEMENTS * 4).expect("small");
    Matrix {
        kind: GgmlType::F32,
        order: Order::ByCell { row_bytes },
        blocks: vec![Block { bytes: bytes.into(), stored_cells: CELLS, cells: 0..CELLS }],
    }
}

/// A state of one layer as this layout has it.
fn cache(layout: &Layout, keys: &[f32], values: &[f32]) -> State<'static> {
    let recorded = layout.rotation == layout::RotationRule::Recorded;
    let section = Attention {
        shape: AttentionShape { extended_cells: false, values: true },
        cells: (0..4).map(|position| Cell { position, extension: None }).collect(),
        transposed: false,
        rotation: recorded.then(Rotation::default),
        keys: vec![matrix(keys)],
        values: vec![matrix(values)],
    };
    State { sequence: 0, streams: StreamShape::SINGLE, sections: vec![Section::Attention(section)] }
}

/// The same in q8_0, turned like this.
fn quantized(state: &State<'_>, rotation: Rotation) -> State<'static> {
    let wanted = CacheFormat { keys: GgmlType::Q8_0, values: GgmlType::Q8_0, rotation, transposed: false };
    let Section::Attention(section) = &state.sections[0] else { panic!("attention") };
    let plain = Attention { rotation: Some(Rotation::default()), ..section.clone() };
    let section = Attention { rotation: None, ..plain.convert(&wanted).expect("it converts").section };
    State { sequence: state.sequence, streams: state.streams, sections: vec![Section::Attention(section)] }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn sequence_file(version: u32, layout: &Layout, state: &State<'_>) -> Vec<u8> {
    let state = encode(state, layout, layout::Container::File).expect("a state of the layout");
    [words(&[SEQUENCE_FILE_MAGIC, version, 1, 7]), state].concat()
}

fn session_file(version: u32, state: &[u8]) -> Vec<u8> {
    [words(&[SESSION_FILE_MAGIC, version, 1, 7, 5]), b"llama".to_vec(), state.to_vec()].concat()
}

fn probe(container: Container, kv: &str) -> Probe {
    Probe { container, model: "llama".to_owned(), kv: kv.to_owned(), flash: true }
}

fn fingerprint(written: impl IntoIterator<Item = (Probe, Vec<u8>)>) -> Fingerprint {
    Fingerprint { written: written.into_iter().map(|(probe, bytes)| (probe, Ok(bytes))).collect() }
}

fn layout(id: &str) -> &'static Layout {
    Layout::by_id(id).expect("known")
}

/// What a library of this layout writes into sequence files.
fn files(version: u32, id: &str, keys: &[f32], values: &[f32]) -> Fingerprint {
    let state = cache(layout(id), keys, values);
    fingerprint([(probe(Container::SequenceFile, "f16"), sequence_file(version, layout(id), &state))])
}

fn told(base: &Fingerprint, head: &Fingerprint) -> Vec<(Kind, bool, String)> {
    let changes = Comparison::between(base, head).changes;
    changes.into_iter().map(|change| (change.of, change.announced, change.what)).collect()
}

#[test]
fn a_version_alone_is_no_change_and_is_told() {
    let (k, v) = (numbers(keys), numbers(values));
    let compared = Comparison::between(&files(2, "b9028", &k, &v), &files(3, "b9028", &k, &v));
    assert_eq!((compared.changes.len(), compared.same, compared.compared), (0, 1, 1));
    assert!(compared.is_announced(Container::SequenceFile) && !compared.is_announced(Container::SessionFile));
    assert_eq!(compared.version_words(Container::SequenceFile), "version 3, which was 2");
    assert_eq!(compared.version_words(Container::SessionFile), "version unknown, not raised");
}

#[test]
fn another_form_is_told_by_what_is_written_and_whether_a_version_says_so() {
    let (k, v) = (numbers(keys), numbers(values));
    let streams = "the number of streams: from now on; streams without cells end at once: from now on";
    let of = |version, id| files(version, id, &k, &v);
    assert_eq!(told(&of(2, "b5485"), &of(2, "b5913")), [(Kind::Form, false, streams.to_owned())]);
    assert_eq!(told(&of(2, "b5485"), &of(3, "b5913")), [(Kind::Form, true, streams.to_owned())]);
    let recorded = "quantized K and V are rotated: yes, and the state says so";
    assert_eq!(told(&of(3, "0.4.1"), &of(4, "0.6.0")), [(Kind::Form, true, recorded.to_owned())]);
    let blob = |id| {
        let bytes = encode(&cache(layout(id), &k, &v), layout(id), layout::Container::Blob).expect("a blob");
        fingerprint([(probe(Container::RawSequence, "f16"), bytes)])
    };
    let magic = "a magic word before raw states: from now on";
    assert_eq!(told(&blob("b8619"), &blob("b9028")), [(Kind::Form, false, magic.to_owned())]);
    assert_eq!(told(&blob("b8215"), &blob("b8619")), [], "a rotation shows in quantized states alone");
}

#[test]
fn a_rotation_of_quantized_numbers_is_another_meaning_of_the_same_bytes() {
    let state = cache(layout("b8619"), &numbers(keys), &numbers(values));
    let turned = Rotation { keys: 64, values: 64 };
    let of = |rotation| {
        let bytes = sequence_file(2, layout("b8619"), &quantized(&state, rotation));
        fingerprint([(probe(Container::SequenceFile, "q8_0"), bytes)])
    };
    let what = || "quantized K and V are in another rotation, and nothing in the state says so".to_owned();
    assert_eq!(told(&of(Rotation::default()), &of(turned)), [(Kind::Meaning, false, what())]);
    assert_eq!(told(&of(turned), &of(Rotation::default())), [(Kind::Meaning, false, what())]);
}

#[test]
fn numbers_in_another_order_are_another_meaning_and_rounding_is_none() {
    let (k, v) = (numbers(keys), numbers(values));
    let base = files(2, "b9028", &k, &v);
    let mut other_order = k.clone();
    other_order.reverse();
    let what = "K are the same numbers in another order".to_owned();
    assert_eq!(told(&base, &files(2, "b9028", &other_order, &v)), [(Kind::Meaning, false, what)]);
    let rounded: Vec<f32> = k.iter().map(|number| number * 1.0001).collect();
    let compared = Comparison::between(&base, &files(2, "b9028", &rounded, &v));
    assert_eq!((compared.changes.len(), compared.rounded, compared.same), (0, 1, 0));
    assert!(compared.most > 0.0 && compared.most < 1e-6, "{}", compared.most);
}

#[test]
fn a_model_that_is_computed_otherwise_is_told_and_is_no_change_of_the_state() {
    let (k, v) = (numbers(keys), numbers(values));
    let base = files(2, "b9028", &k, &v);
    // What layers read of those before them is another one too.
    let other =
        |of: &[f32]| of.iter().enumerate().map(|(at, number)| number + (at % 3) as f32).collect::<Vec<_>>();
    let compared = Comparison::between(&base, &files(2, "b9028", &other(&k), &other(&v)));
    assert_eq!((compared.changes.len(), compared.computed.len()), (0, 1));
    assert!(compared.notes(["a", "b"])[0].starts_with("llama: computed differently"));
    // K alone is another one, and V is what it was: the same numbers are kept in another way.
    let what = told(&base, &files(2, "b9028", &other(&k), &v));
    assert!(what[0].2.starts_with("K are other numbers of the same tokens"), "{what:?}");
}

#[test]
fn what_leaves_a_session_file_beside_its_sequences_is_told() {
    let state = cache(layout("b5913"), &numbers(keys), &numbers(values));
    let of = |logits: usize| {
        let whole =
            [vec![9; logits], encode(&state, layout("b5913"), layout::Container::File).expect("a state")];
        fingerprint([
            (probe(Container::SequenceFile, "f16"), sequence_file(2, layout("b5913"), &state)),
            (probe(Container::SessionFile, "f16"), session_file(9, &whole.concat())),
        ])
    };
    let told = told(&of(1176), &of(0));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].2.contains("(logits, embeddings, outputs) is 1176 bytes less"), "{told:?}");
    assert_eq!((told[0].0, told[0].1), (Kind::Form, false));
}

#[test]
fn what_one_library_cannot_write_is_named_and_what_neither_can_is_not() {
    let has = files(2, "b9028", &numbers(keys), &numbers(values));
    let lacks = Fingerprint {
        written: has.written.keys().map(|probe| (probe.clone(), Err("unknown model".to_owned()))).collect(),
    };
    let compared = Comparison::between(&lacks, &has);
    assert_eq!(compared.notes(["a", "b"]), ["not compared, as a does not run all of it: llama"]);
    assert_eq!((compared.compared, compared.changes.len()), (0, 0));
    assert!(Comparison::between(&lacks, &lacks).missing.is_empty());
}
