//! `corpus`: what it adds is read by a C program that knows `llama.h` alone, and damage is found by both.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cli::{intact, worker};

/// The sources of the llama.cpp that the worker is linked with, where cargo keeps them.
fn sources() -> Option<PathBuf> {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).ok()?;
    let lock: toml::Table = lock.parse().ok()?;
    let packages = lock["package"].as_array()?;
    let package = packages.iter().find(|one| one["name"].as_str() == Some("llama-cpp-sys-2"))?;
    let folder = format!("llama-cpp-sys-2-{}/llama.cpp", package["version"].as_str()?);
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    registries.map(|registry| registry.path().join(&folder)).find(|folder| folder.is_dir())
}

/// Its libraries, where the build of this test has put them; the newest, where there are several.
fn libraries() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_intact")).parent()?.join("build");
    let folders = fs::read_dir(built).ok()?.flatten().map(|entry| entry.path().join("out/lib"));
    let with_time = folders
        .filter_map(|folder| Some((fs::metadata(folder.join("libllama.a")).ok()?.modified().ok()?, folder)));
    with_time.max().map(|(_, folder)| folder)
}

/// The program, compiled; `None` where there is no compiler or no llama.cpp to compile it against.
fn reader(corpus: &Path, program: &Path) -> Option<()> {
    let (sources, libraries) = (sources()?, libraries()?);
    let compiled = Command::new("cc")
        .arg(corpus.join("reader.c"))
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(sources.join("include"))
        .arg("-I")
        .arg(sources.join("ggml/include"))
        .arg("-L")
        .arg(libraries)
        .args([
            "-lllama",
            "-lggml",
            "-lggml-cpu",
            "-lggml-base",
            "-lstdc++",
            "-lm",
            "-lpthread",
            "-fopenmp",
            "-o",
        ])
        .arg(program)
        .output()
        .ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_knows_llama_h_alone_reads_its_own_corpus_and_no_damaged_one() {
    assert!(worker().is_file());
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = folder.path().join("corpus");
    let at = corpus.to_str().expect("UTF-8");
    let models = ["--model", "llama", "--model", "gemma3", "--model", "mamba2"];
    let said = intact(["corpus", "add", "0.6.0", "--corpus", at].into_iter().chain(models));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(said.out.matches(": added\n").count(), 6, "{}", said.out);
    assert_eq!(said.out.matches("0.6.0 reads ").count(), 6, "{}", said.out);
    let again = intact(["corpus", "add", "0.6.0", "--corpus", at, "--model", "llama"]);
    assert!(again.out.contains("is in the corpus already, and is not changed"), "{}", again.out);
    let verified = intact(["corpus", "verify", "--corpus", at, "--release", "0.6.0"]);
    assert_eq!((verified.code, verified.out.contains("6 states, 0 faults")), (0, true), "{}", verified.out);

    let program = folder.path().join("reader");
    let compiled = reader(&corpus, &program);
    for (model, kv) in [("llama", "f16"), ("llama", "q8_0"), ("gemma3", "f16"), ("mamba2", "f16")] {
        let case = corpus.join(format!("llama.cpp/0.6.0/{model}/{kv}/sequence-file"));
        let read = || {
            let gguf = intact_fixtures::cached(model).expect("a model");
            let output = Command::new(&program).arg(&case).arg(gguf).output().expect("it runs");
            let said = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&said).into_owned())
        };
        if compiled.is_some() {
            let (code, said) = read();
            assert_eq!(code, Some(0), "{model} {kv}: {said}");
        }
        let state = case.join("state.bin");
        let mut bytes = fs::read(&state).expect("a state");
        let half = bytes.len() / 2;
        for byte in &mut bytes[half..] {
            *byte ^= 0x15;
        }
        fs::write(&state, bytes).expect("written");
        if compiled.is_some() {
            let (code, said) = read();
            assert_eq!(code, Some(1), "{model} {kv}: {said}");
        }
    }
    if compiled.is_none() {
        eprintln!("no compiler, or no llama.cpp to compile against: the C program is not tried");
    }
    let verified = intact(["corpus", "verify", "--corpus", at]);
    assert_eq!(verified.code, 100, "{}", verified.out);
    assert!(verified.out.contains("6 states, 4 faults"), "{}", verified.out);
}
