//! The profiles of the workspace: what is measured is optimized and without assertions, what is tested has them, and no crate is
//! forgotten, whoever adds one.

use std::fs;
use std::path::Path;

use toml::Table;

fn manifest(folder: &Path) -> Table {
    let file = folder.join("Cargo.toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_crate_is_optimized_where_it_is_measured_and_has_assertions_where_it_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = manifest(&root);
    let members = workspace["workspace"]["members"].as_array().expect("a list");
    assert!(members.len() > 10, "{members:?}");
    for member in members {
        let member = manifest(&root.join(member.as_str().expect("text")));
        let name = member["package"]["name"].as_str().expect("text");
        for (profile, asserts) in [("dev", false), ("test", true)] {
            let packages = workspace["profile"][profile]["package"].as_table().expect("a table");
            let own = packages.get(name).unwrap_or_else(|| panic!("{name} is not in the profile {profile}"));
            for setting in ["debug-assertions", "overflow-checks"] {
                assert_eq!(own[setting].as_bool(), Some(asserts), "{setting} of {name} in {profile}");
            }
            let optimized = own["opt-level"].as_integer().expect("a number");
            // Nothing of the command itself is measured, and it is most of the code.
            assert!(
                asserts || optimized == 3 || name == "intact-harness",
                "{name} in {profile}: {optimized}"
            );
        }
    }
}
