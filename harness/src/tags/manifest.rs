//! Manifests of the workspace that a release's worker is built in, made from this project's own.

use toml::{Table, Value};

use super::Release;

/// Folders of this project that a worker is made of. The last one is the worker.
pub(super) const MEMBERS: [&str; 4] = ["engine", "engine/format", "harness/protocol", "harness/worker"];

/// The workspace's manifest: the worker's crates alone, llama.cpp pinned to the release.
pub(super) fn of_workspace(text: &str, release: &Release) -> Result<String, toml::de::Error> {
    let mut manifest: Table = text.parse()?;
    let workspace = table(&mut manifest, "workspace");
    workspace.insert("members".into(), strings(&MEMBERS));
    workspace.insert("default-members".into(), strings(&MEMBERS[MEMBERS.len() - 1..]));
    let dependencies = table(workspace, "dependencies");
    for (name, version) in [("llama-cpp-sys-2", &release.package), ("llama-cpp-2", &release.safe_package)] {
        if let Some(dependency) = dependencies.get_mut(name).and_then(Value::as_table_mut) {
            dependency.insert("version".into(), format!("={version}").into());
        }
    }
    Ok(manifest.to_string())
}

/// A member's manifest: nothing that only tests need.
pub(super) fn of_member(text: &str) -> Result<String, toml::de::Error> {
    let mut manifest: Table = text.parse()?;
    for unneeded in ["dev-dependencies", "test", "bench", "example"] {
        manifest.remove(unneeded);
    }
    Ok(manifest.to_string())
}

fn table<'a>(table: &'a mut Table, key: &str) -> &'a mut Table {
    let value = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !value.is_table() {
        *value = Value::Table(Table::new());
    }
    value.as_table_mut().expect("made a table above")
}

fn strings(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|&item| item.into()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::select;
    use super::*;

    #[test]
    fn the_workspace_keeps_its_tables_and_pins_the_release() {
        let release = select(&["b8783".into()]).expect("known")[0];
        let made = of_workspace(include_str!("../../../Cargo.toml"), release).expect("TOML");
        let made: Table = made.parse().expect("TOML");
        let workspace = &made["workspace"];
        assert_eq!(workspace["members"], strings(&MEMBERS));
        assert_eq!(workspace["dependencies"]["llama-cpp-sys-2"]["version"].as_str(), Some("=0.1.146"));
        assert_eq!(workspace["dependencies"]["llama-cpp-sys-2"]["default-features"].as_bool(), Some(false));
        assert!(workspace["lints"].is_table() && made["profile"].is_table());
    }

    #[test]
    fn a_member_loses_what_only_tests_need() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n[dev-dependencies]\nc = \"1\"\n[[test]]\nname = \"t\"\n";
        let made = of_member(text).expect("TOML");
        assert!(
            made.contains("b = \"1\"") && !made.contains("c = \"1\"") && !made.contains("test"),
            "{made}"
        );
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        let release = select(&[]).expect("known")[0];
        assert!(of_workspace("[workspace", release).is_err());
        assert!(of_member("= 1").is_err());
    }
}
