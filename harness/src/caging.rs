//! What the built-in worker is kept to. It closes its cage itself, before it reads anything that others wrote.

use std::path::{Path, PathBuf};
use std::sync::Once;

use intact_format::identity::{IdentityCache, model_files};
use intact_protocol::{CAGE, CAGED_FILES, CAGED_NETWORK, Hello};

/// The subjects of the built-in worker. Others need files of their own, and are kept to nothing.
const BUILT_IN: [&str; 2] = ["engine", "blind"];

/// The files of a model. What tells it from others is worked out here, where that can be remembered: nobody else believes what
/// a worker says of it.
pub(crate) fn model(model: &Path) -> Vec<PathBuf> {
    let _told_by_the_worker = IdentityCache::of_user().identify_model(model);
    model_files(model).unwrap_or_else(|_| vec![model.to_owned()])
}

/// Says once what a worker is not kept from.
pub(crate) fn tell(hello: &Hello) {
    static TOLD: Once = Once::new();
    if let Some(missing) = missing(hello) {
        TOLD.call_once(|| {
            eprintln!(
                "note: the worker ({} {}, llama.cpp {}) is not kept from {missing}: this system cannot, {CAGE} says so, or it \
                 was built before it could; see SECURITY.md",
                hello.subject, hello.version, hello.release
            );
        });
    }
}

/// What a worker could be kept from here, and is not.
fn missing(hello: &Hello) -> Option<&'static str> {
    if !cfg!(target_os = "linux") || !BUILT_IN.contains(&hello.subject.as_str()) {
        return None;
    }
    let has = |feature: &str| hello.features.iter().any(|named| named == feature);
    match (has(CAGED_FILES), has(CAGED_NETWORK)) {
        (true, true) => None,
        (false, true) => Some("files"),
        (true, false) => Some("the network"),
        (false, false) => Some("files and the network"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_kept_is_told_of_the_built_in_worker_alone() {
        let told = |subject: &str, features: &[&str]| {
            let features = features.iter().map(|feature| (*feature).to_owned()).collect();
            missing(&Hello {
                protocol: intact_protocol::PROTOCOL,
                subject: subject.into(),
                version: "1".into(),
                release: "b1".into(),
                versions: BTreeMap::new(),
                operations: Vec::new(),
                formats: Vec::new(),
                features,
            })
        };
        assert_eq!(told("engine", &[]), Some("files and the network"));
        assert_eq!(told("blind", &[CAGED_FILES]), Some("the network"));
        assert_eq!(told("engine", &[CAGED_NETWORK]), Some("files"));
        assert_eq!(told("engine", &[CAGED_NETWORK, CAGED_FILES]), None);
        assert_eq!(told("node-llama-cpp", &[]), None);
    }
}
