use super::*;

fn built_in() -> Config {
    Config::parse(DEFAULT_CONFIG, Path::new("intact.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn error(change: impl FnOnce(&str) -> String) -> String {
    let text = change(DEFAULT_CONFIG);
    assert_ne!(text, DEFAULT_CONFIG, "the change changed nothing");
    Config::parse(&text, Path::new("intact.toml")).expect_err("wrong").to_string()
}

#[test]
fn the_built_in_configuration_is_sound() {
    let config = built_in();
    assert!(config.plans.contains_key(&config.run.plan));
    assert!(config.axis("fault").is_some_and(|axis| axis.negative && axis.values.len() > 12));
}

#[test]
fn every_fault_of_the_harness_is_in_the_built_in_matrix() {
    let config = built_in();
    let values: Vec<&str> = config.axis("fault").expect("an axis").values().collect();
    for fault in crate::fault::Fault::all() {
        assert!(values.contains(&fault.name()), "{}", fault.name());
    }
}

#[test]
fn an_unknown_key_is_refused_at_its_line_with_the_nearest_name() {
    let message = error(|text| text.replacen("timeout_seconds", "timeout_secs", 1));
    assert!(message.contains("did you mean `timeout_seconds`?"), "{message}");
    assert!(message.contains("timeout_secs = 60\n"), "{message}");
}

#[test]
fn an_impossible_value_is_refused_at_its_place() {
    for (from, to, expected) in [
        ("\"writer.n_ctx\"", "\"writer.nctx\"", "did you mean `writer.n_ctx`?"),
        ("[\"1024\", \"2048\"]", "[\"1024\", \"many\"]", "`many` is not a number"),
        ("\"cut-image\"", "\"cut-picture\"", "there is no fault `cut-picture`"),
        ("mirrors = \"kv\"", "mirrors = \"vk\"", "there is no axis `vk`"),
        ("plan = \"default\"", "plan = \"defualt\"", "there is no plan `defualt`"),
        ("when = \"!weights(same)", "when = \"!weight(same)", "did you mean `weights`?"),
        ("when = \"!weights(same)", "when = \"!!&weights(same)", "expected a predicate"),
        ("version = 1", "version = 2", "version 2"),
        ("name = \"qwen2\"", "name = \"llama\"", "two model entries"),
        (
            "times = 16.0",
            "times = 1.0",
            "`thresholds.usable` is stricter than `thresholds.recomputed` in `times`",
        ),
        ("axes = [\"fault\", \"scenario\"]", "axes = [\"faults\", \"scenario\"]", "did you mean `fault`?"),
    ] {
        let message = error(|text| text.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} → {to}: {message}");
        assert!(message.contains("intact.toml:"), "{message}");
    }
}
