//! The order in which the network runs its norms: an encoder before its decoder, embeddings, blocks, what follows them; and in a block
//! the norms of attention before those of the feed-forward part, each before, inside or after its part.
//!
//! Names that say nothing stay where the catalogue has them, beside their neighbours.

use super::names::{self, Path, is_number};
use super::site::{NormSite, Place, Step};
use crate::order;

/// Which part of a block a site's name points to, and on which side of it the name puts the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Attention,
    CrossAttention,
    FeedForward,
    QueryKey,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    /// After its part: before the stream in a pre-norm stack, on the stream in a post-norm one.
    Output,
    /// The name does not say: before in a pre-norm stack, after in a post-norm one.
    Plain,
    After,
}

/// Modules that mix tokens without attention.
pub(super) const MIXERS: [&str; 7] = ["mamba", "ssm", "mixer", "recurrent", "temporal", "mlstm", "slstm"];

/// The step of each norm of one block, from the part that its name points to; names in the order of the catalogue. A name that
/// says nothing goes with the norm before it in the same module, or with the one after it.
pub(super) fn steps(names: &[&str], parts: &[Part], post_norm: bool) -> Vec<Step> {
    let paths: Vec<Path<'_>> = names.iter().map(|name| Path::new(name)).collect();
    let words: Vec<Vec<String>> = paths.iter().map(Path::words).collect();
    let has = |at: usize, wanted: &[&str]| words[at].iter().any(|word| wanted.contains(&word.as_str()));
    let is_deep = |at: usize| paths[at].inside().len() > 1;
    // If a part has its own norm, one in the part's module is inside it: norm1 and attn.norm. A bare `ln` names no part.
    let bare = |at: usize| matches!(names::compact(paths[at].last()).as_str(), "ln" | "norm" | "layernorm");
    let named = |kind: Kind| (0..names.len()).any(|at| parts[at].kind == kind && !is_deep(at) && !bare(at));
    let inside = |at: usize| is_deep(at) && named(parts[at].kind) && parts[at].side == Side::Plain;
    let plain_feed_forward = Part { kind: Kind::FeedForward, side: Side::Plain };
    let numbered =
        |at: usize, number: &str| parts[at] == plain_feed_forward && !is_deep(at) && has(at, &[number]);
    let twice = (0..names.len()).any(|at| numbered(at, "2"));
    // A bare name in the block and another in its attention: the one in the block is for what follows attention (ESM).
    let attends = (0..names.len()).any(|at| parts[at].kind == Kind::Attention && is_deep(at));
    let step = |at: usize| match (parts[at].kind, parts[at].side) {
        (Kind::QueryKey, _) => {
            let letter = letter(paths[at].naming());
            let cross = has(at, &["cross", "encdecattention"]) || paths[at].inside().contains(&"attn2");
            let places = if cross {
                [Step::CrossQuery, Step::CrossKey, Step::CrossValue]
            } else {
                [Step::Query, Step::Key, Step::Value]
            };
            places[letter]
        }
        // GLM has norms on both sides of the residual sum after attention.
        (Kind::FeedForward, Side::Before) if has(at, &["post"]) && has(at, &["self"]) => Step::AfterAttention,
        _ if numbered(at, "1") && twice => Step::First,
        _ if paths[at].inside().first() == Some(&"bottleneck") => Step::First,
        _ if !is_deep(at) && matches!(names::compact(paths[at].last()).as_str(), "preln" | "ln0") => {
            Step::First
        }
        // SAM has four: the last one follows a second cross-attention.
        (_, Side::Plain) if !is_deep(at) && has(at, &["4"]) => Step::AfterFeedForward,
        (Kind::Attention, Side::Plain) if attends && bare(at) && !is_deep(at) => {
            if post_norm {
                Step::AfterFeedForward
            } else {
                Step::BeforeFeedForward
            }
        }
        (Kind::Attention, _) if inside(at) => Step::InsideAttention,
        (Kind::FeedForward, _) if inside(at) => Step::InsideFeedForward,
        (Kind::Unknown, _) if has(at, &["sub", "inner"]) => {
            if has(at, &["attn", "attention"]) {
                Step::InsideAttention
            } else {
                Step::InsideFeedForward
            }
        }
        (Kind::Unknown, _) if has(at, &MIXERS) => {
            if is_deep(at) {
                Step::InsideAttention
            } else {
                Step::BeforeAttention
            }
        }
        (Kind::Unknown, _) if has(at, &["conv"]) => Step::Convolution,
        (Kind::Unknown, _) => Step::Unknown,
        (kind, side) => {
            let after = matches!(side, Side::After | Side::Output) || side == Side::Plain && post_norm;
            match (kind, after) {
                (Kind::Attention, false) => Step::BeforeAttention,
                (Kind::Attention, true) => Step::AfterAttention,
                (Kind::CrossAttention, false) => Step::BeforeCross,
                (Kind::CrossAttention, true) => Step::AfterCross,
                (_, false) => Step::BeforeFeedForward,
                (_, true) => Step::AfterFeedForward,
            }
        }
    };
    let mut steps: Vec<Step> = (0..names.len()).map(step).collect();
    let beside = |a: usize, b: usize| {
        names::split_last(names[a]).map(|(parent, _)| parent)
            == names::split_last(names[b]).map(|(parent, _)| parent)
    };
    for at in 1..names.len() {
        if steps[at] == Step::Unknown && beside(at, at - 1) {
            steps[at] = steps[at - 1];
        }
    }
    for at in (1..names.len()).rev() {
        if steps[at - 1] == Step::Unknown && beside(at, at - 1) {
            steps[at - 1] = steps[at];
        }
    }
    steps
}

/// 0 for a norm on queries, 1 on keys, 2 on values: by the first such letter of its name without "norm" and "ln".
fn letter(naming: &str) -> usize {
    let name = names::compact(naming).replace("layernorm", "").replace("rmsnorm", "").replace("norm", "");
    let name = name.trim_start_matches("attn").trim_start_matches("added");
    name.bytes().find_map(|byte| b"qkv".iter().position(|letter| *letter == byte)).unwrap_or(0)
}

/// Sorts sites into the order in which the network runs them. Equals keep the order of the catalogue.
pub(super) fn sort(sites: &mut [NormSite]) {
    let outline = Outline::of(sites);
    order::sort_by_key(sites, |site| outline.key(site));
}

/// What decides where a site comes: its tower and whether it is in a head or a decoder, the model in a file of several, whether it
/// is before, in or after the blocks, the stack, the block, and its step there.
type Key = (u8, String, u8, String, u32, Step);

/// What decides the order of a checkpoint's stacks.
struct Outline {
    /// First components of the stacks, if there are several.
    roots: Vec<String>,
    /// Numbered modules that hold a stack each (Swin's stages), with a dot at the end.
    stages: Vec<String>,
    /// Whether a norm beside the blocks of a stage comes after them. The first stage shows it; the last need not have one.
    stages_end: bool,
}

impl Outline {
    fn of(sites: &[NormSite]) -> Self {
        let stacks =
            order::distinct(sites.iter().filter(|site| site.block.is_some()).map(|site| &site.stack));
        let mut roots = order::distinct(stacks.iter().map(|stack| root(stack)));
        if roots.len() == 1 {
            roots.clear();
        }
        let mut outline = Self {
            stages_end: false,
            roots,
            stages: order::distinct(stacks.iter().filter_map(|stack| stage(stack))),
        };
        let first = outline.stages.iter().min_by_key(|stage| natural(stage)).cloned();
        let ends = |site: &NormSite| makes_smaller(&site.name) && outline.stage_of(site) == first.as_deref();
        outline.stages_end = first.is_some() && sites.iter().any(ends);
        outline
    }

    /// The stage that a site is in, beside its blocks.
    fn stage_of(&self, site: &NormSite) -> Option<&str> {
        let in_blocks = |stage: &str| site.block.is_some() && format!("{}.", site.stack).starts_with(stage);
        let holds = |stage: &&str| site.name.starts_with(*stage) && !in_blocks(stage);
        self.stages.iter().map(String::as_str).find(holds)
    }

    fn key(&self, site: &NormSite) -> Key {
        let first = site.name.split(['.', '/']).next().unwrap_or_default();
        let decoder = first == "dec" || site.name.split(['.', '/']).any(is_decoder);
        let head = site.block.is_none() && site.place == Place::Head;
        let root = order::has(&self.roots, first).then(|| first.to_owned());
        let (phase, path) = match (self.stage_of(site), site.block, site.place) {
            (Some(stage), ..) => {
                let ends = if makes_smaller(&site.name) { self.stages_end } else { !site.surroundings.entry };
                // After all that a stage can hold, or before it.
                (1, natural(stage) + if ends { "~" } else { "" })
            }
            (_, Some(_), _) => (1, natural(&site.stack)),
            (_, _, Place::Embedding) => (0, String::new()),
            (_, _, Place::Final) => (3, natural(&site.stack)),
            _ if feeds_the_blocks(&site.name) => (0, natural(&site.stack)),
            _ => (2, natural(&site.stack)),
        };
        let part = tower(&site.name) * 4 + u8::from(head) * 2 + u8::from(decoder);
        (part, root.unwrap_or_default(), phase, path, site.block.unwrap_or_default(), site.step)
    }
}

/// The model that a stack is in, if a file holds several: its first module, unless that is a stack itself.
fn root(stack: &str) -> String {
    let mut parts = stack.split('.');
    match (parts.next(), parts.next()) {
        (Some(root), Some(next)) if !is_number(next) => root.to_owned(),
        _ => String::new(),
    }
}

/// Whether a module makes the image smaller between two stages.
fn makes_smaller(name: &str) -> bool {
    name.contains("downsampl") || name.contains("merging")
}

fn is_decoder(part: &str) -> bool {
    let words = names::words(part);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    has("decoder") && !has("encoder")
}

/// Whether a module outside the blocks makes what they read: wav2vec's feature extractor, DETR's backbone.
fn feeds_the_blocks(name: &str) -> bool {
    let words: Vec<String> = name.split(['.', '/']).flat_map(names::words).collect();
    ["backbone", "feature", "stem", "input"].iter().any(|wanted| words.iter().any(|word| word == wanted))
}

/// Ranks a module: a tower that feeds the language model comes before it, and a module between the two comes between them.
fn tower(name: &str) -> u8 {
    const SENSES: [&str; 8] = ["vision", "visual", "image", "img", "audio", "speech", "vqmodel", "v"];
    const BETWEEN: [&str; 8] =
        ["projector", "connector", "merger", "resampler", "qformer", "perceiver", "adapter", "mm"];
    let mut rank = 2;
    let mut modules: Vec<&str> = name.split(['.', '/']).take_while(|part| !is_number(part)).collect();
    // What remains of a name outside the blocks ends with the norm itself.
    if modules.len() > 1 {
        modules.pop();
    }
    for (at, part) in modules.into_iter().enumerate() {
        for word in names::words(part) {
            if BETWEEN.contains(&word.as_str()) {
                return 1;
            }
            if SENSES.contains(&word.as_str()) || at == 0 && word == "embed" {
                rank = 0;
            }
        }
    }
    rank
}

/// The numbered module that holds a stack: `layers.0.` for `layers.0.blocks`.
fn stage(stack: &str) -> Option<String> {
    let (above, _) = stack.rsplit_once('.')?;
    above.rsplit('.').next().is_some_and(is_number).then(|| format!("{above}."))
}

/// A path whose numbers compare as numbers.
fn natural(path: &str) -> String {
    let padded = |part: &str| if is_number(part) { format!("{part:0>6}") } else { part.to_owned() };
    path.split(['.', '/']).map(padded).collect::<Vec<_>>().join(".")
}
