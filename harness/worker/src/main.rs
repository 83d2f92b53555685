//! `intact-worker`: the engine, or the blind path, behind the worker protocol on standard input and output.

mod connection;
mod damage;
mod outcome;
mod pace;
mod serve;
mod settings;
mod standard_output;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use intact_engine::llama::{Container, quantize};
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
    #[command(flatten)]
    sabotage: Sabotage,
    /// Do one piece of work instead, and leave.
    #[command(subcommand)]
    work: Option<Work>,
}

/// Work without the protocol.
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
    #[cfg(unix)]
    if let Err(error) = intact_protocol::end_with_the_reader(&output) {
        eprintln!("intact-worker: it cannot watch for the end of the harness: {error}");
    }
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
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
        .sabotaged(arguments.sabotage);
    match connection::run(server, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("intact-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
