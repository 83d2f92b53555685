//! Session files and images that were damaged or forged: none makes a reader panic, hang, take what was not saved, or use
//! more memory than four times the files and 64 MB.
//!
//! `INTACT_MUTATIONS=10000` sets the number of mutations per test; the default is small.

#[path = "../kv/generated.rs"]
#[expect(dead_code, reason = "states of one kind are enough here")]
mod generated;
mod memory;
mod mutate;
mod saved;
mod session;

use intact_format::image::sidecar::verify;
use intact_format::image::{Target, assemble};
use intact_format::layout::{Container, LAYOUTS, Layout, encode, identify, parse};
use intact_format::session::{DocumentV2_1, DocumentV2_2};
use intact_format::version::FormatVersion;

use generated::{Noise, dense};
use memory::within_memory;
use mutate::{forge_frame, json, raw, sidecar};
use saved::{Files, Saved, load};

/// Seeds of the mutations of one test.
fn mutations() -> impl Iterator<Item = Noise> {
    let count = std::env::var("INTACT_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    (0..count).map(Noise)
}

/// One test, because the memory limit is of the whole process.
#[test]
fn nothing_that_was_damaged_or_forged_does_harm() {
    let sessions = [session::session(), session::whole_chat()].map(Saved::of);
    for saved in &sessions {
        assert_eq!(saved.outcome(&saved.files), Some(saved.content.clone()), "what was saved loads");
    }
    let mut refused = 0;
    let mut total = 0;
    let mut count = |was_refused: bool| {
        total += 1;
        refused += usize::from(was_refused);
    };
    for mut noise in mutations() {
        for saved in &sessions {
            count(damaged_files_are_refused_or_the_same(saved, &mut noise));
            count(rearranged_frames_are_refused_or_the_same(saved, &mut noise));
            count(resealed_documents_stay_within_bounds(saved, &mut noise));
            count(forged_chunks_stay_within_their_layout(saved, &mut noise));
        }
        count(damaged_states_are_read_exactly_or_not_at_all(&mut noise));
    }
    println!("{refused} of {total} mutations refused");
    assert!(refused * 2 > total, "mutations that change nothing prove nothing: {refused} of {total} refused");
}

fn damaged_files_are_refused_or_the_same(saved: &Saved, noise: &mut Noise) -> bool {
    let mut files = saved.files.clone();
    match noise.below(3) {
        0 => files.document = raw(&files.document, &files.sidecar, noise),
        1 => files.sidecar = raw(&files.sidecar, &files.document, noise),
        _ => files.document = json(&files.document, noise),
    }
    let outcome = saved.outcome(&files);
    assert!(outcome.is_none() || outcome.as_ref() == Some(&saved.content), "other content was accepted");
    outcome.is_none()
}

fn rearranged_frames_are_refused_or_the_same(saved: &Saved, noise: &mut Noise) -> bool {
    let files = Files { sidecar: sidecar(&saved.files.sidecar, noise), ..saved.files.clone() };
    let outcome = saved.outcome(&files);
    assert!(outcome.is_none() || outcome.as_ref() == Some(&saved.content), "other content was accepted");
    outcome.is_none()
}

/// A document with a valid digest whose content was edited: what its digest cannot refuse, bounds and chunk hashes must.
fn resealed_documents_stay_within_bounds(saved: &Saved, noise: &mut Noise) -> bool {
    let edited = json(&saved.files.document, noise);
    let Some(document) = resealed(&edited) else { return true };
    let outcome = saved.outcome(&Files { document, ..saved.files.clone() });
    if let Some((session, blob)) = &outcome {
        let image = &session.image;
        assert!(
            image != &saved.content.0.image || blob == &saved.content.1,
            "another state was put together"
        );
    }
    outcome.is_none()
}

/// A document of either newest version with the digest that its content has now.
fn resealed(edited: &[u8]) -> Option<Vec<u8>> {
    let of_texts = serde_json::from_slice::<DocumentV2_1>(edited).ok();
    let of_texts = of_texts.filter(|document| document.format_version == FormatVersion::V2_1);
    match of_texts {
        Some(document) => serde_json::to_vec(&document.sealed().ok()?).ok(),
        None => {
            let document = serde_json::from_slice::<DocumentV2_2>(edited).ok()?;
            serde_json::to_vec(&document.sealed().ok()?).ok()
        }
    }
}

/// A chunk that was edited and named by its new hash, in the sidecar and in a document with a valid digest.
fn forged_chunks_stay_within_their_layout(saved: &Saved, noise: &mut Noise) -> bool {
    let (reference, chunks) = forge_frame(&saved.reference, &saved.chunks, noise);
    let target = Target::blob(Layout::newest());
    let assembled = within_memory(saved.files.len(), || assemble(&reference, &chunks, &target));
    if let Ok(blob) = &assembled {
        let shape = saved.shape();
        let state = parse(blob, Layout::newest(), &shape, Container::Blob).expect("what is assembled parses");
        assert_eq!(&encode(&state, Layout::newest(), Container::Blob).expect("and is written"), blob);
    }
    assembled.is_err()
}

fn damaged_states_are_read_exactly_or_not_at_all(noise: &mut Noise) -> bool {
    let layout = &LAYOUTS[noise.below(LAYOUTS.len())];
    let state = dense(layout, 1 + noise.below(30), noise.next());
    let bytes = encode(&state, layout, Container::Blob).expect("it is of this layout");
    let damaged = raw(&bytes, &bytes, noise);
    within_memory(damaged.len(), || {
        let parsed = parse(&damaged, layout, &state.shape(), Container::Blob);
        if let Ok(parsed) = &parsed {
            assert_eq!(encode(parsed, layout, Container::Blob).expect("what parses is written"), damaged);
        }
        let other = &LAYOUTS[noise.below(LAYOUTS.len())];
        if let Ok(shape) = identify(&damaged, other, Container::File) {
            assert!(parse(&damaged, other, &shape, Container::File).is_ok());
        }
        parsed.is_err()
    })
}

impl Saved {
    /// What a load of these files gives, or none when it refuses them.
    fn outcome(&self, files: &Files) -> Option<saved::Content> {
        let path = self.write(files);
        within_memory(files.len(), || {
            let _ = verify(&path.with_extension("kv"), Some(&self.reference));
            load(&path)
        })
    }
}
