//! A proxy on this machine that stands between a client and a server of objects, and lets requests go wrong.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500, without asking the server.
    Broken,
    /// 503 SlowDown, without asking the server.
    Throttled,
    /// The server answers, and the connection ends in the middle of its answer.
    Cut,
    /// The server answers, and nobody hears it.
    Silent,
    /// Nothing happens until the client has lost its patience.
    Stalled,
}

pub(crate) const FAULTS: [Fault; 5] =
    [Fault::Broken, Fault::Throttled, Fault::Cut, Fault::Silent, Fault::Stalled];

/// How long a stalled request takes; more than the patience that clients of the tests have.
const STALL: Duration = Duration::from_millis(1500);

/// A proxy, for as long as the test runs.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    counts: Arc<[AtomicUsize; FAULTS.len()]>,
}

impl Proxy {
    /// Stands before a server; one request in `rate` goes wrong.
    pub(crate) fn before(server: SocketAddr, rate: u32, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let counts: Arc<[AtomicUsize; FAULTS.len()]> = Arc::default();
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (random, counts) = (Arc::clone(&random), Arc::clone(&counted));
                std::thread::spawn(move || {
                    let fault = {
                        let mut random = random.lock().expect("unpoisoned");
                        let index = random.random_range(0..FAULTS.len());
                        random.random_ratio(1, rate).then(|| {
                            counts[index].fetch_add(1, Ordering::Relaxed);
                            FAULTS[index]
                        })
                    };
                    // A client that hung up is no concern of the proxy's.
                    let _ = pass(client, server, fault);
                });
            }
        });
        Self { address, counts }
    }

    /// How often each fault happened.
    pub(crate) fn counts(&self) -> Vec<(Fault, usize)> {
        FAULTS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

/// Passes one request, and the connection is over.
fn pass(mut client: TcpStream, server: SocketAddr, fault: Option<Fault>) -> io::Result<()> {
    let request = request(&mut client)?;
    match fault {
        Some(Fault::Broken) => return answer(&mut client, "500 Internal Server Error", "InternalError"),
        Some(Fault::Throttled) => return answer(&mut client, "503 Slow Down", "SlowDown"),
        Some(Fault::Stalled) => {
            std::thread::sleep(STALL);
            return Ok(());
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&request)?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response)?;
    match fault {
        Some(Fault::Silent) => {}
        Some(Fault::Cut) => client.write_all(&response[..response.len() * 2 / 3])?,
        _ => client.write_all(&response)?,
    }
    client.shutdown(Shutdown::Both)
}

fn answer(client: &mut TcpStream, status: &str, code: &str) -> io::Result<()> {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>try again</Message></Error>");
    let length = body.len();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    client.shutdown(Shutdown::Both)
}

/// A whole request, changed so that it asks for the end of the connection.
fn request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 << 10];
    let end = loop {
        let read = client.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end - 2]).into_owned();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        let read = client.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
    }
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut request: Vec<u8> = kept.flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request.extend_from_slice(&bytes[end..end + length]);
    Ok(request)
}
