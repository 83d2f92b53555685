//! The rotation of quantized caches: an orthonormal Walsh-Hadamard transform of consecutive blocks of a row.
//!
//! llama.cpp builds the matrix by Sylvester's construction from 1/√n and multiplies K (after the rotary embedding) and V
//! with it. The matrix is its own inverse, so rotating twice is not rotating.

/// Rotates every block of `size` elements; 0 and 1 change nothing. `size` is a power of two that divides the row.
pub(super) fn rotate(row: &mut [f32], size: usize) {
    if size < 2 || !size.is_power_of_two() {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "a head has far fewer than 2^24 elements")]
    let scale = 1.0 / (size as f32).sqrt();
    for block in row.chunks_exact_mut(size) {
        let mut half = 1;
        while half < size {
            for pair in block.chunks_exact_mut(2 * half) {
                let (low, high) = pair.split_at_mut(half);
                for (low, high) in low.iter_mut().zip(high) {
                    (*low, *high) = (*low + *high, *low - *high);
                }
            }
            half *= 2;
        }
        for value in block {
            *value *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix as llama.cpp's `ggml_gen_hadamard` fills it.
    fn matrix(n: usize) -> Vec<Vec<f64>> {
        let mut data = vec![vec![0.0; n]; n];
        data[0][0] = 1.0 / (n as f64).sqrt();
        let mut s = 1;
        while s < n {
            for i in 0..s {
                for j in 0..s {
                    let value = data[i][j];
                    data[i + s][j] = value;
                    data[i][j + s] = value;
                    data[i + s][j + s] = -value;
                }
            }
            s *= 2;
        }
        data
    }

    #[test]
    fn it_is_the_product_with_the_matrix_of_llama_cpp() {
        for size in [2, 64, 128] {
            let row: Vec<f32> = (0..size * 3).map(|index| ((index * 37 % 101) as f32 - 50.0) / 7.0).collect();
            let mut rotated = row.clone();
            rotate(&mut rotated, size);
            let matrix = matrix(size);
            for (block, (plain, rotated)) in row.chunks(size).zip(rotated.chunks(size)).enumerate() {
                for (line, got) in matrix.iter().zip(rotated) {
                    let expected: f64 = line.iter().zip(plain).map(|(a, b)| a * f64::from(*b)).sum();
                    assert!(
                        (expected - f64::from(*got)).abs() < 1e-4,
                        "block {block} of {size}: {expected} and {got}"
                    );
                }
            }
        }
    }

    #[test]
    fn twice_is_not_at_all() {
        let row: Vec<f32> = (0..256).map(|index| (index as f32).sin()).collect();
        let mut twice = row.clone();
        rotate(&mut twice, 64);
        assert!(twice.iter().zip(&row).any(|(a, b)| (a - b).abs() > 0.1), "once is something else");
        rotate(&mut twice, 64);
        assert!(twice.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
