//! The order in which the network runs its norms: an encoder before its decoder, embeddings, blocks, what follows them; and in a block
//! the norms of attention before those of the feed-forward part, each before, inside or after its part.
//!
//! Names that say nothing stay where the catalogue has them, beside their neighbours.

use super::names::{self, Path, is_number};
use super::place::{Kind, Part, Side};
use super::site::{NormSite, Place};
use crate::order;

/// When a block runs a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// In the first of two feed-forward parts, which stands before attention (Conformer).
    FirstFeedForward,
    /// Before self-attention.
    BeforeAttention,
    /// On the queries of self-attention.
    Query,
    /// On its keys.
    Key,
    /// On its values.
    Value,
    /// Inside it, after its values were added up.
    InsideAttention,
    /// After self-attention.
    AfterAttention,
    /// In a convolution between the parts.
    Convolution,
    /// Before cross-attention.
    BeforeCross,
    /// On the queries of cross-attention.
    CrossQuery,
    /// On its keys.
    CrossKey,
    /// On its values.
    CrossValue,
    /// After cross-attention.
    AfterCross,
    /// Before the feed-forward part.
    BeforeFeedForward,
    /// Inside it.
    InsideFeedForward,
    /// After it.
    AfterFeedForward,
    /// Not known.
    Unknown,
}

/// Modules that mix tokens without attention.
const MIXERS: [&str; 4] = ["mamba", "ssm", "mixer", "recurrent"];

/// The step of each norm of one block, from the part that its name points to; names in the order of the catalogue. A name that
/// says nothing goes with the norm before it in the same module, or with the one after it.
pub(super) fn steps(names: &[&str], parts: &[Part], post_norm: bool) -> Vec<Step> {
    let paths: Vec<Path<'_>> = names.iter().map(|name| Path::new(name)).collect();
    let words: Vec<Vec<String>> = paths.iter().map(Path::words).collect();
    let has = |at: usize, wanted: &[&str]| words[at].iter().any(|word| wanted.contains(&word.as_str()));
    let is_deep = |at: usize| paths[at].inside().len() > 1;
    // With a norm of its own for a part, one in the part's module is inside it: norm1 and attn.norm. A bare `ln` names no part.
    let bare = |at: usize| matches!(names::compact(paths[at].last()).as_str(), "ln" | "norm" | "layernorm");
    let named = |kind: Kind| (0..names.len()).any(|at| parts[at].kind == kind && !is_deep(at) && !bare(at));
    let inside = |at: usize| is_deep(at) && named(parts[at].kind) && parts[at].side == Side::Plain;
    let plain_feed_forward = Part { kind: Kind::FeedForward, side: Side::Plain };
    let twice = (0..names.len()).any(|at| parts[at] == plain_feed_forward && has(at, &["2"]));
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
        (Kind::FeedForward, Side::Plain) if twice && has(at, &["1"]) => Step::FirstFeedForward,
        (Kind::Attention, _) if inside(at) => Step::InsideAttention,
        (Kind::FeedForward, _) if inside(at) => Step::InsideFeedForward,
        (Kind::Unknown, _) if has(at, &["sub", "inner"]) => {
            if has(at, &["attn", "attention"]) {
                Step::InsideAttention
            } else {
                Step::InsideFeedForward
            }
        }
        (Kind::Unknown, _) if is_deep(at) && has(at, &MIXERS) => Step::InsideAttention,
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

/// Brings sites into the order in which the network runs them; of equals the catalogue's order stays.
pub(super) fn sort(sites: &mut [NormSite]) {
    let outline = Outline::of(sites);
    order::sort_by_key(sites, |site| outline.key(site));
}

/// What decides where a site comes: its tower and what of it, the model in a file of several, whether it is before, in or after the
/// blocks, the stack, the block, and its step there.
type Key = (u8, String, u8, String, u32, Step);

/// The stacks of a checkpoint, as far as their order goes.
struct Outline {
    /// First components of the stacks, if there are several.
    roots: Vec<String>,
    /// Numbered modules that hold a stack each (Swin's stages), with a dot at the end.
    stages: Vec<String>,
    /// What stands in a stage beside its blocks comes after them: the first stage has it, and the last need not.
    stages_end: bool,
}

impl Outline {
    fn of(sites: &[NormSite]) -> Self {
        let stacks =
            order::distinct(sites.iter().filter(|site| site.block.is_some()).map(|site| &site.stack));
        let root = |stack: &str| stack.split_once('.').map_or("", |(root, _)| root).to_owned();
        let mut roots = order::distinct(stacks.iter().map(|stack| root(stack)));
        if roots.len() == 1 {
            roots.clear();
        }
        let stages = order::distinct(stacks.iter().filter_map(|stack| stage(stack)));
        let first = stages.iter().min_by_key(|stage| natural(stage));
        let ends =
            |site: &NormSite| site.block.is_none() && first.is_some_and(|first| site.name.starts_with(first));
        Self { stages_end: sites.iter().any(ends), roots, stages }
    }

    fn key(&self, site: &NormSite) -> Key {
        let mut components = site.name.split(['.', '/']);
        let first = components.next().unwrap_or_default();
        let decoder = first == "dec" || site.name.split(['.', '/']).any(is_decoder);
        let head = site.block.is_none() && site.place == Place::Head;
        let root = order::has(&self.roots, first).then(|| first.to_owned());
        let in_stage = self.stages.iter().find(|stage| site.block.is_none() && site.name.starts_with(*stage));
        let (phase, path) = match (site.place, site.block, in_stage) {
            (_, Some(_), _) => (1, natural(&site.stack)),
            // Behind all that a stage can hold, or before it.
            (_, _, Some(stage)) => (1, natural(stage) + if self.stages_end { "~" } else { "" }),
            (Place::Embedding, ..) => (0, String::new()),
            (Place::Final, ..) => (3, natural(&site.stack)),
            _ => (2, natural(&site.stack)),
        };
        let part = tower(&site.name) * 4 + u8::from(head) * 2 + u8::from(decoder);
        (part, root.unwrap_or_default(), phase, path, site.block.unwrap_or_default(), site.step)
    }
}

fn is_decoder(part: &str) -> bool {
    part.starts_with("decoder")
}

/// What gives its output to the language model comes before it, and what lies between, between.
fn tower(name: &str) -> u8 {
    const SENSES: [&str; 8] = ["vision", "visual", "image", "img", "audio", "speech", "vit", "v"];
    const BETWEEN: [&str; 8] =
        ["projector", "connector", "merger", "resampler", "qformer", "perceiver", "adapter", "mm"];
    let mut rank = 2;
    for part in name.split(['.', '/']).take_while(|part| !is_number(part)) {
        for word in names::words(part) {
            if BETWEEN.contains(&word.as_str()) {
                return 1;
            }
            if SENSES.contains(&word.as_str()) {
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
