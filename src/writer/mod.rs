//! Linear maps that write the residual stream, and a sample of their columns.
//!
//! [`find`] recognises them by name or, if names say nothing, by shape. [`sample`] reads some columns of some of them within a
//! budget. `norm::evidence` judges what their energy says about the norms.

mod between;
pub mod sample;

use crate::checkpoint::Tensor;
use crate::norm::NormSite;
use crate::order;
use crate::report::{NormRole, WriterPart as Part};
use std::cmp::Reverse;

/// Last components of the module that ends attention or a mixer.
const ATTENTION_OUTPUTS: [&str; 17] = [
    "o_proj",
    "out_proj",
    "out_lin",
    "attn_output",
    "attn_out",
    "wo",
    "to_out",
    "to_out.0",
    "Wo",
    "linear_proj",
    "proj",
    "o",
    "attention.dense",
    "self_attention.dense",
    "attention.output.dense",
    "out_project",
    "c_proj",
];

/// Last components of the module that ends a feed-forward part or an expert.
const FEED_FORWARD_OUTPUTS: [&str; 17] = [
    "down_proj",
    "fc2",
    "fc_out",
    "w2",
    "dense_4h_to_h",
    "linear2",
    "lin2",
    "linear_fc2",
    "ffn_down",
    "ffn_down_shexp",
    "ff_out",
    "output.dense",
    "net.2",
    "wo",
    "c_proj",
    "Wo",
    "fc_2",
];

/// A feed-forward part is at most this many times as wide as the stream. An embedding has as many inputs as the vocabulary.
const MOST_INPUTS: u64 = 16;

/// Words of modules inside which the names above mean something else: they write to a router, a bottleneck, a head.
const ELSEWHERE: [&str; 7] = ["lora", "router", "indexer", "adapter", "gate", "compress", "prompt"];

/// A matrix U (d × k) whose output is added to a residual stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Index in the catalogue.
    pub tensor: usize,
    /// Path of the stack of blocks.
    pub stack: String,
    /// Index of its block.
    pub block: u32,
    /// The part whose output it writes.
    pub part: Part,
    /// The stream's width d.
    pub rows: u64,
    /// Inputs k.
    pub columns: u64,
    /// Whether it is stored k × d (GPT-2's Conv1D, Flax kernels): a column of U is a row of the tensor.
    pub transposed: bool,
    /// Index of the LayerScale λ between it and the stream, which receives diag(λ)·U.
    pub scale: Option<usize>,
}

/// The writers of every stack that norm sites read, in the order of the catalogue.
pub fn find(tensors: &[Tensor], sites: &[NormSite]) -> Vec<Writer> {
    if sites.iter().any(|site| site.unnamed) {
        return by_shape(tensors, sites);
    }
    let widths = stream_widths(sites);
    let mut writers = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let Some((rows, columns)) = matrix(tensor) else { continue };
        let Some(module) = tensor.name.strip_suffix("weight").or_else(|| tensor.name.strip_suffix("kernel"))
        else {
            continue;
        };
        let Some(place) = crate::norm::block_of(module.trim_end_matches(['.', '/'])) else { continue };
        let Some(&width) = order::value_of(&widths, &place.stack) else { continue };
        let Some(part) = part(&place.inside) else { continue };
        let writer = |columns, transposed| Writer {
            tensor: index,
            stack: place.stack.clone(),
            block: place.block,
            part,
            rows: width,
            columns,
            transposed,
            scale: None,
        };
        if rows == width {
            writers.push(writer(columns, tensor.name.ends_with("kernel")));
        } else if columns == width {
            writers.push(writer(rows, true));
        }
    }
    settle_squares(&mut writers);
    let mut writers = between::look(tensors, sites, writers);
    if let Some(embedding) = embedding(tensors, &widths) {
        writers.insert(0, embedding);
    }
    writers
}

/// Last components of the module of a token embedding.
const EMBEDDINGS: [&str; 9] = [
    "embed_tokens",
    "wte",
    "word_embeddings",
    "word_embedding",
    "tok_embeddings",
    "token_embd",
    "embed_in",
    "shared",
    "embedder",
];

/// The token embedding, if the model has one stream of its width. Its rows are columns of U.
fn embedding(tensors: &[Tensor], widths: &[(&str, u64)]) -> Option<Writer> {
    tensors.iter().enumerate().find_map(|(tensor, candidate)| {
        let module = candidate.name.strip_suffix(".weight")?;
        let (columns, rows) = matrix(candidate)?;
        EMBEDDINGS.contains(&module.rsplit('.').next()?).then_some(())?;
        let mut stacks = widths.iter().filter(|(_, width)| *width == rows).map(|(stack, _)| *stack);
        let stack = stacks.next()?.to_owned();
        stacks.next().is_none().then_some(Writer {
            tensor,
            stack,
            block: 0,
            part: Part::Embedding,
            rows,
            columns,
            transposed: true,
            scale: None,
        })
    })
}

/// The part whose output a module with this path inside its block writes.
fn part(inside: &str) -> Option<Part> {
    let ends =
        |name: &str| inside == name || inside.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    if ELSEWHERE.iter().any(|word| inside.contains(word)) && !inside.contains("experts") {
        return None;
    }
    let feed_forward = ["mlp", "ff", "expert", "moe", "DenseReluDense", "output.dense", "fc"];
    let in_feed_forward =
        feed_forward.iter().any(|mark| inside.contains(mark)) && !inside.contains("attention");
    if in_feed_forward && FEED_FORWARD_OUTPUTS.iter().any(|name| ends(name)) {
        return Some(Part::FeedForward);
    }
    if ATTENTION_OUTPUTS.iter().any(|name| ends(name)) {
        return Some(Part::Attention);
    }
    FEED_FORWARD_OUTPUTS.iter().any(|name| ends(name)).then_some(Part::FeedForward)
}

/// The width of each stack's stream: the most frequent among its norms on the stream, and the smallest of several. Sorted.
fn stream_widths(sites: &[NormSite]) -> Vec<(&str, u64)> {
    let on_stream = sites.iter().filter(|site| site.reads_stream() && site.block.is_some());
    let of_stacks = order::groups(on_stream.map(|site| (site.stack.as_str(), Reverse(site.width))));
    of_stacks
        .into_iter()
        .filter_map(|(stack, widths)| Some((stack, order::most_frequent(widths)?.0)))
        .collect()
}

/// Settles how square matrices are stored, which their shape does not show: as the others of their stack.
fn settle_squares(writers: &mut [Writer]) {
    let others = writers.iter().filter(|writer| writer.rows != writer.columns);
    let stored = order::groups(others.map(|writer| (writer.stack.clone(), writer.transposed)));
    for writer in writers.iter_mut().filter(|writer| writer.rows == writer.columns) {
        if let Some(transposed) = order::value_of(&stored, &writer.stack) {
            writer.transposed = 2 * transposed.iter().filter(|&&yes| yes).count() > transposed.len();
        }
    }
}

/// Finds writers if names say nothing: matrices d × k with k ≠ d, d the stream's width, or k × d if maps are stored (in, out). An
/// embedding with d inputs has many more rows than a map has outputs, so this rule leaves it out.
fn by_shape(tensors: &[Tensor], sites: &[NormSite]) -> Vec<Writer> {
    let norms = sites.iter().filter(|site| site.role != NormRole::QueryKey);
    let Some(width) = order::most_frequent(norms.map(|site| site.width)) else { return Vec::new() };
    let transposed = crate::norm::unnamed::layout(tensors).transposed;
    let shaped = tensors.iter().enumerate().filter_map(|(index, tensor)| Some((index, matrix(tensor)?)));
    shaped
        .filter_map(|(index, (rows, columns))| {
            let (out, inputs) = if transposed { (columns, rows) } else { (rows, columns) };
            (out == width && inputs != width && inputs <= MOST_INPUTS * width).then_some((index, inputs))
        })
        .enumerate()
        .map(|(order, (tensor, columns))| Writer {
            tensor,
            stack: String::new(),
            block: order as u32,
            part: Part::Unknown,
            rows: width,
            columns,
            transposed,
            scale: None,
        })
        .collect()
}

/// Rows and columns of a floating matrix.
fn matrix(tensor: &Tensor) -> Option<(u64, u64)> {
    match tensor.shape[..] {
        [rows, columns] if rows > 1 && columns > 1 && tensor.dtype.may_be_weights() => Some((rows, columns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    /// (name, block, part, transposed) of the writers of a catalogue.
    fn found(entries: &[(&str, &[u64])]) -> Vec<(String, u32, Part, bool)> {
        let mut tensors: Vec<Tensor> = entries
            .iter()
            .map(|(name, shape)| Tensor {
                name: (*name).to_owned(),
                dtype: TensorType::parse("BF16"),
                shape: shape.to_vec(),
                shard: 0,
                range: 0..2 * shape.iter().product::<u64>(),
                strides: None,
            })
            .collect();
        order::sort_by(&mut tensors, |a, b| crate::checkpoint::compare_names(&a.name, &b.name));
        let sites = crate::norm::find(&tensors, Vec::new(), crate::norm::Knowledge::default());
        let report = |writer: Writer| {
            (tensors[writer.tensor].name.clone(), writer.block, writer.part, writer.transposed)
        };
        find(&tensors, &sites).into_iter().map(report).collect()
    }

    fn owned(name: &str, block: u32, part: Part, transposed: bool) -> (String, u32, Part, bool) {
        (name.to_owned(), block, part, transposed)
    }

    #[test]
    fn llamas_writers_are_its_output_projections_and_its_embedding() {
        let found = found(&[
            ("model.embed_tokens.weight", &[100, 8]),
            ("model.layers.3.input_layernorm.weight", &[8]),
            ("model.layers.3.post_attention_layernorm.weight", &[8]),
            ("model.layers.3.self_attn.q_proj.weight", &[8, 8]),
            ("model.layers.3.self_attn.o_proj.weight", &[8, 8]),
            ("model.layers.3.mlp.up_proj.weight", &[32, 8]),
            ("model.layers.3.mlp.down_proj.weight", &[8, 32]),
            ("lm_head.weight", &[100, 8]),
        ]);
        assert_eq!(
            found,
            [
                owned("model.embed_tokens.weight", 0, Part::Embedding, true),
                owned("model.layers.3.mlp.down_proj.weight", 3, Part::FeedForward, false),
                owned("model.layers.3.self_attn.o_proj.weight", 3, Part::Attention, false),
            ]
        );
    }

    #[test]
    fn gpt_2_stores_its_writers_the_other_way_round() {
        let found = found(&[
            ("h.0.ln_1.weight", &[8]),
            ("h.0.ln_1.bias", &[8]),
            ("h.0.attn.c_attn.weight", &[8, 24]),
            ("h.0.attn.c_proj.weight", &[8, 8]),
            ("h.0.ln_2.weight", &[8]),
            ("h.0.ln_2.bias", &[8]),
            ("h.0.mlp.c_fc.weight", &[8, 32]),
            ("h.0.mlp.c_proj.weight", &[32, 8]),
        ]);
        let expected = [
            owned("h.0.attn.c_proj.weight", 0, Part::Attention, true),
            owned("h.0.mlp.c_proj.weight", 0, Part::FeedForward, true),
        ];
        assert_eq!(found, expected, "the square one is stored as the other");
    }

    #[test]
    fn bert_and_experts_are_recognised_and_routers_are_not() {
        let found = found(&[
            ("encoder.layer.0.attention.output.dense.weight", &[8, 8]),
            ("encoder.layer.0.attention.output.LayerNorm.weight", &[8]),
            ("encoder.layer.0.attention.output.LayerNorm.bias", &[8]),
            ("encoder.layer.0.output.dense.weight", &[8, 32]),
            ("encoder.layer.0.mlp.experts.5.down_proj.weight", &[8, 16]),
            ("encoder.layer.0.mlp.router.w2.weight", &[8, 16]),
        ]);
        let parts: Vec<Part> = found.iter().map(|(_, _, part, _)| *part).collect();
        assert_eq!(parts, [Part::Attention, Part::FeedForward, Part::FeedForward]);
    }
}
