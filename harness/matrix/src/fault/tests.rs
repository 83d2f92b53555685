use std::collections::BTreeSet;

use super::*;

fn session(dir: &Path, name: &str, document: &[u8], image: &[u8]) -> SessionFiles {
    let files = SessionFiles { document: dir.join(name), image: Some(dir.join(format!("{name}.kv"))) };
    fs::write(&files.document, document).expect("written");
    fs::write(files.image.as_ref().expect("an image"), image).expect("written");
    files
}

#[test]
fn every_byte_fault_changes_exactly_what_it_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let image = [7u8; 1000];
    let mut seen = BTreeSet::new();
    for fault in Fault::all() {
        let files = session(dir.path(), "s", br#"{"messages":[{"text":"hello"}],"tokens":[1,2,3]}"#, &image);
        let other = session(dir.path(), "o", b"{}", &[9u8; 1000]);
        let before = (fs::read(&files.document).expect("read"), image.to_vec());
        let struck = fault.strike(&files, Some(&other), 6);
        if let Err(FaultError::Inapplicable(_)) = struck {
            assert!(
                fault.name().starts_with("forged"),
                "{} applies to every session with an image",
                fault.name()
            );
            continue;
        }
        struck.expect("struck");
        let after =
            (fs::read(&files.document).expect("read"), fs::read(dir.path().join("s.kv")).unwrap_or_default());
        let (document, image) = (before.0 != after.0, before.1 != after.1);
        let expected = match fault.name() {
            "wrong-model" => (false, false),
            name if name.contains("image") => (false, true),
            _ => (true, false),
        };
        assert_eq!((document, image), expected, "{}", fault.name());
        seen.insert(after);
    }
    assert!(seen.len() >= 12, "only {} different outcomes", seen.len());
}

#[test]
fn a_flip_changes_one_bit_and_the_seed_says_which() {
    for seed in 0..16 {
        let damaged = Damage::Flipped(0.5).damage(vec![0; 101], seed).expect("damaged");
        assert_eq!(damaged.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert_eq!(damaged[50], 1 << ((seed + FLIPPED_BIT) % 8));
    }
}

#[test]
fn a_session_without_an_image_has_no_image_faults() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut files = session(dir.path(), "s", b"{}", b"x");
    files.image = None;
    for name in ["missing-image", "truncated-image", "flipped-image-head", "swapped-image", "forged-image"] {
        let fault = Fault::from_name(name).expect("known");
        assert!(matches!(fault.strike(&files, None, 0), Err(FaultError::Inapplicable(_))), "{name}");
    }
}

#[test]
fn an_unknown_fault_is_refused_with_the_known_ones() {
    assert!(Fault::from_name("melted").expect_err("unknown").contains("truncated-image"));
}
