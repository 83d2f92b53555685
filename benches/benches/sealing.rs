//! What compressing and encrypting a session saves and costs, for each type of KV: bytes at rest, and how fast they go there
//! and come back, beside a plain copy into memory. No disk takes part.
//!
//! The KV is that of 256 different tokens. The model's weights are random; trained ones may compress better.

use std::time::{Duration, Instant};

use intact_benches::{Failure, Shape, Subject};
use intact_format::image::ImageReference;
use intact_format::kv_type::KvType;
use intact_format::place::{FileSource, Memory, SessionSource, copy};
use intact_format::session::read;
use intact_format::version::FormatVersion;
use intact_seal::{Compression, Keys, Lock, SealOptions, SealedSink, SealedSource, Sealer, generate};

const TYPES: [KvType; 5] = [KvType::F32, KvType::F16, KvType::Bf16, KvType::Q8_0, KvType::Q4_0];

/// Rounds; the medians are shown.
const ROUNDS: usize = 9;

fn main() -> Result<(), Failure> {
    // Run as a test, it only proves that it runs.
    let (types, rounds) = if std::env::args().any(|argument| argument == "--test") {
        (&TYPES[1..2], 1)
    } else {
        (&TYPES[..], ROUNDS)
    };
    println!("| KV | form | bytes at rest | of plain | save MB/s | load MB/s |");
    println!("|---|---|---|---|---|---|");
    for &kv in types {
        let session = Session::of(kv)?;
        for form in FORMS {
            form.measure(kv, &session, rounds)?;
        }
    }
    Ok(())
}

/// A form of keeping.
struct Form {
    name: &'static str,
    compression: Compression,
    encrypted: bool,
}

const FORMS: [Form; 4] = [
    Form { name: "plain", compression: Compression::None, encrypted: false },
    Form { name: "compressed", compression: Compression::Zstd, encrypted: false },
    Form { name: "encrypted", compression: Compression::None, encrypted: true },
    Form { name: "both", compression: Compression::Zstd, encrypted: true },
];

/// A session in memory.
struct Session {
    place: Memory,
    document: Vec<u8>,
    image: ImageReference,
}

impl Session {
    fn of(kv: KvType) -> Result<Self, Failure> {
        let subject = Subject::new(Shape { model: "kv-0.5b", kv, tokens: 256 })?;
        let mut source = FileSource::new(subject.file());
        let document = source.document()?;
        let image =
            read(&document, FormatVersion::CURRENT)?.document.image.ok_or("the session has no image")?;
        let mut place = Memory::default();
        copy(&mut source, &document, Some(&image), &mut place)?;
        Ok(Self { place, document, image })
    }
}

impl Form {
    fn measure(&self, kv: KvType, session: &Session, rounds: usize) -> Result<(), Failure> {
        let (key, recipient) = generate();
        let lock = self.encrypted.then(|| Lock::recipients(vec![recipient])).transpose()?;
        let keys =
            Keys::default().with_identities(intact_seal::ExposeSecret::expose_secret(&key).as_bytes())?;
        let options = SealOptions { lock, compression: self.compression, ..SealOptions::default() };
        let (mut saves, mut loads, mut at_rest) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let mut place = Memory::default();
            let mut from = session.place.clone();
            let mut sealer = Sealer::new(options.clone())?;
            let start = Instant::now();
            let mut sink = SealedSink::new(&mut sealer, &mut place);
            copy(&mut from, &session.document, Some(&session.image), &mut sink)?;
            saves.push(start.elapsed());
            at_rest = place.document.len() + place.chunks.values().map(Vec::len).sum::<usize>();

            let start = Instant::now();
            let mut source = SealedSource::open(place, &keys, false)?;
            let document = source.document()?;
            copy(&mut source, &document, Some(&session.image), &mut Memory::default())?;
            loads.push(start.elapsed());
        }
        let plain = session.document.len() as u64 + session.image.bytes();
        let speed = |times: &mut Vec<Duration>| {
            times.sort();
            plain as f64 / 1e6 / times[times.len() / 2].as_secs_f64()
        };
        println!(
            "| {} | {} | {at_rest} | {:.3} | {:.0} | {:.0} |",
            kv.name(),
            self.name,
            at_rest as f64 / plain as f64,
            speed(&mut saves),
            speed(&mut loads)
        );
        Ok(())
    }
}
