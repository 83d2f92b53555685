use std::path::Path;

use super::*;
use crate::config::DEFAULT_CONFIG;

fn config() -> Config {
    Config::parse(DEFAULT_CONFIG, Path::new("intact.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn setting(config: &Config) -> Setting {
    let family = |name: &str| if name == "mamba2" { "recurrent" } else { "plain" };
    Setting {
        models: config
            .models
            .iter()
            .map(|model| (model.name.clone(), family(&model.name).to_owned()))
            .collect(),
        variants: config
            .models
            .iter()
            .map(|model| (model.name.clone(), model.variants.keys().cloned().collect()))
            .collect(),
        releases: BTreeMap::new(),
        systems: Vec::new(),
        crossed: releases(),
    }
}

/// The known releases, newest first.
fn releases() -> Vec<String> {
    let tags: toml::Table = include_str!("../../../../engine/tags.toml").parse().expect("TOML");
    let releases = tags["release"].as_array().expect("a list").iter().rev();
    releases.map(|release| release["tag"].as_str().expect("a tag").to_owned()).collect()
}

fn default_plan() -> (Config, Plan) {
    let config = config();
    let plan = Plan::make(&config, &config.run.plan, &setting(&config)).expect("a plan");
    (config, plan)
}

#[test]
fn the_default_plan_has_200_cells_and_more_and_every_one_has_a_recipe() {
    let (config, plan) = default_plan();
    let possible: Vec<_> = plan.cells.iter().filter(|cell| cell.filtered.is_none()).collect();
    let judged = possible.iter().filter(|cell| cell.part == Part::Judged).count();
    assert!(judged >= 200, "{judged} judged cells");
    for cell in possible {
        config.recipe(&cell.dims).unwrap_or_else(|error| panic!("{}: {error}", cell.id));
    }
}

#[test]
fn ids_are_unique_and_the_same_every_time() {
    let (_, plan) = default_plan();
    let ids: BTreeSet<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids.len(), plan.cells.len());
    assert_eq!(default_plan().1, plan);
    assert!(ids.contains("engine/llama/base"));
    assert!(ids.contains("blind/gemma3/weights=other"));
    assert!(ids.contains("engine/mamba2/scenario=replace,fault=cut-image"));
}

#[test]
fn every_possible_pair_is_covered_says_the_checker() {
    let (_, plan) = default_plan();
    for coverage in &plan.info.coverage {
        assert_eq!(coverage.covered + coverage.forbidden, coverage.combinations, "{coverage:?}");
    }
    assert_eq!(plan.info.coverage.len(), 1);
}

#[test]
fn no_cell_that_is_run_breaks_a_constraint_and_each_filtered_one_says_why() {
    let (config, plan) = default_plan();
    let setting = setting(&config);
    let planner = Planner::new(&config, &setting).expect("sound filters");
    for cell in &plan.cells {
        assert_eq!(planner.obstacle(&cell.dims), cell.filtered, "{}", cell.id);
    }
    let filtered = plan.cells.iter().find(|cell| cell.id == "engine/mamba2/kv=q8_0").expect("planned");
    assert_eq!(filtered.filtered.as_deref(), Some("a recurrent state has no K and V, and no attention"));
}

#[test]
fn a_subject_has_no_cells_that_differ_only_in_what_means_nothing_to_it() {
    let (config, plan) = default_plan();
    let blind = config.subjects.iter().find(|subject| subject.name == "blind").expect("configured");
    for cell in plan.cells.iter().filter(|cell| cell.dims["subject"] == "blind") {
        for axis in &blind.inapplicable {
            assert_eq!(cell.dims[axis], INAPPLICABLE, "{}", cell.id);
        }
    }
}

#[test]
fn a_value_that_says_the_same_as_the_writers_is_written_as_same() {
    let (_, plan) = default_plan();
    for cell in &plan.cells {
        for (reader, writer) in [("reader_kv", "kv"), ("reader_flash", "flash"), ("reader_ctx", "ctx")] {
            assert_ne!(cell.dims[reader], cell.dims[writer], "{}", cell.id);
        }
    }
}

#[test]
fn an_unknown_plan_is_refused_with_the_known_ones() {
    let config = config();
    let error = Plan::make(&config, "weekly", &setting(&config)).expect_err("unknown");
    assert!(error.to_string().contains("there are architectures, default, devices, nightly, pr"), "{error}");
}

#[test]
fn a_plan_with_more_cells_than_anybody_plays_is_counted_and_not_made() {
    let axis = |number: usize| {
        let values: Vec<String> = (0..200).map(|value| format!("\"v{value}\"")).collect();
        format!(
            "[[axes]]\nname = \"axis{number}\"\nabout = \"x\"\nsets = []\nvalues = [{}]\n\n",
            values.join(", ")
        )
    };
    let axes: String = (0..12).map(axis).collect();
    let names: Vec<String> = (0..12).map(|number| format!("\"axis{number}\"")).collect();
    let names = names.join(", ");
    for (block, count) in [
        (format!("vary = \"all\"\naxes = [{names}]"), Some(200_u128.pow(12))),
        (format!("vary = \"one\"\naxes = [\"axis0\"]\neach = [{names}]"), Some(200_u128.pow(12))),
        (format!("vary = \"pairs\"\naxes = [\"axis0\"]\neach = [{names}]"), Some(200_u128.pow(12))),
        (format!("vary = \"triples\"\naxes = [{names}]"), Some(1_760_000)),
        (format!("vary = \"one\"\naxes = [{names}]"), None),
    ] {
        let text = format!("{axes}\n[plans.huge]\nabout = \"x\"\n[[plans.huge.blocks]]\n{block}\n");
        let config = Config::parse(&(DEFAULT_CONFIG.to_owned() + &text), Path::new("intact.toml"))
            .unwrap_or_else(|error| panic!("{error}"));
        let made = Plan::make(&config, "huge", &setting(&config)).map(|_| ());
        let expected = count.map_or(Ok(()), |count| Err(PlanError::TooMany { plan: "huge".into(), count }));
        assert_eq!(made, expected, "{block}");
    }
}

#[test]
fn every_plan_that_comes_with_intact_is_far_from_too_many() {
    let config = config();
    let every = setting(&config);
    // Pairs of releases grow with the square of how many are at hand: those of the default build, then all that are known.
    let few = Setting { crossed: every.crossed.iter().take(7).cloned().collect(), ..setting(&config) };
    for (setting, margin) in [(few, 3), (every, 1)] {
        let planner = Planner::new(&config, &setting).expect("sound");
        let expander = Expander::new(&planner, Vec::new());
        for block in config.plans.values().flat_map(|plan| &plan.blocks) {
            assert!(expander.count(block) * margin < MOST, "{block:?}: {}", expander.count(block));
        }
    }
}
