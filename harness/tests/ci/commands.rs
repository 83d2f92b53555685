//! Every command line in the action and the templates is one that the command takes.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::document::{WORKFLOWS, read, scripts};

/// A call of `intact`: the subcommand, and the options.
type Call = (String, BTreeSet<String>);

/// The calls in a script. Arguments that are gathered in a list belong to the calls that take the list.
fn calls(script: &str) -> Vec<Call> {
    let options_of = |text: &str| -> BTreeSet<String> {
        let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'));
        words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
    };
    let mut gathered = BTreeSet::new();
    let mut calls = Vec::new();
    for line in script.lines() {
        if line.contains("arguments=(") || line.contains("arguments+=(") {
            gathered.extend(options_of(line));
        }
        let at = line.match_indices("intact ").map(|(at, _)| at);
        let Some(at) = at.into_iter().find(|at| *at == 0 || line[..*at].ends_with(['(', ' '])) else {
            continue;
        };
        let call = line[at + "intact ".len()..].split(" ||").next().unwrap_or_default();
        let mut words = call.split_whitespace();
        let mut subcommand = words.next().unwrap_or_default().to_owned();
        if ["perf", "tags"].contains(&subcommand.as_str()) {
            subcommand = format!("{subcommand} {}", words.next().unwrap_or_default());
        }
        let mut options = options_of(call);
        if call.contains("arguments[@]") {
            options.extend(gathered.iter().cloned());
        }
        if !subcommand.starts_with('-') {
            calls.push((subcommand, options));
        }
    }
    calls
}

fn all_calls() -> Vec<Call> {
    let mut texts: Vec<String> = Vec::new();
    let mut take = |steps: &Value| texts.extend(scripts(steps).into_iter().map(|script| script.script));
    take(&read("action/action.yml")["runs"]["steps"]);
    for workflow in WORKFLOWS {
        let document = read(workflow);
        document["jobs"].as_object().expect("jobs").values().for_each(|job| take(&job["steps"]));
    }
    let gitlab = read("templates/gitlab.yml")["intact"]["script"].clone();
    texts.extend(gitlab.as_array().into_iter().flatten().filter_map(|line| line.as_str().map(str::to_owned)));
    texts.iter().flat_map(|text| calls(text)).collect()
}

#[test]
fn the_command_takes_every_option_that_is_given() {
    let all = all_calls();
    let called: BTreeSet<&str> = all.iter().map(|(subcommand, _)| subcommand.as_str()).collect();
    let expected = [
        "consume",
        "merge",
        "perf compare",
        "plan",
        "produce",
        "report",
        "run",
        "tags build",
        "upgrade",
        "upstream",
    ];
    assert_eq!(called, BTreeSet::from(expected));
    for (subcommand, options) in all {
        let help = Command::new(env!("CARGO_BIN_EXE_intact"))
            .args(subcommand.split(' '))
            .arg("--help")
            .output()
            .expect("the command runs");
        let text = String::from_utf8_lossy(&help.stdout);
        assert!(help.status.success(), "there is no `intact {subcommand}`");
        for option in options {
            assert!(text.contains(&option), "`intact {subcommand}` does not take {option}");
        }
    }
}
