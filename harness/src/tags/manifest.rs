//! Manifests of the workspace that a release's worker is built in, made from this project's own.

use toml::{Table, Value};

use super::Release;

/// Folders of this project that a worker is made of. The last one is the worker.
pub(super) const MEMBERS: [&str; 5] =
    ["engine", "engine/format", "engine/kv", "harness/protocol", "harness/worker"];

const SYS: &str = "llama-cpp-sys-2";
const SAFE: &str = "llama-cpp-2";

/// The workspace's manifest: the worker's crates alone, llama.cpp pinned to the release.
pub(super) fn of_workspace(text: &str, release: &Release) -> Result<String, toml::de::Error> {
    let mut manifest: Table = text.parse()?;
    let workspace = table(&mut manifest, "workspace");
    workspace.insert("members".into(), strings(&MEMBERS));
    workspace.insert("default-members".into(), strings(&MEMBERS[MEMBERS.len() - 1..]));
    let dependencies = table(workspace, "dependencies");
    pin(dependencies, SYS, release.package.as_deref());
    pin(dependencies, SAFE, release.safe_package.as_deref());
    Ok(manifest.to_string())
}

/// A member's manifest: nothing that only tests need, and no `llama-cpp-2` where the release is reached without it.
pub(super) fn of_member(text: &str, release: &Release) -> Result<String, toml::de::Error> {
    let mut manifest: Table = text.parse()?;
    if release.safe_package.is_none() {
        table(&mut manifest, "dependencies").remove(SAFE);
    }
    for unneeded in ["dev-dependencies", "test", "bench", "example"] {
        manifest.remove(unneeded);
    }
    Ok(manifest.to_string())
}

fn pin(dependencies: &mut Table, name: &str, version: Option<&str>) {
    let Some(version) = version else {
        dependencies.remove(name);
        return;
    };
    if let Some(dependency) = dependencies.get_mut(name).and_then(Value::as_table_mut) {
        dependency.insert("version".into(), format!("={version}").into());
    }
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
    use super::super::release::listed;
    use super::*;

    #[test]
    fn the_workspace_keeps_its_tables_and_pins_the_release() {
        let release = listed("b8783");
        let made = of_workspace(include_str!("../../../Cargo.toml"), release).expect("TOML");
        let made: Table = made.parse().expect("TOML");
        let workspace = &made["workspace"];
        assert_eq!(workspace["members"], strings(&MEMBERS));
        assert_eq!(workspace["dependencies"]["llama-cpp-sys-2"]["version"].as_str(), Some("=0.1.146"));
        assert_eq!(workspace["dependencies"]["llama-cpp-sys-2"]["default-features"].as_bool(), Some(false));
        assert!(workspace["lints"].is_table() && made["profile"].is_table());
    }

    #[test]
    fn a_member_loses_what_only_tests_need_and_the_crate_that_does_not_fit() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\nllama-cpp-2 = \"1\"\n\
                    [dev-dependencies]\nc = \"1\"\n[[test]]\nname = \"t\"\n";
        let made = |tag: &str| of_member(text, listed(tag)).expect("TOML");
        let (old, new) = (made("b8783"), made("0.6.0"));
        assert!(old.contains("b = \"1\"") && !old.contains("c = \"1\"") && !old.contains("test"), "{old}");
        assert!(!old.contains(SAFE) && new.contains(SAFE), "{old}{new}");
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        let release = listed("b5686");
        assert!(of_workspace("[workspace", release).is_err());
        assert!(of_member("= 1", release).is_err());
    }
}
