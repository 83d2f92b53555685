//! Where the scales of the quantized types are.

use half::{bf16, f16};
use intact_fixtures::Noise;
use intact_format::gguf::{Gguf, Tensor, TensorType};

use super::{ChangeError, data, unit};

/// Types by ggml's number, with where in a block the half-precision numbers are that all others are multiplied by.
const SCALES: [(u32, &[usize]); 13] = [
    (2, &[0]),       // Q4_0
    (3, &[0, 2]),    // Q4_1: scale, minimum
    (6, &[0]),       // Q5_0
    (7, &[0, 2]),    // Q5_1
    (8, &[0]),       // Q8_0
    (10, &[80, 82]), // Q2_K: scale of the scales, scale of the minima
    (11, &[108]),    // Q3_K
    (12, &[0, 2]),   // Q4_K
    (13, &[0, 2]),   // Q5_K
    (14, &[208]),    // Q6_K
    (20, &[0]),      // IQ4_NL
    (21, &[0]),      // IQ3_S
    (23, &[0]),      // IQ4_XS
];

pub(super) const F16: TensorType = TensorType(1);
pub(super) const BF16: TensorType = TensorType(30);

/// Multiplies the numbers of every matrix, or the scales of its blocks.
pub(super) fn shake(gguf: &Gguf, bytes: &mut [u8], seed: u64, share: f32) -> Result<(), ChangeError> {
    let mut matrices = 0;
    for tensor in gguf.tensors.iter().filter(|tensor| is_matrix(tensor)) {
        matrices += 1;
        let noise = Noise::new(seed, &tensor.name);
        let factor = |index: usize| 1.0 + share * unit(noise, index as u64);
        let numbers = data(gguf, tensor, bytes);
        match tensor.kind {
            TensorType::F32 => {
                each(numbers, |index, number| (f32::from_le_bytes(number) * factor(index)).to_le_bytes());
            }
            F16 => each(numbers, |index, number| {
                f16::from_f32(f16::from_le_bytes(number).to_f32() * factor(index)).to_le_bytes()
            }),
            BF16 => each(numbers, |index, number| {
                bf16::from_f32(bf16::from_le_bytes(number).to_f32() * factor(index)).to_le_bytes()
            }),
            kind => blocks(kind, tensor, numbers, factor)?,
        }
    }
    if matrices == 0 { Err(ChangeError::Nothing("matrices")) } else { Ok(()) }
}

pub(super) fn is_matrix(tensor: &Tensor) -> bool {
    tensor.shape.len() > 1 && tensor.shape[1..].iter().any(|length| *length > 1)
}

fn each<const N: usize>(numbers: &mut [u8], change: impl Fn(usize, [u8; N]) -> [u8; N]) {
    for (index, number) in numbers.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        *number = change(index, *number);
    }
}

fn blocks(
    kind: TensorType,
    tensor: &Tensor,
    numbers: &mut [u8],
    factor: impl Fn(usize) -> f32,
) -> Result<(), ChangeError> {
    let known = SCALES.iter().find(|(number, _)| *number == kind.0).zip(kind.block());
    let Some(((_, places), (_, bytes))) = known else {
        let needed = "it is not known where the scales of its blocks are";
        return Err(ChangeError::Type { tensor: tensor.name.clone(), kind, needed });
    };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    for (index, block) in numbers.chunks_exact_mut(bytes).enumerate() {
        let factor = factor(index);
        for &place in *places {
            let scale = f16::from_le_bytes([block[place], block[place + 1]]).to_f32() * factor;
            block[place..place + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        }
    }
    Ok(())
}
