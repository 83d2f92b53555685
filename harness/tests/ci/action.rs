//! The composite action.

use std::fs;

use serde_json::Value;

use super::document::{Script, expressions, folder, read, scripts};
use super::runner::{Ended, Runner};

fn action() -> Value {
    read("action/action.yml")
}

fn step(name: &str) -> Script {
    let all = scripts(&action()["runs"]["steps"]);
    all.into_iter().find(|script| script.name == name).unwrap_or_else(|| panic!("no step {name}"))
}

/// A runner with the action's defaults and these inputs.
fn runner(inputs: &[(&str, &str)]) -> Runner {
    let mut runner = Runner::new();
    let action = action();
    for (name, input) in action["inputs"].as_object().expect("inputs") {
        runner.set(&format!("inputs.{name}"), input["default"].as_str().expect("a default"));
    }
    for (name, value) in inputs {
        runner.set(&format!("inputs.{name}"), *value);
    }
    let path = folder().join("action").display().to_string();
    for (expression, value) in [
        ("github.action_path", path.as_str()),
        ("github.repository", "owner/project"),
        ("github.event.pull_request.number", "7"),
        ("github.token", "secret"),
        ("runner.os", "Linux"),
        ("runner.arch", "X64"),
    ] {
        runner.set(expression, value);
    }
    runner
}

/// Runs and reports; gives how the gate ends.
fn gated(runner: &mut Runner, environment: &[(&str, &str)]) -> Ended {
    for name in ["Run", "Report"] {
        let ended = runner.run(&step(name), environment);
        assert_eq!(ended.code, 0, "{name} leaves the verdict to the gate: {}", ended.said);
    }
    runner.run(&step("Gate"), environment)
}

#[test]
fn every_script_is_free_of_expressions_and_every_expression_means_something() {
    let action = action();
    let inputs = action["inputs"].as_object().expect("inputs");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let ids: Vec<&str> = steps.iter().filter_map(|step| step["id"].as_str()).collect();
    for script in scripts(&action["runs"]["steps"]) {
        assert_eq!(expressions(&script.script), [""; 0], "{}: a value in a script is code", script.name);
    }
    let text = fs::read_to_string(folder().join("action/action.yml")).expect("the action");
    let conditions = steps.iter().filter_map(|step| step["if"].as_str().map(str::to_owned));
    for expression in expressions(&text).into_iter().chain(conditions) {
        for word in
            expression.split(|character: char| !(character.is_alphanumeric() || "._-".contains(character)))
        {
            if let Some(name) = word.strip_prefix("inputs.") {
                assert!(inputs.contains_key(name), "there is no input {name}");
            }
            if let Some(rest) = word.strip_prefix("steps.") {
                let (id, output) = rest.split_once(".outputs.").expect("an output");
                assert!(ids.contains(&id), "there is no step {id}");
                let script = scripts(&action["runs"]["steps"]).into_iter().find(|script| script.id == id);
                assert!(
                    script.expect("it has a script").script.contains(&format!("{output}=")),
                    "step {id} sets no output {output}"
                );
            }
        }
    }
    for step in steps {
        let complete = step["uses"].is_string() || step["shell"] == "bash";
        assert!(complete, "a composite action names the shell of every script: {step}");
    }
}

#[test]
fn a_green_run_is_reported_and_passes() {
    let mut runner = runner(&[]);
    let ended = gated(&mut runner, &[]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(
        runner.calls(),
        ["run --out intact-out --plan pr", "report intact-out --github", "report intact-out --markdown"]
    );
    assert_eq!(runner.text("work/intact-out/summary.md"), "a report\n");
}

#[test]
fn the_exit_code_of_the_run_is_that_of_the_job() {
    for code in ["4", "5", "94", "96", "100", "101", "102"] {
        let ended = gated(&mut runner(&[]), &[("CODE_OF_run", code)]);
        assert_eq!(ended.code.to_string(), code);
    }
    let mut unfinished = runner(&[]);
    unfinished.set("steps.run.outputs.exit-code", "");
    assert_eq!(unfinished.run(&step("Gate"), &[]).code, 101, "a run that was cut off has no verdict");
}

#[test]
fn inputs_reach_the_command_as_one_argument_each() {
    let hostile = "model(\"a b\") & $(touch gone); `touch gone`";
    let mut runner =
        runner(&[("plan", "nightly"), ("config", "ci/my matrix.toml"), ("filter", hostile), ("out", "a b")]);
    assert_eq!(gated(&mut runner, &[]).code, 0);
    assert_eq!(
        runner.calls()[0],
        format!("run --out a b --plan nightly --config ci/my matrix.toml --filter {hostile}")
    );
    assert!(!runner.path("work/gone").exists(), "an input is no code");
}

#[test]
fn a_run_without_results_is_told_and_fails_all_the_same() {
    let mut runner = runner(&[]);
    let ended = gated(&mut runner, &[("CODE_OF_run", "96"), ("WITHOUT_RESULTS", "yes")]);
    assert_eq!(ended.code, 96);
    assert!(runner.text("summary").contains("without results"), "{}", runner.text("summary"));
    assert_eq!(runner.calls().len(), 1, "there is nothing to report");
    assert_eq!(runner.run(&step("Comment"), &[]).code, 0, "nor to comment on");
    assert_eq!(runner.calls().len(), 1);
}

#[test]
fn what_the_default_branch_kept_is_compared_with() {
    let mut runner = runner(&[]);
    assert_eq!(gated(&mut runner, &[]).code, 0);
    assert_eq!(runner.run(&step("Keep the results for comparison"), &[]).code, 0);
    assert!(runner.path("work/.intact-baseline/results.json").is_file());
    assert_eq!(gated(&mut runner, &[]).code, 0);
    assert_eq!(runner.calls()[4], "report intact-out --baseline .intact-baseline --github");
}

#[test]
fn the_comment_is_made_once_and_edited_later_and_never_fails_the_job() {
    let mut runner = runner(&[]);
    assert_eq!(gated(&mut runner, &[]).code, 0);
    let comments = |runner: &Runner| -> Vec<String> {
        runner.calls().into_iter().filter(|call| call.starts_with("gh ")).collect()
    };
    let file = "--body-file intact-out/comment.md";
    assert_eq!(runner.run(&step("Comment"), &[]).code, 0);
    assert_eq!(comments(&runner), [format!("gh pr comment 7 --edit-last {file}")]);

    assert_eq!(runner.run(&step("Comment"), &[("CODE_OF_EDIT", "1")]).code, 0);
    assert_eq!(comments(&runner)[2], format!("gh pr comment 7 {file}"));

    let refused = runner.run(&step("Comment"), &[("CODE_OF_EDIT", "1"), ("CODE_OF_COMMENT", "1")]);
    assert_eq!(refused.code, 0);
    assert!(refused.said.contains("pull-requests: write"), "{}", refused.said);
}

#[test]
fn preparing_names_a_home_and_a_key_that_changes_with_the_sources_alone() {
    let mut one = runner(&[]);
    let ended = one.run(&step("Prepare"), &[]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    let mut other = runner(&[("home", one.path("elsewhere").to_str().expect("UTF-8"))]);
    assert_eq!(other.run(&step("Prepare"), &[]).code, 0);
    let output =
        |runner: &Runner, name: &str| runner.context[&format!("steps.prepare.outputs.{name}")].clone();
    assert_eq!(output(&one, "key"), output(&other, "key"));
    assert!(output(&one, "key").starts_with(&output(&one, "prefix")));
    assert!(output(&one, "prefix").starts_with("intact-Linux-X64-"));
    assert_eq!(output(&other, "home"), one.path("elsewhere").display().to_string());
    assert!(one.path("home/.cache/intact").is_dir() && one.path("elsewhere").is_dir());
    assert!(one.text("environment").starts_with("INTACT_HOME="));

    // What comes into the search path is the command alone.
    let added = one.text("search-path");
    let names: Vec<_> =
        fs::read_dir(added.trim()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["intact"]);
}
