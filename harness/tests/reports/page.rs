//! The page in a real browser: the matrix renders, the drawer opens, nothing is logged to the console.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use intact_harness::report;
use intact_harness::results::Results;

use super::sample::{HOSTILE, bad, good};

/// Set to leave these tests out on a machine without a browser.
const NO_BROWSER: &str = "INTACT_NO_BROWSER";
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The page as a browser has it after its script ran, and what it wrote to the console.
struct Visit {
    page: String,
    console: Vec<String>,
}

fn browser() -> Option<PathBuf> {
    if env::var_os(NO_BROWSER).is_some() {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    Some(
        found.unwrap_or_else(|| {
            panic!("no browser found: install the package chromium, or set {NO_BROWSER}=1")
        }),
    )
}

fn visit(results: &Results, fragment: &str) -> Option<Visit> {
    let browser = browser()?;
    let folder = tempfile::tempdir().expect("a folder");
    report::write(results, folder.path()).expect("written");
    let address = format!("file://{}#{fragment}", folder.path().join("report.html").display());
    Some(open(&browser, &folder.path().join("profile"), &address))
}

fn open(browser: &Path, profile: &Path, address: &str) -> Visit {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args([
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(address)
        .output()
        .expect("the browser runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    Visit {
        page: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
    }
}

#[test]
fn the_matrix_renders_every_cell_and_the_console_stays_silent() {
    let Some(visit) = visit(&good(), "") else { return };
    assert_eq!(visit.console, [""; 0]);
    assert!(visit.page.contains(r#"data-rendered="7""#), "{}", visit.page);
    let shown = visit.page.split("<script").next().expect("what comes before the scripts");
    assert_eq!(shown.matches("data-cell=").count(), 7, "{shown}");
    assert!(!visit.page.contains("<dialog id=\"drawer\" aria-labelledby=\"drawer-title\" open"));
}

#[test]
fn an_address_opens_the_drawer_of_its_cell() {
    let Some(visit) = visit(&good(), "cell=engine%2Fllama%2Freader_kv%3Dq8_0") else { return };
    assert_eq!(visit.console, [""; 0]);
    let drawer = visit.page.split("<dialog").nth(1).expect("a drawer");
    for part in [
        "recomputed",
        "engine/llama/reader_kv=q8_0",
        "212 tokens were evaluated again",
        "Values of another type cannot be copied.",
        "blind: refused-destructive",
        "The saved parameters are in force.",
        "intact run -E 'id(engine/llama/reader_kv=q8_0)'",
    ] {
        assert!(drawer.contains(part), "{part} in {drawer}");
    }
}

#[test]
fn an_address_carries_a_filter() {
    let Some(visit) = visit(&good(), "q=fault:image-flip%20-blind") else { return };
    assert!(visit.page.contains(r#"data-rendered="1""#), "{}", visit.page);
    assert!(visit.page.contains("1 of 7 cells"));
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let Some(visit) = visit(&bad(), &format!("cell={}", encoded(&format!("engine/{HOSTILE}")))) else {
        return;
    };
    assert_eq!(visit.console, [""; 0]);
    assert!(visit.page.contains("<title>No."), "the page's own title");
    let drawer = visit.page.split("<dialog").nth(1).expect("a drawer");
    assert!(drawer.contains("&lt;img src=x onerror=alert(1)&gt;"), "{drawer}");
    assert!(!visit.page.contains("<img"), "no element came out of text");
    assert!(drawer.contains("Unexpected: this cell should have been exact or equivalent"), "{drawer}");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
