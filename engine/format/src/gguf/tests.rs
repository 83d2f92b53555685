use proptest::prelude::*;

use super::sample::{Item, Sample, tiny};
use super::{Gguf, GgufError, Value};

fn read(bytes: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::read(bytes, bytes.len() as u64)
}

#[test]
fn a_sound_file_is_read_with_everything_it_declares() {
    let bytes = tiny().bytes();
    let gguf = read(&bytes).unwrap();
    assert_eq!(gguf.version, 3);
    assert_eq!(gguf.architecture().unwrap(), "llama");
    assert_eq!(gguf.number("llama.block_count"), Some(2));
    assert_eq!(gguf.quantization(), "Q4_K_M");
    assert_eq!(gguf.chat_template(), Some("{{ messages }}"));
    assert_eq!(gguf.get("llama.attention.head_count_kv").unwrap().to_string(), "[2, 1]");
    assert_eq!(gguf.tensors.len(), 2);
    assert_eq!(gguf.tensors[0].shape, [32, 3]);
    assert_eq!(gguf.tensors[0].kind.to_string(), "Q8_0");
    assert_eq!(gguf.tensors[0].bytes(), Some(3 * 34));
    assert_eq!(gguf.data_offset + 256, gguf.file_size);
    gguf.check_extent().unwrap();
}

#[test]
fn long_arrays_and_texts_are_hashed_and_not_held() {
    let gguf = read(&tiny().bytes()).unwrap();
    let tokens = gguf.get("tokenizer.ggml.tokens").and_then(Value::as_array).unwrap();
    assert_eq!((tokens.length, &tokens.items), (3, &None));
    let scores = gguf.get("tokenizer.ggml.scores").and_then(Value::as_array).unwrap();
    assert_eq!((scores.length, &scores.items), (3000, &None));
    let other =
        read(&tiny().set("tokenizer.ggml.tokens", Item::Texts(vec!["a", "ba", "b"])).bytes()).unwrap();
    let other = other.get("tokenizer.ggml.tokens").and_then(Value::as_array).unwrap();
    assert_ne!(tokens.digest, other.digest);
}

#[test]
fn without_a_file_type_the_commonest_tensor_type_names_the_quantization() {
    let mut sample = tiny();
    sample.pairs.retain(|(key, _)| *key != "general.file_type");
    assert_eq!(read(&sample.bytes()).unwrap().quantization(), "Q8_0");
    sample.tensors.clear();
    assert_eq!(read(&sample.bytes()).unwrap().quantization(), "unknown");
}

#[test]
fn version_2_is_read_as_well() {
    assert_eq!(read(&Sample { version: 2, ..tiny() }.bytes()).unwrap().version, 2);
}

#[test]
fn what_is_no_gguf_file_is_told_apart_from_a_version_that_cannot_be_read() {
    assert!(matches!(read(b"PK\x03\x04 and so on"), Err(GgufError::NotGguf { .. })));
    assert!(matches!(read(b""), Err(GgufError::Truncated { .. })));
    let version = |version| read(&Sample { version, ..tiny() }.bytes());
    assert!(matches!(version(1), Err(GgufError::UnsupportedVersion { version: 1 })));
    assert!(matches!(version(4), Err(GgufError::UnsupportedVersion { version: 4 })));
    assert!(matches!(version(3_u32.swap_bytes()), Err(GgufError::BigEndian)));
}

#[test]
fn a_file_cut_anywhere_is_truncated_and_says_where() {
    let bytes = tiny().bytes();
    let data_offset = usize::try_from(read(&bytes).unwrap().data_offset).unwrap();
    for length in 0..data_offset - 32 {
        let error = read(&bytes[..length]).unwrap_err();
        assert!(matches!(error, GgufError::Truncated { .. }), "{length}: {error}");
    }
    for length in [data_offset, data_offset + 101, bytes.len() - 1] {
        let cut = read(&bytes[..length]).unwrap();
        assert!(matches!(cut.check_extent(), Err(GgufError::Cut { missing: 1.., .. })));
    }
}

#[test]
fn a_source_shorter_than_it_claims_is_truncated() {
    let bytes = tiny().bytes();
    let error = Gguf::read(&bytes[..100], bytes.len() as u64).unwrap_err();
    assert!(matches!(error, GgufError::Truncated { .. }), "{error}");
}

#[test]
fn declared_lengths_are_checked_before_anything_is_allocated() {
    let huge = u64::MAX.to_le_bytes();
    let header = |tensors: [u8; 8], pairs: [u8; 8]| {
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors, &pairs, &huge, &[0; 64]].concat()
    };
    assert!(matches!(read(&header([0; 8], huge)), Err(GgufError::Truncated { what: "metadata", .. })));
    assert!(matches!(
        read(&header(huge, [0; 8])),
        Err(GgufError::Malformed { .. } | GgufError::Truncated { .. })
    ));
    let one = 1_u64.to_le_bytes();
    assert!(matches!(read(&header([0; 8], one)), Err(GgufError::Truncated { what: "a metadata key", .. })));
}

#[test]
fn impossible_tensors_and_doubled_keys_are_malformed() {
    let malformed = |sample: Sample| match read(&sample.bytes()).unwrap_err() {
        GgufError::Malformed { problem, .. } => problem,
        other => panic!("{other}"),
    };
    let with_shape = |shape| Sample { tensors: vec![("t", shape, 0, 0)], ..tiny() };
    assert!(malformed(with_shape(vec![1 << 40, 1 << 40])).contains("more elements"));
    assert!(malformed(with_shape(vec![])).contains("0 dimensions"));
    assert!(malformed(with_shape(vec![1; 5])).contains("5 dimensions"));
    let mut doubled = tiny();
    doubled.pairs.push(("general.name", Item::Text("again")));
    assert!(malformed(doubled).contains("twice"));
    assert!(malformed(tiny().set("general.alignment", Item::U32(24))).contains("power of two"));
}

proptest! {
    /// Whatever happens to the bytes, reading ends with a value or an error, never with a panic.
    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep_length in any::<bool>(),
    ) {
        let mut bytes = tiny().bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if !keep_length {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(gguf) = read(&bytes) {
            gguf.check_extent().ok();
            prop_assert!(!gguf.quantization().is_empty());
        }
    }

    /// Random bytes behind a sound start are handled as well.
    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tail);
        read(&bytes).ok();
    }
}
