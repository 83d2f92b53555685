//! Fetching, going on, coming back, and what is left behind.

use std::fs;
use std::process::Stdio;

use crate::content;
use crate::desk::{Desk, ID, said};
use crate::server::{Behaviour, COMMIT, FILE, PROJECTOR, REPO, Server};

fn sound() -> (Server, Desk) {
    let server = Server::start(Behaviour::with(content::model()));
    let desk = Desk::at(&server);
    (server, desk)
}

#[test]
fn a_model_is_fetched_verified_and_its_commit_recorded() {
    let (server, desk) = sound();
    let listed = desk.intact(&["models", "list"]).out;
    assert!(listed.lines().any(|line| line.starts_with("tiny ") && line.contains("not fetched")), "{listed}");
    assert!(server.asked().is_empty(), "listing makes no request");

    let path = desk.fetched();
    assert_eq!(fs::read(&path).expect("a file"), content::model());
    assert!(path.ends_with(format!("snapshots/{COMMIT}/{FILE}")), "{}", path.display());
    assert_eq!(desk.blobs(), [(content::sha256(&content::model()), content::model().len() as u64)]);
    assert_eq!(fs::read_to_string(desk.repository().join("refs/main")).expect("a ref"), COMMIT);
    assert!(desk.lock().contains(COMMIT) && desk.lock().contains(REPO), "{}", desk.lock());

    let listed = desk.intact(&["models", "list"]).out;
    assert!(listed.lines().any(|line| line.starts_with("tiny ") && line.contains(" here ")), "{listed}");
    let verified = desk.intact(&["models", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("whole"), "{}", verified.out);
}

#[test]
fn afterwards_the_hub_is_not_needed() {
    let (mut server, desk) = sound();
    let path = desk.fetched();
    let requests = server.asked().len();
    assert_eq!(desk.fetched(), path);
    assert_eq!(server.asked().len(), requests, "what is here and verified costs no request");

    server.stop();
    assert_eq!(desk.fetched(), path);
    let offline = desk.intact(&["models", "fetch", ID, "--offline"]);
    assert_eq!(offline.code, 0, "{}", offline.err);
    assert_eq!(desk.intact(&["models", "verify", ID]).code, 0);
}

#[test]
fn a_transfer_that_breaks_off_again_and_again_goes_on_where_it_ended() {
    let (server, desk) = sound();
    server.behave(|hub| hub.cut = Some(content::model().len() / 3));
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
    let ranges = server.ranges();
    assert_eq!(ranges[0], None);
    assert!(ranges.len() > 2 && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
}

#[test]
fn what_one_run_has_got_the_next_one_does_not_fetch_again() {
    let (server, desk) = sound();
    let third = content::model().len() / 3;
    server.behave(|hub| hub.cut = Some(third));
    server.behave(|hub| hub.ranges = false);
    let said = desk.fetch();
    assert_eq!(said.code, 96, "{}", said.err);
    assert!(
        said.err.contains(&format!("only {third} of {} bytes came", content::model().len())),
        "{}",
        said.err
    );
    assert!(said.err.contains("it goes on from there"), "{}", said.err);
    let listed = desk.intact(&["models", "list"]).out;
    assert!(listed.contains("KiB here"), "{listed}");

    server.behave(|hub| (hub.cut, hub.ranges) = (None, true));
    let before = server.ranges().len();
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
    let range = server.ranges()[before].clone().expect("a range");
    let start = range.trim_start_matches("bytes=").split('-').next().and_then(|start| start.parse().ok());
    assert!(start.is_some_and(|start: usize| start > 0 && start <= third), "{range}");
    assert_eq!(desk.blobs().len(), 1, "no part is left: {:?}", desk.blobs());
}

#[test]
fn a_server_that_ignores_ranges_is_noticed_and_nothing_is_spliced() {
    let (server, desk) = sound();
    server.behave(|hub| hub.cut = Some(content::model().len() / 2));
    server.behave(|hub| hub.ranges = false);
    assert_eq!(desk.fetch().code, 96);
    server.behave(|hub| hub.cut = None);
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
}

#[test]
fn a_part_of_something_else_is_thrown_away() {
    let (server, desk) = sound();
    let sha256 = content::sha256(&content::model());
    let blobs = desk.repository().join("blobs");
    fs::create_dir_all(&blobs).expect("a folder");
    fs::write(blobs.join(format!("{sha256}.intact-part")), vec![7; 20_000]).expect("written");
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
    assert!(server.ranges()[0].is_some(), "the part was tried first");
}

#[test]
fn a_projector_comes_along_and_content_that_is_here_is_not_fetched_again() {
    let (server, desk) = sound();
    let pins = fs::read_to_string(desk.path("models.toml")).expect("a file");
    let sha256 = content::sha256(&content::model());
    let projector = format!("mmproj = {{ file = \"{PROJECTOR}\", sha256 = \"{sha256}\" }}\n");
    fs::write(desk.path("models.toml"), pins + &projector).expect("written");

    let fetched = desk.intact(&["models", "fetch"]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    let snapshot = desk.repository().join("snapshots").join(COMMIT);
    assert_eq!(fs::read(snapshot.join(PROJECTOR)).expect("a file"), content::model());
    assert_eq!(server.ranges(), [None], "both are the same content");
    let verified = desk.intact(&["models", "verify"]);
    assert_eq!((verified.code, verified.out.matches("whole").count()), (0, 2), "{}", verified.out);

    fs::remove_file(snapshot.join(PROJECTOR)).expect("removed");
    let listed = desk.intact(&["models", "list"]).out;
    assert!(listed.contains("not fetched"), "a model without its projector is not here: {listed}");
}

#[test]
fn a_transfer_whose_process_is_killed_goes_on_in_the_next() {
    let (server, desk) = sound();
    let third = content::model().len() / 3;
    server.behave(|hub| hub.stall = Some(third));
    let mut child = desk.command(&["models", "fetch", ID]).stderr(Stdio::null()).spawn().expect("it runs");
    let part = || desk.blobs().first().map_or(0, |(_, length)| *length);
    while part() < third as u64 {
        assert!(child.try_wait().expect("a process").is_none(), "it waits for the rest");
        std::thread::yield_now();
    }
    child.kill().and_then(|()| child.wait()).expect("killed");

    server.behave(|hub| hub.stall = None);
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
    assert!(server.ranges()[1].is_some(), "{:?}", server.ranges());
}

#[test]
fn the_built_in_pins_are_listed_and_those_of_the_user_after_them() {
    let (server, desk) = sound();
    fs::create_dir_all(desk.path("home")).expect("a folder");
    fs::copy(desk.path("models.toml"), desk.path("home/models.toml")).expect("copied");
    let mut command = desk.command(&["models", "list"]);
    let said = said(&command.env_remove("INTACT_PINS").output().expect("it runs"));
    let at = |id: &str| said.out.find(&format!("\n{id} "));
    assert!(at("qwen3-0.6b-q4_k_m").is_some() && at("qwen3-0.6b-q4_k_m") < at(ID), "{}", said.out);
    assert!(server.asked().is_empty());
}

#[test]
fn two_processes_fetch_once() {
    let (server, desk) = sound();
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = desk.command(&["models", "fetch", ID]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the command runs")
        })
        .collect();
    for child in children {
        let said = said(&child.wait_with_output().expect("the command ends"));
        assert_eq!(said.code, 0, "{}", said.err);
    }
    assert_eq!(server.ranges(), [None], "one of them transferred, the others waited");
}

#[test]
fn a_file_that_another_program_has_put_into_the_cache_is_used() {
    let (server, desk) = sound();
    let path = desk.fetched();
    fs::remove_dir_all(desk.path("home")).expect("removed");
    fs::remove_file(desk.path("models.lock.toml")).expect("removed");
    let requests = server.asked().len();
    assert_eq!(desk.fetched(), path);
    assert_eq!(server.asked().len(), requests);
    assert!(desk.lock().contains(COMMIT), "its commit is recorded all the same");
}

#[test]
fn a_file_that_was_altered_in_place_is_found_and_replaced() {
    let (server, desk) = sound();
    let path = desk.fetched();
    fs::write(&path, content::altered()).expect("written");

    let verified = desk.intact(&["models", "verify"]);
    assert_eq!(verified.code, 100, "{}", verified.err);
    assert!(
        verified.out.contains("damaged") && verified.out.contains("but the pin says"),
        "{}",
        verified.out
    );
    assert_eq!(fs::read(&path).expect("a file"), content::altered(), "verifying changes nothing");

    let said = desk.fetch();
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("is damaged and is fetched again"), "{}", said.err);
    assert_eq!(fs::read(&path).expect("a file"), content::model());
    assert_eq!(server.ranges(), [None, None]);
}

#[test]
fn a_file_that_is_cut_short_is_damaged_at_a_glance() {
    let (_server, desk) = sound();
    let path = desk.fetched();
    fs::write(&path, &content::model()[..content::model().len() / 2]).expect("written");
    let listed = desk.intact(&["models", "list"]).out;
    assert!(listed.lines().any(|line| line.starts_with("tiny ") && line.contains("damaged")), "{listed}");
    assert_eq!(desk.intact(&["models", "verify"]).code, 100);
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
}

#[test]
fn a_repository_that_was_renamed_is_followed() {
    let (server, desk) = sound();
    server.behave(|hub| hub.renamed_from = Some("owner/before"));
    let pins = fs::read_to_string(desk.path("models.toml")).expect("a file").replace(REPO, "owner/before");
    fs::write(desk.path("models.toml"), pins).expect("written");
    assert_eq!(fs::read(desk.fetched()).expect("a file"), content::model());
}

#[test]
fn a_model_is_pinned_by_what_the_hub_says_of_it() {
    let (server, desk) = sound();
    fs::write(desk.path("models.toml"), "# mine\nversion = 1\n").expect("written");
    let pinned = desk.intact(&["models", "pin", REPO, FILE, "--family", "dense"]);
    assert_eq!(pinned.code, 0, "{}", pinned.err);
    assert!(server.ranges().is_empty(), "pinning fetches nothing");
    let pins = fs::read_to_string(desk.path("models.toml")).expect("a file");
    assert!(pins.starts_with("# mine") && pins.contains(&content::sha256(&content::model())), "{pins}");
    assert!(desk.lock().contains(COMMIT), "{}", desk.lock());

    let fetched = desk.intact(&["models", "fetch", "tiny.q8_0"]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.storage || asked.path.contains("main") || asked.path.contains(COMMIT))
    );

    let again = desk.intact(&["models", "pin", REPO, FILE]);
    assert_eq!(again.code, 0, "the same again is nothing new: {}", again.err);
    server.behave(|hub| hub.sha256 = "0".repeat(64));
    let other = desk.intact(&["models", "pin", REPO, FILE]);
    assert_eq!(other.code, 96);
    assert!(other.err.contains("already stands for") && other.err.contains("--id"), "{}", other.err);
}

#[test]
fn a_run_fetches_the_model_that_it_names() {
    let (server, desk) = sound();
    let out = desk.path("out");
    let out = out.to_str().expect("UTF-8");
    let run = desk.intact(&["run", "--model", "id:tiny", "--worker", "/nonexistent", "--out", out]);
    assert_eq!(run.code, 96, "there is no worker: {}", run.err);
    assert_eq!(server.ranges(), [None], "{}", run.err);
    assert_eq!(desk.blobs().len(), 1);

    fs::remove_dir_all(desk.path("hf")).expect("removed");
    let chat = desk.intact(&["chat", "--model", "id:tiny", "--worker", "/nonexistent"]);
    assert_eq!((chat.code, desk.blobs().len()), (96, 1), "so does a chat: {}", chat.err);

    let run = desk.intact(&["run", "--model", "id:tinny"]);
    assert_eq!(run.code, 96);
    assert!(
        run.err.contains("no model tinny is pinned") && run.err.contains("did you mean tiny?"),
        "{}",
        run.err
    );
}
