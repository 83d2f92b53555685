use half::f16;

use super::*;

fn model(id: &str) -> Vec<u8> {
    intact_fixtures::generate(intact_fixtures::find(id).expect("a fixture"))
}

fn changed(id: &str, change: &str, seed: u64) -> Vec<u8> {
    let change: Change = change.parse().expect("a change");
    change.apply(model(id), seed).expect("changed")
}

fn gguf(bytes: &[u8]) -> Gguf {
    Gguf::read(bytes, bytes.len() as u64).expect("GGUF")
}

fn tensor(bytes: &[u8], name: &str) -> Vec<u8> {
    let gguf = gguf(bytes);
    let tensor = gguf.tensors.iter().find(|tensor| tensor.name == name).expect("a tensor").clone();
    data(&gguf, &tensor, &mut bytes.to_vec()).to_vec()
}

#[test]
fn a_change_is_written_as_it_is_read() {
    for text in ["noise=0.03", "swap=1,2", "lora=8,0.05", "adapter=4,0.01"] {
        assert_eq!(text.parse::<Change>().expect(text).to_string(), text);
    }
    for text in
        ["noise", "noise=0", "noise=-1", "noise=NaN", "noise=x", "swap=1", "lora=0,1", "lora=8", "shake=1"]
    {
        let error = text.parse::<Change>().expect_err(text).to_string();
        assert!(error.contains(text) && error.contains("noise=0.03"), "{error}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    for change in ["noise=0.03", "lora=4,0.05", "adapter=4,0.05"] {
        assert_eq!(changed("llama", change, 7), changed("llama", change, 7), "{change}");
        assert_ne!(changed("llama", change, 7), changed("llama", change, 8), "{change}");
    }
}

/// Root of the mean square of the relative differences of numbers that are not 0.
fn spread(before: &[f32], after: &[f32]) -> f64 {
    let shares: Vec<f64> = before
        .iter()
        .zip(after)
        .filter(|(before, _)| before.abs() > 1e-4)
        .map(|(before, after)| f64::from(after / before) - 1.0)
        .collect();
    (shares.iter().map(|share| share * share).sum::<f64>() / shares.len() as f64).sqrt()
}

fn halves(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|number| f16::from_le_bytes(*number).to_f32()).collect()
}

#[test]
fn noise_is_as_large_as_it_says_on_numbers_and_on_the_scales_of_blocks() {
    const NAME: &str = "blk.0.ffn_down.weight";
    for share in [0.01, 0.03, 0.1] {
        let (before, after) = (model("llama"), changed("llama", &format!("noise={share}"), 7));
        assert_eq!(before.len(), after.len());
        let found = spread(&halves(&tensor(&before, NAME)), &halves(&tensor(&after, NAME)));
        assert!((found / share - 1.0).abs() < 0.05, "{found} for {share}");
        assert_eq!(tensor(&before, "output_norm.weight"), tensor(&after, "output_norm.weight"));
    }
    for (id, bytes) in [("llama-q8_0", 34), ("llama-q4_0", 18)] {
        let (before, after) = (model(id), changed(id, "noise=0.03", 7));
        let split = |file: &[u8]| -> (Vec<f32>, Vec<u8>) {
            let blocks = tensor(file, NAME);
            let blocks = blocks.chunks_exact(bytes);
            let scales = blocks.clone().flat_map(|block| halves(&block[..2])).collect();
            (scales, blocks.flat_map(|block| block[2..].to_vec()).collect())
        };
        let ((before, kept), (after, same)) = (split(&before), split(&after));
        assert_eq!(kept, same, "{id}: only scales change");
        let found = spread(&before, &after);
        assert!((0.02..0.04).contains(&found), "{id}: {found}");
    }
}

#[test]
fn layers_that_change_places_keep_their_numbers() {
    let (before, after) = (model("llama"), changed("llama", "swap=0,1", 7));
    for (here, there) in [("blk.0.", "blk.1."), ("blk.1.", "blk.0.")] {
        for end in ["attn_q.weight", "ffn_down.weight", "attn_norm.weight"] {
            let names = [here, there].map(|layer| format!("{layer}{end}"));
            assert_eq!(tensor(&before, &names[0]), tensor(&after, &names[1]), "{end}");
            assert_ne!(tensor(&before, &names[0]), tensor(&after, &names[0]), "{end}");
        }
    }
    for layers in ["swap=0,0", "swap=0,99", "swap=1,10"] {
        let change: Change = layers.parse().expect("a change");
        assert!(
            matches!(change.apply(model("llama"), 7), Err(Failed::Change(ChangeError::Layers { .. }))),
            "{layers}"
        );
    }
}

#[test]
fn a_merged_adapter_changes_the_attention_by_its_share_and_nothing_else() {
    let (before, after) = (model("llama"), changed("llama", "lora=4,0.05", 7));
    let numbers = |file: &[u8]| halves(&tensor(file, "blk.0.attn_q.weight"));
    let (weights, merged) = (numbers(&before), numbers(&after));
    let norm = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number * number)).sum::<f64>().sqrt()
    };
    let moved = norm(&mut weights.iter().zip(&merged).map(|(weight, merged)| merged - weight));
    let share = moved / norm(&mut weights.iter().copied());
    assert!((share / 0.05 - 1.0).abs() < 0.02, "{share}");
    assert_eq!(tensor(&before, "blk.0.ffn_down.weight"), tensor(&after, "blk.0.ffn_down.weight"));
}

#[test]
fn an_adapter_is_a_file_of_its_own_with_both_factors_of_each_matrix() {
    let adapter = gguf(&changed("llama", "adapter=4,0.05", 7));
    assert_eq!(adapter.architecture().expect("named"), "llama");
    assert_eq!(adapter.text("adapter.type"), Some("lora"));
    let model = gguf(&model("llama"));
    let find = |name: &str| adapter.tensors.iter().find(|tensor| tensor.name == name).expect("a tensor");
    for matrix in model.tensors.iter().filter(|tensor| tensor.name.ends_with(".attn_v.weight")) {
        assert_eq!(find(&format!("{}.lora_a", matrix.name)).shape, [matrix.shape[0], 4]);
        assert_eq!(find(&format!("{}.lora_b", matrix.name)).shape, [4, matrix.shape[1]]);
    }
}

#[test]
fn a_quantized_matrix_takes_no_low_rank_change() {
    let change: Change = "lora=4,0.05".parse().expect("a change");
    let Err(Failed::Change(error)) = change.apply(model("llama-q8_0"), 7) else { panic!("merged") };
    assert!(error.to_string().contains("--weights f16"), "{error}");
}
