//! What makes two runs parts of one: the digest of a plan, and partitions of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Config;
use crate::plan::PlannedCell;

/// Digest of all that decides what the cells of a plan are and how they are judged, part by part, so that it can be said
/// what differs. Where workers and files lie, and how many work at a time, is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanDigest {
    /// Of everything.
    pub whole: String,
    /// Of each part.
    pub parts: BTreeMap<String, String>,
}

/// What a digest is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ingredients<'a> {
    pub config: &'a Config,
    pub plan: &'a str,
    pub filter: Option<&'a str>,
    pub seed: u64,
    pub models: &'a [String],
    pub cells: &'a [PlannedCell],
}

/// The version of the text that cells are digested as.
const CELLS_VERSION: u32 = 2;

impl PlanDigest {
    pub(crate) fn of(ingredients: Ingredients<'_>) -> Self {
        let cells: Vec<_> = ingredients.cells.iter().map(|cell| (&cell.id, &cell.filtered)).collect();
        let cells = json!({ "version": CELLS_VERSION, "cells": cells }).to_string();
        let parts = [
            ("the harness's version", env!("CARGO_PKG_VERSION").to_owned()),
            ("the configuration", configuration(ingredients.config)),
            ("the plan's name", ingredients.plan.to_owned()),
            ("the filter", ingredients.filter.unwrap_or_default().to_owned()),
            ("the seed", ingredients.seed.to_string()),
            ("the models", ingredients.models.join("\n")),
            ("the cells", cells),
        ];
        let hashed = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let parts: BTreeMap<String, String> =
            parts.iter().map(|(name, text)| ((*name).to_owned(), hashed(text))).collect();
        let whole: String = parts.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
        Self { whole: hashed(&whole), parts }
    }

    /// Names of the parts that differ.
    #[must_use]
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names =
            self.parts.keys().chain(other.parts.keys().filter(|name| !self.parts.contains_key(*name)));
        names.filter(|name| self.parts.get(*name) != other.parts.get(*name)).map(String::as_str).collect()
    }
}

/// The configuration without what is a matter of the machine: where programs and files lie, and how patient one is.
fn configuration(config: &Config) -> String {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    let without = |value: &mut Value, list: &str, key: &str| {
        let entries = value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        entries.filter_map(Value::as_object_mut).for_each(|entry| {
            entry.remove(key);
        });
    };
    without(&mut value, "subjects", "command");
    without(&mut value, "models", "path");
    if let Some(whole) = value.as_object_mut() {
        whole.remove("profiles");
    }
    if let Some(run) = value.get_mut("run").and_then(Value::as_object_mut) {
        run.retain(|key, _| {
            !key.contains("timeout") && !["plan", "worker_memory_mib"].contains(&key.as_str())
        });
    }
    value.to_string()
}

/// One of so many parts of a plan. Which part a cell is in follows from its id alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Partition {
    part: u32,
    parts: u32,
}

impl Partition {
    /// Most parts of a plan.
    pub const MOST: u32 = 10_000;

    /// Every partition into so many parts.
    pub fn all(parts: u32) -> impl Iterator<Item = Self> {
        (1..=parts).map(move |part| Self { part, parts })
    }

    /// Whether a cell, or whatever has this name, is in it.
    #[must_use]
    pub fn takes(self, name: &str) -> bool {
        let hash = blake3::hash(name.as_bytes());
        let bytes = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(bytes) % u64::from(self.parts) == u64::from(self.part - 1)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        match numbers {
            Some((part, parts)) if (1..=parts).contains(&part) && parts <= Self::MOST => {
                Ok(Self { part, parts })
            }
            _ => Err(format!(
                "`{text}` is not a partition: write m/n with m from 1 to n, such as 2/8 (n is at most {})",
                Self::MOST
            )),
        }
    }
}

impl TryFrom<String> for Partition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> Self {
        partition.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::DEFAULT_CONFIG;
    use crate::plan::PlannedCell;
    use crate::results::{Dims, Part};

    #[test]
    fn a_partition_is_read_as_it_is_written_and_nothing_else_is_one() {
        for text in ["1/1", "3/8", "10000/10000"] {
            assert_eq!(text.parse::<Partition>().map(|partition| partition.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/2", "1/10001", "a/b", "1/2/3"] {
            assert!(text.parse::<Partition>().expect_err(text).contains("such as 2/8"));
        }
    }

    proptest! {
        #[test]
        fn every_name_is_in_exactly_one_part(name in "\\PC{0,40}", parts in 1u32..40) {
            prop_assert_eq!(Partition::all(parts).filter(|part| part.takes(&name)).count(), 1);
        }
    }

    #[test]
    fn parts_are_of_similar_size() {
        let names: Vec<String> = (0..8000).map(|number| format!("engine/llama/ctx={number}")).collect();
        for part in Partition::all(8) {
            let taken = names.iter().filter(|name| part.takes(name)).count();
            assert!((850..1150).contains(&taken), "{part} takes {taken}");
        }
    }

    #[test]
    fn a_digest_changes_with_what_decides_a_cell_and_with_nothing_else() {
        let config = |text: &str| {
            Config::parse(text, std::path::Path::new("intact.toml")).unwrap_or_else(|error| panic!("{error}"))
        };
        let cell =
            |id: &str| PlannedCell { id: id.into(), dims: Dims::new(), part: Part::Judged, filtered: None };
        let (built_in, cells, models) = (config(DEFAULT_CONFIG), [cell("a")], ["llama".to_owned()]);
        let base = Ingredients {
            config: &built_in,
            plan: "pr",
            filter: None,
            seed: 0,
            models: &models,
            cells: &cells,
        };
        let digest = PlanDigest::of(base);
        let patient = config(&DEFAULT_CONFIG.replace("timeout_seconds = 60", "timeout_seconds = 600"));
        let elsewhere = config(&DEFAULT_CONFIG.replace("\"intact-worker\"", "\"/opt/worker\""));
        for config in [&patient, &elsewhere] {
            assert_eq!(PlanDigest::of(Ingredients { config, ..base }), digest);
        }
        let stricter = config(&DEFAULT_CONFIG.replace("nmse = 1e-5", "nmse = 1e-6"));
        let others = [cell("b")];
        for (ingredients, part) in [
            (Ingredients { config: &stricter, ..base }, "the configuration"),
            (Ingredients { plan: "nightly", ..base }, "the plan's name"),
            (Ingredients { filter: Some("all()"), ..base }, "the filter"),
            (Ingredients { seed: 1, ..base }, "the seed"),
            (Ingredients { models: &[], ..base }, "the models"),
            (Ingredients { cells: &others, ..base }, "the cells"),
        ] {
            let other = PlanDigest::of(ingredients);
            assert_eq!(digest.differences(&other), [part]);
            assert_ne!(digest.whole, other.whole, "{part}");
        }
    }
}
