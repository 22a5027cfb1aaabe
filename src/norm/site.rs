//! A norm site, and everything that is known about it before the verdict.

use super::behaviour::Behaviour;
use super::build::Build;
use super::habits::Habits;
use super::names::{Path, is_number};
use super::registry::Statement;
use super::surroundings::Surroundings;
use crate::report::NormRole;

/// One norm module of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSite {
    /// Module path: the scale's name without its last part.
    pub name: String,
    /// Index of the scale in the catalogue; `None` for a norm that stores nothing, γ = 1.
    pub scale: Option<usize>,
    /// Index of the shift in the catalogue.
    pub shift: Option<usize>,
    /// Number of scales, d.
    pub width: u64,
    /// Where it sits.
    pub role: NormRole,
    /// What reads it: see [`Place`].
    pub place: Place,
    /// When its block runs it.
    pub step: Step,
    /// Index of its block.
    pub block: Option<u32>,
    /// Path of its block.
    pub block_path: Option<String>,
    /// Path of its stack of blocks, or of its parent.
    pub stack: String,
    /// What it does, and how that shows, if its module stores something that only one kind of module stores.
    pub other: Option<(Behaviour, &'static str)>,
    /// Whether its block, or a block of the stack it ends, has only one norm on the residual stream, which attention and
    /// feed-forward share.
    pub parallel: bool,
    /// Whether a norm on the residual stream of its block has a shift.
    pub shift_on_stream: bool,
    /// Whether its name or its neighbours put it at attention, feed-forward, queries or keys of its block.
    pub recognised: bool,
    /// What the blocks of its stack are made of, or of the stack that it begins or ends.
    pub build: Build,
    /// Whether the scale has a row for each head, each of [`NormSite::width`].
    pub per_head: bool,
    /// The stack of blocks whose residual stream it is on: its own, or the one that it begins or ends.
    pub stream: Option<String>,
    /// What is around it.
    pub surroundings: Surroundings,
    /// How often norms of each behaviour were counted in such surroundings.
    pub habits: Habits,
    /// What the layout of its block says.
    pub layout: Option<Recognised>,
    /// Whether it was found by shapes and values only, because the catalogue's names say nothing: see [`super::unnamed`]. Also if only
    /// the graph shows it.
    pub unnamed: bool,
    /// What the graph of an ONNX file states about it.
    #[cfg(feature = "onnx")]
    pub stated: Option<Box<Stated>>,
}

/// What the graph of an ONNX file states about a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated {
    /// What is done. `None` if the graph does not show it.
    pub behaviour: Option<Behaviour>,
    /// The same as a sentence, with the node.
    pub how: String,
    /// Whether the scale is 1 plus what is stored.
    pub plus_one: bool,
    /// The first node, in the order in which they run.
    pub order: usize,
    /// The linear maps that read it.
    pub readers: Vec<StatedReader>,
    /// Why there are none, or which are not counted.
    pub note: Option<String>,
}

/// A linear map that reads a site, by the edges of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedReader {
    /// Index of its weight in the catalogue.
    pub weight: usize,
    /// Index of its bias.
    pub bias: Option<usize>,
    /// Output rows.
    pub rows: u64,
    /// Path of the module of its node, or nothing.
    pub module: String,
    /// Whether its weight is also the input embedding.
    pub is_tied: bool,
    /// Whether its weight or its input is quantised.
    pub is_quantised: bool,
}

impl NormSite {
    /// A site of which only the module path and the width are known.
    pub(super) fn new(name: String, width: u64) -> Self {
        let path = Path::new(&name);
        Self {
            scale: None,
            shift: None,
            width,
            role: NormRole::Other,
            place: Place::Unknown,
            step: Step::Unknown,
            block: path.block(),
            stack: path.stack(),
            block_path: path.block_path(),
            other: None,
            parallel: false,
            shift_on_stream: false,
            recognised: false,
            build: Build::default(),
            per_head: false,
            stream: None,
            surroundings: Surroundings::default(),
            habits: Habits::default(),
            layout: None,
            unnamed: false,
            #[cfg(feature = "onnx")]
            stated: None,
            name,
        }
    }

    /// A site that only a graph shows: its name says nothing about its place.
    #[cfg(feature = "onnx")]
    pub(crate) fn of_graph(name: String, width: u64) -> Self {
        Self { unnamed: true, block: None, stack: String::new(), block_path: None, ..Self::new(name, width) }
    }

    /// What the graph of an ONNX file states about it.
    #[cfg(feature = "onnx")]
    pub fn stated(&self) -> Option<&Stated> {
        self.stated.as_deref()
    }

    /// What the graph of an ONNX file states about it. Nothing, as this build reads no such files.
    #[cfg(not(feature = "onnx"))]
    pub fn stated(&self) -> Option<&Stated> {
        None
    }

    /// The part of the model it belongs to: the path of its stream's stack, without numbers, because Swin has a stack for each
    /// stage.
    pub fn part(&self) -> Option<String> {
        let stack = self.stream.as_deref().filter(|stack| !stack.is_empty())?;
        Some(stack.split(['.', '/']).filter(|part| !is_number(part)).collect::<Vec<_>>().join("."))
    }

    /// Whether its input is the residual stream, so that what is written to the stream says something about it.
    pub fn reads_stream(&self) -> bool {
        let placed = self.unnamed || self.block.is_none() || self.recognised;
        placed && self.role != NormRole::QueryKey && self.other.is_none() && self.stream.is_some()
    }

    /// Whether it is outside the blocks and may be of the same code as their norms. A norm among convolutions, in a Sequential,
    /// before a U-Net's blocks, or with other parameters than theirs belongs to another part.
    pub fn is_beside_blocks(&self) -> bool {
        let numbered = self.name.rsplit(['.', '/']).next().is_some_and(is_number);
        let other_parameters = self.shift.is_none() && self.shift_on_stream;
        let among_others = self.surroundings.beside_convolutions() || self.surroundings.entry;
        self.block.is_none() && !numbered && !other_parameters && !among_others
    }
}

/// A site's place in its block, which decides what reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Right after the embeddings.
    Embedding,
    /// Read by self-attention.
    BeforeAttention,
    /// Post-norm: follows self-attention, read by what comes next in the block.
    AfterAttention,
    /// Read by cross-attention's queries.
    BeforeCrossAttention,
    /// Post-norm: follows cross-attention.
    AfterCrossAttention,
    /// Read by the feed-forward part.
    BeforeFeedForward,
    /// Post-norm: follows the feed-forward part, read by the next block.
    AfterFeedForward,
    /// On queries, keys or values inside attention.
    InsideAttention,
    /// Its output goes straight to the residual stream (sandwich norms).
    ToResidual,
    /// After the last block.
    Final,
    /// Inside a language head, right before the unembedding.
    Head,
    /// Not known.
    Unknown,
}

/// When a block runs a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Before all else: in the first of two feed-forward parts (Conformer), in a bottleneck (MobileBERT).
    First,
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

/// What the layout of its block, of the blocks beside it, or of the module around it says about a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// What is done at the site in every family with this layout.
    pub statement: Statement,
    /// These families, in a few words.
    pub families: String,
    /// Whether only the module around it is known, not a whole block.
    pub module: bool,
    /// How many libraries have it.
    pub libraries: usize,
}
