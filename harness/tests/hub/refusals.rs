//! Hubs that refuse, lie, fall silent, or send something else. Nothing of it is ever left in place of the file.

use crate::content;
use crate::desk::{Desk, ID};
use crate::server::{Behaviour, COMMIT, Server};

fn with(change: impl FnOnce(&mut Behaviour)) -> (Server, Desk) {
    let mut behaviour = Behaviour::with(content::model());
    change(&mut behaviour);
    let server = Server::start(behaviour);
    let desk = Desk::at(&server);
    (server, desk)
}

/// Fetching fails, says all of `words`, and succeeds once the hub is sound.
fn refused(server: &Server, desk: &Desk, words: &[&str]) {
    let said = desk.fetch();
    assert_eq!(said.code, 96, "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "`{word}` in: {}", said.err);
    }
    let sha256 = content::sha256(&content::model());
    assert!(desk.blobs().iter().all(|(name, _)| *name != sha256), "nothing is in place: {:?}", desk.blobs());

    server.behave(|hub| *hub = Behaviour::with(content::model()));
    assert_eq!(std::fs::read(desk.fetched()).expect("a file"), content::model());
}

#[test]
fn content_that_is_not_the_pinned_one_is_refused_and_not_left_behind() {
    let (server, desk) = with(|hub| hub.content = content::altered());
    let said = desk.fetch();
    assert_eq!(said.code, 96);
    for word in [&content::sha256(&content::altered()), &content::sha256(&content::model()), "was not kept"] {
        assert!(said.err.contains(word), "`{word}` in: {}", said.err);
    }
    assert_eq!(desk.blobs(), [], "not even a part");
    assert_eq!(desk.lock(), "", "and nothing is recorded");
    refused(&server, &desk, &["altered on the way"]);
}

#[test]
fn a_hub_that_says_it_has_something_else_is_not_even_asked_for_it() {
    let (server, desk) = with(|hub| hub.sha256 = "0".repeat(64));
    refused(&server, &desk, &[&"0".repeat(64), "but the pin says", "nothing was fetched"]);

    let (server, desk) = with(|_| ());
    desk.pin(&"0".repeat(64));
    let said = desk.fetch();
    assert!(said.err.contains("but the pin says 000"), "{}", said.err);
    assert!(server.ranges().is_empty());
}

#[test]
fn a_revision_that_is_recorded_stays_what_it_was() {
    let (server, desk) = with(|_| ());
    desk.fetched();
    std::fs::remove_dir_all(desk.path("hf")).expect("removed");
    server.behave(|hub| hub.size -= 1);
    let said = desk.fetch();
    assert_eq!(said.code, 96);
    assert!(said.err.contains("but models.lock.toml says"), "{}", said.err);
    assert!(
        server.asked().last().is_some_and(|asked| asked.path.contains(COMMIT)),
        "the commit is asked for"
    );
}

#[test]
fn every_status_says_what_it_means_and_what_to_do() {
    for (status, headers, words) in [
        (401, "", &["HTTP 401", "HF_TOKEN", "no token was sent"][..]),
        (
            403,
            "X-Error-Message: accept the license\r\n",
            &["HTTP 403", "accept the license", "model's terms"],
        ),
        (404, "", &["HTTP 404", "no such repository", "renamed or removed"]),
        (416, "", &["HTTP 416", "no bytes in the range"]),
        (429, "Retry-After: 77\r\n", &["HTTP 429", "asked too often", "in 77 seconds"]),
        (500, "", &["HTTP 500", "out of order", "try again later"]),
        (503, "", &["HTTP 503", "out of order"]),
    ] {
        let (server, desk) = with(|hub| hub.refuses = Some((status, headers)));
        refused(&server, &desk, words);
    }
}

#[test]
fn an_error_page_of_the_storage_is_not_taken_for_the_file() {
    for (status, headers, word) in [
        (403, "", "HTTP 403"),
        (416, "", "HTTP 416"),
        (429, "Retry-After: 5\r\n", "in 5 seconds"),
        (500, "", "HTTP 500"),
    ] {
        let (server, desk) = with(|hub| hub.storage_refuses = Some((status, headers)));
        refused(&server, &desk, &[word]);
    }
}

#[test]
fn more_bytes_than_announced_are_not_kept() {
    let (server, desk) = with(|hub| hub.size -= 100);
    refused(&server, &desk, &["sent more", "was not kept"]);
}

#[test]
fn fewer_bytes_than_announced_are_a_transfer_that_broke_off() {
    let (server, desk) = with(|hub| hub.size += 100);
    let came = format!("only {} of {} bytes", content::model().len(), content::model().len() + 100);
    refused(&server, &desk, &[&came]);
}

#[test]
fn a_file_that_does_not_fit_on_the_disk_is_not_begun() {
    let (server, desk) = with(|hub| hub.size = 1 << 60);
    let said = desk.fetch();
    assert!(said.err.contains("are free in") && said.err.contains("would not fit"), "{}", said.err);
    assert!(server.ranges().is_empty());
    refused(&server, &desk, &["free some space"]);
}

#[test]
fn a_hub_that_is_silent_or_gone_is_given_up() {
    let (mut server, desk) = with(|hub| hub.silent = true);
    let mut command = desk.command(&["models", "fetch", ID]);
    let said = crate::desk::said(&command.env("HF_HUB_DOWNLOAD_TIMEOUT", "1").output().expect("it runs"));
    assert_eq!(said.code, 96);
    assert!(said.err.contains("cannot be reached"), "{}", said.err);

    server.stop();
    let said = desk.fetch();
    assert_eq!(said.code, 96);
    assert!(said.err.contains("cannot be reached") && said.err.contains("HF_ENDPOINT"), "{}", said.err);
}

#[test]
fn a_hub_that_sends_a_byte_now_and_then_is_given_up() {
    let (server, desk) = with(|hub| hub.trickle = Some(std::time::Duration::from_millis(400)));
    let begun = std::time::Instant::now();
    let mut command = desk.command(&["models", "fetch", ID]);
    let said = crate::desk::said(&command.env("HF_HUB_DOWNLOAD_TIMEOUT", "1").output().expect("it runs"));
    assert_eq!(said.code, 96);
    assert!(said.err.contains("that would never end"), "{}", said.err);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    server.behave(|hub| hub.trickle = None);
    assert_eq!(std::fs::read(desk.fetched()).expect("a file"), content::model(), "and then it goes on");
}

#[test]
fn a_link_in_place_of_a_part_or_of_a_note_is_not_written_through() {
    let (_server, desk) = with(|_| ());
    let diary = desk.path("diary");
    std::fs::write(&diary, "mine").expect("written");
    let blobs = desk.repository().join("blobs");
    let refs = desk.repository().join("refs");
    for (folder, name) in
        [(blobs, format!("{}.intact-part", content::sha256(&content::model()))), (refs, "main".into())]
    {
        std::fs::create_dir_all(&folder).expect("made");
        std::os::unix::fs::symlink(&diary, folder.join(name)).expect("planted");
    }
    let path = desk.fetched();
    assert_eq!(std::fs::read(&path).expect("a file"), content::model());
    assert_eq!(std::fs::read_to_string(&diary).expect("read"), "mine");
    let blob = std::fs::canonicalize(&path).expect("there");
    assert!(blob.starts_with(desk.repository().canonicalize().expect("there")), "{}", blob.display());
}

#[test]
fn something_that_is_no_hub_is_told_from_one() {
    let (server, desk) = with(|hub| hub.refuses = Some((200, "")));
    refused(&server, &desk, &["as a hub does", "X-Repo-Commit", "login page"]);
    let (server, desk) = with(|hub| hub.commit = "main".into());
    refused(&server, &desk, &["`main` is not a commit"]);
}

#[test]
fn offline_means_no_request() {
    let (server, desk) = with(|_| ());
    for variable in ["INTACT_OFFLINE", "HF_HUB_OFFLINE"] {
        let mut command = desk.command(&["models", "fetch", ID]);
        let said = crate::desk::said(&command.env(variable, "1").output().expect("it runs"));
        assert_eq!(said.code, 96);
        assert!(said.err.contains("is not here") && said.err.contains("without --offline"), "{}", said.err);
    }
    assert_eq!(desk.intact(&["models", "fetch", ID, "--offline"]).code, 96);
    assert_eq!(desk.intact(&["models", "verify", ID]).code, 96, "asked for, and not here");
    assert_eq!(desk.intact(&["models", "verify"]).code, 4, "nothing is here");
    assert!(server.asked().is_empty());
}
