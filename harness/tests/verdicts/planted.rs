//! Text that means harm, planted wherever somebody else can write, and looked for wherever the command says something.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use intact_harness::report::{self, Report, annotations, badge, html, junit, markdown};
use intact_harness::results::Results;
use serde_json::Value;

use crate::scene::Scene;

/// Tests of what is printed and written.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("nothing in a run's results acts on who reads a report", nothing_in_results_acts_on_who_reads_a_report),
    ("nothing in a file acts on who inspects it", nothing_in_a_file_acts_on_who_inspects_it),
    ("nothing that an adapter says acts on a terminal", nothing_that_an_adapter_says_acts_on_a_terminal),
    ("nothing in a configuration acts on a terminal", nothing_in_a_configuration_acts_on_a_terminal),
    ("the README of a bundle interprets nothing", the_readme_of_a_bundle_interprets_nothing),
];

/// What acts on terminals, pages, comments and parsers.
const PLANT: &str = "\u{1b}[2J\u{1b}]8;;http://x\u{7}\u{0}\u{8}\u{9b}31m\u{85}\u{7f}\u{202e}\u{2066}\u{feff}\u{fffe}\r<b>@octocat http://evil.example www.evil.example #7 | `x` ]]> \u{ffff}";

/// Whether a character does something to who shows it, or may not be in a document.
fn acts(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => true,
        other => other.is_control() || u32::from(other) & 0xfffe == 0xfffe,
    }
}

fn harmless(what: &str, text: &str) {
    if let Some((at, character)) = text.char_indices().find(|(_, character)| acts(*character)) {
        let from = text[..at].char_indices().rev().nth(60).map_or(0, |(start, _)| start);
        panic!("{what}: {character:?} after {:?}", &text[from..at]);
    }
}

/// Runs the command in the scene's folder: nothing of what it says acts on a terminal.
fn says(scene: &Scene, words: &[&std::ffi::OsStr]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    for variable in
        ["CI", "INTACT_PROFILE", "INTACT_PLAN", "INTACT_WORKER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"]
    {
        command.env_remove(variable);
    }
    command.env("INTACT_HOME", scene.path("home")).env("NO_COLOR", "1").args(words);
    let output = command.current_dir(scene.path("")).output().expect("it runs");
    let told =
        String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8(output.stderr).expect("UTF-8");
    harmless(&format!("{words:?}"), &told);
    (output.status.code().expect("it ends by itself"), told)
}

fn say(scene: &Scene, words: &str) -> (i32, String) {
    says(scene, &words.split_whitespace().map(std::ffi::OsStr::new).collect::<Vec<_>>())
}

/// Where there are texts in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        Value::Object(values) => values.iter().for_each(|(name, value)| {
            places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
        }),
        _ => {}
    }
}

fn plant(document: &mut Value, place: &str) {
    if let Some(Value::String(text)) = document.pointer_mut(place) {
        text.push_str(PLANT);
    }
}

/// A run's results with the plant in every text that may be any text.
fn planted(results: &Results) -> Results {
    let mut document = serde_json::to_value(results).expect("JSON");
    let mut found = Vec::new();
    places(&document, "", &mut found);
    let mut many = 0;
    for place in found {
        let mut tried = document.clone();
        plant(&mut tried, &place);
        if serde_json::from_value::<Results>(tried.clone()).is_ok() {
            document = tried;
            many += 1;
        }
    }
    assert!(many > 100, "{many} texts");
    serde_json::from_value(document).expect("results")
}

fn nothing_in_results_acts_on_who_reads_a_report() {
    let scene = Scene::new("refuse", None).with_control("garbage");
    assert_eq!(say(&scene, "run").0, 100);
    let mut results = planted(&Results::read(&scene.path("out/results.json")).expect("read"));
    // What a worker wrote, and why cells are as they are.
    for cell in &mut results.cells {
        cell.log = vec![PLANT.into(), format!("{PLANT}\n{PLANT}")];
    }
    let report = Report::since(&results, &results);
    let page = html(&report).expect("rendered");
    for (what, text) in [
        ("html", page.clone()),
        ("markdown", markdown(&report)),
        ("junit", junit(&results).expect("rendered")),
        ("badge", badge(&results).expect("rendered")),
        ("annotations", annotations(&report)),
    ] {
        harmless(what, &text);
        assert!(what == "badge" || text.contains("octocat"), "{what} shows what was planted");
    }
    assert!(!page.contains("<b>@octocat"), "no markup of others");
    links_nothing(&markdown(&report));
    for line in annotations(&report).lines() {
        assert!(
            ["::error ", "::warning ", "::notice "].iter().any(|level| line.starts_with(level)),
            "{line}"
        );
    }
    results.write(&scene.path("out/results.json")).expect("written");
    for form in ["", "--github", "--markdown", "--junit", "--badge", "--html", "--json", "--baseline out"] {
        assert_eq!(say(&scene, &format!("report out {form}")).0, 0, "{form}");
    }
    for file in report::FILES {
        harmless(file, &fs::read_to_string(scene.path("out").join(file)).expect("written"));
    }
    for words in ["expect update --from out --dry-run", "expect check", "merge out --out whole"] {
        say(&scene, words);
    }
}

/// Nothing of others is a name, a link or a number of a page on GitHub, outside of code.
fn links_nothing(text: &str) {
    for line in text.lines() {
        let told = without_code(line);
        for made in ["@octocat", "://", "www.", "#7", "<b>"] {
            assert!(!told.contains(made), "{made} in {told}");
        }
    }
}

/// A line of Markdown without its code.
fn without_code(line: &str) -> String {
    let (mut told, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(['`', '\\']) {
        told.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\\') {
            let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
            told.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let fence = rest.len() - rest.trim_start_matches('`').len();
        let inside = &rest[fence..];
        let closed = inside.split('`').count() > 1;
        let mut from = 0;
        let mut end = None;
        while let Some(found) = inside[from..].find('`').filter(|_| closed) {
            let run = inside[from + found..].len() - inside[from + found..].trim_start_matches('`').len();
            if run == fence {
                end = Some(from + found + run);
                break;
            }
            from += found + run;
        }
        rest = end.map_or("", |end| &inside[end..]);
    }
    told + rest
}

fn nothing_in_a_file_acts_on_who_inspects_it() {
    let scene = Scene::new("nothing", None);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/golden/session-2.1.json");
    let text = fs::read_to_string(golden).expect("a session file");
    let session: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    places(&session, "", &mut found);
    let mut tried: Vec<Value> = found
        .iter()
        .filter(|place| !place.contains("/Chunks/") || place.contains("/Chunks/0/"))
        .map(|place| {
            let mut document = session.clone();
            plant(&mut document, place);
            document
        })
        .collect();
    let mut unknown = session.clone();
    unknown[PLANT] = Value::Null;
    tried.push(unknown);
    let step = tried.len().div_ceil(40);
    let last = tried.len() - 1;
    for (index, document) in
        tried.into_iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last)
    {
        scene.write("session.json", &document.to_string());
        for words in ["inspect session.json", "inspect session.json --json", "verify session.json"] {
            if index % (2 * step) == 0 || words.ends_with("session.json") {
                say(&scene, words);
            }
        }
    }
    for bytes in [PLANT.as_bytes(), b"GGUF\x1b[2J", b"{\"Version\": \"\x1b[2J\"}", b"{\"\\u001b[2J\": 1}"] {
        fs::write(scene.path("session.json"), bytes).expect("written");
        assert_ne!(say(&scene, "inspect session.json").0, 0);
    }
    // A file that is not there, whatever its name.
    let name = std::ffi::OsStr::from_bytes(b"no \x1b]8;;http://x\x07\xe2\x80\xae.json");
    for command in ["inspect", "verify", "report", "unpack", "pack"] {
        let (code, told) = says(&scene, &[command.as_ref(), name]);
        assert!(code != 0 && told.contains("\\u001b]8;;"), "{command}: {told}");
    }
    for command in [["run", "--config"], ["run", "--resume"], ["consume", "--from"], ["expect", "--file"]] {
        says(&scene, &[command[0].as_ref(), command[1].as_ref(), name]);
    }
}

/// A worker that says hello and refuses everything, with the plant in each text, and on standard error.
fn adapter(outcome: &str) -> Vec<String> {
    let text = serde_json::to_string(PLANT).expect("JSON");
    let hello = format!(
        r#"{{"kind":"reply","seq":1,"outcome":{{"status":"ok","result":{{"op":"hello","protocol":{},"subject":{text},"version":{text},"release":{text},"operations":["open",{text}],"versions":{{{text}:{text}}}}}}}}}"#,
        intact_protocol::PROTOCOL
    );
    let probe =
        format!(r#"{{"kind":"reply","seq":2,"outcome":{{"status":"unsupported","message":{text}}}}}"#);
    let open = format!(r#"{{"kind":"reply","seq":3,"outcome":{}}}"#, outcome.replace("TEXT", &text));
    let script = format!(
        "printf '\\033[2J%s\\n' err >&2; read a; printf '%s\\n' '{hello}'; read b; printf '%s\\n' '{probe}'; read c; printf '%s\\n' '{open}'; read d"
    );
    vec!["sh".into(), "-c".into(), script.replace("\\u0000", "")]
}

fn nothing_that_an_adapter_says_acts_on_a_terminal() {
    for outcome in [
        r#"{"status":"refused","code":TEXT,"message":TEXT,"axes":[TEXT]}"#,
        r#"{"status":"unsupported","message":TEXT,"issue":TEXT}"#,
        r#"{"status":"error","message":TEXT}"#,
        r#"{"status":"refused","code":7,"message":TEXT}"#,
        r#"{"status":TEXT}"#,
    ] {
        let scene = Scene::new("nothing", None);
        let text = fs::read_to_string(scene.path("intact.toml")).expect("read");
        let line = text.lines().find(|line| line.contains("--as-worker")).expect("a command");
        let words = adapter(outcome).into_iter().map(|word| {
            let quoted: String = word.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
            format!("\"{quoted}\"")
        });
        let command = format!("[{}]", words.collect::<Vec<_>>().join(", "));
        scene.write("intact.toml", &text.replace(line, &format!("command = {command}")));
        let (code, told) = say(&scene, "run");
        // Of an answer that cannot be read only the beginning is told.
        let whole = ["\"code\":7", "{\"status\":TEXT"].iter().all(|part| !outcome.contains(part));
        assert!(code != 0 && (told.contains("octocat") || !whole), "{outcome}: {told}");
        for told in fs::read_dir(scene.path("out")).into_iter().flatten().flatten() {
            let name = told.file_name().to_string_lossy().into_owned();
            if report::FILES.contains(&name.as_str()) {
                harmless(&name, &fs::read_to_string(told.path()).expect("read"));
            }
        }
    }
}

fn nothing_in_a_configuration_acts_on_a_terminal() {
    let scene = Scene::new("nothing", None);
    let text = fs::read_to_string(scene.path("intact.toml")).expect("read");
    let quoted =
        format!("\"{}\"", PLANT.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect::<String>());
    for (from, to) in [
        ("name = \"engine\"".to_owned(), format!("name = {quoted}")),
        ("plan = ".to_owned(), format!("{quoted} = 1\nplan = ")),
        ("[run]".to_owned(), format!("[{quoted}]\nx = 1\n[run]")),
        ("[run]".to_owned(), "\u{1b}[2J [run]".to_owned()),
        ("sets = [".to_owned(), format!("sets = [{quoted}, ")),
    ] {
        if !text.contains(&from) {
            continue;
        }
        scene.write("intact.toml", &text.replacen(&from, &to, 1));
        for words in ["run", "plan", "config show", "expect check"] {
            say(&scene, words);
        }
    }
    scene.write("intact.toml", &text);
    let entry =
        format!("version = 1\n[[expect]]\nwhen = \"all()\"\noutcome = [\"exact\"]\nreason = {quoted}\n");
    scene.write("expectations.toml", &entry);
    let (code, told) = say(&scene, "expect explain engine/one/base");
    assert!(code == 0 && told.contains("octocat"), "{told}");
    scene.write("expectations.toml", &entry.replace("all()", "model(\\u001b[2J"));
    say(&scene, "expect check");
    say(&scene, "run");
}

fn the_readme_of_a_bundle_interprets_nothing() {
    let scene = Scene::new("garbage", None);
    assert_eq!(say(&scene, "run").0, 100);
    let mut results = Results::read(&scene.path("out/results.json")).expect("read");
    for cell in &mut results.cells {
        cell.message = PLANT.into();
    }
    results.write(&scene.path("out/results.json")).expect("written");
    let (code, told) = say(&scene, "repro engine/two/ctx=1024 --from out --out bundle");
    assert_eq!(code, 0, "{told}");
    let readme = fs::read_to_string(scene.path("bundle/README.md")).expect("read");
    harmless("README.md", &readme);
    assert!(readme.contains("octocat") && readme.contains("--trust"), "{readme}");
    let told: Vec<&str> = readme.lines().filter(|line| line.contains("octocat")).collect();
    links_nothing(&told.join("\n"));
}
