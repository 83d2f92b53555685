//! Who gets the token.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::content;
use crate::desk::{Desk, ID, said};
use crate::server::{Behaviour, COMMIT, Server};

const TOKEN: &str = "hf_secret";

fn fetch(arguments: &[&str]) -> (Server, String) {
    let server = Server::start(Behaviour::with(content::model()));
    let desk = Desk::at(&server);
    let arguments = [&["models", "fetch", ID], arguments].concat();
    let said = said(&desk.command(&arguments).env("HF_TOKEN", TOKEN).output().expect("it runs"));
    assert_eq!(said.code, 0, "{}", said.err);
    (server, said.out + &said.err)
}

#[test]
fn a_host_that_the_environment_names_does_not_get_it_by_itself() {
    let (server, told) = fetch(&[]);
    assert!(server.asked().iter().all(|asked| asked.authorization.is_none()), "{:?}", server.asked());
    assert!(!told.contains(TOKEN));
}

#[test]
fn a_host_that_may_have_it_gets_it_and_its_storage_does_not() {
    let (server, told) = fetch(&["--send-token"]);
    for asked in server.asked() {
        let expected = (!asked.storage).then(|| format!("Bearer {TOKEN}"));
        assert_eq!(asked.authorization, expected, "{asked:?}");
    }
    assert!(!told.contains(TOKEN));
}

#[test]
fn the_environment_can_allow_it_too() {
    let server = Server::start(Behaviour::with(content::model()));
    let desk = Desk::at(&server);
    for (allowed, sent) in [("0", false), ("1", true)] {
        let mut command = desk.command(&["models", "fetch", ID]);
        let command = command.envs([("HF_TOKEN", TOKEN), ("INTACT_SEND_TOKEN", allowed)]);
        assert_eq!(said(&command.output().expect("it runs")).code, 0);
        assert_eq!(server.asked().iter().any(|asked| asked.authorization.is_some()), sent, "{allowed}");
        std::fs::remove_dir_all(desk.path("hf")).expect("removed");
    }
}

#[test]
fn a_refusal_says_that_the_token_was_withheld() {
    let server = Server::start(Behaviour { refuses: Some((401, "")), ..Behaviour::with(content::model()) });
    let desk = Desk::at(&server);
    let said =
        said(&desk.command(&["models", "fetch", ID]).env("HF_TOKEN", TOKEN).output().expect("it runs"));
    assert_eq!(said.code, 96);
    assert!(
        said.err.contains("your token was not sent") && said.err.contains("--send-token"),
        "{}",
        said.err
    );
    assert!(!said.err.contains(TOKEN));
}

/// Where a hub may try to send whoever asks it. `HUB` and `EVIL` are the ports of the hub and of another server.
const LOCATIONS: [&str; 27] = [
    "http://127.0.0.1:EVIL/x",
    "//127.0.0.1:EVIL/x",
    "/\\127.0.0.1:EVIL/x",
    "\\\\127.0.0.1:EVIL/x",
    "\\/127.0.0.1:EVIL/x",
    "/\t/127.0.0.1:EVIL/x",
    "/\t\\127.0.0.1:EVIL/x",
    "\t//127.0.0.1:EVIL/x",
    "http:\\\\127.0.0.1:EVIL/x",
    "http:/127.0.0.1:EVIL/x",
    "http:127.0.0.1:EVIL/x",
    "HTTP://127.0.0.1:EVIL/x",
    "http://127.0.0.1:HUB@127.0.0.1:EVIL/x",
    "http://user:word@127.0.0.1:EVIL/x",
    "http://user:word@127.0.0.1:HUB/x",
    "http://localhost:HUB/x",
    "http://localhost:EVIL/x",
    "http://127.1:EVIL/x",
    "http://0x7f000001:EVIL/x",
    "http://[::ffff:127.0.0.1]:EVIL/x",
    "http://[::1]:EVIL/x",
    "http://１２７.０.０.１:EVIL/x",
    "http://ⓛocalhost:HUB/x",
    "https://127.0.0.1:HUB/x",
    "ftp://127.0.0.1:EVIL/x",
    "/elsewhere?x=//127.0.0.1:EVIL",
    "../main/x",
];

#[test]
fn whatever_a_redirect_says_the_token_goes_to_the_hub_alone() {
    let statuses = [301, 302, 303, 307, 308];
    let tries: Vec<(&'static str, u16, &str)> = ["main", COMMIT]
        .into_iter()
        .flat_map(|asked| statuses.into_iter().map(move |status| (asked, status)))
        .flat_map(|(asked, status)| LOCATIONS.into_iter().map(move |location| (asked, status, location)))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(&(revision, status, location)) =
                    tries.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    stays_at_the_hub(revision, status, location);
                }
            });
        }
    });
}

/// Fetches with a token from a hub that redirects what is asked of a revision: of `main` what is there, of the commit the
/// content.
fn stays_at_the_hub(revision: &'static str, status: u16, location: &str) {
    let server = Server::start(Behaviour {
        redirects: Some((revision, status, location.to_owned())),
        ..Behaviour::with(content::model())
    });
    let desk = Desk::at(&server);
    let mut command = desk.command(&["models", "fetch", ID, "--send-token"]);
    command.env("HF_TOKEN", TOKEN).env("HF_HUB_DOWNLOAD_TIMEOUT", "2");
    let said = said(&command.output().expect("it runs"));
    let asked = server.asked();
    let (whose, host) = (format!("Bearer {TOKEN}"), server.host());
    assert_eq!(asked[0].authorization.as_ref(), Some(&whose), "the hub itself has it: {asked:?}");
    for asked in &asked {
        let is_hub = !asked.storage && asked.host == host;
        let told = asked.authorization.as_ref().is_some_and(|sent| sent.contains(TOKEN));
        assert!(is_hub || !told, "{status} {location:?} of {revision}: {asked:?}");
    }
    assert!(!said.err.contains(TOKEN) && !said.out.contains(TOKEN), "{}", said.err);
    if revision == "main" {
        assert!(
            asked.iter().all(|asked| !asked.storage),
            "what the hub has is asked of nobody else: {asked:?}"
        );
        assert_eq!(said.code, 96, "{location:?}: {}", said.err);
    }
}
