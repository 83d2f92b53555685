//! The commands in groups, by what a person wants, each with a first line to try: the help of `intact` itself.

use std::fmt::Write;

/// A group of commands.
struct Group {
    wish: &'static str,
    commands: &'static [&'static str],
    first: &'static str,
}

const GROUPS: [Group; 6] = [
    Group {
        wish: "Test whether sessions come back, over a matrix",
        commands: &[
            "init", "plan", "run", "report", "repro", "expect", "config", "filters", "produce", "consume",
            "merge",
        ],
        first: "intact run --out out",
    },
    Group {
        wish: "Look at one file, and change it",
        commands: &[
            "inspect", "check", "verify", "adopt", "migrate", "seal", "unseal", "key", "pack", "unpack",
        ],
        first: "intact check my-session.json --model my-model.gguf",
    },
    Group { wish: "Keep sessions", commands: &["chat", "store"], first: "intact chat --model my-model.gguf" },
    Group {
        wish: "Other releases, systems and models",
        commands: &[
            "upgrade",
            "upstream",
            "lint-state",
            "bisect",
            "compat",
            "chains",
            "corpus",
            "tags",
            "subjects",
            "models",
        ],
        first: "intact upgrade node-llama-cpp@3.18.1 node-llama-cpp@3.22.1 --model my-model.gguf",
    },
    Group {
        wish: "Speed, and how far a model differs from itself",
        commands: &["perf", "noise"],
        first: "intact perf record",
    },
    Group {
        wish: "intact itself",
        commands: &["explain", "self-test", "schema", "completions"],
        first: "intact explain corrupt",
    },
];

/// The help around the groups. A shell's colours are taken out where the output is no terminal.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n{after-help}";
const STRONG: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// The command with its subcommands in groups.
pub(super) fn grouped(command: clap::Command, endings: &str) -> clap::Command {
    let listed = listed(&command);
    command
        .help_template(TEMPLATE)
        .after_help(format!("{listed}\n`intact COMMAND --help` explains a command in full; `intact --help` lists the exit codes too."))
        .after_long_help(format!("{listed}\n`intact COMMAND --help` explains a command in full.\n\n{endings}"))
}

fn listed(command: &clap::Command) -> String {
    let mut out = String::new();
    for (place, group) in GROUPS.iter().enumerate() {
        let between = if place == 0 { "" } else { "\n" };
        let _ = writeln!(out, "{between}{STRONG}{}{PLAIN}", group.wish);
        for name in group.commands {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "  {name:12} {}", wrapped(&about));
        }
        let _ = writeln!(out, "  {:12} {STRONG}{}{PLAIN}", "try:", group.first);
    }
    out
}

/// Words in lines that are short enough, the second and later ones below the first.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            let _ = write!(out, "\n{:15}", "");
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

/// Characters beside a command's name.
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::super::Arguments;
    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_every_line_to_try_is_one() {
        let command = Arguments::command();
        let visible: BTreeSet<&str> = command
            .get_subcommands()
            .filter(|known| !known.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|group| group.commands).copied().collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<_>>(), visible);
        assert_eq!(grouped.len(), visible.len(), "none is in two groups");
        for group in &GROUPS {
            let words = group.first.split(' ');
            let read = Arguments::command().try_get_matches_from(words);
            assert!(read.is_ok(), "{}: {:?}", group.first, read.err());
            let name = group.first.split(' ').nth(1).expect("a command");
            assert!(group.commands.contains(&name), "{}", group.first);
        }
    }
}
