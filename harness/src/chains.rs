//! Paths over llama.cpp releases, not only pairs: a session is saved by one, loaded, continued and saved by the next, and so on,
//! forth and back. Which paths are walked, and how one that fails is shrunk to the shortest that still does, is decided here; who
//! plays them is `desk`.

mod desk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use desk::{Desk, Form, Subject};

/// The version of the document.
pub const CHAINS_VERSION: u32 = 1;
/// The fewest releases of a path.
const SHORTEST: usize = 2;
/// How often a step goes back to a release that the path has been in.
const ROLLED_BACK: f64 = 0.4;

/// A path: places of releases, in the order in which a session goes through them. No two neighbours are the same.
pub(crate) type Path = Vec<usize>;

/// What became of a session on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It came through, and goes on as the same tokens do that were never saved.
    Intact,
    /// It was refused, and whoever loaded it was told why.
    Refused,
    /// It came back wrong, or whoever loaded it died of it.
    Wrong,
    /// A release could not be asked.
    Untried,
}

/// How a path ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) fate: Fate,
    /// The place in the path of the release that it ended in.
    pub(crate) at: usize,
    /// What was seen there.
    pub(crate) evidence: String,
    /// Loads for which tokens were evaluated again.
    pub(crate) again: usize,
}

/// Somebody who plays paths.
pub(crate) trait Play {
    /// Lets a session go through the releases of a path.
    fn play(&mut self, path: &[usize]) -> Ended;
}

/// Random paths over so many releases, each of 2 to `longest` of them; the same ones for the same seed.
pub(crate) fn walks(seed: u64, count: usize, longest: usize, releases: usize) -> Vec<Path> {
    if releases < SHORTEST || longest < SHORTEST {
        return Vec::new();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| walk(&mut random, longest, releases)).collect()
}

fn walk(random: &mut ChaCha8Rng, longest: usize, releases: usize) -> Path {
    let length = random.random_range(SHORTEST..=longest);
    let mut path = vec![random.random_range(0..releases)];
    while path.len() < length {
        let here = path[path.len() - 1];
        let before: Vec<usize> = path.iter().copied().filter(|place| *place != here).collect();
        let next = if !before.is_empty() && random.random_bool(ROLLED_BACK) {
            before[random.random_range(0..before.len())]
        } else {
            // Any but this one.
            (here + random.random_range(1..releases)) % releases
        };
        path.push(next);
    }
    path
}

/// The shortest path that still ends so, found by leaving out one release after the other. What follows the end of a path had no
/// part in it.
pub(crate) fn shrunk(path: &[usize], ended: &Ended, play: &mut dyn Play) -> (Path, Ended) {
    let (mut path, mut ended) = (path[..=ended.at.min(path.len() - 1)].to_vec(), ended.clone());
    'again: loop {
        for left_out in 0..path.len().saturating_sub(1) {
            let mut shorter = path.clone();
            shorter.remove(left_out);
            shorter.dedup();
            if shorter.len() < SHORTEST {
                continue;
            }
            let found = play.play(&shorter);
            if found.fate == ended.fate {
                shorter.truncate(found.at + 1);
                (path, ended) = (shorter, found);
                continue 'again;
            }
        }
        return (path, ended);
    }
}

/// What became of many paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// [`CHAINS_VERSION`].
    pub version: u32,
    /// What the paths were drawn from.
    pub seed: u64,
    /// The releases, oldest first.
    pub releases: Vec<String>,
    /// For everything that went through them.
    pub subjects: Vec<Outcomes>,
}

/// What became of one kind of sessions on all paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// Who saved and loaded: `engine`, or `blind` for llama.cpp's own files.
    pub subject: String,
    /// The model and the type of K and V.
    pub form: String,
    /// Paths.
    pub paths: u32,
    /// Loads on them, in all.
    pub loads: u32,
    /// Loads for which tokens were evaluated again.
    pub again: u32,
    /// How many ended how.
    pub fates: BTreeMap<Fate, u32>,
    /// The shortest paths that fail, with what was seen, those of most paths first.
    pub shortest: Vec<Shortest>,
}

/// A shortest path that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shortest {
    /// The releases, in order.
    pub path: Vec<String>,
    /// How it ends.
    pub fate: Fate,
    /// What was seen.
    pub evidence: String,
    /// Random paths that were shrunk to it.
    pub of: u32,
}

/// A path that was played, how it ended, and what it was shrunk to where it failed.
pub(crate) type Played = (Path, Ended, Option<(Path, Ended)>);

/// The outcomes of paths that were played, with what each failing one was shrunk to.
pub(crate) fn outcomes(form: &Form, played: &[Played], names: &[String]) -> Outcomes {
    let mut fates: BTreeMap<Fate, u32> = BTreeMap::new();
    let mut shortest: BTreeMap<&Path, Shortest> = BTreeMap::new();
    let (mut loads, mut again) = (0, 0);
    for (_, ended, short) in played {
        *fates.entry(ended.fate).or_default() += 1;
        loads += ended.at;
        again += ended.again;
        let Some((path, ended)) = short else { continue };
        let of = shortest.entry(path).or_insert_with(|| Shortest {
            path: path.iter().map(|place| names[*place].clone()).collect(),
            fate: ended.fate,
            evidence: ended.evidence.clone(),
            of: 0,
        });
        of.of += 1;
    }
    let mut shortest: Vec<Shortest> = shortest.into_values().collect();
    shortest.sort_by(|one, other| other.of.cmp(&one.of).then_with(|| one.path.cmp(&other.path)));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Outcomes {
        subject: form.subject.name().to_owned(),
        form: form.to_string(),
        paths: count(played.len()),
        loads: count(loads),
        again: count(again),
        fates,
        shortest,
    }
}

impl Fate {
    /// Whether somebody loses a session.
    pub(crate) const fn is_lost(self) -> bool {
        matches!(self, Self::Refused | Self::Wrong)
    }

    /// For a person.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Intact => "came through",
            Self::Refused => "were refused with a reason",
            Self::Wrong => "came back WRONG, or crashed the program that loaded them",
            Self::Untried => "could not be tried",
        }
    }
}
