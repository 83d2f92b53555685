//! The store over S3: a server that speaks it, on this machine, which the tests install and start themselves.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::desk::{Desk, chunks, session_file};
use super::faults::Proxy;
use super::project::Project;

/// A server in a process of its own, until dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let address = free_port();
        let process = Command::new(installed())
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Self { process, address };
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the S3 server does not answer at {address}");
    }

    /// A store in a bucket of its own, reached at `endpoint`.
    fn desk(&self, bucket: &str, endpoint: SocketAddr) -> Desk {
        let made = Command::new("curl")
            .args(["--silent", "--fail", "-X", "PUT", &format!("http://{}/{bucket}", self.address)])
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "the bucket is made; is curl installed?");
        Desk::at(format!("s3://{bucket}/sessions"))
            .with("AWS_ENDPOINT", format!("http://{endpoint}"))
            .with("AWS_ALLOW_HTTP", "true")
            .with("AWS_ACCESS_KEY_ID", "test")
            .with("AWS_SECRET_ACCESS_KEY", "test")
            .with("AWS_REGION", "us-east-1")
            .with("AWS_TIMEOUT", "1s")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server's program, from the packages of Python; installed where it is missing.
fn installed() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/s3-server");
    let output = Command::new(script).output().expect("ci/s3-server runs");
    assert!(
        output.status.success(),
        "the store was NOT TESTED over S3: the server could not be installed. It needs Python 3 with venv, and the \
         package index. ci/s3-server says:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

#[test]
fn sessions_are_kept_in_s3_as_they_are_in_a_folder() {
    let server = Server::start();
    let desk = server.desk("plain", server.address);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["ada", "größe 1"] {
        let file = session_file(folder.path(), name, "hello", &chunks(3, name, 50_000));
        let saved = desk.json(["import".as_ref(), file.as_os_str()]);
        assert_eq!(saved[0]["save"], 1);
    }
    assert_eq!(desk.json(["stats"])["shared_payloads"], 3);
    assert_eq!(desk.export("größe 1", folder.path()).chunks, chunks(3, "größe 1", 50_000));
    let file = folder.path().join("ada.json");
    assert_eq!(desk.run(["import".as_ref(), file.as_os_str()]).code, Some(96), "it is there already");
    desk.json(["prune", "--keep", "1"]);
    assert!(desk.json(["gc", "--grace", "0s"])["removed"].as_u64() >= Some(2));
    assert_eq!(desk.run(["verify"]).code, Some(0));
    assert_eq!(desk.json(["ls"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn of_processes_that_make_one_session_in_s3_exactly_one_succeeds() {
    let server = Server::start();
    let desk = server.desk("race", server.address);
    let folder = tempfile::tempdir().expect("a folder");
    let children: Vec<_> = (0..5)
        .map(|number| {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir(&own).expect("a folder");
            let said = format!("writer {number}");
            let file = session_file(&own, "chat", &said, &chunks(2, &said, 10_000));
            desk.command(["import".as_ref(), file.as_os_str()]).spawn().expect("it starts")
        })
        .collect();
    let codes: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().expect("it ends").status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(96)).count(), 4, "{codes:?}");
    let found = desk.export("chat", folder.path());
    assert_eq!(found.chunks, chunks(2, &found.said, 10_000));
}

#[test]
fn requests_that_fail_stall_or_break_off_lose_nothing() {
    let server = Server::start();
    let proxy = Proxy::before(server.address, 8, 20_261_122);
    let desk = server.desk("faults", proxy.address);
    let folder = tempfile::tempdir().expect("a folder");
    let mut failures = 0;
    let rounds =
        std::env::var("INTACT_FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4);
    for round in 0..rounds {
        let name = format!("session {}", round % 3);
        let own = chunks(3, &format!("own {round}"), 50_000);
        let file = session_file(folder.path(), &name, &format!("round {round}"), &own);
        // What a person does who is told that a request failed.
        let saved = (0..5).find_map(|_| {
            let said = desk.run(["import".as_ref(), "--replace".as_ref(), file.as_os_str()]);
            failures += usize::from(said.code != Some(0));
            assert!(
                said.code == Some(0) || (said.code == Some(96) && said.err.contains("failed")),
                "{said:?}"
            );
            said.code.filter(|code| *code == 0)
        });
        assert_eq!(saved, Some(0), "five attempts");
        let found = desk.export(&name, folder.path());
        assert_eq!((found.said, found.chunks), (format!("round {round}"), own));
        let collected = desk.run(["gc", "--grace", "0s"]);
        assert!(collected.code == Some(0) || collected.err.contains("failed"), "{collected:?}");
    }
    let plain = server.desk("faults", server.address);
    assert_eq!(plain.run(["verify"]).code, Some(0));
    let counts = proxy.counts();
    assert!(counts.iter().all(|(_, count)| *count > 0) || rounds < 4, "every fault happened: {counts:?}");
    println!("{rounds} rounds, faults {counts:?}, {failures} commands that gave up and were run again");
}

#[test]
fn the_parts_of_a_run_meet_in_s3() {
    let server = Server::start();
    let desk = server.desk("parts", server.address);
    let project = Project::new();
    let intact = |words: &str| {
        let output = project.command("intact").args(words.split(' ')).envs(desk.environment()).output();
        let output = output.expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let place = "--artifacts s3://parts/run-17";
    assert_eq!(intact(&format!("produce {place} --out saved")).0, Some(0));
    std::fs::remove_dir_all(project.path("saved")).expect("removed");
    assert_eq!(intact(&format!("consume {place} --partition 1/2 --out one")).0, Some(0));
    let (code, told) = intact(&format!("merge {place} --out torn"));
    assert_eq!(code, Some(5), "a part is missing: {told}");
    assert_eq!(intact(&format!("consume {place} --partition 2/2 --out two")).0, Some(0));
    let (code, told) = intact(&format!("merge {place} --out whole"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("Kept:   whole at s3://parts/run-17"), "{told}");
    let (code, told) = intact(&format!("run {place} --seed 2 --out other"));
    assert!(code == Some(96) && told.contains("keeps another run: the seed differ"), "{told}");
}
