//! Who signed a session, and that nobody else could have.

use std::collections::BTreeMap;

use age::secrecy::ExposeSecret;
use intact_format::image::{Chunk, ImageReference};
use intact_format::place::{Memory, SessionSink, SessionSource};
use intact_format::route::RefusalCode;
use intact_seal::{
    Author, Compression, Keys, Lock, Opened, Origin, Recipient, SealError, SealOptions, SealedSink,
    SealedSource, Sealer, Signer, generate,
};
use proptest::prelude::*;

const DOCUMENT: &str = r#"{"FormatVersion":"2.0","SessionId":"ada-and-the-engine","History":[]}"#;

fn signer() -> Signer {
    Signer::of_key_file(generate().0.expose_secret()).expect("a key file")
}

fn image() -> (ImageReference, Vec<Chunk<'static>>) {
    let byte = |seed: u8| move |at: u32| (at / 7).to_le_bytes()[0] ^ seed;
    let chunks: Vec<_> =
        (0..3).map(|seed| Chunk::new((0..2000).map(byte(seed)).collect::<Vec<_>>())).collect();
    (ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test"), chunks)
}

fn saved(options: SealOptions) -> Memory {
    let (image, chunks) = image();
    let mut memory = Memory::default();
    let mut sealer = Sealer::new(options).expect("a sealer");
    let mut sink = SealedSink::new(&mut sealer, &mut memory);
    for chunk in &chunks {
        sink.put(chunk).expect("it can be put");
    }
    sink.commit(DOCUMENT.as_bytes(), Some(&image)).expect("it can be committed");
    memory
}

/// A session that anybody can read, and that this signer vouches for.
fn signed(signer: &Signer) -> Memory {
    saved(SealOptions {
        compression: Compression::Zstd,
        signer: Some(signer.clone()),
        ..SealOptions::default()
    })
}

fn opened(document: Vec<u8>, keys: &Keys) -> Result<Opened, SealError> {
    Opened::read(document, keys, false)
}

#[test]
fn only_what_somebody_signed_who_is_trusted_opens_where_that_is_asked_for() {
    let (ada, eve) = (signer(), signer());
    let (file, recipient) = generate();
    let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key");
    let lock = Lock::recipients(vec![recipient]).expect("one");
    let sealed = |signer: Option<&Signer>| {
        saved(SealOptions { lock: Some(lock.clone()), signer: signer.cloned(), ..SealOptions::default() })
    };
    let trusting = keys.clone().trusting(ada.author());
    let own = opened(sealed(Some(&ada)).document, &trusting).expect("hers");
    assert_eq!(own.origin(), Origin::Signed(ada.author()));
    assert_eq!(own.document(), DOCUMENT.as_bytes());

    let plain = Memory { document: DOCUMENT.as_bytes().to_vec(), chunks: BTreeMap::new() };
    let compressed = saved(SealOptions { compression: Compression::Zstd, ..SealOptions::default() });
    let by_eve = Some(eve.author());
    for (memory, by) in
        [(sealed(None), None), (sealed(Some(&eve)), by_eve), (plain, None), (compressed, None)]
    {
        let error = opened(memory.document, &trusting).expect_err("not hers");
        assert!(matches!(&error, SealError::NotTrusted { by: found } if *found == by), "{error}");
        assert_eq!(error.code(), RefusalCode::NotSigned);
    }
    // One of several is enough.
    opened(sealed(Some(&eve)).document, &trusting.trusting(eve.author())).expect("hers");
    let forged = opened(sealed(None).document, &keys).expect("it is for this key");
    assert_eq!(forged.origin(), Origin::Anybody);
}

#[test]
fn a_session_says_who_can_have_written_it() {
    let passphrase = Lock::passphrase("correct horse").expect("not empty");
    let sealed = saved(SealOptions { lock: Some(passphrase), ..SealOptions::default() });
    let keys = Keys::default().with_passphrase("correct horse").expect("not empty");
    assert_eq!(opened(sealed.document, &keys).expect("it opens").origin(), Origin::Passphrase);
    let plain = opened(DOCUMENT.into(), &keys).expect("it opens");
    assert_eq!(plain.origin(), Origin::Unsealed);
}

#[test]
fn nothing_that_is_signed_can_be_changed() {
    let text = String::from_utf8(signed(&signer()).document).expect("text");
    let changes = [
        ("ada-and-the-engine", "eve-and-the-engine"),
        ("\"Bytes\":2000", "\"Bytes\":2001"),
        ("\"Stride\":", "\"Stride\":1"),
        (
            "\"Chunks\":[{",
            "\"Chunks\":[{\"Id\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"Bytes\":1,\"StoredId\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"StoredBytes\":1,\"Encoding\":{\"Kind\":\"Plain\"}},{",
        ),
        ("\"IntactEnvelope\":\"1.1\"", "\"IntactEnvelope\":\"1.0\""),
        ("\"By\":\"sign1", "\"By\":\"sign2"),
        ("\"By\":\"", &format!("\"By\":\"{}\",\"", signer().author())),
    ];
    for (from, to) in changes {
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from}");
        let error = opened(changed.into_bytes(), &Keys::default()).expect_err(from);
        assert_eq!(error.code(), RefusalCode::InvalidDocument, "{from}: {error}");
    }
    // Who cuts it off has one that is not signed, and is not taken for one that is.
    let (start, rest) = text.split_once("\"Signed\":").expect("a signature");
    let (_, rest) = rest.split_once("},").expect("its end");
    let unsigned = format!("{start}{rest}").replacen("1.1", "1.0", 1).into_bytes();
    assert_eq!(opened(unsigned.clone(), &Keys::default()).expect("it opens").origin(), Origin::Unsealed);
    assert!(opened(unsigned, &Keys::default().trusting(signer().author())).is_err());
}

#[test]
fn a_signature_is_not_another_ones() {
    let ada = signer();
    let own = String::from_utf8(signed(&ada).document).expect("text");
    let start = own.find("\"Signed\":").expect("a signature");
    let end = start + own[start..].find("},").expect("its end") + 2;
    let eves = String::from_utf8(signed(&signer()).document).expect("text");
    let other = eves.replace("ada-and-the-engine", "eve-and-the-engine");
    let (from, to) = (other.find("\"Signed\":").expect("a signature"), 2);
    let until = from + other[from..].find("},").expect("its end") + to;
    let forged = format!("{}{}{}", &other[..from], &own[start..end], &other[until..]);
    assert!(opened(forged.into_bytes(), &Keys::default()).is_err());
}

#[test]
fn a_chunk_of_a_signed_session_cannot_be_another_one() {
    let mut memory = signed(&signer());
    let stored: Vec<_> = memory.chunks.keys().copied().collect();
    let other = memory.chunks[&stored[1]].clone();
    memory.chunks.insert(stored[0], other);
    let (image, chunks) = image();
    let mut source = SealedSource::open(memory, &Keys::default(), false).expect("its document is sound");
    source.locate(&image).expect("they are there");
    let read = chunks.iter().map(|chunk| source.read(chunk.id(), &mut vec![0; 2000]));
    assert!(read.into_iter().any(|read| read.is_err()));
}

#[test]
fn a_session_that_nobody_signed_is_written_as_it_always_was() {
    let text = String::from_utf8(
        saved(SealOptions { compression: Compression::Zstd, ..SealOptions::default() }).document,
    )
    .expect("text");
    assert!(text.starts_with(r#"{"IntactEnvelope":"1.0","Chunks":[{"Id":""#), "{text}");
    // Who does not know signatures must not take a signed one for one that has none.
    let signed = String::from_utf8(signed(&signer()).document).expect("text");
    assert!(signed.starts_with(r#"{"IntactEnvelope":"1.1","Signed":{"By":"sign1"#), "{signed}");
}

#[test]
fn the_keys_of_a_key_file_never_change() {
    const FILE: &str =
        "# created: long ago\nAGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n";
    let recipient = Recipient::of_key_file(FILE).expect("a key").to_string();
    assert_eq!(recipient, "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa");
    let author = Signer::of_key_file(FILE).expect("a key").author();
    assert_eq!(author.to_string(), "sign12305b7c50616c30f422940ce3235ab10bcab63f7bede4bea7f17d870d1529c0b");
    assert_eq!(author.to_string().parse::<Author>().expect("a key"), author);
    for wrong in ["", "sign1", "sign100", "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"] {
        assert!(wrong.parse::<Author>().is_err(), "{wrong}");
    }
    // The neutral element, whose signatures anybody can make.
    let weak = format!("sign101{}", "0".repeat(62));
    assert!(weak.parse::<Author>().is_err());
    assert!(Signer::of_key_file("# nothing\n").is_err() && Signer::of_key_file("secret\n").is_err());
    assert!(!format!("{:?}", Signer::of_key_file(FILE)).contains("SECRET"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_was_changed_is_refused_or_says_what_was_signed(at in 0..10_000_usize, byte: u8, cut: bool) {
        let ada = signer();
        let mut document = signed(&ada).document;
        let at = at % document.len();
        if cut { document.truncate(at) } else { document[at] = byte }
        if let Ok(opened) = opened(document, &Keys::default().trusting(ada.author())) {
            prop_assert_eq!(opened.document(), DOCUMENT.as_bytes());
        }
    }
}
