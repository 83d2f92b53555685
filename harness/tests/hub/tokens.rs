//! Who gets the token.

use crate::content;
use crate::desk::{Desk, ID, said};
use crate::server::{Behaviour, Server};

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
