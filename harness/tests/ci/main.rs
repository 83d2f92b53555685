//! What other people's CI runs: the steps of the action and of the workflow templates, executed here with a stub in place
//! of `intact`, and every command line of theirs held against the real command's help.

#![cfg(unix)]

mod action;
mod commands;
mod document;
mod profiles;
mod runner;
mod setup;
mod templates;
