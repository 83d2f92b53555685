//! Reading the files under `ci/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder `ci`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci")
}

/// One of its YAML files.
pub(crate) fn read(path: &str) -> Value {
    let text = fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The workflow templates, by name.
pub(crate) const WORKFLOWS: [&str; 5] = [
    "templates/github/pull-request.yml",
    "templates/github/nightly.yml",
    "templates/github/releases.yml",
    "templates/github/bump.yml",
    "templates/github/llama-cpp.yml",
];

/// The steps of a list that have a script: name, script, and environment.
pub(crate) fn scripts(steps: &Value) -> Vec<Script> {
    let steps = steps.as_array().expect("a list of steps");
    steps
        .iter()
        .filter_map(|step| {
            let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
            let environment = step["env"].as_object().into_iter().flatten();
            let script = step["run"].as_str()?.to_owned();
            Some(Script {
                name: text("name"),
                id: text("id"),
                script,
                environment: environment
                    .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
                    .collect(),
            })
        })
        .collect()
}

/// A step with a script.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) script: String,
    pub(crate) environment: Vec<(String, String)>,
}

/// Every expression `${{ … }}` in a text.
pub(crate) fn expressions(text: &str) -> Vec<String> {
    let parts = text.split("${{").skip(1);
    parts.filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned())).collect()
}
