//! Attempts to get out. A cage is of a thread, so each is made in one of its own, outside of the cage first: what does not
//! work there proves nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, test_kill_process};

use super::{Kept, close};
use intact_protocol::Cage;

/// A place with what is within reach of the cage and what is beside it.
struct Place {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
    neighbour: Child,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["inside", "outside"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("there"), "text").expect("written");
        }
        for name in ["model", "model-beside", "in the way", "gone"] {
            fs::write(at(name), "text").expect("written");
        }
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let unix = UnixListener::bind(at("socket")).expect("a socket");
        let neighbour = Command::new("sleep").arg("600").env("SECRET", "1").spawn().expect("a process");
        Self { folder, tcp, _unix: unix, neighbour }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cage(&self) -> Cage {
        Cage { read: vec![self.at("model")], write: vec![self.at("inside")] }
    }

    /// Runs this in a thread of its own, in the cage or not. None where the system has not what the attempts are against.
    fn attempt<T: Send>(&self, caged: bool, attempts: impl FnOnce(&Self) -> T + Send) -> (Kept, T) {
        let within = || {
            let kept = if caged { close(&self.cage()).expect("closed") } else { Kept::default() };
            (kept, attempts(self))
        };
        thread::scope(|scope| scope.spawn(within).join().expect("no panic"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = self.neighbour.kill().and_then(|()| self.neighbour.wait());
    }
}

type Attempts = BTreeMap<&'static str, io::Result<()>>;

/// What needs files, programs or signals.
fn files(place: &Place) -> Attempts {
    let outside = |name: &str| place.at("outside").join(name);
    let neighbour = Pid::from_raw(place.neighbour.id().cast_signed()).expect("a process");
    let program = |name: &Path| Command::new(name).stdout(Stdio::null()).status().map(drop);
    BTreeMap::from([
        ("read a file of the system", fs::read("/etc/passwd").map(drop)),
        ("read a file beside the model", fs::read(place.at("model-beside")).map(drop)),
        ("read another folder's file", fs::read(outside("there")).map(drop)),
        ("list another folder", fs::read_dir(place.at("outside")).map(drop)),
        ("list the root", fs::read_dir("/").map(drop)),
        ("read another process's secrets", {
            fs::read(format!("/proc/{}/environ", place.neighbour.id())).map(drop)
        }),
        ("change the model", fs::OpenOptions::new().append(true).open(place.at("model")).map(drop)),
        ("write beside", fs::write(outside("new"), "text")),
        ("truncate beside", fs::File::create(place.at("in the way")).map(drop)),
        ("remove beside", fs::remove_file(place.at("gone"))),
        ("make a folder beside", fs::create_dir(outside("folder"))),
        ("move what is inside out", fs::rename(place.at("inside/there"), outside("moved"))),
        ("link what is outside in", fs::hard_link(outside("there"), place.at("inside/linked"))),
        ("leave a link for others", symlink("/etc/passwd", place.at("inside/passwd"))),
        ("start a program", program(Path::new("/bin/true"))),
        ("signal another process", test_kill_process(neighbour).map_err(Into::into)),
    ])
}

/// What needs sockets.
fn sockets(place: &Place) -> Attempts {
    let address = place.tcp.local_addr().expect("an address");
    BTreeMap::from([
        ("connect by TCP", TcpStream::connect(address).map(drop)),
        ("listen by TCP", TcpListener::bind("127.0.0.1:0").map(drop)),
        (
            "send a datagram",
            UdpSocket::bind("127.0.0.1:0").and_then(|udp| udp.send_to(b"text", address)).map(drop),
        ),
        ("connect on this machine", UnixStream::connect(place.at("socket")).map(drop)),
        ("send a datagram on this machine", UnixDatagram::unbound().map(drop)),
        ("start a program", Command::new("/bin/true").status().map(drop)),
    ])
}

/// Whether all succeed outside, and none does inside. What the system does not keep is not tested, and says so.
fn none_succeeds(attempts: fn(&Place) -> Attempts, kept: fn(Kept) -> bool, what: &str) {
    let (_, free) = Place::new().attempt(false, attempts);
    for (attempt, outcome) in free {
        assert!(outcome.is_ok(), "{attempt}: {outcome:?}: it does not work outside either");
    }
    let (closed, caged) = Place::new().attempt(true, attempts);
    if !kept(closed) {
        eprintln!("NOT TESTED: this system cannot keep a worker from {what}");
        return;
    }
    for (attempt, outcome) in caged {
        let error = outcome.err().unwrap_or_else(|| panic!("{attempt}: it succeeds in the cage"));
        let denied = [io::ErrorKind::PermissionDenied, io::ErrorKind::CrossesDevices];
        assert!(denied.contains(&error.kind()), "{attempt}: {error}");
    }
}

#[test]
fn no_file_program_or_process_is_within_reach() {
    none_succeeds(files, |kept| kept.files, "files");
}

#[test]
fn no_socket_is_within_reach() {
    none_succeeds(sockets, |kept| kept.network, "the network");
}

#[test]
fn what_a_worker_does_goes_on() {
    let (_, done) = Place::new().attempt(true, |place| -> io::Result<()> {
        let inside = place.at("inside");
        fs::read(place.at("model"))?;
        fs::read_dir(&inside)?;
        fs::create_dir(inside.join("deeper"))?;
        fs::write(inside.join("deeper/temporary"), "text")?;
        fs::rename(inside.join("deeper/temporary"), inside.join("deeper/session.json"))?;
        fs::rename(inside.join("deeper/session.json"), inside.join("session.json"))?;
        fs::hard_link(inside.join("session.json"), inside.join("other"))?;
        fs::File::open(&inside)?.sync_all()?;
        fs::remove_file(inside.join("there"))?;
        fs::write("/dev/null", "text")?;
        let own = thread::spawn(|| fs::read("/proc/self/status").map(drop));
        own.join().expect("no panic")
    });
    done.expect("allowed");
    assert!(thread::available_parallelism().is_ok());
}

#[test]
fn what_one_thread_gave_up_others_keep() {
    let place = Place::new();
    place.attempt(true, |_| ());
    fs::read(place.at("model-beside")).expect("this thread is not in the cage");
}
