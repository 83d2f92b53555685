//! The workflow templates.

use std::fs;

use super::document::{Script, WORKFLOWS, expressions, folder, read};
use super::runner::Runner;

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
fn the_gitlab_job_runs_the_plan_and_hands_its_report_over() {
    let job = &read("templates/gitlab.yml")["intact"];
    assert_eq!(job["artifacts"]["reports"]["junit"], "intact-out/junit.xml");
    assert_eq!(job["artifacts"]["when"], "always");
    let mut runner = Runner::new();
    let script = Script {
        name: "script".into(),
        id: "script".into(),
        script: job["script"][0].as_str().expect("a line").to_owned(),
        environment: vec![("PLAN".into(), job["variables"]["PLAN"].as_str().expect("a plan").into())],
    };
    assert_eq!(runner.run(&script, &[("CODE_OF_run", "100")]).code, 100);
    assert_eq!(runner.calls(), ["run --plan pr --out intact-out"]);
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
