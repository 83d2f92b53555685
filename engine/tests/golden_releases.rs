//! Golden files of llama.cpp releases, read with the newest one alone: session files that workers of those releases wrote,
//! and llama.cpp's own sequence files of the same conversation. `fixtures/golden/releases/<release>/<form>.{json,kv,ggsq}`;
//! what is there is never written again.

use std::fs;
use std::path::{Path, PathBuf};

use intact_engine::{Engine, LoadOptions, Receipt, SaveOptions};
use intact_format::foreign::ForeignFile;
use intact_format::image::sidecar::{Sidecar, SidecarWriter};
use intact_format::image::{Chunk, Durable, ImageReference, state};
use intact_format::layout::{Attention, CacheFormat, Container, GgmlType, Layout, Section, encode, parse};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session::{SessionDocument, read, write};
use intact_format::transcode::{Loss, migrate};
use intact_format::version::FormatVersion;

/// Releases, oldest first, and how their sessions come back into 0.6.0: unquantized, and quantized.
const RELEASES: [(&str, Route, Route); 7] = [
    ("b5686", Route::Transcoded, Route::Transcoded),
    ("b7119", Route::Transcoded, Route::Transcoded),
    ("b8233", Route::Transcoded, Route::Transcoded),
    ("b8783", Route::Transcoded, Route::Transcoded),
    ("b10410", Route::Transcoded, Route::Transcoded),
    ("0.4.1", Route::Transcoded, Route::Transcoded),
    ("0.6.0", Route::Direct, Route::Direct),
];

/// Releases that do not rotate quantized K and V.
const BEFORE_ROTATION: [&str; 3] = ["b5686", "b7119", "b8233"];

/// Names of the files; `turned` is without flash attention.
const FORMS: [&str; 6] = ["f16", "f16-turned", "q8_0", "q8_0-turned", "q4_0", "q8_0-windowed"];

fn golden(release: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases");
    folder.join(release).join(name)
}

fn engine(form: &str) -> Engine {
    let model = if form.ends_with("windowed") { "gemma3" } else { "llama" };
    Engine::open(intact_fixtures::cached(model).expect("a fixture model")).expect("an engine")
}

fn document(file: &Path) -> SessionDocument {
    read(&fs::read(file).expect("a golden file"), FormatVersion::CURRENT).expect("a session").document
}

/// The image of a session file.
fn chunks(document: &SessionDocument, file: &Path) -> Vec<Chunk<'static>> {
    let reference = document.image.as_ref().expect("an image");
    let mut sidecar = Sidecar::open(file.with_extension("kv")).expect("an image file");
    sidecar.read_image(reference).expect("its chunks")
}

fn load(file: &Path) -> (Engine, Receipt) {
    let mut engine = engine(&file.file_stem().expect("a name").to_string_lossy());
    let receipt = engine.load(file, &LoadOptions::default()).expect("loaded").receipt;
    (engine, receipt)
}

fn every_file() -> impl Iterator<Item = (&'static str, Route, Route, &'static str)> {
    RELEASES.into_iter().flat_map(|(release, plain, quantized)| {
        FORMS.into_iter().map(move |form| (release, plain, quantized, form))
    })
}

#[test]
fn sessions_of_every_release_come_back_without_being_evaluated_again() {
    for (release, plain, quantized, form) in every_file() {
        let what = format!("{form} of {release}");
        let file = golden(release, &format!("{form}.json"));
        let tokens = document(&file).tokens().expect("tokens").len();
        let (_, receipt) = load(&file);
        let route = if form.starts_with('f') { plain } else { quantized };
        assert_eq!(receipt.route, route, "{what}: {receipt:?}");
        assert_eq!((receipt.tokens_restored, receipt.tokens_evaluated), (tokens - 1, 1), "{what}");
        let canary = receipt.canary.expect("a canary");
        println!("{what}: {canary:?}");
        let rotates = form.starts_with('q') && BEFORE_ROTATION.contains(&release);
        let transcoding = receipt.transcoding.map(|transcoding| transcoding.steps.loss());
        let loss = if rotates { Loss::Rounding } else { Loss::None };
        assert_eq!(transcoding.unwrap_or(Loss::None), loss, "{what}");
        let coarse = rotates && form == "q4_0";
        assert!(if coarse { canary.kl <= 0.04 } else { canary.max_logprob <= 0.1 }, "{what}: {canary}");
        assert!(canary.same_top1 || coarse, "{what}: {canary}");
    }
}

#[test]
fn a_session_of_the_same_release_is_the_same_bit_for_bit_where_the_machine_is() {
    for form in FORMS {
        let (_, receipt) = load(&golden("0.6.0", &format!("{form}.json")));
        let same = receipt.axes.iter().all(|axis| axis.saved == axis.here || axis.axis.name() == "saved-at");
        let distance = receipt.canary.expect("a canary").max_abs;
        assert!(distance == 0.0 || !same, "{form}: {distance} on the machine that wrote it");
    }
}

/// The way back: what was loaded is saved again, migrated to the old release offline, and is what that release wrote.
#[test]
fn what_comes_back_migrates_to_the_release_that_it_came_from() {
    let scratch = tempfile::tempdir().expect("a folder");
    for (release, _, _, form) in every_file().filter(|file| file.3.starts_with('f')) {
        let file = golden(release, &format!("{form}.json"));
        let (mut engine, _) = load(&file);
        let newer = scratch.path().join(format!("{release}-{form}.json"));
        engine.save("golden", &SaveOptions::to(&newer)).expect("saved");
        let (old, new) = (document(&file), document(&newer));
        let layout = old.passport.as_ref().and_then(|passport| Layout::by_id(passport.layout.as_deref()?));
        let layout = layout.expect("a known layout");
        let at = new.saved_at.expect("a time");
        let back = migrate(&new, &chunks(&new, &newer), release, layout, at).expect("migrated");
        assert_eq!(back.document.image, old.image, "{form} of {release}: the very chunks");
        assert!(back.distances.is_exact());
    }
}

/// A migrated session loads directly where it was migrated to, and its canary is held to what a migration can keep.
#[test]
fn a_migrated_session_loads_directly() {
    let scratch = tempfile::tempdir().expect("a folder");
    for (release, _, _, form) in every_file().filter(|file| file.0 != "0.6.0") {
        let what = format!("{form} of {release}");
        let file = golden(release, &format!("{form}.json"));
        let old = document(&file);
        let chunks = chunks(&old, &file);
        let newest = Layout::newest();
        let migrated =
            migrate(&old, &chunks, "0.6.0", newest, old.saved_at.expect("a time")).expect("migrated");
        let path = scratch.path().join(format!("{release}-{form}.json"));
        let mut sidecar = SidecarWriter::open(path.with_extension("kv"), Durable::default()).expect("it");
        sidecar.append(&migrated.chunks).expect("appended");
        drop(sidecar);
        let written = write(&migrated.document, FormatVersion::CURRENT).expect("a document");
        fs::write(&path, written.bytes).expect("written");

        let mut engine = engine(form);
        let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
        let receipt = engine.load(&path, &strict).unwrap_or_else(|error| panic!("{what}: {error}")).receipt;
        assert_eq!((receipt.route, receipt.tokens_evaluated), (Route::Direct, 1), "{what}");
        let told =
            receipt.axes.iter().any(|axis| axis.axis.name() == "migrations" && axis.saved != axis.here);
        assert!(told, "{what}: the receipt tells of the migration");
    }
}

#[test]
fn sequence_files_of_every_release_are_understood_to_the_last_byte() {
    for (release, _, _, form) in every_file() {
        let what = format!("{form} of {release}");
        let bytes = fs::read(golden(release, &format!("{form}.ggsq"))).expect("a golden file");
        let file = ForeignFile::read(&bytes).expect("a sequence file");
        let session = golden(release, &format!("{form}.json"));
        let document = document(&session);
        let ImageReference::Cells(image) = document.image.as_ref().expect("an image") else {
            panic!("{what}: cells")
        };
        let fit = file
            .fits()
            .into_iter()
            .find(|fit| fit.layout.id == image.layout)
            .unwrap_or_else(|| panic!("{what}: {} is not among {:?}", image.layout, file.fits()));
        let parsed = parse(file.state, fit.layout, &fit.shape, Container::File).expect("a state");
        let again = encode(&parsed, fit.layout, Container::File).expect("bytes");
        assert!(again == file.state, "{what}: encoded again, it is the same");

        let chunks = chunks(&document, &session);
        let saved = state(image, &chunks).expect("a state");
        let (Section::Attention(blind), Section::Attention(saved)) =
            (&parsed.sections[0], &saved.sections[0])
        else {
            panic!("{what}: attention")
        };
        assert!(blind.cells.len() >= saved.cells.len(), "{what}: the session holds its last token back");
        let cells = 0..saved.cells.len();
        assert_eq!(blind.slice(cells.clone()).cells, saved.cells, "{what}");
        assert_eq!(numbers(&blind.slice(cells), saved), numbers(saved, saved), "{what}");
    }
}

/// K and V as 32-bit floats in the basis that `saved` says they are stored in: equal however they were cut.
fn numbers(cache: &Attention<'_>, saved: &Attention<'_>) -> Attention<'static> {
    let rotation = saved.rotation.unwrap_or_default();
    let cache = Attention { rotation: Some(rotation), ..cache.clone() };
    let plain = CacheFormat { keys: GgmlType::F32, values: GgmlType::F32, rotation, transposed: false };
    cache.convert(&plain).expect("numbers").section
}
