//! The names of llama.cpp and of a family's code, by the parts that both name.

use crate::checkpoint::Tensor;
use crate::model::table::{FeedForwardShape, ProjectionsRow, Row};

/// The experts of a layer in one tensor each: gate, up, down.
const EXPERTS: [&str; 3] = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];
/// The same in older files, with a tensor for each expert.
const EXPERT: [&str; 3] = ["ffn_gate.", "ffn_up.", "ffn_down."];

/// Modules outside of the blocks: the name in the file, and that of the family's code.
fn outside(row: &Row) -> impl Iterator<Item = (&'static str, String)> {
    let prefix = row.prefixes[0];
    let of = |name: &str| format!("{prefix}{}", name.strip_suffix(".weight").unwrap_or(name));
    let embedding = &row.embedding;
    [
        ("token_embd", Some(of(embedding.tokens))),
        ("position_embd", embedding.positions.map(|(table, ..)| of(table))),
        ("token_types", embedding.segments.map(of)),
        ("token_embd_norm", embedding.norm.map(of)),
        ("output_norm", row.final_norm.map(of)),
        ("output", Some(row.head.unembedding.to_owned())),
    ]
    .into_iter()
    .filter_map(|(own, name)| Some((own, name?)))
}

/// Modules of a block: the name in the file, and that of the family's code.
fn of_block(row: &Row) -> Vec<(&'static str, &'static str)> {
    let (attention, feed_forward) = (&row.attention, &row.feed_forward);
    let [attention_norms, feed_forward_norms] = [
        ["attn_norm", "post_attention_norm", "attn_output_norm"].into_iter().zip(row.around_attention),
        ["ffn_norm", "post_ffw_norm", "layer_output_norm"].into_iter().zip(row.around_feed_forward),
    ];
    let norms = attention_norms.chain(feed_forward_norms).filter_map(|(own, name)| Some((own, name?)));
    let mut names: Vec<(&str, &str)> = norms.collect();
    match attention.projections {
        ProjectionsRow::Separate(maps) => names.extend(["attn_q", "attn_k", "attn_v"].into_iter().zip(maps)),
        ProjectionsRow::Concatenated(map) | ProjectionsRow::Grouped(map) => names.push(("attn_qkv", map)),
        // No architecture that is known here has it.
        ProjectionsRow::Latent(_) => {}
    }
    names.push(("attn_output", attention.output));
    let of_heads = attention.qk_norm.map(|norms| ["attn_q_norm", "attn_k_norm"].into_iter().zip(norms.names));
    names.extend(of_heads.into_iter().flatten());
    match feed_forward.shape {
        FeedForwardShape::Plain(maps) | FeedForwardShape::GatedConcatenated(maps) => {
            names.extend(["ffn_up", "ffn_down"].into_iter().zip(maps));
        }
        FeedForwardShape::Gated(maps) => {
            names.extend(["ffn_gate", "ffn_up", "ffn_down"].into_iter().zip(maps));
        }
    }
    names.extend(feed_forward.experts.map(|experts| ("ffn_gate_inp", experts.router)));
    names
}

/// The tensor of a file under the name of the family's code, or, if it holds several of its tensors, each of them. A tensor that the family
/// does not have keeps its name.
pub(super) fn in_family(row: &Row, tensor: &Tensor) -> Vec<(String, Tensor)> {
    match of_experts(row, tensor) {
        Some(experts) => experts,
        None => {
            let name = one_in_family(row, &tensor.name).unwrap_or_else(|| tensor.name.clone());
            vec![(name, tensor.clone())]
        }
    }
}

/// The name of a tensor in the family's code.
pub(super) fn one_in_family(row: &Row, name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    let Some((layer, part)) = layer_and_part(module) else {
        let found = outside(row).find(|(own, _)| *own == module);
        return found.map(|(_, name)| format!("{name}.{kind}"));
    };
    let path = block_path(row, layer);
    if let Some((_, name)) = of_block(row).into_iter().find(|(own, _)| *own == part) {
        return Some(format!("{path}{name}.{kind}"));
    }
    let at = EXPERT.iter().position(|own| part.starts_with(own))?;
    let expert = row.feed_forward.experts?.expert[at].replace("{expert}", &part[EXPERT[at].len()..]);
    Some(format!("{path}{expert}.{kind}"))
}

/// The experts of a tensor that holds those of a layer: experts × rows × columns.
fn of_experts(row: &Row, tensor: &Tensor) -> Option<Vec<(String, Tensor)>> {
    let (module, kind) = tensor.name.rsplit_once('.')?;
    let (layer, part) = layer_and_part(module)?;
    let at = EXPERTS.iter().position(|own| *own == part)?;
    let (name, path) = (row.feed_forward.experts?.expert[at], block_path(row, layer));
    let (&experts, shape) = tensor.shape.split_first()?;
    let values = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    // Any number of experts without values would fit.
    let values = values.filter(|values| *values > 0)?;
    let of = |expert: u64| {
        let first = expert.checked_mul(values)?;
        let range = tensor.bytes_of(&(first..first.checked_add(values)?))?;
        let name = format!("{path}{}.{kind}", name.replace("{expert}", &expert.to_string()));
        Some((name, Tensor { shape: shape.to_vec(), range, ..tensor.clone() }))
    };
    // A damaged file may claim any number: each expert is checked to lie inside the tensor, which is as long as it says.
    (0..experts).map(of).collect()
}

/// `12` and `attn_q` of `blk.12.attn_q`.
fn layer_and_part(module: &str) -> Option<(&str, &str)> {
    let (layer, part) = module.strip_prefix("blk.")?.split_once('.')?;
    layer.bytes().all(|digit| digit.is_ascii_digit()).then_some((layer, part))
}

fn block_path(row: &Row, layer: &str) -> String {
    format!("{}{}", row.prefixes[0], row.block.replace("{layer}", layer))
}

/// The name in the file of a tensor of the family's code.
pub(super) fn in_file(row: &Row, name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    if let Some((own, _)) = outside(row).find(|(_, name)| name == module) {
        return Some(format!("{own}.{kind}"));
    }
    let (before, after) = row.block.split_once("{layer}")?;
    let rest = module.strip_prefix(row.prefixes[0])?.strip_prefix(before)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (layer, part) = rest.split_at(digits);
    let part = part.strip_prefix(after)?;
    if let Some((own, _)) = of_block(row).into_iter().find(|(_, name)| *name == part) {
        return Some(format!("blk.{layer}.{own}.{kind}"));
    }
    let is = |name: &str| {
        let (before, after) = name.split_once("{expert}").unwrap_or((name, ""));
        part.starts_with(before) && part.ends_with(after)
    };
    let at = row.feed_forward.experts?.expert.iter().position(|name| is(name))?;
    Some(format!("blk.{layer}.{}.{kind}", EXPERTS[at]))
}
