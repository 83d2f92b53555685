//! Where each value of the configuration comes from: the file, one of its profiles, or the environment.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::ConfigError;
use intact_base::nearest::nearest;

/// Values that a profile or the environment may set, by the environment variable that sets each.
///
/// Everything else decides what the cells are, and is the same for everybody who runs the plan.
pub const OVERRIDES: [(&str, &[&str]); 6] = [
    ("INTACT_PLAN", &["run", "plan"]),
    ("INTACT_TIMEOUT_SECONDS", &["run", "timeout_seconds"]),
    ("INTACT_CELL_TIMEOUT_SECONDS", &["run", "cell_timeout_seconds"]),
    ("INTACT_SCORED_TOKENS", &["run", "scored_tokens"]),
    ("INTACT_SAMPLED_TOKENS", &["run", "sampled_tokens"]),
    ("INTACT_WORKER_MEMORY_MIB", &["run", "worker_memory_mib"]),
];

/// The environment variable that chooses a profile.
pub const PROFILE_VARIABLE: &str = "INTACT_PROFILE";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The profile of this name.
    Profile(String),
    /// This environment variable.
    Environment(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "the profile `{name}`"),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

/// The text of a configuration with a profile and the environment applied, and what of it comes from them, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layered {
    /// The text, or none where nothing was set: then it is the file's own.
    pub text: Option<String>,
    /// Where each value comes from that the file does not set: `run.plan` and the like.
    pub origins: BTreeMap<String, Origin>,
}

/// Applies a profile and the environment to a configuration's text.
///
/// # Errors
/// [`ConfigError`]: there is no such profile, or a profile sets what it may not.
pub(super) fn layered(
    text: &str,
    path: &Path,
    profile: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Layered, ConfigError> {
    let untouched = Layered { text: None, origins: BTreeMap::new() };
    // What is no TOML is told with its place when it is read as a whole.
    let Ok(mut document) = text.parse::<DocumentMut>() else { return Ok(untouched) };
    let mut origins = BTreeMap::new();
    let chosen =
        profile.map(str::to_owned).or_else(|| variable(PROFILE_VARIABLE).filter(|name| !name.is_empty()));
    if let Some(name) = chosen {
        let values =
            of_profile(&document, &name).map_err(|message| ConfigError::at(0..0, message, text, path))?;
        for (key, value) in values {
            set(&mut document, &["run", &key], value);
            origins.insert(format!("run.{key}"), Origin::Profile(name.clone()));
        }
    }
    for (name, keys) in OVERRIDES {
        if let Some(given) = variable(name).filter(|given| !given.is_empty()) {
            let number = given.parse::<i64>().ok().filter(|_| keys.last() != Some(&"plan"));
            set(&mut document, keys, number.map_or_else(|| Value::from(given.as_str()), Value::from));
            origins.insert(keys.join("."), Origin::Environment(name));
        }
    }
    let text = (!origins.is_empty()).then(|| document.to_string());
    Ok(Layered { text, origins })
}

/// What a profile sets: values of `run`.
fn of_profile(document: &DocumentMut, name: &str) -> Result<Vec<(String, Value)>, String> {
    let profiles = document.get("profiles").and_then(Item::as_table_like);
    let names: Vec<&str> = profiles.into_iter().flat_map(TableLike::iter).map(|(name, _)| name).collect();
    let found = profiles.and_then(|profiles| profiles.get(name)).and_then(Item::as_table_like);
    let Some(profile) = found else {
        let hint = match nearest(name, &names) {
            Some(near) => format!("; did you mean `{near}`?"),
            None if names.is_empty() => "; there are no [profiles]".to_owned(),
            None => format!("; there are {}", names.join(", ")),
        };
        return Err(format!("there is no profile `{name}`{hint}"));
    };
    let value = |(key, item): (&str, &Item)| {
        let value =
            item.as_value().ok_or_else(|| format!("`{key}` of the profile `{name}` is not a value"))?;
        Ok((key.to_owned(), value.clone()))
    };
    profile.iter().map(value).collect()
}

fn set(document: &mut DocumentMut, keys: &[&str], value: Value) {
    let Some((last, tables)) = keys.split_last() else { return };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in tables {
        let item = table.entry(key).or_insert(Item::Table(Table::new()));
        let Some(inner) = item.as_table_like_mut() else { return };
        table = inner;
    }
    table.insert(last, Item::Value(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[run]\nplan = \"pr\" # the quick one\ntimeout_seconds = 60\n\n[profiles.ci]\ntimeout_seconds = 300\n\
                        plan = \"nightly\"\n";

    fn layer(profile: Option<&str>, variables: &[(&str, &str)]) -> Result<Layered, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        layered(TEXT, Path::new("intact.toml"), profile, &variable).map_err(|error| error.to_string())
    }

    fn value(layered: &Layered, key: &str) -> String {
        let document: DocumentMut = layered.text.as_ref().expect("changed").parse().expect("TOML");
        document["run"][key].to_string().trim().to_owned()
    }

    #[test]
    fn the_environment_wins_over_the_profile_and_the_profile_over_the_file() {
        assert_eq!(layer(None, &[]).expect("sound").text, None);
        let ci = layer(Some("ci"), &[("INTACT_PLAN", "full")]).expect("sound");
        assert_eq!((value(&ci, "plan"), value(&ci, "timeout_seconds")), ("\"full\"".into(), "300".into()));
        assert_eq!(ci.origins["run.plan"], Origin::Environment("INTACT_PLAN"));
        assert_eq!(ci.origins["run.timeout_seconds"], Origin::Profile("ci".into()));
        let chosen = layer(None, &[("INTACT_PROFILE", "ci")]).expect("sound");
        assert_eq!(value(&chosen, "plan"), "\"nightly\"");
    }

    #[test]
    fn a_profile_that_is_not_there_is_refused_with_the_nearest() {
        assert!(layer(Some("cl"), &[]).expect_err("none").contains("did you mean `ci`?"));
    }
}
