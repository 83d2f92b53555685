//! `tags fetch` from llama.cpp's own archives, over a server on loopback that serves made-up ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::cli::{Said, intact};

/// What a server has, and how it serves it.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes after which the next answer breaks off.
    cut: Option<usize>,
    /// What it was asked for: paths, and where they were to begin.
    asked: Vec<(String, usize)>,
}

struct Server {
    shelf: Arc<Mutex<Shelf>>,
    base: String,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}/download", listener.local_addr().expect("an address"));
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let served = Arc::clone(&shelf);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is the next one's loss, not the server's.
                let _gone = answer(&stream, &served);
            }
        });
        Self { shelf, base }
    }

    fn put(&self, path: &str, bytes: Vec<u8>) {
        self.shelf.lock().expect("nobody panics").files.insert(format!("/download/{path}"), bytes);
    }

    fn cut_after(&self, bytes: usize) {
        self.shelf.lock().expect("nobody panics").cut = Some(bytes);
    }

    fn asked(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.shelf.lock().expect("nobody panics").asked)
    }

    fn fetch(&self, home: &Path, tag: &str) -> Said {
        fetch(home, tag, &self.base)
    }
}

fn fetch(home: &Path, tag: &str, base: &str) -> Said {
    let home = home.to_str().expect("UTF-8");
    intact(["tags", "fetch", tag, "--home", home, "--archives", base])
}

fn answer(stream: &TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = 0;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    let mut shelf = shelf.lock().expect("nobody panics");
    shelf.asked.push((path.clone(), from));
    let mut out = stream;
    let Some(bytes) = shelf.files.get(&path).cloned() else {
        return out.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let rest = &bytes[from.min(bytes.len())..];
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"{}\"\r\nconnection: close\r\n\r\n",
        rest.len(),
        bytes.len()
    );
    out.write_all(head.as_bytes())?;
    let end = shelf.cut.take().unwrap_or(rest.len()).min(rest.len());
    out.write_all(&rest[..end])
}

/// Libraries as a release has them, below a folder of the archive.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    // Not to be packed to nothing, so that an answer can break off inside.
    let noise: Vec<u8> = (0..40_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    ["libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu-x64.so", "llama-cli"]
        .map(|name| (format!("{folder}{name}"), [name.as_bytes(), &noise].concat()))
        .into()
}

fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let raw = &mut header.as_gnu_mut().expect("gnu").name;
        raw[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).expect("appended");
    }
    builder.into_inner().expect("a stream").finish().expect("bytes")
}

/// Stored, as it is.
fn zipped(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("small").to_le_bytes();
    let short = |number: usize| u16::try_from(number).expect("small").to_le_bytes();
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let sizes = [sum.sum().to_le_bytes(), number(bytes.len()), number(bytes.len())].concat();
        let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &short(name.len()), &[0, 0]].concat();
        let place = number(out.len());
        out.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02", &[20, 3][..], &common, &[0; 10], &place, name.as_bytes()].concat());
    }
    let ends = [&[0; 4][..], &short(files.len()), &short(files.len())].concat();
    let end =
        [b"PK\x05\x06", ends.as_slice(), &number(directory.len()), &number(out.len()), &[0, 0]].concat();
    [out, directory, end].concat()
}

/// Names of the libraries that are kept of a release.
fn kept(home: &Path, tag: &str) -> Vec<String> {
    let entries = fs::read_dir(home.join(tag).join("library")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort_unstable();
    names
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_release_comes_from_its_own_archive_once_and_is_there_without_a_network_afterwards() {
    let server = Server::start();
    // Listed releases that no package carries.
    server.put("b6002/llama-b6002-bin-ubuntu-x64.zip", zipped(&files("build/bin/")));
    server.put("b8783/llama-b8783-bin-ubuntu-x64.tar.gz", tar_gz(&files("llama-b8783/")));
    server.put("v0.6.0/llama-v0.6.0-bin-ubuntu-x64.tar.gz", tar_gz(&files("./llama-v0.6.0/")));
    let home = tempfile::tempdir().expect("a folder");
    for tag in ["b6002", "b8783", "0.6.0"] {
        let said = server.fetch(home.path(), tag);
        assert_eq!((said.code, said.out.trim()), (0, format!("{tag}: fetched").as_str()), "{}", said.err);
        let names = kept(home.path(), tag);
        assert_eq!(names, ["libggml-base.so", "libggml-cpu-x64.so", "libggml.so", "libllama.so"], "{tag}");
        let pin = fs::read_to_string(home.path().join(tag).join("library.toml")).expect("a pin");
        assert!(pin.contains(&server.base) && pin.contains("archive = "), "{pin}");
    }
    let nobody = "http://127.0.0.1:1/nobody";
    let again = fetch(home.path(), "b6002", nobody);
    assert_eq!((again.code, again.out.trim()), (0, "b6002: here, and what it was"), "{}", again.err);
    let llama = home.path().join("b6002/library/libllama.so");
    fs::write(&llama, "another").expect("written");
    let damaged = fetch(home.path(), "b6002", nobody);
    assert_eq!(damaged.code, 96, "{}", damaged.out);
    assert!(damaged.err.contains("libllama.so is not what was fetched"), "{}", damaged.err);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn an_archive_that_breaks_off_goes_on_where_it_broke_off_and_one_that_changed_is_refused() {
    const PATH: &str = "b6002/llama-b6002-bin-ubuntu-x64.tar.gz";
    let server = Server::start();
    let archive = tar_gz(&files("llama-b6002/"));
    server.put(PATH, archive.clone());
    server.cut_after(archive.len() / 2);
    let home = tempfile::tempdir().expect("a folder");
    let said = server.fetch(home.path(), "b6002");
    assert_eq!(said.code, 0, "{}", said.err);
    let begun: Vec<usize> = server.asked().into_iter().map(|(_, from)| from).collect();
    assert_eq!(begun, [0, archive.len() / 2]);

    fs::remove_dir_all(home.path().join("b6002/library")).expect("removed");
    server.put(PATH, tar_gz(&files("llama-b6002/other/")));
    let said = server.fetch(home.path(), "b6002");
    assert_eq!(said.code, 96, "{}", said.out);
    assert!(
        said.err.contains("is not what it was") && said.err.contains("Somebody replaced it"),
        "{}",
        said.err
    );
    assert_eq!(kept(home.path(), "b6002"), [""; 0]);
    server.put(PATH, archive);
    assert_eq!(server.fetch(home.path(), "b6002").code, 0);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn what_is_hostile_cut_missing_or_nobodys_is_refused_with_its_reason() {
    const PATH: &str = "b6002/llama-b6002-bin-ubuntu-x64.tar.gz";
    let server = Server::start();
    let sound = tar_gz(&files("llama-b6002/"));
    let out = |name: &str| tar_gz(&[(name.to_owned(), b"x".to_vec())]);
    for (bytes, told) in [
        (out("llama-b6002/../../../libllama.so"), "leads out of its own folder"),
        (out("/tmp/libllama.so"), "leads out of its own folder"),
        (out("llama-b6002/llama-cli"), "no libllama is in it"),
        (sound[..sound.len() / 2].to_vec(), "it is cut or damaged"),
        (b"<html>a page of the web</html>".to_vec(), "neither a .tar.gz nor a .zip"),
    ] {
        server.put(PATH, bytes);
        let home = tempfile::tempdir().expect("a folder");
        let said = server.fetch(home.path(), "b6002");
        assert_eq!((said.code, said.err.contains(told)), (96, true), "{told}: {}", said.err);
        assert_eq!(kept(home.path(), "b6002"), [""; 0], "{told}");
        assert!(!home.path().join("b6002/library.toml").exists(), "{told}");
    }
    let home = tempfile::tempdir().expect("a folder");
    let missing = server.fetch(home.path(), "b6097");
    assert!(missing.err.contains("no ready-made build of llama.cpp b6097"), "{}", missing.err);
    assert!(missing.err.contains("intact tags add FOLDER"), "{}", missing.err);
    let asked: Vec<String> = server.asked().into_iter().map(|(path, _)| path).collect();
    assert!(asked.contains(&"/download/b6097/llama-b6097-bin-ubuntu-x64.zip".to_owned()), "{asked:?}");
    let nobody = fetch(home.path(), "b6097", "http://127.0.0.1:1/nobody");
    assert!(nobody.err.contains("is there a connection"), "{}", nobody.err);
    let no_release = server.fetch(home.path(), "../b1");
    assert!(no_release.err.contains("releases are called b8816 or 0.5.0"), "{}", no_release.err);
    assert!(server.asked().is_empty());
}
