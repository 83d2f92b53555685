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

/// Empties, runs and reports; gives how the gate ends.
fn gated(runner: &mut Runner, environment: &[(&str, &str)]) -> Ended {
    for name in ["Empty", "Run", "Report"] {
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
    assert_eq!(runner.text("temp/intact-summary.md"), "a report\n");
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
    // The cache brings it back between the two.
    assert_eq!(runner.run(&step("Report"), &[]).code, 0);
    assert_eq!(runner.calls()[3], "report intact-out --baseline .intact-baseline --github");
}

#[test]
fn the_comment_is_made_once_and_edited_later_and_never_fails_the_job() {
    let mut runner = runner(&[("token", "secret")]);
    assert_eq!(gated(&mut runner, &[]).code, 0);
    let comments = |runner: &Runner| -> Vec<String> {
        runner.calls().into_iter().filter(|call| call.starts_with("gh ")).collect()
    };
    let file = "--body-file -";
    assert_eq!(runner.run(&step("Comment"), &[]).code, 0);
    assert_eq!(comments(&runner), [format!("gh pr comment 7 --edit-last {file}")]);
    assert_eq!(runner.text("body"), "a report\n");
    assert_eq!(runner.text("token-of-gh"), "secret\n");

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
    assert!(output(&one, "prefix").starts_with("intact-Linux-X64-linked-"));
    assert_eq!(output(&other, "home"), one.path("elsewhere").display().to_string());
    assert!(one.path("home/.cache/intact").is_dir() && one.path("elsewhere").is_dir());
    assert!(one.text("environment").starts_with("INTACT_HOME="));
    let mut fetched = runner(&[("llama", "prebuilt")]);
    assert_eq!(fetched.run(&step("Prepare"), &[]).code, 0);
    assert!(fetched.text("environment").starts_with("INTACT_PREBUILT=1\n"));
    let prefix = output(&fetched, "prefix");
    assert!(prefix.starts_with("intact-Linux-X64-prebuilt-"), "neither takes the other's builds: {prefix}");
    let wrong = runner(&[("llama", "compiled")]).run(&step("Prepare"), &[]);
    assert!(wrong.code != 0 && wrong.said.contains("prebuilt or linked"), "{}", wrong.said);

    // What comes into the search path is the command alone.
    let added = one.text("search-path");
    let names: Vec<_> =
        fs::read_dir(added.trim()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["intact"]);
}

/// Steps of the action, in their order, over a checkout that means harm; gives how the gate ends.
fn over_a_hostile_checkout(runner: &mut Runner, environment: &[(&str, &str)]) -> Ended {
    for name in ["Prepare", "Empty", "Run", "Report", "Comment", "Keep the results for comparison"] {
        let ended = runner.run(&step(name), environment);
        assert_eq!(ended.code, 0, "{name}: {}", ended.said);
        assert!(!ended.said.contains("secret"), "{name}: {}", ended.said);
    }
    runner.run(&step("Gate"), environment)
}

/// What a pull request may have committed in the places that the action writes to and reads.
fn plant(runner: &Runner, what: &[(&str, Result<&str, &str>)]) {
    for (name, content) in what {
        let path = runner.path("work").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        match content {
            Ok(text) => fs::write(path, text).expect("written"),
            Err(target) => std::os::unix::fs::symlink(target, path).expect("linked"),
        }
    }
}

#[test]
fn nothing_that_a_pull_request_committed_is_posted_compared_or_taken_for_a_result() {
    let yes = "Yes. Every saved session came back intact";
    for planted in [
        &[("intact-out/summary.md", Err("/proc/self/environ"))][..],
        &[("intact-out/comment.md", Err("/proc/self/environ"))],
        &[("intact-out/results.json", Err("/proc/self/environ"))],
        &[("intact-out/summary.md", Ok(yes)), ("intact-out/results.json", Ok(yes))],
        &[
            ("intact-out", Err("elsewhere")),
            ("elsewhere/results.json", Ok(yes)),
            ("elsewhere/summary.md", Ok(yes)),
        ],
        &[(".intact-baseline/results.json", Ok(yes))],
        &[(".intact-baseline", Err("elsewhere")), ("elsewhere/results.json", Ok(yes))],
    ] {
        // Its configuration is broken, so that nothing is written over what is there.
        let broken = [("CODE_OF_run", "96"), ("WITHOUT_RESULTS", "yes")];
        let mut runner = runner(&[("token", "secret")]);
        plant(&runner, planted);
        let ended = over_a_hostile_checkout(&mut runner, &broken);
        assert_eq!(ended.code, 96, "{planted:?}: {}", ended.said);
        assert_eq!(runner.calls(), ["run --out intact-out --plan pr"], "{planted:?}: no report, no comment");
        assert!(!runner.text("summary").contains(yes), "{planted:?}");
        assert_eq!(runner.text("work/.intact-baseline/results.json"), "", "{planted:?}: nothing is kept");
        let elsewhere = runner.path("work/elsewhere");
        if elsewhere.is_dir() {
            assert_eq!(runner.text("work/elsewhere/results.json"), yes, "{planted:?}: no link was followed");
        }

        // And where the run has results, they are its own.
        let mut runner = self::runner(&[("token", "secret")]);
        plant(&runner, planted);
        let ended = over_a_hostile_checkout(&mut runner, &[]);
        assert_eq!(ended.code, 0, "{planted:?}: {}", ended.said);
        assert!(!runner.calls().iter().any(|call| call.contains("--baseline")), "{planted:?}");
        assert_eq!(runner.text("body"), "a report\n", "{planted:?}");
    }
}

#[test]
fn links_that_a_subject_leaves_among_the_results_are_neither_read_nor_uploaded() {
    let mut runner = runner(&[]);
    for name in ["Empty", "Run"] {
        assert_eq!(runner.run(&step(name), &[]).code, 0);
    }
    plant(&runner, &[("intact-out/environment", Err("/proc/self/environ"))]);
    fs::remove_file(runner.path("work/intact-out/results.json")).expect("removed");
    plant(&runner, &[("intact-out/results.json", Err("/proc/self/environ"))]);
    std::os::unix::fs::symlink("/proc/self/environ", runner.path("temp/intact-summary.md")).expect("linked");
    for name in ["Report", "Comment"] {
        assert_eq!(runner.run(&step(name), &[]).code, 0);
    }
    let left = fs::read_dir(runner.path("work/intact-out")).expect("a folder").count();
    assert_eq!((left, runner.calls().len()), (0, 1), "{:?}", runner.calls());
    assert_eq!(runner.text("body"), "");
}

#[test]
fn results_go_nowhere_but_below_the_working_directory() {
    for out in [".", "..", "a/../..", "/tmp/x", "/", "./a", ""] {
        let mut runner = runner(&[("out", out)]);
        plant(&runner, &[("mine", Ok("mine"))]);
        let ended = runner.run(&step("Empty"), &[]);
        assert!(
            ended.code == 1 && ended.said.contains("below the working directory"),
            "{out}: {}",
            ended.said
        );
        assert_eq!(runner.text("work/mine"), "mine");
    }
    let mut linked = runner(&[("out", "reports/out")]);
    plant(&linked, &[("elsewhere/out/mine", Ok("mine")), ("reports", Err("elsewhere"))]);
    let ended = linked.run(&step("Empty"), &[]);
    assert!(ended.code == 1 && ended.said.contains("is a link"), "{}", ended.said);
    assert_eq!(linked.text("work/elsewhere/out/mine"), "mine");
    let mut nested = runner(&[("out", "reports/new/out")]);
    plant(&nested, &[("reports/new/out/old", Ok("old")), ("reports/mine", Ok("mine"))]);
    assert_eq!(nested.run(&step("Empty"), &[]).code, 0);
    assert_eq!(
        (nested.text("work/reports/new/out/old"), nested.text("work/reports/mine")),
        (String::new(), "mine".into())
    );
}

#[test]
fn only_the_default_branch_saves_what_others_bring_back_and_only_gh_gets_the_token() {
    let action = action();
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    for step in steps {
        let uses = text(step, "uses");
        assert!(!uses.starts_with("actions/cache@"), "it would save what a pull request has left: {step}");
        if uses.starts_with("actions/cache/save") {
            let when = text(step, "if");
            assert!(when.contains("github.ref_name == github.event.repository.default_branch"), "{when}");
            assert!(!when.contains("pull_request") && when.contains("github.event_name == 'push'"), "{when}");
        }
        let told = step.to_string().contains("inputs.token");
        assert_eq!(told, text(step, "name") == "Comment", "{step}");
    }
}
