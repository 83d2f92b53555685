//! Low-rank changes, merged into the weights or as a file of their own.

use half::{bf16, f16};
use intact_fixtures::{Noise, lora_file};
use intact_format::gguf::{Gguf, Tensor, TensorType};

use super::scales::{BF16, F16};
use super::{ChangeError, Lora, data, unit};

/// The matrices that are changed.
const CHANGED: [&str; 4] = [".attn_q.weight", ".attn_k.weight", ".attn_v.weight", ".attn_output.weight"];

/// The change of one matrix, whose numbers are known.
struct Factors {
    /// `rank` rows of as many numbers as the matrix has inputs.
    a: Vec<f32>,
    /// A row of `rank` numbers for each output.
    b: Vec<f32>,
    inputs: usize,
    rank: usize,
}

impl Factors {
    /// Draws them, and gives B the size that the share asks for.
    fn draw(tensor: &Tensor, weights: &[f32], seed: u64, change: Lora) -> Self {
        let inputs = tensor.shape.first().map_or(1, |length| usize::try_from(*length).unwrap_or(1)).max(1);
        let (outputs, rank) = (weights.len() / inputs, change.rank as usize);
        let drawn = |side: &str, count: usize| -> Vec<f32> {
            let noise = Noise::new(seed, &format!("{}.{side}", tensor.name));
            (0..count as u64).map(|index| unit(noise, index)).collect()
        };
        let mut factors =
            Self { a: drawn("lora_a", rank * inputs), b: drawn("lora_b", outputs * rank), inputs, rank };
        let norm = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
            numbers.map(|number| f64::from(number) * f64::from(number)).sum::<f64>().sqrt()
        };
        let product = norm(&mut factors.product());
        let wanted = f64::from(change.share) * norm(&mut weights.iter().copied());
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let scale = if product > 0.0 { (wanted / product) as f32 } else { 0.0 };
        factors.b.iter_mut().for_each(|number| *number *= scale);
        factors
    }

    /// B · A, row by row, as the matrix lies.
    fn product(&self) -> impl Iterator<Item = f32> {
        self.b.chunks_exact(self.rank).flat_map(move |row| {
            (0..self.inputs).map(move |input| {
                row.iter().enumerate().map(|(at, number)| number * self.a[at * self.inputs + input]).sum()
            })
        })
    }
}

/// Adds the change to the weights.
pub(super) fn merge(gguf: &Gguf, bytes: &mut [u8], seed: u64, change: Lora) -> Result<(), ChangeError> {
    for tensor in changed(gguf)? {
        let numbers = data(gguf, tensor, bytes);
        let weights = read(tensor, numbers)?;
        let factors = Factors::draw(tensor, &weights, seed, change);
        let merged = weights.iter().zip(factors.product()).map(|(weight, change)| weight + change);
        write(tensor.kind, merged, numbers);
    }
    Ok(())
}

/// The file of an adapter that makes the change.
pub(super) fn adapter(gguf: &Gguf, bytes: &[u8], seed: u64, change: Lora) -> Result<Vec<u8>, ChangeError> {
    let mut file = bytes.to_vec();
    let mut halves = Vec::new();
    for tensor in changed(gguf)? {
        let weights = read(tensor, data(gguf, tensor, &mut file))?;
        let Factors { a, b, inputs, rank } = Factors::draw(tensor, &weights, seed, change);
        let outputs = weights.len() / inputs;
        halves.push((format!("{}.lora_a", tensor.name), [inputs as u64, rank as u64], a));
        halves.push((format!("{}.lora_b", tensor.name), [rank as u64, outputs as u64], b));
    }
    let architecture = gguf.architecture().unwrap_or_default();
    Ok(lora_file(architecture, change.rank, &halves))
}

fn changed(gguf: &Gguf) -> Result<Vec<&Tensor>, ChangeError> {
    let is_changed = |tensor: &&Tensor| CHANGED.iter().any(|end| tensor.name.ends_with(end));
    let changed: Vec<&Tensor> = gguf.tensors.iter().filter(is_changed).collect();
    if changed.is_empty() { Err(ChangeError::Nothing("attention matrices")) } else { Ok(changed) }
}

fn read(tensor: &Tensor, numbers: &[u8]) -> Result<Vec<f32>, ChangeError> {
    match tensor.kind {
        TensorType::F32 => {
            Ok(numbers.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect())
        }
        F16 => Ok(numbers.as_chunks().0.iter().map(|number| f16::from_le_bytes(*number).to_f32()).collect()),
        BF16 => {
            Ok(numbers.as_chunks().0.iter().map(|number| bf16::from_le_bytes(*number).to_f32()).collect())
        }
        kind => {
            let needed =
                "a low-rank change is added to f32, f16 or bf16: `intact models derive --weights f16` first";
            Err(ChangeError::Type { tensor: tensor.name.clone(), kind, needed })
        }
    }
}

fn write(kind: TensorType, weights: impl Iterator<Item = f32>, numbers: &mut [u8]) {
    let width = if kind == TensorType::F32 { 4 } else { 2 };
    for (place, weight) in numbers.chunks_exact_mut(width).zip(weights) {
        match kind {
            TensorType::F32 => place.copy_from_slice(&weight.to_le_bytes()),
            F16 => place.copy_from_slice(&f16::from_f32(weight).to_le_bytes()),
            _ => place.copy_from_slice(&bf16::from_f32(weight).to_le_bytes()),
        }
    }
}
