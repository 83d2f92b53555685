//! What a store costs when many sessions share a system prompt: bytes stored, time to list, time to collect garbage.
//!
//! `cargo run -p intact-store --example thousand_sessions [FOLDER] [BYTES PER TOKEN]`
//!
//! Each session has a prompt of 2,048 tokens in common with all others and 256 of its own, in chunks of 256 tokens, and a
//! document with all of its tokens.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use intact_format::image::Chunk;
use intact_format::message::{KvSpan, Message, Role};
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::token::Token;
use intact_format::version::FormatVersion;
use intact_store::{Collection, Draft, Expected, SessionStore, Summary};
use jiff::Timestamp;

const PROMPT_TOKENS: usize = 2048;
const OWN_TOKENS: usize = 256;
const CHUNK_TOKENS: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder =
        arguments.next().map_or_else(|| std::env::temp_dir().join("thousand-sessions"), PathBuf::from);
    let bytes_per_token: usize = arguments.next().map_or(Ok(2060), |bytes| bytes.parse())?;
    println!(
        "sessions  saved      per save  unique content  stored       ratio   listed    garbage collected, half of it garbage"
    );
    for count in [250, 500, 1000] {
        let folder = folder.join(count.to_string());
        if folder.exists() {
            return Err(format!("{} is there already; name another folder", folder.display()).into());
        }
        measure(&folder, count, bytes_per_token)?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn measure(folder: &std::path::Path, count: usize, bytes_per_token: usize) -> Result<(), Box<dyn Error>> {
    let store = SessionStore::create(folder.to_str().ok_or("the folder's name is not text")?)?;
    let chunk_bytes = CHUNK_TOKENS * bytes_per_token;
    let prompt: Vec<_> =
        (0..PROMPT_TOKENS / CHUNK_TOKENS).map(|number| noise(number as u64, chunk_bytes)).collect();
    let mut unique: u64 = prompt.iter().map(|payload| payload.len() as u64).sum();
    let start = Instant::now();
    for number in 0..count {
        let document = document(number)?;
        let own = noise(1_000_000 + number as u64, OWN_TOKENS * bytes_per_token);
        unique += (document.len() + own.len()) as u64;
        let chunks: Vec<_> =
            prompt.iter().chain([&own]).map(|payload| Chunk::new(payload.as_slice())).collect();
        let summary = Summary::of_bytes(&document);
        store.save(&Draft::whole(id(number)?, summary, &document, &chunks), Expected::Absent)?;
    }
    let saved = start.elapsed();
    let stored = store.statistics()?.stored_bytes;
    let (entries, listed) = timed(|| store.sessions())?;
    assert_eq!(entries.len(), count);
    for entry in entries.iter().step_by(2) {
        store.remove(&entry.session, entry.generation)?;
    }
    let (collected, collecting) =
        timed(|| store.collect(Collection { grace: Duration::ZERO, dry_run: false }))?;
    assert_eq!(collected.removed, 2 * count.div_ceil(2), "a chunk and a document of each session");
    assert_eq!(store.sessions()?.len(), count / 2);
    println!(
        "{count:8}  {:7.2} s  {:5.1} ms  {unique:14}  {stored:11}  {:.4}  {:5.1} ms  {:6.1} ms, {} payloads, {} bytes",
        saved.as_secs_f64(),
        saved.as_secs_f64() * 1e3 / count as f64,
        stored as f64 / unique as f64,
        listed.as_secs_f64() * 1e3,
        collecting.as_secs_f64() * 1e3,
        collected.removed,
        collected.removed_bytes,
    );
    Ok(())
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    Ok((work()?, start.elapsed()))
}

fn id(number: usize) -> Result<SessionId, Box<dyn Error>> {
    Ok(SessionId::new(format!("session {number}"))?)
}

/// The document of a session: the prompt and an exchange, token by token.
fn document(number: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut document = SessionDocument::new(id(number)?);
    document.saved_at = Some(Timestamp::from_second(1_790_000_000 + i64::try_from(number)?)?);
    let mut position = 0;
    let half = OWN_TOKENS / 2;
    for (index, (role, tokens)) in
        [(Role::System, PROMPT_TOKENS), (Role::User, half), (Role::Assistant, half)].into_iter().enumerate()
    {
        let mut message = Message::new(i32::try_from(index)?, role, "word ".repeat(tokens));
        let size = u32::try_from(tokens)?;
        message.span = Some(KvSpan { start: position, size });
        position += size;
        let token =
            |place: usize| Token(i32::try_from((place * 7919 + number) % 150_000).unwrap_or_default());
        message.tokens = Some((0..tokens).map(token).collect());
        document.history.push(message);
    }
    Ok(session::write(&document, FormatVersion::CURRENT)?.bytes)
}

/// Bytes that no other seed gives, and that do not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(bytes).collect()
}
