//! A hub on loopback: one port answers as the hub does, with redirects, and another as its storage does, with bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The repository that the hub has.
pub(crate) const REPO: &str = "owner/name-GGUF";
/// The file in it.
pub(crate) const FILE: &str = "tiny.Q8_0.gguf";
/// Another file in it, with the same content.
pub(crate) const PROJECTOR: &str = "mmproj/tiny f16.gguf";
/// The commit of its main branch.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub behaves.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    /// What it has.
    pub(crate) content: Vec<u8>,
    /// What it says the SHA-256 is.
    pub(crate) sha256: String,
    /// What it says the length is.
    pub(crate) size: u64,
    /// What it says the commit is.
    pub(crate) commit: String,
    /// Status and headers in place of the redirect.
    pub(crate) refuses: Option<(u16, &'static str)>,
    /// Status and headers in place of the bytes.
    pub(crate) storage_refuses: Option<(u16, &'static str)>,
    /// Whether ranges are honoured.
    pub(crate) ranges: bool,
    /// Bytes of a response after which the connection is closed.
    pub(crate) cut: Option<usize>,
    /// Bytes of a response after which no more come, and the connection stays open.
    pub(crate) stall: Option<usize>,
    /// Whether it accepts connections and says nothing.
    pub(crate) silent: bool,
    /// The name that the repository had before.
    pub(crate) renamed_from: Option<&'static str>,
    /// It redirects requests for this revision, with this status, to there; in the text `HUB` and `EVIL` are the ports of
    /// the hub and of the storage.
    pub(crate) redirects: Option<(&'static str, u16, String)>,
    /// Bytes come one at a time, with so long in between.
    pub(crate) trickle: Option<Duration>,
}

impl Behaviour {
    /// A sound hub that has this content.
    pub(crate) fn with(content: Vec<u8>) -> Self {
        Self {
            sha256: crate::content::sha256(&content),
            size: content.len() as u64,
            content,
            commit: COMMIT.into(),
            refuses: None,
            storage_refuses: None,
            ranges: true,
            cut: None,
            stall: None,
            silent: false,
            renamed_from: None,
            redirects: None,
            trickle: None,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Whether the storage was asked, not the hub.
    pub(crate) storage: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The host that was meant.
    pub(crate) host: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

/// A running hub.
pub(crate) struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    hub: SocketAddr,
    storage: SocketAddr,
    stopped: AtomicBool,
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Asked>>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (hub, storage) = (listen(), listen());
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            hub: address(&hub),
            storage: address(&storage),
            stopped: AtomicBool::new(false),
            behaviour: Mutex::new(behaviour),
            asked: Mutex::new(Vec::new()),
        });
        let threads = [(hub, false), (storage, true)].map(|(listener, storage)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener, storage))
        });
        Self { shared, threads: threads.into() }
    }

    /// Host and port of the hub.
    pub(crate) fn host(&self) -> String {
        self.shared.hub.to_string()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// Behaves otherwise from now on.
    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut locked(&self.shared.behaviour));
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        locked(&self.shared.asked).clone()
    }

    /// The ranges of the bytes that were asked for, in their order; none for the whole.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        let bytes = self.asked().into_iter().filter(|asked| asked.storage && asked.method == "GET");
        bytes.map(|asked| asked.range).collect()
    }

    /// Stops; connections are refused afterwards.
    pub(crate) fn stop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for address in [self.shared.hub, self.shared.storage] {
            TcpStream::connect(address).ok();
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("the server ends by itself");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener, storage: bool) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = Arc::clone(self);
            thread::spawn(move || shared.answer(stream, storage));
        }
    }

    /// Answers one request; a client that hangs up is no concern of the server's.
    fn answer(&self, mut stream: TcpStream, storage: bool) {
        let Some(asked) = read_request(&stream, storage) else { return };
        locked(&self.asked).push(asked.clone());
        let behaviour = locked(&self.behaviour).clone();
        if behaviour.silent {
            return self.wait();
        }
        let (head, body) =
            if storage { of_storage(&behaviour, &asked) } else { (self.of_hub(&behaviour, &asked), &[][..]) };
        let body = if asked.method == "HEAD" { &[][..] } else { body };
        let end = behaviour.cut.or(behaviour.stall).unwrap_or(body.len());
        let sent = &body[..end.min(body.len())];
        let head = format!("HTTP/1.1 {head}Connection: close\r\n\r\n");
        if let Some(pause) = behaviour.trickle.filter(|_| !sent.is_empty()) {
            stream.write_all(head.as_bytes()).ok();
            return self.trickle(&mut stream, sent, pause);
        }
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent)).ok();
        if behaviour.stall.is_some() && !body.is_empty() {
            self.wait();
        }
    }

    /// Sends a byte at a time until nobody takes them.
    fn trickle(&self, stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if self.stopped.load(Ordering::SeqCst) || stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pause);
        }
    }

    /// Says nothing until the server is stopped.
    fn wait(&self) {
        while !self.stopped.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn of_hub(&self, behaviour: &Behaviour, asked: &Asked) -> String {
        if let Some((status, headers)) = behaviour.refuses {
            return format!("{status} Refused\r\n{headers}Content-Length: 0\r\n");
        }
        if let Some((revision, status, location)) = &behaviour.redirects
            && asked.path.contains(&format!("/resolve/{revision}/"))
        {
            let port = |address: SocketAddr| address.port().to_string();
            let location = location.replace("HUB", &port(self.hub)).replace("EVIL", &port(self.storage));
            return format!("{status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n");
        }
        if let Some(old) = behaviour.renamed_from
            && asked.path.starts_with(&format!("/{old}/"))
        {
            let location = asked.path.replacen(old, REPO, 1);
            return format!("307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n");
        }
        let known = |revision: &str| {
            let file = asked.path.strip_prefix(&format!("/{REPO}/resolve/{revision}/"));
            file.is_some_and(|file| [FILE, &PROJECTOR.replace(' ', "%20")].contains(&file))
        };
        if !known("main") && !known(&behaviour.commit) {
            return "404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n".into();
        }
        format!(
            "302 Found\r\nX-Repo-Commit: {}\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\nLocation: http://{}/blob\r\nContent-Length: 0\r\n",
            behaviour.commit, behaviour.sha256, behaviour.size, self.storage
        )
    }
}

fn of_storage<'a>(behaviour: &'a Behaviour, asked: &Asked) -> (String, &'a [u8]) {
    let content = &behaviour.content;
    if let Some((status, headers)) = behaviour.storage_refuses.filter(|_| asked.method == "GET") {
        let body = b"<html>not the file</html>";
        return (format!("{status} Refused\r\n{headers}Content-Length: {}\r\n", body.len()), body);
    }
    let Some(range) = asked.range.as_deref().filter(|_| behaviour.ranges) else {
        return (format!("200 OK\r\nContent-Length: {}\r\n", content.len()), content);
    };
    let (start, end) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
    let (start, end): (usize, usize) = (start.parse().expect("a number"), end.parse().expect("a number"));
    if start >= content.len() {
        return (
            format!("416 Unsatisfiable\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n", content.len()),
            &[],
        );
    }
    let body = &content[start..=end.min(content.len() - 1)];
    let told = format!(
        "206 Partial\r\nContent-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\n",
        start + body.len() - 1,
        content.len(),
        body.len()
    );
    (told, body)
}

fn read_request(stream: &TcpStream, storage: bool) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { storage, method, path, host: String::new(), range: None, authorization: None };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "host" => asked.host = value.trim().to_owned(),
            "range" => asked.range = Some(value.trim().to_owned()),
            "authorization" => asked.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
