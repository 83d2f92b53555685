//! `intact-worker`: the engine, or the blind path, behind the worker protocol on standard input and output.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod cage;
mod connection;
mod counting;
mod damage;
mod outcome;
mod pace;
mod serve;
mod settings;
mod standard_output;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(not(llama_loaded))]
use clap::Subcommand;
use clap::{Parser, ValueEnum};
use intact_engine::llama::Container;
#[cfg(not(llama_loaded))]
use intact_engine::llama::quantize;
use pace::Delay;
use serve::{Sabotage, Server};
use tracing_subscriber::EnvFilter;

/// Serves the worker protocol (JSON Lines) on standard input and output.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What is behind the protocol.
    #[arg(long, value_enum, default_value_t = Subject::Engine)]
    subject: Subject,
    /// What the blind path keeps llama.cpp's state in.
    #[arg(long, value_parser = container, default_value = "sequence-file")]
    container: Container,
    /// Take this share longer for every load, for example 10%: shows that a performance gate notices.
    #[arg(long, hide = true, value_name = "SHARE", default_value = "0%")]
    slow_load: Delay,
    /// Count what saves and loads cost: allocations, bytes and calls of reads and writes, and pages.
    #[arg(long)]
    counts: bool,
    #[command(flatten)]
    sabotage: Sabotage,
    #[cfg(llama_loaded)]
    #[command(flatten)]
    library: Library,
    /// Do one piece of work instead, and leave.
    #[cfg(not(llama_loaded))]
    #[command(subcommand)]
    work: Option<Work>,
}

/// The library that everything runs on.
#[cfg(llama_loaded)]
#[derive(Debug, clap::Args)]
struct Library {
    /// The folder of a libllama and its backends. What is there is run.
    #[arg(long, value_name = "FOLDER")]
    libllama: PathBuf,
    /// A backend of that folder, for example cpu-haswell; more than once for more than one. Without it the library chooses.
    #[arg(long = "backend", value_name = "NAME")]
    backends: Vec<String>,
    /// What the release is called, where the library does not say so.
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// The layout of its states, by its id, or `unknown`; without it that of the release.
    #[arg(long, value_name = "ID", value_parser = layout)]
    layout: Option<intact_engine::llama::States>,
}

#[cfg(llama_loaded)]
fn layout(id: &str) -> Result<intact_engine::llama::States, String> {
    use intact_engine::llama::States;
    use intact_format::layout::{LAYOUTS, Layout};

    if id == "unknown" {
        return Ok(States::Unknown);
    }
    Layout::by_id(id).map(States::Of).ok_or_else(|| {
        let known: Vec<&str> = LAYOUTS.iter().map(|layout| layout.id).collect();
        format!("it is one of {} or unknown", known.join(", "))
    })
}

/// Work without the protocol.
#[cfg(not(llama_loaded))]
#[derive(Debug, Subcommand)]
enum Work {
    /// Write a model with weights of another type, by llama.cpp's own quantizer.
    Quantize {
        /// The model.
        from: PathBuf,
        /// Where the new one goes.
        to: PathBuf,
        /// f16, q8_0, q4_0, q4_k_m, ...
        weights: String,
        /// Threads.
        #[arg(long, default_value_t = 1)]
        threads: u32,
    },
}

fn container(name: &str) -> Result<Container, String> {
    let known = Container::NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, container)| *container).ok_or_else(|| {
        let names: Vec<&str> = Container::NAMES.iter().map(|(name, _)| *name).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// What is behind the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The engine: verified, transactional loads.
    Engine,
    /// llama.cpp's own state files without any checks, as wrappers use them.
    Blind,
}

/// Exit status of a worker whose library cannot be used.
#[cfg(llama_loaded)]
const NO_LIBRARY: u8 = 94;

#[cfg(llama_loaded)]
#[expect(unsafe_code, reason = "it runs what it opens")]
fn open(library: Library) -> Result<(), intact_engine::llama::LlamaError> {
    let Library { libllama, backends, release, layout } = library;
    let backends = (!backends.is_empty()).then_some(backends);
    // SAFETY: whoever starts the worker names the folder whose code it is to run.
    unsafe { intact_engine::llama::open_library(&libllama, backends, release, layout.unwrap_or_default()) }
        .map(|_| ())
}

/// The environment variable that chooses what is logged to standard error.
const LOG_VARIABLE: &str = "INTACT_LOG";

fn main() -> ExitCode {
    // Before anything else: llama.cpp prints, and whatever it prints must not reach the protocol.
    let output = match standard_output::claim() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("intact-worker: standard output cannot be claimed: {error}");
            return ExitCode::FAILURE;
        }
    };
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
    // What the system counts is read from files that are open before the cage closes.
    if arguments.counts {
        counting::begin();
    }
    // A library is what the worker runs on, as its own program is: it is there before the cage.
    #[cfg(llama_loaded)]
    if let Err(error) = open(arguments.library) {
        eprintln!("intact-worker: {error}");
        return ExitCode::from(NO_LIBRARY);
    }
    // Before there is a second thread, which would be left outside.
    let caged = match cage::enter() {
        Ok(features) => features,
        Err(error) => {
            eprintln!("intact-worker: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[cfg(unix)]
    if let Err(error) = intact_protocol::end_with_the_reader(&output) {
        eprintln!("intact-worker: it cannot watch for the end of the harness: {error}");
    }
    #[cfg(not(llama_loaded))]
    if let Some(Work::Quantize { from, to, weights, threads }) = arguments.work {
        return match quantize(&from, &to, &weights, threads) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("intact-worker: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let server = Server::new(arguments.subject, arguments.container, arguments.slow_load)
        .sabotaged(arguments.sabotage)
        .caged(caged);
    match connection::run(server, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("intact-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
