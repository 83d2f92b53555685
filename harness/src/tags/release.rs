//! The releases: those that `engine/tags.toml` lists, and the libraries that were added to them here.

use std::path::Path;
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::UNKNOWN;
use super::added::added;

/// One llama.cpp release that a worker can be built against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// llama.cpp's name of it: a build tag such as `b8783`, or a version such as `0.6.0`.
    pub tag: String,
    /// Version of `llama-cpp-sys-2` that is built for it. `None` where none vendors it.
    #[serde(default)]
    pub package: Option<String>,
    /// Version of the packages `@node-llama-cpp/*` that carry its libraries. `None` where none does.
    #[serde(default)]
    pub npm: Option<String>,
    /// Further versions of that package with the same llama.cpp inside.
    #[serde(default)]
    pub twins: Vec<String>,
    /// Version of `llama-cpp-2` that the engine reaches it through. `None` where the engine binds the C interface itself.
    #[serde(default)]
    pub safe_package: Option<String>,
    /// Commit of the packages' own repository that `package` was published from.
    #[serde(default)]
    pub commit: Option<String>,
    /// Day on which the package was published.
    pub published: Date,
    /// Version word of its session files (GGSN).
    pub session_version: u32,
    /// Version word of its sequence files (GGSQ).
    pub sequence_version: u32,
    /// Id of its state layout.
    pub layout: String,
    /// Did something change in it that users notice? These are built by default.
    #[serde(default)]
    pub telling: bool,
    /// What starts the worker that opens it, where that is not the one beside this command: a worker for another processor
    /// behind an emulator, for example. Empty for the one beside this command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opener: Vec<String>,
    /// What changed.
    pub note: String,
}

/// A name that is no release's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no llama.cpp release is called `{name}`; known are {known}")]
pub struct UnknownTag {
    /// The name.
    pub name: String,
    /// All tags.
    pub known: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    release: Vec<Release>,
}

static RELEASES: LazyLock<Vec<Release>> = LazyLock::new(|| {
    let tags: Tags = toml::from_str(include_str!("../../../engine/tags.toml"))
        .expect("the embedded table of releases is TOML");
    tags.release
});

/// All known releases, oldest first.
#[must_use]
pub fn releases() -> &'static [Release] {
    &RELEASES
}

/// All releases that are listed, oldest first, and then the libraries that were added under `home`.
#[must_use]
pub fn known(home: Option<&Path>) -> Vec<Release> {
    RELEASES.iter().cloned().chain(home.map(added).unwrap_or_default()).collect()
}

/// The releases of these names, each a tag, a package version, or what a library under `home` is called; without names the telling
/// ones. Oldest first, each once.
///
/// # Errors
/// [`UnknownTag`] for the first name that is no release's.
pub fn select(names: &[String], home: Option<&Path>) -> Result<Vec<Release>, UnknownTag> {
    let releases = known(home);
    if let Some(name) = names.iter().find(|name| !releases.iter().any(|release| release.is_called(name))) {
        let known = releases.iter().map(|release| release.tag.as_str()).collect::<Vec<_>>().join(", ");
        return Err(UnknownTag { name: name.clone(), known });
    }
    let is_chosen = |release: &Release| {
        if names.is_empty() { release.telling } else { names.iter().any(|name| release.is_called(name)) }
    };
    Ok(releases.into_iter().filter(is_chosen).collect())
}

/// The listed release of this tag.
#[cfg(test)]
pub(super) fn listed(tag: &str) -> &'static Release {
    RELEASES.iter().find(|release| release.tag == tag).expect("a tag of the table")
}

impl Release {
    /// A library that nobody listed, before anything is known of it.
    #[must_use]
    pub(crate) fn unlisted(tag: String) -> Self {
        Self {
            tag,
            package: None,
            npm: None,
            twins: Vec::new(),
            safe_package: None,
            commit: None,
            published: Date::ZERO,
            session_version: 0,
            sequence_version: 0,
            layout: UNKNOWN.to_owned(),
            telling: false,
            opener: Vec::new(),
            note: String::new(),
        }
    }

    /// Whether `engine/tags.toml` lists it: what is known of it does not rest on what a library says.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        RELEASES.iter().any(|release| release.tag == self.tag)
    }

    /// How to get a worker for it, where there is none.
    #[must_use]
    pub fn remedy(&self) -> String {
        let tag = &self.tag;
        match (&self.npm, &self.package) {
            (Some(_), _) => format!("get it, which takes some seconds: `intact tags fetch {tag}`"),
            (None, Some(_)) => {
                format!(
                    "build it, which takes some minutes (`intact tags build {tag}`), or get llama.cpp's own: `intact tags fetch {tag}`"
                )
            }
            (None, None) => format!("add it again: `intact tags add FOLDER --name {tag}`"),
        }
    }

    /// Is this its tag, with or without a leading `v`, or one of its package versions?
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let bare = name.strip_prefix('v').unwrap_or(name);
        self.tag == bare
            || self.tag == name
            || self.package.as_deref() == Some(name)
            || self.twins.iter().any(|twin| twin == name)
    }

    /// The last number of its package's version; `None` where that is none.
    #[must_use]
    pub fn patch(&self) -> Option<u32> {
        self.package.as_deref()?.rsplit('.').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use intact_format::layout::Layout;

    use super::*;

    fn patch(version: &str) -> u32 {
        version.strip_prefix("0.1.").and_then(|patch| patch.parse().ok()).expect("a version 0.1.x")
    }

    fn names(releases: &[Release]) -> Vec<String> {
        releases.iter().map(|release| release.tag.clone()).collect()
    }

    #[test]
    fn releases_are_listed_oldest_first_and_no_package_twice() {
        let mut packages: Vec<u32> = Vec::new();
        for release in releases() {
            let own = release.twins.iter().chain(&release.package).map(|version| patch(version));
            let newest_before = packages.iter().max().copied().unwrap_or_default();
            packages.extend(
                own.inspect(|&patch| assert!(patch > newest_before, "{} is out of order", release.tag)),
            );
        }
        let count = packages.len();
        packages.sort_unstable();
        packages.dedup();
        assert_eq!(packages.len(), count);
    }

    #[test]
    fn every_release_can_be_had_in_some_way() {
        let tags: std::collections::BTreeSet<&str> =
            releases().iter().map(|release| release.tag.as_str()).collect();
        assert_eq!(tags.len(), releases().len(), "a release is listed twice");
        for release in releases() {
            assert!(release.package.is_some() || release.npm.is_some(), "{}", release.tag);
        }
        assert!(releases().is_sorted_by_key(|release| release.published));
    }

    #[test]
    fn every_release_has_the_layout_and_the_versions_that_the_layout_table_gives_its_packages() {
        for release in releases() {
            let layout = Layout::by_id(&release.layout).expect("a known layout");
            assert_eq!(Layout::of_release(&release.tag), Some(layout), "{}", release.tag);
            for version in release.twins.iter().chain(&release.package) {
                assert_eq!(Layout::of_crate(patch(version)), Some(layout), "{} {version}", release.tag);
            }
            assert_eq!(layout.session_file_version, release.session_version, "{}", release.tag);
            assert_eq!(layout.sequence_file_version, release.sequence_version, "{}", release.tag);
        }
    }

    #[test]
    fn the_newest_release_is_the_one_that_this_workspace_pins() {
        let manifest: toml::Table =
            include_str!("../../../Cargo.toml").parse().expect("the workspace's manifest is TOML");
        let pinned = &manifest["workspace"]["dependencies"]["llama-cpp-sys-2"]["version"];
        let newest = releases().last().expect("a release");
        let newest = newest.package.as_deref().expect("it is linked with it");
        assert_eq!(pinned.as_str(), Some(format!("={newest}").as_str()));
    }

    #[test]
    fn without_names_the_telling_releases_are_chosen() {
        let chosen = select(&[], None).expect("known");
        let packages: Vec<_> = chosen.iter().filter_map(|release| release.package.as_deref()).collect();
        let telling = ["0.1.109", "0.1.131", "0.1.141", "0.1.146", "0.1.156", "0.1.159", "0.1.161"];
        assert_eq!(packages, telling);
    }

    #[test]
    fn a_release_is_found_by_tag_version_and_package() {
        let chosen = select(&["v0.6.0".into(), "b8783".into(), "0.1.145".into(), "0.6.0".into()], None)
            .expect("known");
        assert_eq!(names(&chosen), ["b8783", "0.6.0"]);
        let unknown = select(&["b8783".into(), "b1".into()], None).expect_err("no such release");
        assert_eq!(unknown.name, "b1");
        assert!(unknown.to_string().contains("b8783"), "{unknown}");
    }

    /// Only where the sources are at hand: a machine that built some release.
    #[test]
    fn versions_are_those_of_the_vendored_headers() {
        for release in releases() {
            for version in release.twins.iter().chain(&release.package) {
                let Some(header) = vendored(version, "llama.cpp/include/llama.h") else { continue };
                let word =
                    |name| defined(&header, name).unwrap_or_else(|| panic!("{version} defines {name}"));
                assert_eq!(word("LLAMA_SESSION_VERSION"), release.session_version, "{version}");
                assert_eq!(word("LLAMA_STATE_SEQ_VERSION"), release.sequence_version, "{version}");
            }
            let package = release.package.as_deref().unwrap_or_default();
            let published_from = vendored(package, ".cargo_vcs_info.json");
            if let (Some(info), Some(commit)) = (published_from, &release.commit) {
                assert!(info.contains(commit.as_str()), "{package} was published from another commit");
            }
        }
    }

    fn defined(header: &str, name: &str) -> Option<u32> {
        let line = header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))?;
        line.trim().parse().ok()
    }

    /// A file of a `llama-cpp-sys-2` package in cargo's registry.
    fn vendored(version: &str, file: &str) -> Option<String> {
        let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = cargo.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
        let registries = fs::read_dir(cargo.join("registry/src")).ok()?.flatten();
        let package = Path::new(&format!("llama-cpp-sys-2-{version}")).join(file);
        registries
            .map(|registry| registry.path().join(&package))
            .find_map(|path| fs::read_to_string(path).ok())
    }
}
