//! Control vector files: GGUF with a tensor `direction.N` of 32-bit floats for each layer that is steered.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use intact_format::gguf::{Gguf, Tensor, TensorType};
use intact_format::regular;

use super::LlamaError;
use super::binding::model::LlamaModel;
use super::native::adapter::dimensions;
use super::release::adapters_are_offered;

/// The sum of control vectors, each times its scale.
#[derive(Debug, PartialEq)]
pub(super) struct ControlVector {
    /// A direction for each layer but the first, one behind the other; zeros where there is none.
    pub(super) data: Vec<f32>,
    /// Length of a direction.
    pub(super) width: i32,
    /// Layers of the model.
    pub(super) layers: i32,
}

impl ControlVector {
    /// Adds up the files' vectors for a model; `None` where there are no files.
    pub(super) fn sum(model: &LlamaModel, files: &[(PathBuf, f32)]) -> Result<Option<Self>, LlamaError> {
        if files.is_empty() {
            return Ok(None);
        }
        let (width, layers) = dimensions(model);
        let size = |count: i32| usize::try_from(count).unwrap_or_default();
        let mut sum = Self { data: vec![0.0; size(width) * size(layers - 1)], width, layers };
        for (path, scale) in files {
            let added = adapters_are_offered().map_err(str::to_owned).and_then(|()| sum.add(path, *scale));
            added.map_err(|reason| LlamaError::Adapter { path: path.clone(), reason })?;
        }
        Ok(Some(sum))
    }

    fn add(&mut self, path: &Path, scale: f32) -> Result<(), String> {
        let gguf = Gguf::open(path).map_err(|error| error.to_string())?;
        gguf.check_extent().map_err(|error| error.to_string())?;
        let mut file = regular::open(path).map_err(|error| error.to_string())?;
        let width = usize::try_from(self.width).unwrap_or_default();
        let mut found = false;
        for tensor in &gguf.tensors {
            let Some(layer) = tensor.name.strip_prefix("direction.") else { continue };
            let at = layer.parse::<usize>().ok().and_then(|layer| layer.checked_sub(1));
            let place =
                at.and_then(|at| self.data.get_mut(at * width..(at + 1) * width)).ok_or_else(|| {
                    format!("it steers layer {layer}, and the model has layers 0 to {}", self.layers - 1)
                })?;
            if tensor.kind != TensorType::F32 || tensor.shape != [width as u64] {
                return Err(format!(
                    "`{}` is {} of {:?}, and {width} numbers of f32 are needed",
                    tensor.name, tensor.kind, tensor.shape
                ));
            }
            let numbers = numbers(&mut file, gguf.data_offset, tensor).map_err(|error| error.to_string())?;
            place.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += scale * number);
            found = true;
        }
        if found { Ok(()) } else { Err("it has no tensor `direction.1` or the like".to_owned()) }
    }
}

fn numbers(file: &mut File, start: u64, tensor: &Tensor) -> std::io::Result<Vec<f32>> {
    file.seek(SeekFrom::Start(start.saturating_add(tensor.offset)))?;
    let mut bytes = Vec::new();
    file.take(tensor.bytes().unwrap_or_default()).read_to_end(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
