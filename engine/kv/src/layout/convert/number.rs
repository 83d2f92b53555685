//! Numbers in the types that caches commonly have, to 32-bit floats and back, as ggml's reference code converts them.

use half::{bf16, f16};

use crate::layout::GgmlType;

/// How a type's blocks are read and written.
pub(super) struct Codec {
    pub(super) block_elements: usize,
    pub(super) block_bytes: usize,
    pub(super) decode: Decode,
    pub(super) encode: Encode,
}

/// Whole blocks to as many numbers.
type Decode = fn(&[u8], &mut [f32]);
/// Numbers to as many whole blocks.
type Encode = fn(&[f32], &mut [u8]);

/// The conversion of a type, for those that have one.
pub(super) fn codec(kind: GgmlType) -> Option<Codec> {
    let (decode, encode): (Decode, Encode) = match kind {
        GgmlType::F32 => (decode_f32, encode_f32),
        GgmlType::F16 => (decode_f16, encode_f16),
        GgmlType::BF16 => (decode_bf16, encode_bf16),
        GgmlType::Q8_0 => (decode_q8_0, encode_q8_0),
        GgmlType::Q4_0 => (decode_q4_0, encode_q4_0),
        _ => return None,
    };
    let block = kind.block()?;
    Some(Codec { block_elements: block.elements as usize, block_bytes: block.bytes as usize, decode, encode })
}

fn decode_f32(bytes: &[u8], numbers: &mut [f32]) {
    for (bytes, number) in bytes.as_chunks::<4>().0.iter().zip(numbers) {
        *number = f32::from_le_bytes(*bytes);
    }
}

fn encode_f32(numbers: &[f32], bytes: &mut [u8]) {
    for (number, bytes) in numbers.iter().zip(bytes.as_chunks_mut::<4>().0) {
        *bytes = number.to_le_bytes();
    }
}

fn decode_f16(bytes: &[u8], numbers: &mut [f32]) {
    for (bytes, number) in bytes.as_chunks::<2>().0.iter().zip(numbers) {
        *number = f16::from_le_bytes(*bytes).to_f32();
    }
}

fn encode_f16(numbers: &[f32], bytes: &mut [u8]) {
    for (number, bytes) in numbers.iter().zip(bytes.as_chunks_mut::<2>().0) {
        *bytes = f16::from_f32(*number).to_le_bytes();
    }
}

fn decode_bf16(bytes: &[u8], numbers: &mut [f32]) {
    for (bytes, number) in bytes.as_chunks::<2>().0.iter().zip(numbers) {
        *number = bf16::from_le_bytes(*bytes).to_f32();
    }
}

fn encode_bf16(numbers: &[f32], bytes: &mut [u8]) {
    for (number, bytes) in numbers.iter().zip(bytes.as_chunks_mut::<2>().0) {
        *bytes = bf16::from_f32(*number).to_le_bytes();
    }
}

/// Elements of a quantized block.
const BLOCK: usize = 32;
/// Bytes of a block's scale, a half float before its values.
const SCALE: usize = 2;

fn decode_q8_0(bytes: &[u8], numbers: &mut [f32]) {
    for (block, numbers) in
        bytes.as_chunks::<{ SCALE + BLOCK }>().0.iter().zip(numbers.as_chunks_mut::<BLOCK>().0)
    {
        let scale = scale(block);
        for (value, number) in block[SCALE..].iter().zip(numbers) {
            *number = f32::from(value.cast_signed()) * scale;
        }
    }
}

fn encode_q8_0(numbers: &[f32], bytes: &mut [u8]) {
    for (numbers, block) in
        numbers.as_chunks::<BLOCK>().0.iter().zip(bytes.as_chunks_mut::<{ SCALE + BLOCK }>().0)
    {
        let greatest = numbers.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs()));
        let step = greatest / 127.0;
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        block[..SCALE].copy_from_slice(&f16::from_f32(step).to_le_bytes());
        for (number, value) in numbers.iter().zip(&mut block[SCALE..]) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 127 by the scale; the cast saturates"
            )]
            let rounded = (number * inverse).round() as i8;
            *value = rounded.cast_unsigned();
        }
    }
}

fn decode_q4_0(bytes: &[u8], numbers: &mut [f32]) {
    const BYTES: usize = SCALE + BLOCK / 2;
    for (block, numbers) in bytes.as_chunks::<BYTES>().0.iter().zip(numbers.as_chunks_mut::<BLOCK>().0) {
        let scale = scale(block);
        let (low, high) = numbers.split_at_mut(BLOCK / 2);
        for ((value, low), high) in block[SCALE..].iter().zip(low).zip(high) {
            *low = (f32::from(value & 15) - 8.0) * scale;
            *high = (f32::from(value >> 4) - 8.0) * scale;
        }
    }
}

fn encode_q4_0(numbers: &[f32], bytes: &mut [u8]) {
    const BYTES: usize = SCALE + BLOCK / 2;
    for (numbers, block) in numbers.as_chunks::<BLOCK>().0.iter().zip(bytes.as_chunks_mut::<BYTES>().0) {
        // The number of the greatest magnitude, with its sign: it is stored as −8.
        let extreme = numbers
            .iter()
            .fold(0.0_f32, |extreme, number| if number.abs() > extreme.abs() { *number } else { extreme });
        let step = extreme / -8.0;
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        block[..SCALE].copy_from_slice(&f16::from_f32(step).to_le_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "between 0 and 16.5 by the scale; the cast saturates"
        )]
        #[expect(clippy::cast_sign_loss, reason = "between 0 and 16.5 by the scale; the cast saturates")]
        let nibble = |number: f32| ((number * inverse + 8.5) as u8).min(15);
        let (low, high) = numbers.split_at(BLOCK / 2);
        for ((low, high), value) in low.iter().zip(high).zip(&mut block[SCALE..]) {
            *value = nibble(*low) | (nibble(*high) << 4);
        }
    }
}

fn scale(block: &[u8]) -> f32 {
    f16::from_le_bytes([block[0], block[1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: GgmlType, bytes: &[u8], count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        (codec(kind).unwrap().decode)(bytes, &mut numbers);
        numbers
    }

    fn encode(kind: GgmlType, numbers: &[f32]) -> Vec<u8> {
        let codec = codec(kind).unwrap();
        let mut bytes = vec![0; numbers.len() / codec.block_elements * codec.block_bytes];
        (codec.encode)(numbers, &mut bytes);
        bytes
    }

    #[test]
    fn halves_and_brain_floats_round_to_the_nearest_even() {
        // (number, f16 bits, bf16 bits)
        let table = [
            (1.0, 0x3c00, 0x3f80),
            (-2.5, 0xc100, 0xc020),
            (65504.0, 0x7bff, 0x4780),
            (65520.0, 0x7c00, 0x4780),
            (1.000_488_3, 0x3c00, 0x3f80),
            (1.001_464_8, 0x3c02, 0x3f80),
            (6e-8, 0x0001, 0x3381),
        ];
        for (number, half, brain) in table {
            assert_eq!(encode(GgmlType::F16, &[number]), u16::to_le_bytes(half), "{number} as f16");
            assert_eq!(encode(GgmlType::BF16, &[number]), u16::to_le_bytes(brain), "{number} as bf16");
        }
    }

    #[test]
    fn q8_0_scales_the_greatest_magnitude_to_127() {
        let mut numbers = [0.0; 32];
        (numbers[0], numbers[1], numbers[2], numbers[31]) = (127.0, -127.0, 0.5, -1.49);
        let bytes = encode(GgmlType::Q8_0, &numbers);
        assert_eq!(
            bytes[..5],
            [0x00, 0x3c, 127, 0x81, 1],
            "scale 1.0, then the values; a half rounds away from zero"
        );
        assert_eq!(bytes[33], 0xff);
        let back = decode(GgmlType::Q8_0, &bytes, 32);
        assert_eq!((back[0], back[1], back[2], back[31]), (127.0, -127.0, 1.0, -1.0));
    }

    #[test]
    fn q4_0_stores_the_extreme_as_minus_8_and_two_halves_side_by_side() {
        let mut numbers = [0.0; 32];
        (numbers[0], numbers[1], numbers[16], numbers[17]) = (-8.0, 7.0, 3.0, -8.0);
        let bytes = encode(GgmlType::Q4_0, &numbers);
        assert_eq!(
            bytes[..5],
            [0x00, 0x3c, 0xb0, 0x0f, 0x88],
            "scale 1.0, then 0 | 11 << 4, 15 | 0 << 4, 8 | 8 << 4"
        );
        let back = decode(GgmlType::Q4_0, &bytes, 32);
        assert_eq!((back[0], back[1], back[16], back[17], back[2]), (-8.0, 7.0, 3.0, -8.0, 0.0));
        let positive = encode(GgmlType::Q4_0, &[8.0; 32]);
        assert_eq!(positive[..3], [0x00, 0xbc, 0x00], "a positive extreme has a negative scale");
        assert_eq!(decode(GgmlType::Q4_0, &positive, 32), [8.0; 32]);
    }

    #[test]
    fn zeros_stay_zero_and_what_is_not_a_number_does_not_panic() {
        for kind in [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0] {
            assert_eq!(decode(kind, &encode(kind, &[0.0; 32]), 32), [0.0; 32], "{kind}");
            let strange: Vec<f32> = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX].repeat(8);
            decode(kind, &encode(kind, &strange), 32);
        }
    }

    #[test]
    fn decoding_what_was_encoded_and_encoding_it_again_changes_nothing() {
        for kind in [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0] {
            let numbers: Vec<f32> = (0..320).map(|index| (index as f32 * 0.37).sin() * 3.0).collect();
            let once = decode(kind, &encode(kind, &numbers), 320);
            let twice = decode(kind, &encode(kind, &once), 320);
            assert!(once.iter().zip(&twice).all(|(once, twice)| (once - twice).abs() < 2e-3), "{kind}");
        }
    }
}
