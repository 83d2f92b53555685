//! How far two states of the same tokens are apart.

use crate::layout::{Attention, ConvertError, Distance, Matrix, Rotation, Section, State};
use crate::route::{Refusal, RefusalCode};

/// How far two states are apart, in the layer where they are furthest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Apart {
    /// Cells that both hold, over all caches.
    pub cells: usize,
    /// The greater normalised mean squared error of K and V in the first layer, which attention has not touched. Where
    /// several attention caches share the layers, one of them has it, and the least error of their first layers stands for
    /// it. None where it is not known to be among the cells: a cache has none in common with the other state, or layers of
    /// another kind may come before.
    pub first: Option<f64>,
    /// Normalised mean squared error of K, or of a recurrent row.
    pub keys: f64,
    /// The same of V, or of a recurrent state.
    pub values: f64,
}

impl Apart {
    /// The greater of both errors. Not a number where one is none.
    #[must_use]
    pub fn worst(&self) -> f64 {
        if self.keys.is_nan() { self.keys } else { self.values.max(self.keys) }
    }

    fn note(&mut self, cells: usize, keys: f64, values: f64) {
        self.cells += cells;
        self.keys = worse(self.keys, keys);
        self.values = worse(self.values, values);
    }
}

/// Compares the numbers of the cells that both states hold, whatever their types, rotation and transposition.
///
/// # Errors
/// A [`Refusal`] where the memories are of different models, or a type has no conversion.
pub fn apart(found: &State<'_>, wanted: &State<'_>) -> Result<Apart, Refusal> {
    let mut apart = Apart::default();
    if found.sections.len() != wanted.sections.len() {
        return Err(other_model("caches", found.sections.len(), wanted.sections.len()));
    }
    let mut firsts = Vec::with_capacity(found.sections.len());
    for (found, wanted) in found.sections.iter().zip(&wanted.sections) {
        match (found, wanted) {
            (Section::Attention(found), Section::Attention(wanted)) => {
                same_layers(&found.keys, &wanted.keys)?;
                same_layers(&found.values, &wanted.values)?;
                let distances = numbers(found, wanted)
                    .map_err(|error| Refusal::new(RefusalCode::KvTypeDiffers, error))?;
                apart.note(distances.cells, distances.keys, distances.values);
                firsts.push(distances.first);
            }
            (Section::Recurrent(found), Section::Recurrent(wanted)) => {
                same_layers(&found.rows, &wanted.rows)?;
                same_layers(&found.states, &wanted.states)?;
                firsts.push(None);
                // States after different tokens have no number in common.
                if found.positions != wanted.positions {
                    continue;
                }
                let rows = furthest(&found.rows, &wanted.rows)?;
                apart.note(found.positions.len(), rows, furthest(&found.states, &wanted.states)?);
            }
            _ => {
                return Err(Refusal::new(
                    RefusalCode::ModelDiffers,
                    "the state has caches of another kind than the model",
                ));
            }
        }
    }
    let firsts: Option<Vec<f64>> = firsts.into_iter().collect();
    apart.first = firsts.and_then(|firsts| firsts.into_iter().reduce(better));
    Ok(apart)
}

/// The two caches over the positions that both have.
fn numbers(found: &Attention<'_>, wanted: &Attention<'_>) -> Result<Apart, ConvertError> {
    let (found, wanted) = (plain(found)?, plain(wanted)?);
    let mut order: Vec<(i32, usize)> =
        wanted.cells.iter().enumerate().map(|(at, cell)| (cell.position, at)).collect();
    order.sort_unstable();
    let pairs: Vec<(usize, usize)> = found
        .cells
        .iter()
        .enumerate()
        .filter_map(|(at, cell)| {
            let there = order.binary_search_by_key(&cell.position, |(position, _)| *position).ok()?;
            Some((at, order[there].1))
        })
        .collect();
    let by_layer = |found: &[Matrix<'_>], wanted: &[Matrix<'_>]| -> Vec<f64> {
        found.iter().zip(wanted).map(|(found, wanted)| found.apart(wanted, &pairs).nmse()).collect()
    };
    let (keys, values) = (by_layer(&found.keys, &wanted.keys), by_layer(&found.values, &wanted.values));
    let of_first = |layers: &[f64]| layers.first().copied().unwrap_or(0.0);
    let first = (!pairs.is_empty()).then(|| worse(of_first(&keys), of_first(&values)));
    let furthest = |layers: Vec<f64>| layers.into_iter().fold(0.0, worse);
    Ok(Apart { cells: pairs.len(), first, keys: furthest(keys), values: furthest(values) })
}

/// Caches without V say nothing of their rotation, or not what is meant; both are taken as they lie.
fn plain(cache: &Attention<'_>) -> Result<Attention<'static>, ConvertError> {
    if cache.shape.values {
        return cache.plain();
    }
    Attention { rotation: Some(Rotation::default()), ..cache.clone() }.plain()
}

/// The recurrent rows of one cell, layer by layer.
fn furthest(found: &[Matrix<'_>], wanted: &[Matrix<'_>]) -> Result<f64, Refusal> {
    let plain =
        |matrix: &Matrix<'_>| matrix.plain().map_err(|error| Refusal::new(RefusalCode::KvTypeDiffers, error));
    found.iter().zip(wanted).try_fold(0.0, |so_far, (found, wanted)| {
        let distance: Distance = plain(found)?.apart(&plain(wanted)?, &[(0, 0)]);
        Ok(worse(so_far, distance.nmse()))
    })
}

fn same_layers(found: &[Matrix<'_>], wanted: &[Matrix<'_>]) -> Result<(), Refusal> {
    if found.len() != wanted.len() {
        return Err(other_model("layers", found.len(), wanted.len()));
    }
    let differing = found.iter().zip(wanted).find(|(found, wanted)| found.elements() != wanted.elements());
    differing.map_or(Ok(()), |(found, wanted)| {
        Err(other_model("numbers for each token in a layer", found.elements(), wanted.elements()))
    })
}

fn other_model(what: &str, found: usize, wanted: usize) -> Refusal {
    Refusal::new(RefusalCode::ModelDiffers, format!("the state has {found} {what}, and the model {wanted}"))
}

/// The smaller one; what is no number is worst, and stays.
fn better(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The greater one; what is no number is worst.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
