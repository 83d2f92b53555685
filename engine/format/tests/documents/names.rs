//! Versions, ids and digests.

use intact_format::digest::{Digest, Sha256};
use intact_format::kv_type::KvType;
use intact_format::media::MediaFormat;
use intact_format::session_id::{SessionId, SessionIdError};
use intact_format::version::FormatVersion;
use proptest::prelude::*;

#[test]
fn a_reader_reads_its_own_major_up_to_its_own_minor_and_every_older_major() {
    // (file, reader, readable)
    let table = [
        ("1.0", "1.0", true),
        ("1.0", "1.1", true),
        ("1.1", "1.0", false),
        ("1.1", "1.1", true),
        ("2.0", "1.0", false),
        ("2.0", "1.1", false),
        ("1.0", "2.0", true),
        ("1.1", "2.0", true),
        ("2.0", "2.0", true),
        ("1.2", "2.0", false),
        ("2.1", "2.0", false),
        ("3.0", "2.0", false),
        ("65535.65535", "2.0", false),
    ];
    for (file, reader, readable) in table {
        let (file, reader): (FormatVersion, FormatVersion) = (file.parse().unwrap(), reader.parse().unwrap());
        assert_eq!(file.readable_by(reader).is_ok(), readable, "{file} by a reader of {reader}");
    }
}

#[test]
fn the_refusal_of_a_newer_file_names_the_version_that_it_needs() {
    let refusal =
        |file: &str| file.parse::<FormatVersion>().unwrap().readable_by(FormatVersion::V2_0).unwrap_err();
    assert_eq!(refusal("2.7").found.to_string(), "2.7");
    assert_eq!(refusal("1.9").newest, FormatVersion::V1_1);
    insta::assert_snapshot!(refusal("3.1"), @"the session file has format 3.1, which takes a reader of 3.1 or newer; this one reads up to 2.0");
}

#[test]
fn a_version_has_one_spelling() {
    for text in
        ["", "2", "2.", ".0", "02.0", "2.00", "+2.0", "2.0.0", " 2.0", "2.0 ", "-1.0", "65536.0", "٢.٠"]
    {
        assert!(text.parse::<FormatVersion>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_version_survives_its_text(major: u16, minor: u16) {
        let version = FormatVersion::new(major, minor);
        prop_assert_eq!(version.to_string().parse(), Ok(version));
    }

    #[test]
    fn what_an_older_reader_reads_a_newer_one_reads_too(file: (u16, u16), a in 0..3_usize, b in 0..3_usize) {
        let file = FormatVersion::new(file.0 % 4, file.1 % 4);
        let (older, newer) = (FormatVersion::ALL[a.min(b)], FormatVersion::ALL[a.max(b)]);
        prop_assert!(file.readable_by(older).is_err() || file.readable_by(newer).is_ok());
    }

    #[test]
    fn a_session_id_is_never_a_path(text in "\\PC{0,12}[/\\\\:.a]{0,3}") {
        if let Ok(id) = SessionId::new(text) {
            let file = id.default_file_name();
            let path = std::path::Path::new(&file);
            prop_assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(file.as_str()));
        }
    }

    #[test]
    fn a_digest_survives_its_text(bytes: [u8; 32]) {
        prop_assert_eq!(Digest::from_bytes(bytes).to_string().parse(), Ok(Digest::from_bytes(bytes)));
        prop_assert_eq!(Sha256::from_bytes(bytes).to_string().parse(), Ok(Sha256::from_bytes(bytes)));
    }
}

#[test]
fn what_could_be_a_path_or_nothing_is_no_session_id() {
    let table = [
        ("", SessionIdError::Empty),
        ("a/b", SessionIdError::Forbidden { character: '/' }),
        ("..\\b", SessionIdError::Forbidden { character: '\\' }),
        ("C:", SessionIdError::Forbidden { character: ':' }),
        ("a\0", SessionIdError::Forbidden { character: '\0' }),
        ("..", SessionIdError::Ending),
        ("a ", SessionIdError::Ending),
    ];
    for (text, error) in table {
        assert_eq!(SessionId::new(text), Err(error), "{text:?}");
    }
    assert_eq!(SessionId::new("é".repeat(65)), Err(SessionIdError::TooLong { length: 130 }));
    assert!(SessionId::new("x".repeat(128)).is_ok());
}

#[test]
fn a_digest_has_one_spelling() {
    let digest = Digest::of(b"").to_string();
    assert_eq!(digest, "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    for other in
        [digest.to_uppercase(), digest.replace("af", "AF"), digest[7..].to_owned(), format!("{digest}0")]
    {
        assert!(other.parse::<Digest>().is_err(), "{other}");
    }
}

#[test]
fn kv_types_have_ggmls_names() {
    for (kind, name) in KvType::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), name);
        assert_eq!(name.to_uppercase().parse(), Ok(kind));
    }
    assert!("q6_k".parse::<KvType>().unwrap_err().to_string().contains("iq4_nl"));
}

#[test]
fn pictures_are_told_by_their_first_bytes() {
    let table: [(&[u8], MediaFormat, &str); 7] = [
        (b"\xFF\xD8\xFF\xE0", MediaFormat::Jpeg, "image/jpeg"),
        (b"\x89PNG\r\n\x1A\n", MediaFormat::Png, "image/png"),
        (b"BM....", MediaFormat::Bmp, "image/bmp"),
        (b"GIF89a", MediaFormat::Gif, "image/gif"),
        (b"RIFF\0\0\0\0WEBP", MediaFormat::WebP, "image/webp"),
        (b"RIFF\0\0\0\0WAVE", MediaFormat::Unknown, "application/octet-stream"),
        (b"", MediaFormat::Unknown, "application/octet-stream"),
    ];
    for (bytes, format, mime_type) in table {
        assert_eq!(MediaFormat::of(bytes), format);
        assert_eq!(format.mime_type(), mime_type);
    }
}
