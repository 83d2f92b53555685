//! Subjects that are installed as `intact subjects add` does it, over stubs.

use std::fs;
use std::path::{Path, PathBuf};

use intact_harness::installed::{Installed, Progress, SubjectName, Wanted, find, install};
use tempfile::TempDir;

use crate::folder;

/// A subject in a folder of installed ones.
pub(crate) struct Stubbed {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    home: TempDir,
}

struct Silent;

impl Progress for Silent {
    fn step(&self, _what: &str) {}
}

impl Stubbed {
    /// The example of the documentation, a command that speaks the protocol itself.
    pub(crate) fn example() -> Self {
        let example = folder("adapters/exec/example.py").display().to_string();
        Self::added("example", |wanted| wanted.command = vec!["python3".into(), example.clone()])
    }

    /// llama-server; `stub` names what is wrong with it.
    pub(crate) fn llama_server(stub: &str) -> Self {
        let program = folder("tests/adapters/stubs/llama-server");
        let added = Self::added("llama-server", |wanted| wanted.program = Some(program.clone()));
        let command = ["env".to_owned(), format!("STUB={stub}")].into_iter().chain(added.command).collect();
        Self { command, ..added }
    }

    /// llama-cpp-python.
    pub(crate) fn llama_cpp_python() -> Self {
        let path = format!("PYTHONPATH={}", folder("tests/adapters/stubs/python").display());
        Self::there("llama-cpp-python@9.9.9", |main| {
            vec!["env".into(), path.clone(), "python3".into(), main.join("adapter.py").display().to_string()]
        })
    }

    /// node-llama-cpp.
    pub(crate) fn node_llama_cpp() -> Self {
        let stubbed = Self::there("node-llama-cpp@9.9.9", |main| {
            vec!["node".into(), main.join("adapter.mjs").display().to_string()]
        });
        let modules = stubbed.folder().join("node_modules");
        for (stub, module) in [("node-llama-cpp", "node-llama-cpp"), ("jinja", "@huggingface/jinja")] {
            copy(&folder("tests/adapters/stubs").join(stub), &modules.join(module));
        }
        stubbed
    }

    /// The same with this variable in its environment.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        let command = ["env".to_owned(), format!("{name}={value}")].into_iter().chain(self.command).collect();
        Self { command, ..self }
    }

    /// A file that stands for the model.
    pub(crate) fn model(&self) -> PathBuf {
        let model = self.home.path().join("model.gguf");
        fs::write(&model, b"a toy").expect("written");
        model
    }

    fn added(name: &str, wants: impl Fn(&mut Wanted)) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut wanted = Wanted { name: name.to_owned(), program: None, command: Vec::new() };
        wants(&mut wanted);
        let (installed, _) = install(home.path(), &wanted, &Silent).expect("installed");
        Self::of(installed, home)
    }

    /// One that a package manager brought: its folder has a record, and its adapter is written there when it is found.
    fn there(name: &str, command: impl Fn(&Path) -> Vec<String>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let name: SubjectName = name.parse().expect("a name");
        let folder = name.folder(home.path());
        fs::create_dir_all(&folder).expect("a folder");
        let command = command(&folder.join("adapter"));
        let record = format!("version = 1\nadapter = {:?}\ncommand = {command:?}\n", name.name);
        fs::write(folder.join("subject.toml"), record).expect("written");
        let installed = find(home.path(), &name).expect("readable").expect("it is there");
        Self::of(installed, home)
    }

    fn of(installed: Installed, home: TempDir) -> Self {
        Self { name: installed.name.to_string(), command: installed.record.command, home }
    }

    fn folder(&self) -> PathBuf {
        self.name.parse::<SubjectName>().expect("a name").folder(self.home.path())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}
