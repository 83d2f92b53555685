//! `intact tags`: workers for llama.cpp releases.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::Failure;
use super::table::table;
use crate::exit::Exit;
use crate::tags::{
    Addition, Builder, OFFICIAL, Progress, Release, add, built_worker, default_home, fetch, fetch_unlisted,
    fetched_library, known, probe, releases, remove, select, worker_command,
};

/// Get workers for other llama.cpp releases, so that sessions can cross between them
///
/// `fetch` brings the libraries of a release that somebody else has built, in seconds, for a worker that opens them. `add` takes
/// those in a folder: a build of yours, a fork, what a vendor ships. `build`
/// compiles a worker that is linked with the release, in a cache folder: about half an hour on two cores the first time,
/// minutes when ccache has seen it.
#[derive(Debug, Args)]
pub(super) struct Tags {
    #[command(subcommand)]
    action: Action,

    /// Where workers are built [default: $INTACT_HOME/tags, else ~/.cache/intact/tags]
    #[arg(long, value_name = "DIR", global = true)]
    home: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the releases, and for which there are workers
    List(List),
    /// Fetch libraries; without names those of every release that a package carries for this machine
    Fetch(Fetch),
    /// Add the libraries in a folder: a build, a fork, a vendor's
    Add(Add),
    /// Remove a library that was added
    Remove(Remove),
    /// Build workers; without names those of the releases in which something changed
    Build(Build),
    /// Write out the sources that workers are compiled from, without compiling them, and print the folders
    Sources(Laid),
    /// Ask the workers what they are and whether they load what they save
    Probe(Probe),
}

#[derive(Debug, Args)]
struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Fetch {
    /// Tags such as b8390 or 0.5.0; any release that llama.cpp has made, listed or not
    #[arg(value_name = "TAG")]
    tags: Vec<String>,

    /// Where llama.cpp's own archives are, for releases that no package carries: TAG/llama-TAG-bin-… below it
    #[arg(long, value_name = "URL", env = "INTACT_ARCHIVES", default_value = OFFICIAL)]
    archives: String,
}

/// Add the libraries in a folder: a build, a fork, a vendor's
///
/// They are copied and pinned by their hashes, so that what is tested stays what it is. What the library is, it is asked:
/// it writes small states, and these tell how it lays them out. From then on it takes part in the plan `release`, and its name
/// stands wherever a release's does. What is in the folder is run.
#[derive(Debug, Args)]
struct Add {
    /// The folder with libllama, its ggml and its backends, `build/bin` for example
    folder: PathBuf,

    /// The name to give it [default: the name that it gives itself, and the beginning of its hash]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// What opens it, where that is not the worker beside this command: an intact-worker-loaded for another processor
    /// behind an emulator, as in --worker "qemu-aarch64 -L /usr/aarch64-linux-gnu arm/intact-worker-loaded". Its words
    /// are separated by spaces
    #[arg(long, value_name = "COMMAND")]
    worker: Option<String>,
}

#[derive(Debug, Args)]
struct Remove {
    /// What it is called here
    name: String,
}

#[derive(Debug, Args)]
struct Build {
    /// Tags such as b8783 or 0.6.0, or versions of llama-cpp-sys-2 such as 0.1.146
    #[arg(value_name = "TAG")]
    tags: Vec<String>,

    /// Build every release
    #[arg(long, conflicts_with = "tags")]
    all: bool,

    /// Compilers at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// The checkout that the worker's sources are taken from [default: the one this command was built in]
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Laid {
    /// Tags, or versions of llama-cpp-sys-2; without names the releases in which something changed
    #[arg(value_name = "TAG")]
    tags: Vec<String>,

    /// The checkout that the worker's sources are taken from [default: the one this command was built in]
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Probe {
    /// Tags, or versions of llama-cpp-sys-2; without names all that are here
    #[arg(value_name = "TAG")]
    tags: Vec<String>,

    /// The model to try with [default: a tiny one that comes with intact]
    #[arg(long, value_name = "FILE.gguf")]
    model: Option<PathBuf>,
}

impl Tags {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let home = self.home.or_else(default_home).ok_or_else(|| Failure::homeless("--home"))?;
        match self.action {
            Action::List(list) => list.carry_out(&home),
            Action::Fetch(fetch) => fetch.carry_out(&home),
            Action::Add(add) => add.carry_out(&home),
            Action::Remove(remove) => remove.carry_out(&home),
            Action::Build(build) => build.carry_out(home),
            Action::Sources(laid) => laid.carry_out(home),
            Action::Probe(probe) => probe.carry_out(&home),
        }
    }
}

impl List {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&known(Some(home))).map_err(Failure::setup)?);
            return Ok(Exit::Fine);
        }
        let rows: Vec<_> = known(Some(home)).iter().map(|release| row(release, home)).collect();
        let head = ["release", "published", "llama-cpp-sys-2", "state", "layout", "worker", "note"];
        print!("{}", table(head, &rows));
        Ok(Exit::Fine)
    }
}

fn row(release: &Release, home: &Path) -> [String; 7] {
    let worker = if built_worker(home, release).is_some() {
        "built"
    } else if !release.is_listed() {
        "added"
    } else if fetched_library(home, release).is_some() {
        "fetched"
    } else if release.npm.is_some() {
        "(to fetch)"
    } else if release.telling {
        "-"
    } else {
        "(not by default)"
    };
    [
        release.tag.clone(),
        release.published.to_string(),
        release.package.clone().unwrap_or_else(|| "-".into()),
        format!("{}/{}", release.session_version, release.sequence_version),
        release.layout.clone(),
        worker.into(),
        release.note.clone(),
    ]
}

impl Fetch {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let names = if self.tags.is_empty() {
            let carried = releases().iter().filter(|release| release.npm.is_some());
            carried.map(|release| release.tag.clone()).collect()
        } else {
            self.tags
        };
        let mut failed = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let message = format!("{}/{} {name}: fetching", number + 1, names.len());
            let bar = ProgressBar::new_spinner().with_message(message);
            bar.enable_steady_tick(Duration::from_millis(250));
            let fetched = fetched(home, name, &self.archives);
            bar.finish_and_clear();
            match fetched {
                Ok(told) => println!("{name}: {told}"),
                Err(error) => {
                    println!("{name}: failed");
                    eprintln!("{error}\n");
                    failed.push(name.as_str());
                }
            }
        }
        if failed.is_empty() {
            return Ok(Exit::Fine);
        }
        Err(Failure::setup(format!(
            "{} of {} releases could not be fetched: {}",
            failed.len(),
            names.len(),
            failed.join(", ")
        ))
        .help("the reasons are above; the others are here and can be used"))
    }
}

/// Brings a release, listed or not, and tells what came of it.
fn fetched(home: &Path, name: &str, archives: &str) -> Result<String, String> {
    const HERE: &str = "here, and what it was";
    match releases().iter().find(|release| release.is_called(name)) {
        Some(listed) => match fetch(home, listed, archives) {
            Ok(true) => Ok("fetched".to_owned()),
            Ok(false) => Ok(HERE.to_owned()),
            Err(error) => Err(error.to_string()),
        },
        None => match fetch_unlisted(home, name, archives) {
            Ok(Some(addition)) => Ok(format!("fetched; {}", layout_of(&addition))),
            Ok(None) => Ok(HERE.to_owned()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// What is known of how a library lays out its states.
fn layout_of(addition: &Addition) -> String {
    match &addition.opaque {
        None => format!("its states are laid out as those of {}, by what it wrote", addition.release.layout),
        Some(why) => {
            format!(
                "how it lays out its states is not known, so they are moved as they are and never re-encoded: {why}"
            )
        }
    }
}

impl Add {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let opener: Vec<String> =
            self.worker.iter().flat_map(|command| command.split_whitespace()).map(absolute).collect();
        let addition = add(home, &self.folder, self.name.as_deref(), &opener).map_err(Failure::setup)?;
        let tag = &addition.release.tag;
        println!("{tag}: added");
        println!("  says of itself: {}", addition.stated);
        for (file, hash) in &addition.pin.files {
            println!("  {file}: SHA-256 {hash}");
        }
        println!("  {}", layout_of(&addition));
        println!(
            "It takes part in `intact run --plan release`; -E \"writer({tag}) | reader({tag})\" runs its cells alone."
        );
        Ok(Exit::Fine)
    }
}

/// A word of a command, which is carried out in other folders later: a file that is there is named from the root.
fn absolute(word: &str) -> String {
    let path = Path::new(word);
    let file = Some(path).filter(|path| path.components().count() > 1 && path.exists());
    file.and_then(|path| std::path::absolute(path).ok())
        .map_or_else(|| word.to_owned(), |path| path.display().to_string())
}

impl Remove {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let named = known(Some(home)).into_iter().find(|release| release.tag == self.name);
        let added = named.filter(|release| !release.is_listed()).ok_or_else(|| {
            Failure::setup(format!("no library was added under the name `{}`", self.name))
                .help("`intact tags list` lists them, behind the releases")
        })?;
        remove(home, &added).map_err(Failure::setup)?;
        println!("{}: removed", added.tag);
        Ok(Exit::Fine)
    }
}

impl Build {
    fn carry_out(self, home: PathBuf) -> Result<Exit, Failure> {
        let chosen: Vec<Release> = if self.all {
            releases().iter().filter(|release| release.package.is_some()).cloned().collect()
        } else {
            vendored(&self.tags, &home)?
        };
        let jobs = self.jobs.map(usize::from);
        let builder = Builder { home, checkout: checkout(self.source), jobs };
        let mut failed = Vec::new();
        for (number, release) in chosen.iter().enumerate() {
            let bar = progress_bar(&format!("{}/{} {}", number + 1, chosen.len(), release.tag));
            if bar.is_hidden() {
                eprintln!("{}: building, release {} of {}", release.tag, number + 1, chosen.len());
            }
            let built = builder.build(release, &mut |progress| show(&bar, progress));
            let took = HumanDuration(bar.elapsed());
            bar.finish_and_clear();
            match built {
                Ok(built) if built.compiled => println!("{}: built in {took}", release.tag),
                Ok(_) => println!("{}: up to date", release.tag),
                Err(error) => {
                    println!("{}: failed after {took}", release.tag);
                    eprintln!("{error}\n");
                    failed.push(release.tag.as_str());
                }
            }
        }
        if failed.is_empty() {
            return Ok(Exit::Fine);
        }
        Err(Failure::setup(format!(
            "{} of {} workers were not built: {}",
            failed.len(),
            chosen.len(),
            failed.join(", ")
        ))
        .help("the compiler's words are above; the others are built and can be used"))
    }
}

impl Laid {
    fn carry_out(self, home: PathBuf) -> Result<Exit, Failure> {
        let chosen = vendored(&self.tags, &home)?;
        let builder = Builder { home, checkout: checkout(self.source), jobs: None };
        for release in &chosen {
            println!("{}", builder.lay_out(release).map_err(Failure::setup)?.display());
        }
        Ok(Exit::Fine)
    }
}

impl Probe {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let named = if self.tags.is_empty() { known(Some(home)) } else { chosen(&self.tags, home)? };
        let here: Vec<_> =
            named.iter().filter_map(|release| Some((release, worker_command(home, release)?))).collect();
        if here.is_empty() {
            return Err(Failure::setup("there is no worker for any of these releases")
                .help("get them with `intact tags fetch`, or build them with `intact tags build`"));
        }
        let model =
            self.model.map_or_else(|| intact_fixtures::cached("llama"), Ok).map_err(Failure::setup)?;
        let mut failed = 0;
        let rows: Vec<_> = here
            .iter()
            .map(|(release, worker)| match probe(release, worker, &model) {
                Ok(probed) => [
                    release.tag.clone(),
                    "complies".into(),
                    probed.opened.layout,
                    probed.hello.formats.join(" "),
                    probed.route,
                    probed.opened.notes.join(" "),
                ],
                Err(error) => {
                    failed += 1;
                    let unknown = String::new;
                    [release.tag.clone(), "fails".into(), unknown(), unknown(), unknown(), error.to_string()]
                }
            })
            .collect();
        print!("{}", table(["release", "protocol", "layout", "formats", "own session", "notes"], &rows));
        if failed == 0 {
            return Ok(Exit::Fine);
        }
        Err(Failure::setup(format!("{failed} of {} workers do not do what a worker must do", here.len())))
    }
}

fn checkout(source: Option<PathBuf>) -> PathBuf {
    source.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

/// The same, of which a package has the sources.
fn vendored(names: &[String], home: &Path) -> Result<Vec<Release>, Failure> {
    let chosen = chosen(names, home)?;
    match chosen.iter().find(|release| release.package.is_none()) {
        Some(Release { tag, .. }) => {
            Err(Failure::setup(format!("no llama-cpp-sys-2 package vendors llama.cpp {tag}"))
                .help(format!("get what others have built: `intact tags fetch {tag}`")))
        }
        None => Ok(chosen),
    }
}

fn chosen(names: &[String], home: &Path) -> Result<Vec<Release>, Failure> {
    select(names, Some(home))
        .map_err(|unknown| Failure::setup(unknown).help("`intact tags list` lists them all"))
}

fn progress_bar(prefix: &str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(prefix.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {msg} {elapsed}, about {eta} left") {
        bar.set_style(style);
    }
    bar.set_message("sources");
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress { compiled, files } = progress;
    bar.set_length(files as u64);
    bar.set_position(compiled as u64);
    bar.set_message(match files {
        0 => "Rust packages".into(),
        _ if compiled == files => "linking".into(),
        _ => format!("llama.cpp, {compiled} of {files} files"),
    });
}
