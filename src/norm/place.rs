//! Decides where each site sits: its role, and its place in the block, which decides what reads it.
//!
//! Names count first. The other sites of the block and the stack settle what names leave open. A stack is pre-norm if a norm
//! follows its last block, and post-norm if none does.

use super::build::Build;
use super::catalogue::Catalogue;
use super::execution::{self, Kind, MIXERS, Part, Side};
use super::names::{self, Path, is_query_key, split_last};
use super::site::{NormSite, Place};
use crate::checkpoint::compare_names;
use crate::order;
use crate::report::NormRole;

/// What final norms are called, in lower case without separators.
const FINAL_NAMES: [&str; 15] = [
    "norm",
    "lnf",
    "normf",
    "finallayernorm",
    "finalnorm",
    "lnfinal",
    "postlayernorm",
    "lnpost",
    "outputnorm",
    "layernorm",
    "lnout",
    "encodernorm",
    "decodernorm",
    "normfinal",
    "layernormpost",
];

/// Words that put a norm at the feed-forward part.
const FEED_FORWARD_WORDS: [&str; 9] =
    ["ff", "ffn", "mlp", "feedforward", "ffw", "fc", "expert", "moe", "feed"];
/// Names that do the same without such a word: fairseq's final_layer_norm, ViT's layernorm_after, DistilBERT's output_layer_norm,
/// ALBERT's full_layer_layer_norm, GGUF's layer_output_norm, the third of nn.TransformerDecoderLayer.
const FEED_FORWARD_NAMES: [&str; 8] = [
    "finallayernorm",
    "layernormafter",
    "outputlayernorm",
    "fulllayerlayernorm",
    "layeroutputnorm",
    "ln3",
    "norm3",
    "layernorm3",
];

/// GGUF's names of norms on the outputs of attention and feed-forward: BERT's are on the stream, Grok's before it. DBRX has only
/// the first, and it belongs to the feed-forward.
const OUTPUT_NAMES: [&str; 2] = ["attnoutputnorm", "layeroutputnorm"];

/// Words that put a norm at the attention part.
const ATTENTION_WORDS: [&str; 7] = ["attn", "attention", "sa", "att", "selfattention", "operator", "qkv"];
/// Names that do the same without such a word.
const ATTENTION_NAMES: [&str; 8] =
    ["inputlayernorm", "layernormbefore", "inputnorm", "inputrmsnorm", "ln1", "norm1", "layernorm1", "ln"];

/// Decides role and place of every site.
pub(super) fn place(catalogue: &Catalogue<'_>, sites: &mut [NormSite], builds: &[(String, Build)]) {
    let in_blocks = || sites.iter().enumerate().filter(|(_, site)| site.block_path.is_some());
    let blocks = order::groups(in_blocks().map(|(index, site)| (site.block_path.clone(), index)));
    let stacks = order::groups(in_blocks().map(|(index, site)| (site.stack.clone(), index)));
    let ends = order::distinct(stacks.iter().flat_map(|(stack, _)| homes(stack)));
    let stacks_beside = stacks_beside(&stacks);
    for site in sites.iter_mut() {
        let stack = match site.block {
            Some(_) => Some(site.stack.as_str()),
            None => stack_beside(&site.name, &stacks_beside),
        };
        site.build = stack.and_then(|stack| order::value_of(builds, stack)).copied().unwrap_or_default();
        site.stream = stack.map(str::to_owned);
    }
    for site in sites.iter_mut().filter(|site| site.block.is_none()) {
        (site.role, site.place) = match normalises_positions(catalogue, site) {
            true => (NormRole::Other, Place::Unknown),
            false => place_outside_blocks(site, &ends),
        };
    }
    let ended = keep_one_final(sites, &stacks);
    let at = |stack: &str| stacks.binary_search_by(|(other, _)| other.as_str().cmp(stack)).ok();
    let orders: Vec<Order> =
        stacks.iter().zip(&ended).map(|((_, indices), &ended)| order_of(sites, indices, ended)).collect();
    for (_, indices) in &blocks {
        let order = at(&sites[indices[0]].stack).map_or(Order::Unknown, |stack| orders[stack]);
        place_in_block(catalogue, sites, indices, order);
    }
    let flags = |stack: usize| {
        let any = |holds: fn(&NormSite) -> bool| stacks[stack].1.iter().any(|&index| holds(&sites[index]));
        (any(|site| site.parallel), any(|site| site.shift_on_stream))
    };
    let flags: Vec<(bool, bool)> = (0..stacks.len()).map(flags).collect();
    for site in sites.iter_mut().filter(|site| site.block.is_none()) {
        let beside = stack_beside(&site.name, &stacks_beside).and_then(at);
        (site.parallel, site.shift_on_stream) = beside.map(|stack| flags[stack]).unwrap_or_default();
    }
    for ((_, indices), &order) in stacks.iter().zip(&orders) {
        if order == Order::PostNorm {
            end_post_norm_stack(sites, indices);
        }
    }
}

/// The stacks in each module, then those one level below it.
fn stacks_beside(stacks: &[(String, Vec<usize>)]) -> Vec<(&str, Vec<&str>)> {
    let at = |distance: usize| stacks.iter().map(move |(stack, _)| (homes(stack)[distance], stack.as_str()));
    order::groups(at(0).chain(at(1)))
}

/// The stack that a norm outside any block comes before or after.
fn stack_beside<'a>(name: &str, beside: &[(&str, Vec<&'a str>)]) -> Option<&'a str> {
    // Stacks are joined by dots, also those of TensorFlow and of folders.
    let name = name.replace('/', ".");
    homes(&name).into_iter().find_map(|home| order::value_of(beside, home)?.first().copied())
}

/// Where a stack puts its norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Before attention and feed-forward; a final norm follows the stack.
    PreNorm,
    /// After them, on the residual stream itself, as in BERT.
    PostNorm,
    /// Neither is certain: a CLIP tower cut before its last norm looks like a post-norm stack.
    Unknown,
}

/// A final norm after the stack proves pre-norm. Without one, post-norm is assumed if the names say so: BERT's and DistilBERT's
/// `output`, or fairseq's pair, whose pre-norm form always has a final norm.
fn order_of(sites: &[NormSite], stack: &[usize], ended: bool) -> Order {
    if ended {
        return Order::PreNorm;
    }
    let lasts: Vec<String> =
        stack.iter().map(|&index| names::compact(Path::new(&sites[index].name).last())).collect();
    let bert = stack.iter().any(|&index| Path::new(&sites[index].name).inside().contains(&"output"));
    let named = |name: &str| lasts.iter().any(|last| last == name);
    let fairseq = named("selfattnlayernorm") && named("finallayernorm");
    let gguf = OUTPUT_NAMES.iter().all(|&name| named(name));
    if bert || fairseq || gguf || named("outputlayernorm") || named("fulllayerlayernorm") {
        Order::PostNorm
    } else {
        Order::Unknown
    }
}

/// A post-norm stack ends with the last norm of its last block.
fn end_post_norm_stack(sites: &mut [NormSite], stack: &[usize]) {
    let last_block = stack.iter().filter_map(|&index| sites[index].block).max();
    let ends = |site: &NormSite| site.block == last_block && site.place == Place::AfterFeedForward;
    if let Some(&last) = stack.iter().rev().find(|&&index| ends(&sites[index])) {
        sites[last].role = NormRole::Final;
    }
}

/// Whether a norm beside the blocks reads the table of positions that lies there too, and no token (DeBERTa v2, SEW-D).
fn normalises_positions(catalogue: &Catalogue<'_>, site: &NormSite) -> bool {
    split_last(&site.name).is_some_and(|(parent, last)| {
        last == "LayerNorm"
            && catalogue.by_name.contains_key(format!("{parent}.rel_embeddings.weight").as_str())
    })
}

/// Modules whose norms may end a stack: its parent and grandparent (`model` for `model.layers` and `encoder.layer`).
fn homes(stack: &str) -> [&str; 2] {
    let up = |path: &str| path.rfind('.').unwrap_or(0);
    let parent = &stack[..up(stack)];
    [parent, &parent[..up(parent)]]
}

fn place_outside_blocks(site: &NormSite, homes: &[&str]) -> (NormRole, Place) {
    let path = Path::new(&site.name);
    let last = names::compact(path.last());
    let words = path.words();
    let whole = words.join(" ");
    if is_query_key(path.last()) {
        return (NormRole::QueryKey, Place::InsideAttention);
    }
    let embedding =
        whole.contains("embed") || whole.contains("embd") || words.iter().any(|word| word == "emb");
    if (embedding && !last.contains("after"))
        || matches!(
            last.as_str(),
            "normpre" | "lnpre" | "prelayrnorm" | "prelayernorm" | "layernormpre" | "lnin"
        )
    {
        return (NormRole::Embedding, Place::Embedding);
    }
    let has = |marks: &[&str]| words.iter().any(|word| marks.contains(&word.as_str()));
    if has(&["head", "predictions", "vocab"]) {
        return (NormRole::Other, Place::Head);
    }
    let aside =
        has(&["transform", "classifier", "cls", "projector", "merger", "adapter", "connector", "head"]);
    if !aside && order::has(homes, &site.stack) {
        return (NormRole::Final, Place::Final);
    }
    (NormRole::Other, Place::Unknown)
}

/// Several norms may follow one stack. The one with a final name, or at the shortest path, is the final norm. Returns for each
/// stack whether it has one.
fn keep_one_final(sites: &mut [NormSite], stacks: &[(String, Vec<usize>)]) -> Vec<bool> {
    let finals = sites.iter().enumerate().filter(|(_, site)| site.place == Place::Final);
    let at_home = order::groups(finals.map(|(index, site)| (site.stack.clone(), index)));
    let rank = |index: &usize| {
        let site = &sites[*index];
        let last = names::compact(Path::new(&site.name).last());
        (!FINAL_NAMES.contains(&last.as_str()), site.name.len(), site.name.clone())
    };
    let mut ended = vec![false; stacks.len()];
    let mut kept = vec![false; sites.len()];
    for ((stack, _), ended) in stacks.iter().zip(&mut ended) {
        // A norm beside the stack goes before one a level up, which an encoder and a decoder may share.
        let nearest = homes(stack)
            .into_iter()
            .find_map(|home| order::value_of(&at_home, home)?.iter().min_by_key(|index| rank(index)));
        if let Some(&index) = nearest {
            kept[index] = true;
            *ended = true;
        }
    }
    for index in at_home.into_iter().flat_map(|(_, indices)| indices).filter(|&index| !kept[index]) {
        (sites[index].role, sites[index].place) = (NormRole::Other, Place::Unknown);
    }
    ended
}

fn place_in_block(catalogue: &Catalogue<'_>, sites: &mut [NormSite], indices: &[usize], order: Order) {
    let mut parts: Vec<Part> = indices.iter().map(|&index| part_of(catalogue, &sites[index])).collect();
    let explicit_before =
        |part: Kind| parts.iter().any(|other| other.kind == part && other.side == Side::Before);
    // With a norm named for the feed-forward's input, post_attention_… is a sandwich norm; without, it is that input.
    let (attention_in, feed_forward_in) =
        (explicit_before(Kind::Attention), explicit_before(Kind::FeedForward));
    let plain = |kind| parts.iter().any(|part| part.kind == kind && part.side == Side::Plain);
    let (plain_attention, plain_feed_forward) = (plain(Kind::Attention), plain(Kind::FeedForward));
    for part in &mut parts {
        let after = part.side == Side::After || (part.side == Side::Output && order == Order::PreNorm);
        if after
            && part.kind == Kind::Attention
            && !feed_forward_in
            && !plain_feed_forward
            && (attention_in || plain_attention)
        {
            *part = Part { kind: Kind::FeedForward, side: Side::Before };
        }
    }
    let on_stream = parts
        .iter()
        .filter(|part| matches!(part.kind, Kind::Attention | Kind::CrossAttention | Kind::FeedForward))
        .count();
    let shift_on_stream = indices.iter().zip(&parts).any(|(&index, part)| {
        let site = &sites[index];
        part.kind != Kind::QueryKey && site.shift.is_some() && site.other.is_none()
    });
    let names: Vec<&str> = indices.iter().map(|&index| sites[index].name.as_str()).collect();
    let steps = execution::steps(&names, &parts, order == Order::PostNorm);
    for ((&index, part), step) in indices.iter().zip(&parts).zip(steps) {
        let site = &mut sites[index];
        site.step = step;
        site.shift_on_stream = shift_on_stream;
        site.recognised = part.kind != Kind::Unknown;
        site.role = if part.kind == Kind::QueryKey { NormRole::QueryKey } else { NormRole::Block };
        site.parallel = on_stream == 1;
        site.place = match (part.kind, part.side) {
            (Kind::QueryKey, _) => Place::InsideAttention,
            (Kind::Unknown, _) => Place::Unknown,
            (_, Side::After) => Place::ToResidual,
            (_, Side::Output) if order == Order::PreNorm => Place::ToResidual,
            (_, Side::Output) if order == Order::Unknown => Place::Unknown,
            (Kind::Attention, Side::Output) => Place::AfterAttention,
            (_, Side::Output) => Place::AfterFeedForward,
            (_, Side::Plain) if order == Order::Unknown => Place::Unknown,
            (Kind::Attention, Side::Plain) if order == Order::PostNorm => Place::AfterAttention,
            (Kind::CrossAttention, Side::Plain) if order == Order::PostNorm => Place::AfterCrossAttention,
            (Kind::FeedForward, Side::Plain) if order == Order::PostNorm => Place::AfterFeedForward,
            (Kind::Attention, _) => Place::BeforeAttention,
            (Kind::CrossAttention, _) => Place::BeforeCrossAttention,
            (Kind::FeedForward, _) => Place::BeforeFeedForward,
        };
    }
}

fn part_of(catalogue: &Catalogue<'_>, site: &NormSite) -> Part {
    let path = Path::new(&site.name);
    if is_query_key(path.naming()) {
        return Part { kind: Kind::QueryKey, side: Side::Plain };
    }
    let words = path.words();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
    let last = names::compact(path.naming());
    let side = if has(&["pre", "before", "input", "in"]) {
        Side::Before
    } else if has(&["post"]) {
        Side::After
    } else {
        Side::Plain
    };
    if let Some(part) = of_two_attention_norms(catalogue, site, &last) {
        return part;
    }
    let kind = if has(&["sub", "inner"]) {
        // Sub-LayerNorms come before the output projection. Their readers are not searched.
        Kind::Unknown
    } else if has(&["cross", "encdecattention", "ca"]) || (has(&["encoder"]) && has(&["attn", "attention"])) {
        Kind::CrossAttention
    } else if has(&FEED_FORWARD_WORDS) || FEED_FORWARD_NAMES.contains(&last.as_str()) {
        Kind::FeedForward
    } else if has(&ATTENTION_WORDS) || ATTENTION_NAMES.contains(&last.as_str()) {
        Kind::Attention
    } else if matches!(last.as_str(), "ln2" | "norm2" | "layernorm2") {
        // nn.TransformerDecoderLayer counts three: self-attention, cross-attention, feed-forward.
        let third = site.name.strip_suffix('2').map(|stem| format!("{stem}3.weight"));
        if third.is_some_and(|third| catalogue.by_name.contains_key(third.as_str())) {
            Kind::CrossAttention
        } else {
            Kind::FeedForward
        }
    } else if names::words(path.naming()).iter().any(|word| MIXERS.contains(&word.as_str())) {
        // xLSTM's norm_mlstm is no norm of the `ffn` beside it.
        Kind::Unknown
    } else {
        by_neighbours(catalogue, site)
    };
    // layernorm_before and _after are ViT's two pre-norms; "input" and "output" name BERT's places.
    let side = match last.as_str() {
        "layernormafter" => Side::Before,
        "layernorm" | "outputlayernorm" => Side::Plain,
        name if OUTPUT_NAMES.contains(&name) => Side::Output,
        _ => side,
    };
    Part { kind, side }
}

/// GGUF's attn_norm_2: in Falcon it is attention's norm and attn_norm that of the feed-forward beside it. In Jina's BERT, which
/// has a layer_output_norm, it is elsewhere.
fn of_two_attention_norms(catalogue: &Catalogue<'_>, site: &NormSite, last: &str) -> Option<Part> {
    if last != "attnnorm" && last != "attnnorm2" {
        return None;
    }
    let (parent, _) = split_last(&site.name)?;
    let beside = |name: &str| catalogue.by_name.contains_key(format!("{parent}.{name}.weight").as_str());
    match (last == "attnnorm", beside("layer_output_norm")) {
        (true, false) if beside("attn_norm_2") => Some(Part { kind: Kind::FeedForward, side: Side::Before }),
        (true, _) => None,
        (false, true) => Some(Part { kind: Kind::Unknown, side: Side::Plain }),
        (false, false) => Some(Part { kind: Kind::Attention, side: Side::Before }),
    }
}

/// A norm called just `norm` or `LayerNorm` belongs to what is beside it: T5's `layer.0` holds SelfAttention, BERT's `output`
/// holds the feed-forward's last map and its `attention.output` the attention's.
fn by_neighbours(catalogue: &Catalogue<'_>, site: &NormSite) -> Kind {
    let Some((parent, _)) = split_last(&site.name) else { return Kind::Unknown };
    let path = Path::new(parent);
    if path.block().is_none() {
        return Kind::Unknown;
    }
    let prefix = format!("{parent}.");
    let start = catalogue.tensors.partition_point(|tensor| compare_names(&tensor.name, &prefix).is_lt());
    let beside =
        catalogue.tensors[start..].iter().take_while(|tensor| tensor.name.starts_with(&prefix)).take(64);
    for tensor in beside {
        let words = names::words(tensor.name[prefix.len()..].split('.').next().unwrap_or_default());
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
        if has(&["encdecattention"]) {
            return Kind::CrossAttention;
        }
        if has(&["selfattention", "attention", "attn"]) {
            return Kind::Attention;
        }
        if has(&["densereludense", "mlp", "ffn"]) {
            return Kind::FeedForward;
        }
    }
    if path.last() == "output" { Kind::FeedForward } else { Kind::Unknown }
}
