//! Layouts told by states of libraries that nobody listed.

use intact_format::foreign::{SEQUENCE_FILE_MAGIC, Specimens, Unrecognized};
use intact_format::layout::{
    CellExtension, Container, GgmlType, LAYOUTS, Layout, Rotation, RotationRule, Section, State, encode,
};

use crate::transcoding::state;

const UNTURNED: Rotation = Rotation { keys: 0, values: 0 };

/// A sequence file of these tokens around a state.
fn file(version: u32, state: &State<'_>, layout: &Layout) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [SEQUENCE_FILE_MAGIC, version, 1, 7].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(encode(state, layout, Container::File).expect("a state of the layout"));
    bytes
}

/// What a library writes that has this layout, and turns quantized K and V like this.
fn written(layout: &'static Layout, version: u32, turned: Rotation) -> [Vec<u8>; 3] {
    // One layout has no words for a rotation, and what is kept in it can be turned all the same.
    let kept = |mut state: State<'static>| {
        let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
        if layout.rotation != RotationRule::Recorded {
            section.rotation = None;
        }
        state
    };
    let plain = kept(state(layout, 5, GgmlType::F16, UNTURNED));
    let quantized = kept(state(layout, 5, GgmlType::Q8_0, turned));
    let blob = encode(&plain, layout, Container::Blob).expect("a state of the layout");
    [file(version, &plain, layout), file(version, &quantized, layout), blob]
}

fn told([plain, quantized, blob]: &[Vec<u8>; 3]) -> Result<&'static Layout, Unrecognized> {
    Specimens { plain, quantized, blob }.layout()
}

fn turned(rule: RotationRule) -> Rotation {
    Rotation::expected(rule, [GgmlType::Q8_0; 2], [64; 2])
}

#[test]
fn every_layout_is_told_by_what_is_written_in_it() {
    for layout in &LAYOUTS {
        let found = told(&written(layout, layout.sequence_file_version, turned(layout.rotation)));
        // What cells carry for other models does not show: the newest of those that differ in nothing else.
        let looks_like = if layout.cell_extension == CellExtension::Absent && layout.stream_count {
            "b8215"
        } else {
            layout.id
        };
        assert_eq!(found.map(|found| found.id), Ok(looks_like), "{}", layout.id);
    }
}

#[test]
fn a_version_number_alone_makes_nobody_llama_cpp() {
    // Each layout under the version of each other one: where it is known, the states do not fit.
    for layout in &LAYOUTS {
        for version in LAYOUTS.iter().map(|other| other.sequence_file_version) {
            if version == layout.sequence_file_version {
                continue;
            }
            let found = told(&written(layout, version, turned(layout.rotation)));
            // Nothing but the version parts these two, for such a model.
            match (layout.id, version) {
                ("b9028", 3) => assert_eq!(found.map(|found| found.id), Ok("0.4.1")),
                ("0.4.1", 2) => assert_eq!(found.map(|found| found.id), Ok("b9028")),
                _ => {
                    let error = found.expect_err(layout.id);
                    assert!(matches!(error, Unrecognized::Otherwise { .. }), "{}: {error}", layout.id);
                }
            }
        }
        let newer = written(layout, 99, turned(layout.rotation));
        assert_eq!(told(&newer).map_err(|error| error.to_string().contains("99")), Err(true));
    }
}

#[test]
fn what_turns_k_as_no_release_does_is_not_taken_for_one() {
    let layout = |id| Layout::by_id(id).expect("known");
    // Turned before any release did.
    let error = told(&written(layout("b5485"), 2, turned(RotationRule::Silent))).expect_err("turned");
    assert!(error.to_string().contains("quantized K is turned"), "{error}");
    // Not turned, where the releases do.
    let error = told(&written(layout("b9028"), 2, UNTURNED)).expect_err("not turned");
    assert!(error.to_string().contains("b9028: quantized K is as it is"), "{error}");
    // Two layouts differ in that alone.
    let found = told(&written(layout("b8619"), 2, UNTURNED)).expect("as it was before");
    assert_eq!(found.id, "b8215");
    // A record that is not true.
    let [plain, _, blob] = written(layout("0.6.0"), 4, turned(RotationRule::Recorded));
    let [_, mut lying, _] = written(layout("0.6.0"), 4, UNTURNED);
    let truth = written(layout("0.6.0"), 4, turned(RotationRule::Recorded))[1].clone();
    // Everything but the numbers: the words that say how they are turned are the truth's.
    let differing: Vec<usize> = (0..lying.len()).filter(|&at| lying[at] != truth[at]).take(2).collect();
    for at in differing {
        lying[at] = truth[at];
    }
    let error = told(&[plain, lying, blob]).expect_err("a false record");
    assert!(error.to_string().contains("0.6.0: quantized K is as it is"), "{error}");
}

#[test]
fn what_is_no_state_file_is_named() {
    let sound = written(&LAYOUTS[0], 2, UNTURNED);
    for at in 0..3 {
        let mut cut = sound.clone();
        cut[at].truncate(10);
        told(&cut).expect_err("cut");
        let mut empty = sound.clone();
        empty[at].clear();
        told(&empty).expect_err("empty");
    }
}
