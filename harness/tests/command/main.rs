//! The command line as a shell sees it: exit codes, what is said on which stream, and what is said when things fail.

mod added;
mod adopt;
#[cfg(unix)]
mod bisect;
#[cfg(unix)]
mod caged;
#[cfg(target_os = "linux")]
mod chains;
mod chat;
mod cli;
mod compat;
mod corpus;
mod fetched;
mod files;
mod forged;
mod help;
#[cfg(unix)]
mod killed;
mod messages;
mod mistakes;
mod perf;
#[cfg(unix)]
mod projects;
mod releases;
mod sabotage;
mod sealed_chat;
mod sealing;
mod tools;
#[cfg(unix)]
mod upgrade;
mod upstream;
