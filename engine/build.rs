//! Tells the engine which llama.cpp it is built against: its release, and which of the calls that differ between
//! releases it has. `tags.toml` names the releases, the workspace's lock file the package.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The calls that differ, by the first `llama-cpp-sys-2` 0.1.x whose llama.cpp has them in today's form.
const SINCE: [(&str, u32); 7] = [
    ("llama_kv_unified", 113),
    ("llama_flash_attn_type", 122),
    ("llama_state_seq_ext", 122),
    ("llama_model_is_hybrid", 123),
    ("llama_set_adapters", 137),
    ("llama_load_mode", 154),
    ("llama_penalties_n_vocab", 155),
];

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let lock = manifest
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|lock| lock.is_file())
        .ok_or("no Cargo.lock above the engine")?;
    let tags = manifest.join("tags.toml");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed={}", tags.display());

    let lock = read(&lock)?;
    let package = locked_version(&lock, "llama-cpp-sys-2").ok_or("the lock file has no llama-cpp-sys-2")?;
    let release = release_of(&read(&tags)?, &package)?;
    println!("cargo::rustc-env=INTACT_LLAMA_RELEASE={release}");
    println!("cargo::rustc-env=INTACT_LLAMA_PACKAGE={package}");

    // Without it the engine binds llama.cpp's C interface itself: see src/llama/raw.rs.
    println!("cargo::rustc-check-cfg=cfg(llama_raw)");
    if locked_version(&lock, "llama-cpp-2").is_none() {
        println!("cargo::rustc-cfg=llama_raw");
    }
    let patch: u32 = package.rsplit('.').next().ok_or("a version without a patch number")?.parse()?;
    for (name, since) in SINCE {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if patch >= since {
            println!("cargo::rustc-cfg={name}");
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<toml::Table, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.parse().map_err(|error| format!("{}: {error}", path.display()))?)
}

fn locked_version(lock: &toml::Table, name: &str) -> Option<String> {
    tables(lock, "package")
        .find(|package| text(package, "name") == Some(name))
        .and_then(|package| text(package, "version"))
        .map(str::to_owned)
}

fn release_of(tags: &toml::Table, package: &str) -> Result<String, Box<dyn Error>> {
    tables(tags, "release")
        .find(|release| {
            let twins =
                release.get("twins").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
            text(release, "package") == Some(package)
                || twins.iter().any(|twin| twin.as_str() == Some(package))
        })
        .and_then(|release| text(release, "tag"))
        .map(str::to_owned)
        .ok_or_else(|| format!("tags.toml names no release for llama-cpp-sys-2 {package}: add it").into())
}

fn tables<'a>(table: &'a toml::Table, key: &str) -> impl Iterator<Item = &'a toml::Table> {
    table.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_table)
}

fn text<'a>(table: &'a toml::Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(toml::Value::as_str)
}
