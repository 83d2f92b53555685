//! What axe-core finds in the page: nothing serious, in any part of it, in light and in dark.

use std::env;
use std::fs;
use std::path::PathBuf;

use intact_harness::report::{Report, html};
use intact_harness::results::Results;
use serde_json::Value;

use super::browser::Page;
use super::forms::changed;
use super::page::open;
use super::sample::{bad, good};
use super::speed;
use super::systems::peers;

/// Set to leave these tests out on a machine without axe-core.
const NO_AXE: &str = "INTACT_NO_AXE";

/// axe-core, as `ci/setup` puts it into the cache folder.
fn axe() -> Option<String> {
    if env::var_os(NO_AXE).is_some() {
        return None;
    }
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/intact"));
    let homes = [env::var_os("INTACT_HOME").map(PathBuf::from), home];
    let found = homes
        .into_iter()
        .flatten()
        .find_map(|home| fs::read_to_string(home.join("axe-core/node_modules/axe-core/axe.min.js")).ok());
    Some(found.unwrap_or_else(|| {
        panic!("axe-core is not installed: run `INTACT_SETUP=test ci/setup`, or set {NO_AXE}=1")
    }))
}

/// Rules that are broken, and where, of the two graver kinds.
fn violations(page: &mut Page, axe: &str) -> Vec<String> {
    page.eval(axe);
    let found = page.eval(
        "axe.run(document).then(({ violations }) => violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)) \
         .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' and ')}`))",
    );
    let Value::Array(found) = found else { panic!("axe-core gave {found}") };
    found.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
}

fn nothing_serious_in(results: &Results, fragments: &[&str]) {
    nothing_serious_on(&html(&Report::of(results)).expect("rendered"), fragments);
}

pub(crate) fn nothing_serious_on(html: &str, fragments: &[&str]) {
    let Some(axe) = axe() else { return };
    for scheme in ["light", "dark"] {
        for width in [1280, 400] {
            let Some(mut page) = Page::open(html, "") else { return };
            page.prefer(scheme);
            page.resize(width, 900);
            for fragment in fragments {
                page.visit(fragment);
                page.wait("!location.hash.includes('cell=') || document.getElementById('drawer').open");
                let found = violations(&mut page, &axe);
                assert_eq!(found, [""; 0], "{fragment} in {scheme}, {width} pixels wide");
            }
        }
    }
}

#[test]
fn the_first_screen_has_no_serious_violation() {
    nothing_serious_in(&good(), &[""]);
    nothing_serious_in(&bad(), &[""]);
}

#[test]
fn the_matrix_as_grid_and_as_list_has_no_serious_violation() {
    nothing_serious_in(&bad(), &["tab=matrix", "tab=matrix&shape=list", "tab=matrix&q=modle(llama)"]);
}

#[test]
fn the_drawer_has_no_serious_violation() {
    nothing_serious_in(&good(), &["cell=engine%2Fllama%2Freader_kv%3Dq8_0"]);
}

#[test]
fn every_other_part_has_no_serious_violation() {
    nothing_serious_in(&bad(), &["tab=claims", "tab=coverage", "tab=run"]);
    nothing_serious_in(&peers(), &["", "tab=systems"]);
    let (before, now) = changed();
    nothing_serious_on(&html(&Report::since(&now, &before)).expect("rendered"), &["tab=compare"]);
}

#[test]
fn the_performance_part_has_no_serious_violation() {
    nothing_serious_on(&speed::page(Some(speed::slower()), Vec::new()), &["tab=performance"]);
}

#[test]
fn axe_core_finds_what_is_planted() {
    let Some(axe) = axe() else { return };
    let Some(mut page) = open(&good(), "") else { return };
    page.eval("document.querySelector('h1').style.color = '#eee'");
    page.eval("document.querySelector('main').append(document.createElement('button'))");
    let found = violations(&mut page, &axe).concat();
    assert!(found.contains("color-contrast") && found.contains("button-name"), "{found}");
}
