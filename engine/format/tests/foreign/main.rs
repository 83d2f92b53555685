//! States that llama.cpp and the programs over it keep on their own, damaged: what is still read is what its bytes say, to the
//! last of them, and nothing makes a reader panic, hang, or use more memory than four times the file and 64 MB.
//!
//! `INTACT_MUTATIONS=1000000` sets how many are damaged; the default is small.

mod container;
#[path = "../kv/generated.rs"]
#[expect(dead_code, reason = "states of few kinds are enough here")]
mod generated;
#[path = "../mutations/memory.rs"]
mod memory;
#[path = "../mutations/mutate.rs"]
#[expect(dead_code, reason = "what a foreign file has no documents and frames")]
mod mutate;

use intact_format::adoption::{Holding, apart};
use intact_format::foreign::ForeignFile;
use intact_format::layout::{Container, LAYOUTS, Layout, Section, State, encode};
use intact_format::transcode::HeadSizes;

use container::{CONTAINERS, Contained};
use generated::{Noise, dense, recurrent};
use memory::within_memory;
use mutate::raw;

const HEADS: HeadSizes = HeadSizes { full: [64; 2], window: [64; 2] };

/// What a memory consists of.
#[derive(Clone, Copy, Debug)]
enum Family {
    Dense,
    Windowed,
    Hybrid,
    Recurrent,
}

const FAMILIES: [Family; 4] = [Family::Dense, Family::Windowed, Family::Hybrid, Family::Recurrent];

impl Family {
    fn state(self, layout: &'static Layout, cells: usize, seed: u64) -> State<'static> {
        let mut state = dense(layout, cells, seed);
        match self {
            Self::Dense => {}
            Self::Windowed => state.sections.extend(dense(layout, cells, seed ^ 1).sections),
            Self::Hybrid => state.sections.push(memory_after(layout, cells, seed)),
            Self::Recurrent => state.sections = vec![memory_after(layout, cells, seed)],
        }
        state
    }
}

/// The recurrent memory after so many tokens.
fn memory_after(layout: &Layout, cells: usize, seed: u64) -> Section<'static> {
    let mut section = recurrent(layout, seed);
    if let Section::Recurrent(memory) = &mut section {
        memory.positions.fill(i32::try_from(cells).expect("small numbers") - 1);
    }
    section
}

#[test]
fn every_container_of_every_layout_and_family_is_read_as_what_was_kept() {
    for layout in &LAYOUTS {
        for family in FAMILIES {
            for container in CONTAINERS {
                let state = family.state(layout, 5, 7);
                let contained = Contained::new(container, &state, layout);
                let which = format!("{} {family:?} {container:?}", layout.id);
                let holding = Holding::of(&contained.bytes, &HEADS)
                    .unwrap_or_else(|refusal| panic!("{which}: {refusal}"));
                assert!(
                    holding.readings.iter().any(|reading| reading.layouts.contains(&layout)
                        && reading.extent() == Ok(5)
                        && written(&reading.state, layout, contained.framing) == contained.memory()),
                    "{which}"
                );
                if let Some(tokens) = &contained.tokens {
                    let read: Vec<i32> = holding.tokens.iter().flatten().map(|token| token.0).collect();
                    assert_eq!(&read, tokens, "{which}");
                }
            }
        }
    }
}

#[test]
fn what_was_damaged_is_read_to_its_last_byte_or_not_at_all() {
    let count: u64 =
        std::env::var("INTACT_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let mut refused = 0;
    for seed in 0..count {
        refused += u64::from(is_refused(&mut Noise(seed)));
    }
    println!("{refused} of {count} mutations refused");
    assert!(refused * 4 > count, "mutations that change nothing prove nothing: {refused} of {count} refused");
    assert!(refused < count, "mutations that are all refused say nothing of what is read");
}

/// Whether a state that was damaged at random is refused.
fn is_refused(noise: &mut Noise) -> bool {
    let layout = &LAYOUTS[noise.below(LAYOUTS.len())];
    let state = FAMILIES[noise.below(FAMILIES.len())].state(layout, 1 + noise.below(12), noise.next());
    let contained = Contained::new(CONTAINERS[noise.below(CONTAINERS.len())], &state, layout);
    let damaged = raw(&contained.bytes, &contained.bytes, noise);
    let read = within_memory(damaged.len(), || {
        if let Ok(file) = ForeignFile::read(&damaged) {
            assert!(file.tokens.len() * 4 <= damaged.len(), "tokens that are not in the file");
            let _ = file.fits();
        }
        let holding = Holding::of(&damaged, &HEADS).ok()?;
        Some(holding.readings.iter().map(|reading| reading.extent().is_ok()).collect::<Vec<_>>())
    });
    // Written again outside the limit: that takes the memory once more.
    let Some(_) = read else { return true };
    let holding = Holding::of(&damaged, &HEADS).expect("it was read just now");
    for reading in &holding.readings {
        let _ = apart(&reading.state, &holding.readings[0].state);
        for layout in &reading.layouts {
            let again = [Container::File, Container::Blob]
                .map(|framing| encode(&reading.state, layout, framing).expect("what is read is written"));
            assert!(
                again.iter().any(|again| damaged.ends_with(again)),
                "a reading by {} is not what the file's bytes say",
                layout.id
            );
        }
    }
    false
}

fn written(state: &State<'_>, layout: &Layout, framing: Container) -> Vec<u8> {
    encode(state, layout, framing).expect("what is read is written")
}
