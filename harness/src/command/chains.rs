//! `intact chains`: do sessions survive whole paths over releases, forth and back?

use std::cmp::Ordering;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use intact_matrix::Limits;

use super::Failure;
use super::output::write_marked;
use super::table::plain;
use super::worker::linked;
use crate::chains::{
    CHAINS_VERSION, Desk, Fate, Form, Found, Outcomes, Path, Play, Subject, outcomes, shrunk, walks,
};
use crate::config::Config;
use crate::exit::Exit;
use crate::filter::compare_versions;
use crate::interrupt;
use crate::parallel;
use crate::quantity::counted;
use crate::tags;

const EXAMPLES: &str = "\
Examples:
  intact chains
      over every release that is here; `intact tags fetch` brings them
  intact chains b8390 b9842 0.5.0 --paths 50 --seed 7
  intact chains --model lfm2 --kv f16 --out chains.json";

/// What every document has in it, to be told from other files.
const WHAT: &str = "\"subjects\"";

/// Send sessions along random paths of llama.cpp releases, back and forth, and find the shortest path that breaks them
///
/// Each release of a path loads what the one before it saved, goes on with the conversation and saves it, so that
/// sessions grow on their way. At every step the session is compared with the same tokens, evaluated afresh by the same
/// release. A path that fails is shrunk to the shortest that still does. Both sessions of intact and llama.cpp's own
/// files, which nothing checks, are tried. Ends with exit code 0 where no session of intact comes back wrong, 100 where
/// one does, 101 where nothing could be tried.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Chains {
    /// Releases, by their tags [default: all that are here]
    #[arg(value_name = "RELEASE")]
    releases: Vec<String>,

    /// How many paths
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    paths: u32,

    /// The most releases in a path
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=32))]
    longest: u8,

    /// The seed: the same one gives the same paths
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The tiny models, by their names in `intact models list`; a path takes them in turn
    #[arg(long = "model", value_name = "NAME", default_values = ["llama", "gemma3", "lfm2"])]
    models: Vec<String>,

    /// The types of K and V; a path takes them in turn
    #[arg(long = "kv", value_name = "TYPE", default_values = ["f16", "q8_0"])]
    kv: Vec<String>,

    /// Write what was found as JSON
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Workers at a time for each release [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
}

/// Shortest paths that are shown of each kind of sessions.
const SHOWN: usize = 8;

/// A release that takes part.
struct Party {
    name: String,
    command: Vec<String>,
}

impl Chains {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let clock = Instant::now();
        let parties = self.parties()?;
        let names: Vec<String> = parties.iter().map(|party| party.name.clone()).collect();
        let commands: Vec<Vec<String>> = parties.into_iter().map(|party| party.command).collect();
        let jobs = self.jobs.map_or_else(parallel::cores, usize::from);
        println!(
            "{} over {}, seed {}",
            counted(self.paths as usize, "path", "paths"),
            counted(names.len(), "release", "releases"),
            self.seed
        );
        interrupt::heed();
        let mut subjects = Vec::new();
        for subject in [Subject::Engine, Subject::Blind] {
            for form in self.forms(subject) {
                let found = self.walked(&form, &names, &commands, jobs)?;
                print!("{}", text(&found));
                subjects.push(found);
            }
        }
        let found = Found { version: CHAINS_VERSION, seed: self.seed, releases: names, subjects };
        if let Some(out) = &self.out {
            let text = serde_json::to_string_pretty(&found).map_err(Failure::setup)? + "\n";
            write_marked(out, &text, WHAT)?;
        }
        println!("{} s", clock.elapsed().as_secs());
        Ok(exit(&found))
    }

    /// The releases that take part, oldest first.
    fn parties(&self) -> Result<Vec<Party>, Failure> {
        let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
        let linked = linked();
        let chosen = if self.releases.is_empty() {
            tags::known(Some(&home))
        } else {
            self.releases.iter().map(|name| super::check::release(name)).collect::<Result<_, _>>()?
        };
        let mut parties = Vec::new();
        for release in chosen {
            let here =
                tags::worker_command(&home, &release).or_else(|| linked.as_ref()?.command_of(&release));
            match here {
                Some(command) => parties.push(Party { name: release.tag.clone(), command }),
                None if self.releases.is_empty() => {}
                None => {
                    return Err(Failure::setup(format!("there is no worker for llama.cpp {}", release.tag))
                        .help(release.remedy()));
                }
            }
        }
        parties.sort_by(|one, other| compare_versions(&one.name, &other.name).unwrap_or(Ordering::Equal));
        parties.dedup_by(|one, other| one.name == other.name);
        if parties.len() < 2 {
            return Err(Failure::setup("a path needs two releases").help("`intact tags fetch` brings them"));
        }
        Ok(parties)
    }

    /// What goes through the paths: quantized K and V only where there are some.
    fn forms(&self, subject: Subject) -> Vec<Form> {
        let form = |model: &String, kv: &String| Form { subject, model: model.clone(), kv: kv.clone() };
        self.models.iter().flat_map(|model| self.kv.iter().map(move |kv| form(model, kv))).collect()
    }

    /// Walks the paths of one form: each has its share of them, so that all together have as many as were asked for.
    fn walked(
        &self,
        form: &Form,
        names: &[String],
        commands: &[Vec<String>],
        jobs: usize,
    ) -> Result<Outcomes, Failure> {
        let model = intact_fixtures::cached(&form.model).map_err(Failure::setup)?;
        let thresholds = Config::built_in().map_err(|error| Failure::config(&error))?.thresholds.unmeasured;
        let able = able(form, &model, commands, &thresholds, jobs)?;
        let all = walks(self.seed, self.paths as usize, usize::from(self.longest), able.len());
        let forms = self.forms(form.subject);
        let place = forms.iter().position(|known| known == form).unwrap_or_default();
        let walked = |path: Path| path.into_iter().map(|at| able[at]).collect::<Path>();
        let paths: Vec<Path> = all.into_iter().skip(place).step_by(forms.len()).map(walked).collect();
        let played = parallel::map(
            jobs,
            &paths,
            || Desk::new(form, model.clone(), commands, thresholds.clone()),
            |desk, path| {
                let desk = desk.as_mut().map_err(|error| error.to_string())?;
                let ended = desk.play(path);
                let short = ended.fate.is_lost().then(|| shrunk(path, &ended, desk));
                Ok::<_, String>((path.clone(), ended, short))
            },
        );
        let played: Vec<_> = played.into_iter().collect::<Result<_, _>>().map_err(Failure::setup)?;
        Ok(outcomes(form, &played, names))
    }
}

/// The releases that can run such sessions at all: older ones do not know every model.
fn able(
    form: &Form,
    model: &std::path::Path,
    commands: &[Vec<String>],
    thresholds: &Limits,
    jobs: usize,
) -> Result<Vec<usize>, Failure> {
    let places: Vec<usize> = (0..commands.len()).collect();
    let tried = parallel::map(
        jobs,
        &places,
        || Desk::new(form, model.to_owned(), commands, thresholds.clone()),
        |desk, place| {
            let desk = desk.as_mut().map_err(|error| error.to_string())?;
            Ok::<_, String>(desk.play(&[*place]).fate == Fate::Intact)
        },
    );
    let tried: Vec<bool> = tried.into_iter().collect::<Result<_, _>>().map_err(Failure::setup)?;
    Ok(places.into_iter().filter(|place| tried[*place]).collect())
}

/// How it ends the command.
fn exit(found: &Found) -> Exit {
    let wrong = |of: &Outcomes| of.subject == Subject::Engine.name() && of.fates.contains_key(&Fate::Wrong);
    let tried = |of: &Outcomes| of.fates.keys().any(|fate| *fate != Fate::Untried);
    if found.subjects.iter().any(wrong) {
        Exit::GateFailed
    } else if found.subjects.iter().any(tried) {
        Exit::Fine
    } else {
        Exit::NoVerdict
    }
}

fn text(found: &Outcomes) -> String {
    let whose =
        if found.subject == Subject::Engine.name() { "sessions of intact" } else { "llama.cpp's files" };
    let fates: Vec<String> =
        found.fates.iter().map(|(fate, count)| format!("{count} {}", fate.words())).collect();
    let mut out = format!(
        "{whose}, {}: {} with {}, tokens evaluated again in {}: {}\n",
        plain(&found.form),
        counted(found.paths as usize, "path", "paths"),
        counted(found.loads as usize, "load", "loads"),
        found.again,
        fates.join(", ")
    );
    for short in found.shortest.iter().take(SHOWN) {
        out += &format!("  {} ({}): {}\n", short.path.join(" -> "), short.of, plain(&short.evidence));
    }
    match found.shortest.len().saturating_sub(SHOWN) {
        0 => {}
        more => out += &format!("  and {more} more; --out FILE has them all\n"),
    }
    out
}
