//! Which small states a library is asked for, and asking it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use intact_fixtures::{FixtureError, Purpose};

use super::{Container, Fingerprint, Probe};
use crate::parallel;
use crate::tags::{Way, written};

/// The family whose states are written with every type of K and V: its heads have 64 elements, so that a rotation shows.
const WITH_EVERY_TYPE: &str = "llama";
/// Types of K and V besides f16, the first of which every model is asked for.
const TYPES: [&str; 8] = ["q8_0", "f32", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl"];

/// Lets the worker of a library write all states.
///
/// # Errors
/// [`FixtureError`], where a model cannot be made. What a library cannot do is in the fingerprint.
pub(crate) fn taken(command: &[String], jobs: usize) -> Result<Fingerprint, FixtureError> {
    let mut models: BTreeMap<&str, PathBuf> = BTreeMap::new();
    let mut probes = Vec::new();
    for entry in intact_fixtures::families().filter(|entry| entry.family.purpose != Purpose::KvShape) {
        let family = entry.family.name.as_str();
        models.insert(family, intact_fixtures::cached(&entry.id)?);
        let has_attention = entry.family.memory != "recurrent";
        probes.extend(of(family, entry.family.purpose == Purpose::RoundTrip, has_attention));
    }
    let written = parallel::map(
        jobs,
        &probes,
        || (),
        |(), probe| {
            let way = Way { container: probe.container.name(), kv: &probe.kv, flash: probe.flash };
            let Some(model) = models.get(probe.model.as_str()) else { return Err(String::new()) };
            written(command, model, way).map(|(_, bytes)| bytes).map_err(|error| error.to_string())
        },
    );
    Ok(Fingerprint { written: probes.into_iter().zip(written).collect() })
}

/// The states that are asked for with a model.
fn of(family: &str, is_round_trip: bool, has_attention: bool) -> Vec<Probe> {
    let probe =
        |container, kv: &str, flash| Probe { container, model: family.to_owned(), kv: kv.to_owned(), flash };
    let mut probes =
        vec![probe(Container::SequenceFile, "f16", true), probe(Container::RawSequence, "f16", true)];
    if is_round_trip {
        probes.push(probe(Container::SessionFile, "f16", true));
    }
    if has_attention {
        probes.push(probe(Container::SequenceFile, TYPES[0], true));
    }
    if family == WITH_EVERY_TYPE {
        probes.extend(TYPES[1..].iter().map(|kv| probe(Container::SequenceFile, kv, true)));
        probes.extend(Container::ALL.map(|container| probe(container, "f16", false)));
    }
    probes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_family_is_asked_in_files_and_without_and_none_twice() {
        let all: Vec<Probe> = ["llama", "mamba2", "qwen2vl"]
            .into_iter()
            .flat_map(|family| of(family, family != "qwen2vl", family != "mamba2"))
            .collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        let count = |model: &str| all.iter().filter(|probe| probe.model == model).count();
        assert_eq!([count("llama"), count("mamba2"), count("qwen2vl")], [14, 3, 3]);
    }
}
