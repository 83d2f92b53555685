//! Ways to damage and to forge.

use intact_format::image::sidecar::{FRAME_HEADER_BYTES, SIDECAR_HEADER_BYTES};
use intact_format::image::{Chunk, ChunkId, ImageReference};
use serde_json::Value;

use crate::generated::Noise;

/// One to three changes that know nothing of the format.
pub(crate) fn raw(bytes: &[u8], other: &[u8], noise: &mut Noise) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=noise.below(3) {
        change(&mut bytes, other, noise);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], noise: &mut Noise) {
    // Headers are where most fields are: half of the changes go to the first bytes.
    let reach = if noise.below(2) == 0 { bytes.len().min(200) } else { bytes.len() };
    let at = noise.below(reach);
    let length = noise.below(300).min(bytes.len() - at.min(bytes.len()));
    let range = at..at + length;
    match noise.below(10) {
        _ if bytes.is_empty() => bytes.push(noise.byte()),
        0 | 1 => bytes[at] ^= 1 << noise.below(8),
        2 => bytes[at] = noise.byte(),
        3 => {
            let words = [0, 1, 2, 255, 256, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
            let word = words[noise.below(words.len())].to_le_bytes();
            let start = at & !3;
            for (byte, value) in bytes[start..].iter_mut().zip(word) {
                *byte = value;
            }
        }
        4 => bytes.truncate(at),
        5 => bytes.extend((0..length).map(|_| noise.byte()).collect::<Vec<_>>()),
        6 => drop(bytes.drain(range)),
        7 => {
            let copy = bytes[range].to_vec();
            bytes.splice(at..at, copy);
        }
        8 => bytes[range].fill(0),
        _ => {
            let from = noise.below(other.len());
            let piece = other[from..other.len().min(from + length)].to_vec();
            bytes.splice(range, piece);
        }
    }
}

/// A change to one value of a JSON document. What is not JSON is returned as it is.
pub(crate) fn json(document: &[u8], noise: &mut Noise) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(document) else { return document.to_vec() };
    let mut count = 0;
    visit(&mut value, &mut |_| count += 1);
    let target = noise.below(count);
    let mut index = 0;
    visit(&mut value, &mut |value| {
        if index == target {
            edit(value, noise);
        }
        index += 1;
    });
    serde_json::to_vec(&value).expect("a value is JSON")
}

fn visit(value: &mut Value, each: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, each)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, each)),
        _ => {}
    }
    each(value);
}

fn edit(value: &mut Value, noise: &mut Noise) {
    let numbers = [
        0.into(),
        1.into(),
        (-1).into(),
        u64::MAX.into(),
        i64::MIN.into(),
        u32::MAX.into(),
        4_000_000.into(),
    ];
    *value = match (value.take(), noise.below(6)) {
        (Value::Array(mut items), 0) if !items.is_empty() => {
            items.remove(noise.below(items.len()));
            Value::Array(items)
        }
        (Value::Array(mut items), 1 | 2) if !items.is_empty() => {
            let copies = noise.below(2000);
            let item = items[noise.below(items.len())].clone();
            items.extend(std::iter::repeat_n(item, copies));
            Value::Array(items)
        }
        (Value::Array(mut items), _) if items.len() > 1 => {
            let (one, two) = (noise.below(items.len()), noise.below(items.len()));
            items.swap(one, two);
            Value::Array(items)
        }
        (Value::Object(mut fields), 0..3) if !fields.is_empty() => {
            let name = fields.keys().nth(noise.below(fields.len())).cloned().unwrap_or_default();
            fields.remove(&name);
            Value::Object(fields)
        }
        (Value::Object(mut fields), _) => {
            fields.insert("unknown".to_owned(), 1.into());
            Value::Object(fields)
        }
        (Value::String(text), 0..4) => {
            let mut bytes = text.into_bytes();
            change(&mut bytes, b"0123456789abcdef", noise);
            Value::String(String::from_utf8_lossy(&bytes).into_owned())
        }
        (Value::Number(number), 0..2) => {
            number.as_i64().map_or(Value::Null, |number| number.wrapping_add(1).into())
        }
        (Value::Number(_), 2..5) => {
            Value::Number(serde_json::Number::clone(&numbers[noise.below(numbers.len())]))
        }
        (_, 0) => Value::Null,
        (_, 1) => Value::Bool(true),
        _ => "?".into(),
    };
}

const HEADER: usize = FRAME_HEADER_BYTES as usize;

/// A sidecar whose frames were rearranged or edited, with headers that are sound again.
pub(crate) fn sidecar(bytes: &[u8], noise: &mut Noise) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(SIDECAR_HEADER_BYTES as usize);
    let mut frames = Vec::new();
    while rest.len() >= HEADER {
        let length = u64::from_le_bytes(rest[8..16].try_into().expect("eight bytes"));
        let (frame, next) = rest.split_at(HEADER + usize::try_from(length).expect("it was just written"));
        frames.push(frame.to_vec());
        rest = next;
    }
    let (one, two) = (noise.below(frames.len()), noise.below(frames.len()));
    match noise.below(8) {
        0 => frames.swap(one, two),
        1 => drop(frames.remove(one)),
        2 => frames.push(frames[one].clone()),
        3 => {
            // The payload of one frame under the id of another.
            let payload = frames[two][HEADER..].to_vec();
            frames[one].splice(HEADER.., payload);
            let length = frames[two][8..16].to_vec();
            frames[one][8..16].copy_from_slice(&length);
        }
        4 => {
            // A copy whose payload is damaged, behind the sound one.
            let mut copy = frames[one].clone();
            change(&mut copy, &[], noise);
            frames.push(copy);
        }
        5 => {
            let lengths = [0, 1, u64::MAX, u64::MAX - 63, 1 << 40, noise.next()];
            let length = lengths[noise.below(lengths.len())];
            frames[one][8..16].copy_from_slice(&length.to_le_bytes());
        }
        6 => {
            let at = noise.below(frames[one].len());
            frames[one][at] ^= 1 << noise.below(8);
        }
        _ => {
            // An edited payload that is named by its own hash.
            if frames[one].len() > HEADER {
                let at = HEADER + noise.below(frames[one].len() - HEADER);
                frames[one][at] ^= 1 << noise.below(8);
                let id = ChunkId::of(&frames[one][HEADER..]);
                frames[one][16..48].copy_from_slice(&id.0);
            }
        }
    }
    let mut forged = head.to_vec();
    for mut frame in frames {
        if frame.len() >= HEADER {
            let check = ChunkId::of(&frame[..48]);
            frame[48..56].copy_from_slice(&check.0[..8]);
        }
        forged.extend(frame);
    }
    forged
}

/// An image one of whose chunks was edited and named again.
pub(crate) fn forge_frame(
    reference: &ImageReference,
    chunks: &[Chunk<'static>],
    noise: &mut Noise,
) -> (ImageReference, Vec<Chunk<'static>>) {
    let (mut reference, mut chunks) = (reference.clone(), chunks.to_vec());
    let index = noise.below(chunks.len());
    let forged = Chunk::new(raw(chunks[index].payload(), chunks[0].payload(), noise));
    if let ImageReference::Cells(image) = &mut reference {
        let old = chunks[index].id();
        for part in
            image.sections.iter_mut().flat_map(|section| &mut section.chunks).filter(|part| part.id == old)
        {
            part.id = forged.id();
            part.bytes = forged.payload().len() as u64;
        }
    }
    chunks[index] = forged;
    (reference, chunks)
}
