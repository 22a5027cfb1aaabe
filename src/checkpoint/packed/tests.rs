use super::*;
use crate::checkpoint::open::open;
use crate::source::memory::MemorySource;
use safetensors::tensor::TensorView;

/// A stored tensor: name, type, shape, and its bytes where they matter.
type Given<'a> = (&'a str, Dtype, &'a [usize], Option<Vec<u8>>);

/// A tensor of the catalogue: name, shape, type.
type Found = (String, Vec<u64>, String);

/// The tensors, and the codes of the warnings, after opening a file of `tensors` beside `config`.
fn opened(tensors: &[Given<'_>], config: &str) -> (Vec<Found>, Vec<String>, u64) {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape, bytes)| {
            let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            bytes.clone().unwrap_or_else(|| vec![0; size])
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, dtype, shape, _), bytes)| {
        ((*name).to_owned(), TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    let sources = vec![
        MemorySource::new("m.safetensors", file),
        MemorySource::new("config.json", config.as_bytes().to_vec()),
    ];
    let checkpoint = pollster::block_on(open(sources, |_| {})).unwrap();
    let tensors = checkpoint
        .tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.shape.clone(), tensor.dtype.to_string()));
    let codes = checkpoint.warnings.iter().map(|warning| warning.code.as_str().to_owned());
    (tensors.collect(), codes.collect(), checkpoint.parameters())
}

fn state(rows: u64, columns: u64) -> Option<Vec<u8>> {
    Some(format!(r#"{{"quant_type":"nf4","blocksize":64,"shape":[{rows},{columns}]}}"#).into_bytes())
}

/// 768 bytes of codes beside a shape.
fn claiming(rows: u64, columns: u64) -> Vec<Given<'static>> {
    let state = state(rows, columns);
    let length: &[usize] = Box::leak(Box::new([state.as_ref().map_or(0, Vec::len)]));
    vec![
        ("a.q.weight", Dtype::U8, &[768, 1], None),
        ("a.q.weight.absmax", Dtype::F32, &[24], None),
        ("a.q.weight.quant_state.bitsandbytes__nf4", Dtype::U8, length, state),
    ]
}

#[test]
fn every_method_gives_the_unpacked_shape() {
    use Dtype::{BF16, F8_E4M3, F16, F32, I8, I32, I64, U8, U32};
    let shape_24_64: Vec<u8> = [24i64, 64].iter().flat_map(|size| size.to_le_bytes()).collect();
    let json = state(24, 64);
    let length = [json.as_ref().map_or(0, Vec::len)];
    let mlx = r#"{"quantization":{"group_size":32,"bits":4,"a.q":{"group_size":64,"bits":8}}}"#;
    let cases: Vec<(&str, Vec<Given<'_>>, &str)> = vec![
        (
            "bitsandbytes, 4 bit",
            vec![
                ("a.q.weight", U8, &[768, 1], None),
                ("a.q.weight.absmax", F32, &[24], None),
                ("a.q.weight.quant_map", F32, &[16], None),
                ("a.q.weight.quant_state.bitsandbytes__nf4", U8, &length, json),
            ],
            "{}",
        ),
        (
            "bitsandbytes, 8 bit",
            vec![
                ("a.q.weight", I8, &[24, 64], None),
                ("a.q.SCB", F32, &[24], None),
                ("a.q.weight_format", U8, &[], None),
            ],
            "{}",
        ),
        (
            "GPTQ",
            // 3 bits: 6 words hold 64 codes.
            vec![
                ("a.q.qweight", I32, &[6, 24], None),
                ("a.q.qzeros", I32, &[2, 3], None),
                ("a.q.scales", F16, &[2, 24], None),
                ("a.q.g_idx", I32, &[64], None),
            ],
            r#"{"quantization_config":{"bits":3}}"#,
        ),
        (
            "GPTQ",
            // Without an order of activations, the zero points give the bits.
            vec![
                ("a.q.qweight", I32, &[16, 24], None),
                ("a.q.qzeros", I32, &[2, 6], None),
                ("a.q.scales", F16, &[2, 24], None),
            ],
            "{}",
        ),
        (
            "AWQ",
            vec![
                ("a.q.qweight", I32, &[64, 3], None),
                ("a.q.qzeros", I32, &[2, 3], None),
                ("a.q.scales", F16, &[2, 24], None),
            ],
            "{}",
        ),
        (
            "compressed-tensors",
            vec![
                ("a.q.weight_packed", I32, &[24, 8], None),
                ("a.q.weight_scale", BF16, &[24, 2], None),
                ("a.q.weight_shape", I64, &[2], Some(shape_24_64.clone())),
            ],
            "{}",
        ),
        (
            "compressed-tensors",
            vec![
                ("a.q.weight_packed", U8, &[24, 32], None),
                ("a.q.weight_scale", F8_E4M3, &[24, 4], None),
                ("a.q.weight_global_scale", F32, &[1], None),
            ],
            "{}",
        ),
        (
            "NVFP4",
            vec![
                ("a.q.weight", U8, &[24, 32], None),
                ("a.q.weight_scale", F8_E4M3, &[24, 4], None),
                ("a.q.weight_scale_2", F32, &[], None),
                ("a.q.input_scale", F32, &[], None),
            ],
            "{}",
        ),
        (
            "scaled 8 bit",
            vec![
                ("a.q.weight", F8_E4M3, &[24, 64], None),
                ("a.q.weight_scale", F32, &[24, 1], None),
                ("a.q.input_scale", F32, &[], None),
            ],
            "{}",
        ),
        (
            "FP8 in blocks",
            vec![("a.q.weight", F8_E4M3, &[24, 64], None), ("a.q.weight_scale_inv", F32, &[1, 1], None)],
            "{}",
        ),
        (
            "scaled FP8",
            vec![("a.q.weight", F8_E4M3, &[24, 64], None), ("a.q.scale_weight", F32, &[], None)],
            "{}",
        ),
        ("EETQ", vec![("a.q.weight", I8, &[64, 24], None), ("a.q.weight_scales", F16, &[24], None)], "{}"),
        (
            "MLX",
            vec![
                ("a.q.weight", U32, &[24, 16], None),
                ("a.q.scales", F16, &[24, 1], None),
                ("a.q.biases", F16, &[24, 1], None),
            ],
            mlx,
        ),
        (
            "HQQ",
            vec![
                ("a.q.W_q", U8, &[12, 64], None),
                ("a.q.scale", F16, &[24, 1], None),
                ("a.q.zero", F16, &[24, 1], None),
                ("a.q.shape", I64, &[2], Some(shape_24_64.clone())),
                ("a.q.nbits", U8, &[1], None),
            ],
            "{}",
        ),
        (
            "ExLlamaV2",
            vec![
                ("a.q.q_weight", I32, &[9, 24], None),
                ("a.q.q_invperm", Dtype::I16, &[64], None),
                ("a.q.q_scale", I32, &[2, 3], None),
                ("a.q.q_scale_max", F16, &[2], None),
            ],
            "{}",
        ),
        (
            "AQLM",
            vec![
                ("a.q.codes", I8, &[24, 8, 2], None),
                ("a.q.codebooks", F16, &[2, 256, 1, 8], None),
                ("a.q.scales", F16, &[24, 1, 1, 1], None),
            ],
            "{}",
        ),
    ];
    for (method, mut tensors, config) in cases {
        tensors.push(("a.norm.weight", F32, &[64], None));
        tensors.push(("a.q.bias", F32, &[24], None));
        let (found, codes, parameters) = opened(&tensors, config);
        let weight = ("a.q.weight".to_owned(), vec![24, 64], format!("packed weights ({method})"));
        assert_eq!(found.len(), 3, "{method}: {found:?}");
        assert!(found.contains(&weight), "{method}: {found:?}");
        assert_eq!(parameters, 24 * 64 + 64 + 24, "{method}");
        assert_eq!(codes, ["weights_packed"], "{method}");
    }
}

#[test]
fn experts_are_packed_together() {
    let (found, codes, _) = opened(
        &[
            ("a.experts.down_proj_blocks", Dtype::U8, &[2, 24, 2, 16], None),
            ("a.experts.down_proj_scales", Dtype::U8, &[2, 24, 2], None),
            ("a.experts.down_proj_bias", Dtype::BF16, &[2, 24], None),
            ("b.experts.weight", Dtype::U32, &[2, 24, 8], None),
            ("b.experts.scales", Dtype::F16, &[2, 24, 2], None),
        ],
        r#"{"quantization":{"group_size":32,"bits":4}}"#,
    );
    let shapes: Vec<(&str, &[u64])> =
        found.iter().map(|(name, shape, _)| (name.as_str(), shape.as_slice())).collect();
    let expected: [(&str, &[u64]); 3] = [
        ("a.experts.down_proj", &[2, 64, 24]),
        ("a.experts.down_proj_bias", &[2, 24]),
        ("b.experts.weight", &[2, 24, 64]),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(codes, ["weights_packed"]);
}

#[test]
fn what_does_not_give_its_shape_is_named_and_not_counted() {
    for tensors in [
        // MLX without its configuration.
        vec![("a.q.weight", Dtype::U32, &[24, 8][..], None), ("a.q.scales", Dtype::F16, &[24, 2][..], None)],
        // An unknown method.
        vec![
            ("a.q.weight._data", Dtype::U8, &[24, 32][..], None),
            ("a.q.weight._scale", Dtype::F16, &[24][..], None),
        ],
        // A shape that is too large for these codes, and one that is too small.
        claiming(1 << 20, 1 << 20),
        claiming(2, 4),
        // A state that is no JSON.
        vec![
            ("a.q.weight", Dtype::U8, &[768, 1][..], None),
            ("a.q.weight.absmax", Dtype::F32, &[24][..], None),
            ("a.q.weight.quant_state.bitsandbytes__fp4", Dtype::U8, &[12][..], None),
        ],
    ] {
        let (found, codes, _) = opened(&tensors, "{}");
        assert_eq!(codes, ["weights_uncounted"], "{tensors:?}");
        assert!(found.iter().all(|(_, shape, _)| shape.len() < 2), "{found:?}");
    }
}

#[test]
fn scales_beside_floats_and_indices_are_no_packing() {
    let (found, codes, _) = opened(
        &[
            ("a.q.weight", Dtype::F32, &[24, 8], None),
            ("a.q.scales", Dtype::F32, &[24], None),
            ("a.attn.relative_position_index", Dtype::I32, &[8, 8], None),
            ("a.attn.logit_scale", Dtype::F32, &[1], None),
            ("a.quantizer.codebook_index", Dtype::I64, &[8, 8], None),
            ("a.quantizer.scale", Dtype::F32, &[8], None),
        ],
        "{}",
    );
    assert_eq!((found.len(), codes), (6, Vec::new()));
}
