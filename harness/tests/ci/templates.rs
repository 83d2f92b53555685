//! The workflow templates.

use std::fs;

use super::document::{Script, WORKFLOWS, expressions, folder, read, scripts};
use super::runner::Runner;

fn step(workflow: &str, job: &str, name: &str) -> Script {
    let document = read(workflow);
    let all = scripts(&document["jobs"][job]["steps"]);
    let mut script =
        all.into_iter().find(|script| script.name == name).unwrap_or_else(|| panic!("no step {name}"));
    let shared = document["env"].as_object().into_iter().flatten();
    script
        .environment
        .extend(shared.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())));
    script
}

const NIGHTLY: &str = "templates/github/nightly.yml";
const RELEASES: &str = "templates/github/releases.yml";

#[test]
fn templates_use_the_action_with_inputs_that_it_has_and_keep_values_out_of_scripts() {
    let action = read("action/action.yml");
    for workflow in WORKFLOWS {
        let document = read(workflow);
        let mut used = 0;
        for job in document["jobs"].as_object().expect("jobs").values() {
            for step in job["steps"].as_array().expect("steps") {
                assert!(
                    step["run"].as_str().is_none_or(|script| expressions(script).is_empty()),
                    "{workflow}: a value in a script is code"
                );
                if step["uses"].as_str().is_some_and(|uses| uses.starts_with("OWNER/intact/ci/action@")) {
                    used += 1;
                    for input in step["with"].as_object().into_iter().flatten().map(|(name, _)| name) {
                        assert!(action["inputs"].get(input).is_some(), "{workflow}: no input {input}");
                    }
                }
            }
        }
        assert!(used > 0, "{workflow}");
        assert!(document["permissions"]["contents"] == "read", "{workflow} asks for no more than it needs");
    }
}

#[test]
fn a_project_is_gated_in_ten_lines() {
    let text = fs::read_to_string(folder().join(WORKFLOWS[0])).expect("the template");
    let job = text.split("jobs:\n").nth(1).expect("jobs");
    assert!(job.lines().count() <= 10, "{job}");
}

#[test]
fn the_nights_plan_becomes_a_matrix() {
    let mut runner = Runner::new();
    let ended = runner.run(&step(NIGHTLY, "plan", "Plan"), &[]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(runner.calls(), ["plan nightly --format github --parts 4"]);
    let matrix: serde_json::Value =
        serde_json::from_str(&runner.context["steps.plan.outputs.matrix"]).expect("JSON");
    let job = read(NIGHTLY)["jobs"]["run"].to_string();
    for key in matrix["include"][0].as_object().expect("an entry").keys() {
        assert!(job.contains(&format!("matrix.{key}")), "{key}");
    }
    assert_eq!(runner.run(&step(NIGHTLY, "plan", "Plan"), &[("CODE_OF_plan", "96")]).code, 96);
}

#[test]
fn a_part_leaves_what_its_cells_came_to_to_the_merge_and_fails_for_all_else() {
    let script = step(NIGHTLY, "run", "Run");
    for (code, expected) in [("0", 0), ("100", 0), ("102", 0), ("5", 0), ("4", 0), ("96", 96), ("101", 101)] {
        let mut runner = Runner::new();
        runner.set("matrix.partition", "2/4");
        assert_eq!(runner.run(&script, &[("CODE_OF_run", code)]).code, expected, "{code}");
        assert_eq!(runner.calls(), ["run --plan nightly --partition 2/4 --out out"]);
    }
}

#[test]
fn the_merge_of_all_parts_decides() {
    let script = step(NIGHTLY, "merge", "Merge");
    for code in ["0", "5", "100"] {
        let mut runner = Runner::new();
        for part in ["part-1-of-2", "part-2-of-2"] {
            fs::create_dir_all(runner.path("work/parts").join(part)).expect("a folder");
        }
        assert_eq!(runner.run(&script, &[("CODE_OF_merge", code)]).code.to_string(), code);
        assert_eq!(
            runner.calls(),
            ["merge parts/part-1-of-2 parts/part-2-of-2 --out out", "report out --github"]
        );
    }
}

#[test]
fn every_machine_loads_what_every_machine_saved_and_the_worst_decides() {
    let mut runner = Runner::new();
    assert_eq!(runner.run(&step(RELEASES, "produce", "Produce"), &[]).code, 0);
    for machine in ["macos-15", "ubuntu-24.04"] {
        fs::create_dir_all(runner.path("work/produced").join(format!("produced-{machine}")))
            .expect("a folder");
    }
    let _own = fs::remove_dir(runner.path("work/produced/produced"));
    let ended = runner.run(&step(RELEASES, "consume", "Consume"), &[("CODE_OF_consume", "100")]);
    assert_eq!(ended.code, 100, "{}", ended.said);
    let calls = runner.calls();
    assert_eq!(calls[0], "produce --plan pr --out produced");
    assert_eq!(calls[1], "consume --from produced/produced-macos-15 --trust --out out/from-macos-15");
    assert_eq!(calls[2], "report out/from-macos-15 --github");
    assert_eq!(calls[3], "consume --from produced/produced-ubuntu-24.04 --trust --out out/from-ubuntu-24.04");
    assert!(runner.text("summary").contains("# Saved on macos-15"));
}

#[test]
fn a_slower_worker_fails_the_release_and_its_table_is_shown() {
    let mut runner = Runner::new();
    runner.set("inputs.base", "0.4.1");
    let script = step(RELEASES, "speed", "Compare");
    let ended = runner.run(&script, &[("INTACT_HOME", "/home/intact"), ("CODE_OF_perf", "103")]);
    assert_eq!(ended.code, 103, "{}", ended.said);
    assert_eq!(
        runner.calls(),
        ["tags build 0.4.1", "perf compare 0.4.1 /home/intact/target/debug/intact-worker --out speed"]
    );
    assert_eq!(runner.text("summary"), "| speed |\n");
}

#[test]
fn the_gitlab_job_runs_the_plan_and_hands_its_report_over() {
    let job = &read("templates/gitlab.yml")["intact"];
    assert_eq!(job["artifacts"]["reports"]["junit"], "intact-out/junit.xml");
    assert_eq!(job["artifacts"]["when"], "always");
    let mut runner = Runner::new();
    assert_eq!(runner.run(&gitlab(), &[("CODE_OF_run", "100")]).code, 100);
    assert_eq!(runner.calls(), ["run --plan pr --out intact-out"]);
}

/// The lines of the GitLab job, as one script.
fn gitlab() -> Script {
    let job = &read("templates/gitlab.yml")["intact"];
    let lines: Vec<&str> =
        job["script"].as_array().expect("lines").iter().filter_map(|line| line.as_str()).collect();
    Script {
        name: "script".into(),
        id: "script".into(),
        script: lines.join("\n"),
        environment: vec![("PLAN".into(), job["variables"]["PLAN"].as_str().expect("a plan").into())],
    }
}

#[test]
fn what_a_branch_has_in_place_of_gitlabs_cache_and_results_is_gone_before_the_run() {
    let job = &read("templates/gitlab.yml")["intact"];
    assert_eq!(
        job["cache"]["paths"],
        serde_json::json!([".intact/models"]),
        "nothing that is believed or executed"
    );
    let mut runner = Runner::new();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, runner.path("work").join(name)).expect("linked");
    };
    for file in [
        "intact-out/results.json",
        ".intact/models/tiny.gguf",
        ".intact/identities/planted.json",
        ".intact/trusted/planted",
        ".intact/.hidden/x",
        "elsewhere/mine",
    ] {
        let path = runner.path("work").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "planted").expect("written");
    }
    link("../elsewhere", ".intact/subjects");
    assert_eq!(runner.run(&gitlab(), &[("WITHOUT_RESULTS", "yes")]).code, 0);
    let left = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(runner.path("work").join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(
        (left(".intact"), left("intact-out"), left("elsewhere")),
        (vec!["models".into()], vec![], vec!["mine".into()])
    );

    let mut linked = Runner::new();
    fs::create_dir_all(linked.path("work/elsewhere/identities")).expect("made");
    std::os::unix::fs::symlink("elsewhere", linked.path("work/.intact")).expect("linked");
    assert_eq!(linked.run(&gitlab(), &[]).code, 0);
    assert!(!linked.path("work/.intact").exists() && linked.path("work/elsewhere/identities").is_dir());
}

#[test]
fn checkouts_leave_no_token_where_a_subject_could_read_it() {
    for workflow in WORKFLOWS {
        for job in read(workflow)["jobs"].as_object().expect("jobs").values() {
            for step in job["steps"].as_array().expect("steps") {
                if step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/checkout@")) {
                    assert_eq!(step["with"]["persist-credentials"], false, "{workflow}");
                }
            }
        }
    }
}

#[test]
fn the_container_copies_what_it_built() {
    let text = fs::read_to_string(folder().join("Containerfile")).expect("the container file");
    let logical = text.replace("\\\n", " ");
    let stages: Vec<&str> = logical.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert_eq!(stages.len(), 2, "what builds is not shipped");
    assert!(stages[0].ends_with(" AS build") && logical.contains("COPY --from=build /out/ /usr/local/bin/"));
    for program in ["intact-harness", "intact-worker"] {
        assert!(logical.contains(&format!("--package {program}")), "{program}");
    }
    assert!(logical.contains("ENTRYPOINT [\"intact\"]"));
}

const BUMP: &str = "templates/github/bump.yml";

/// Commits what stands in a runner's folder, and gives the commit.
fn committed(runner: &Runner) -> String {
    let git = |words: &[&str]| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"])
            .args(words)
            .current_dir(runner.path("work"))
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "x"]);
    git(&["rev-parse", "HEAD"])
}

#[test]
fn a_pin_that_is_moved_is_compared_with_the_one_before_and_the_worst_decides() {
    let lock = |version: &str| {
        format!("{{\"packages\": {{\"node_modules/node-llama-cpp\": {{\"version\": \"{version}\"}}}}}}")
    };
    let mut runner = Runner::new();
    fs::write(runner.path("work/.llama-cpp-version"), "b8390\n").expect("written");
    fs::write(runner.path("work/package-lock.json"), lock("3.18.1")).expect("written");
    let base = committed(&runner);
    runner.set("github.event.pull_request.base.sha", &base);
    let script = step(BUMP, "survive", "Compare");
    assert_eq!(runner.run(&script, &[]).code, 0);
    assert_eq!(runner.calls(), [""; 0], "nothing was moved");
    fs::write(runner.path("work/.llama-cpp-version"), "b9842\n").expect("written");
    assert_eq!(runner.run(&script, &[("CODE_OF_upstream", "100")]).code, 100);
    let out = runner.path("temp/sessions").display().to_string();
    assert_eq!(
        runner.calls(),
        [format!("upstream b8390 b9842 --out {out}/upstream --markdown {out}/comment.md")]
    );
    assert!(runner.text("summary").contains("# What this does"));
}

#[test]
fn what_a_pull_request_committed_is_no_result_of_a_comparison() {
    let mut runner = Runner::new();
    fs::write(runner.path("work/.llama-cpp-version"), "b8390\n").expect("written");
    let base = committed(&runner);
    runner.set("github.event.pull_request.base.sha", &base);
    fs::write(runner.path("work/.llama-cpp-version"), "nonsense\n").expect("written");
    fs::write(runner.path("work/comment.md"), "# Yes, says the pull request.").expect("written");
    for folder in ["work/upstream", "work/upgrade"] {
        fs::create_dir(runner.path(folder)).expect("made");
        fs::write(runner.path(folder).join("report.md"), "# Yes, says the pull request.").expect("written");
    }
    let script = step(BUMP, "survive", "Compare");
    assert_eq!(runner.run(&script, &[("CODE_OF_upstream", "96")]).code, 96);
    assert!(!runner.text("summary").contains("says the pull request"), "{}", runner.text("summary"));
    let mut script = step("templates/github/llama-cpp.yml", "state", "Compare");
    let (_, compared) = script.script.split_once("# Outside the checkout").expect("what follows the builds");
    script.script = format!("#{compared}");
    assert_eq!(runner.run(&script, &[("CODE_OF_upstream", "96")]).code, 96);
    assert!(!runner.text("summary").contains("says the pull request"), "{}", runner.text("summary"));
}
