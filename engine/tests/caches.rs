//! The tables of the fixtures say what caches each of them has. llama.cpp decides.

use std::path::{Path, PathBuf};
use std::process::Command;

use intact_engine::llama::{
    Context, ContextSettings, FlashAttention, Model, ModelSettings, Part, Token, release,
};
use intact_fixtures::{Caches, ModelEntry, families, not_covered};
use intact_format::layout::{Container, Layout, Matrix, Order, Section, identify, parse};

/// Tokens of the session that is measured.
const TOKENS: i32 = 8;

#[test]
fn every_family_has_the_caches_that_its_table_says() {
    let wrong: Vec<String> = families()
        .map(|model| (model, measured(model)))
        .filter(|(model, measured)| model.family.caches != *measured)
        .map(|(model, measured)| format!("{}: {measured:?}", model.family.name))
        .collect();
    assert!(wrong.is_empty(), "llama.cpp gives them these:\n{}", wrong.join("\n"));
}

/// Every architecture of the llama.cpp inside has a fixture, or stands in the list of those that have none.
#[test]
fn no_architecture_is_passed_over_in_silence() {
    let known = architectures();
    assert!(known.len() > 100, "{} architectures were found in llama.cpp's sources", known.len());
    let covered: Vec<&str> = families().map(|model| model.family.architecture.as_str()).collect();
    let listed: Vec<&str> = not_covered()
        .iter()
        .filter(|entry| entry.what == "architecture")
        .flat_map(|entry| entry.names.iter().map(String::as_str))
        .collect();
    let (both, neither): (Vec<&String>, Vec<&String>) = known
        .iter()
        .filter(|name| covered.contains(&name.as_str()) == listed.contains(&name.as_str()))
        .partition(|name| covered.contains(&name.as_str()));
    assert!(both.is_empty(), "they have a fixture and are listed in fixtures/not-covered.toml: {both:?}");
    assert!(
        neither.is_empty(),
        "they have no fixture and no reason in fixtures/not-covered.toml: {neither:?}"
    );
    let gone: Vec<&&str> = listed.iter().filter(|name| !known.iter().any(|known| known == *name)).collect();
    assert!(gone.is_empty(), "this llama.cpp does not know them: {gone:?}");
}

fn measured(model: &ModelEntry) -> Caches {
    let path = intact_fixtures::cached(&model.id).expect("a fixture model");
    let model = Model::load(&path, &ModelSettings::default()).expect("a model");
    let settings = ContextSettings {
        n_ctx: Some(256),
        threads: Some(1),
        flash_attention: Some(FlashAttention::On),
        ..ContextSettings::default()
    };
    let mut context = Context::new(&model, &settings).expect("a context");
    context.evaluate(&(0..TOKENS).map(Token).collect::<Vec<_>>(), 0).expect("evaluated");
    let state = context.state(Part::Whole).expect("a state");
    let layout = Layout::newest();
    let shape = identify(state.bytes(), layout, Container::Blob).expect("a known layout");
    let state = parse(state.bytes(), layout, &shape, Container::Blob).expect("parsed");

    let mut caches = Caches::default();
    let mut first = true;
    for section in &state.sections {
        match section {
            Section::Attention(cache) => {
                let layers = match (cache.shape.values, first) {
                    (true, true) => &mut caches.full,
                    (true, false) => &mut caches.window,
                    (false, true) => &mut caches.latent,
                    (false, false) => &mut caches.index,
                };
                *layers = cache.keys.len() as u32;
                caches.bytes_per_token += bytes(cache.keys.iter().chain(&cache.values));
                first = false;
            }
            Section::Recurrent(memory) => {
                caches.recurrent = memory.rows.len() as u32;
                let second = memory.second_rows.iter().map(|row| &row.matrix);
                caches.bytes_constant = bytes(memory.rows.iter().chain(second).chain(&memory.states));
            }
        }
    }
    caches
}

fn bytes<'m>(matrices: impl Iterator<Item = &'m Matrix<'m>>) -> u64 {
    let of_a_cell = |matrix: &Matrix<'_>| match matrix.order {
        Order::ByCell { row_bytes } => row_bytes,
        Order::ByElement { element_bytes, elements } => u64::from(element_bytes) * u64::from(elements),
    };
    matrices.map(of_a_cell).sum()
}

/// The names in llama.cpp's own table of architectures, from the sources that this test is linked to.
fn architectures() -> Vec<String> {
    let table = llama_sources().join("src/llama-arch.cpp");
    let source = std::fs::read_to_string(&table).expect("llama.cpp's sources");
    let rows = source.lines().filter_map(|line| line.trim().strip_prefix("{ LLM_ARCH_"));
    let names = rows.filter_map(|row| row.split('"').nth(1)).map(str::to_owned);
    names.filter(|name| name != "(unknown)").collect()
}

/// The folder of the llama.cpp that is linked. Only packages for this platform are asked for: those of others were not
/// downloaded by the build, and cargo may not download them now.
fn llama_sources() -> PathBuf {
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        &host(),
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let package = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "llama-cpp-sys-2" && package["version"] == *release().version)
        .expect("the package that is linked");
    Path::new(package["manifest_path"].as_str().expect("a path")).with_file_name("llama.cpp")
}

/// The platform that cargo builds for unless it is told otherwise.
fn host() -> String {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo names its platform").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
