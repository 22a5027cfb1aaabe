//! Which linear maps read a norm's output, from names and shapes (MATH §3).
//!
//! A reader is counted only when it is recognised for certain: its module is a known input projection, it stands
//! where the site's place says, and one of its dimensions is the site's width. What is not recognised is not
//! counted, and the site says so.

mod lexicon;
mod positions;

use crate::checkpoint::config::{Config, Scope};
use crate::checkpoint::{Tensor, compare_names};
use crate::norm::{NormSite, Place};
use crate::order;
use crate::report::{NormRole, ReaderUse};
use std::collections::HashMap;

/// A linear reader of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    /// Index of its weight in the catalogue.
    pub weight: usize,
    /// Index of its bias.
    pub bias: Option<usize>,
    /// What it is for.
    pub used_as: ReaderUse,
    /// m: output rows, over all experts of a packed tensor.
    pub rows: u64,
    /// Dimension of the row space in which a constant cannot be seen downstream.
    pub invisible_rows: u64,
    /// What was assumed about it.
    pub assumed: Option<String>,
}

/// The readers of one site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readers {
    /// Those found.
    pub found: Vec<Reader>,
    /// Why there are none, or what was assumed.
    pub note: Option<String>,
}

/// A projection of the catalogue that could be a reader.
#[derive(Debug, Clone)]
struct Projection {
    weight: usize,
    part: lexicon::Part,
    /// Path inside its block, for telling cross-attention apart.
    path: String,
}

/// The catalogue sorted for finding readers.
pub struct ReaderIndex<'a> {
    tensors: &'a [Tensor],
    by_name: HashMap<&'a str, usize>,
    /// Sorted by block.
    in_block: Vec<(String, Vec<Projection>)>,
    outside: Vec<Projection>,
    positions: positions::Positions,
}

impl<'a> ReaderIndex<'a> {
    /// Sorts every projection of the catalogue by its block, once.
    pub fn new(tensors: &'a [Tensor], sites: &[NormSite]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        let mut in_block = Vec::new();
        let mut outside = Vec::new();
        for (weight, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.shape.len() >= 2) {
            if let Some((block, path, part)) = lexicon::projection(&tensor.name) {
                let projection = Projection { weight, part, path };
                match block {
                    Some(block) => in_block.push((block, projection)),
                    None => outside.push(projection),
                }
            }
        }
        let in_block = order::groups(in_block);
        Self { tensors, by_name, in_block, outside, positions: positions::Positions::new(tensors, sites) }
    }

    /// The linear maps that read `site`. `sites` are all sites, `config` speaks for the checkpoint.
    pub fn readers(&self, site: &NormSite, sites: &[NormSite], config: Option<&Config>) -> Readers {
        let scope = config.map(|config| config.scope(&site.name));
        let mut readers = Readers::default();
        let block = site.block_path.as_deref();
        match site.place {
            Place::BeforeAttention => {
                self.attention(site, block, scope, &mut readers);
                if site.parallel {
                    self.feed_forward(site, block, &mut readers);
                }
            }
            Place::BeforeCrossAttention => self.cross_queries(site, block, &mut readers),
            Place::BeforeFeedForward => self.feed_forward(site, block, &mut readers),
            Place::AfterAttention if self.has_cross_attention(block) => {
                self.cross_queries(site, block, &mut readers)
            }
            Place::AfterAttention | Place::AfterCrossAttention => {
                self.feed_forward(site, block, &mut readers)
            }
            Place::AfterFeedForward => match self.next_block(site) {
                Some(next) => self.attention(site, Some(&next), scope, &mut readers),
                None => self.heads(site, sites, config, &mut readers),
            },
            Place::Embedding => self.after_embedding(site, sites, scope, &mut readers),
            Place::Final => self.heads(site, sites, config, &mut readers),
            Place::Head => self.unembedding(site, config, &mut readers),
            Place::InsideAttention => {
                readers.note =
                    Some("queries and keys are read by attention scores, not by a linear map".to_owned());
            }
            Place::ToResidual => {
                readers.note = Some(
                    "its output goes to the residual stream, which the next norm reads: no linear reader"
                        .to_owned(),
                );
            }
            Place::Unknown => {
                readers.note =
                    Some("its place in the network is not known, so its readers are not counted".to_owned())
            }
        }
        if readers.found.is_empty() && readers.note.is_none() {
            readers.note = Some("no linear map of matching width was recognised behind it".to_owned());
        }
        readers
    }

    fn projections(&self, block: Option<&str>) -> &[Projection] {
        block.and_then(|block| order::value_of(&self.in_block, block)).map_or(&[], Vec::as_slice)
    }

    fn has_cross_attention(&self, block: Option<&str>) -> bool {
        self.projections(block)
            .iter()
            .any(|projection| projection.part.is_attention() && lexicon::is_cross(&projection.path))
    }

    fn attention(
        &self,
        site: &NormSite,
        block: Option<&str>,
        scope: Option<Scope<'_>>,
        readers: &mut Readers,
    ) {
        let keys = self.positions.keys(site, scope);
        for projection in self
            .projections(block)
            .iter()
            .filter(|projection| projection.part.is_attention() && !lexicon::is_cross(&projection.path))
        {
            let Some(mut reader) = self.reader(site, projection) else { continue };
            let key_rows = match reader.used_as {
                ReaderUse::Key => reader.rows,
                ReaderUse::FusedAttention => fused_key_rows(reader.rows, site.width, scope),
                _ => 0,
            };
            if keys.invisible {
                reader.invisible_rows = key_rows;
            }
            if key_rows > 0 {
                reader.assumed = Some(keys.why.clone());
            }
            readers.found.push(reader);
        }
    }

    fn cross_queries(&self, site: &NormSite, block: Option<&str>, readers: &mut Readers) {
        let queries = self.projections(block).iter().filter(|projection| {
            lexicon::is_cross(&projection.path) && projection.part == lexicon::Part::Query
        });
        readers.found.extend(queries.filter_map(|projection| self.reader(site, projection)));
    }

    fn feed_forward(&self, site: &NormSite, block: Option<&str>, readers: &mut Readers) {
        let inputs = self.projections(block).iter().filter(|projection| projection.part.is_feed_forward());
        readers.found.extend(inputs.filter_map(|projection| self.reader(site, projection)));
    }

    /// The block after the site's, by number.
    fn next_block(&self, site: &NormSite) -> Option<String> {
        let (path, number) = (site.block_path.as_deref()?, site.block?);
        let stem = path.strip_suffix(&number.to_string())?;
        let next = format!("{stem}{}", number + 1);
        order::value_of(&self.in_block, &next).is_some().then_some(next)
    }

    /// In a post-norm stack the first block reads the embedding norm; in a pre-norm one nothing linear does, unless a
    /// projection to the stream's width follows it.
    fn after_embedding(
        &self,
        site: &NormSite,
        sites: &[NormSite],
        scope: Option<Scope<'_>>,
        readers: &mut Readers,
    ) {
        let projections =
            self.outside.iter().filter(|projection| projection.part == lexicon::Part::EmbeddingProjection);
        readers.found.extend(projections.filter_map(|projection| self.reader(site, projection)));
        if !readers.found.is_empty() {
            return;
        }
        let root = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let first = sites
            .iter()
            .filter(|other| other.place == Place::AfterAttention && other.block == Some(0))
            .filter(|other| other.width == site.width)
            .max_by_key(|other| {
                (common_prefix(&other.name, &site.name), root(&other.name) == root(&site.name))
            });
        match first {
            Some(first) => self.attention(site, first.block_path.as_deref(), scope, readers),
            None => {
                readers.note = Some(
                    "its output starts the residual stream, which the first norm reads: no linear reader"
                        .to_owned(),
                )
            }
        }
    }

    /// Heads, unembedding and cross-attention keys and values behind a final norm.
    fn heads(&self, site: &NormSite, sites: &[NormSite], config: Option<&Config>, readers: &mut Readers) {
        let ends: Vec<&NormSite> =
            sites.iter().filter(|other| other.role == NormRole::Final && other.width == site.width).collect();
        let heads = self.outside.iter().filter(|projection| projection.part == lexicon::Part::Head);
        readers.found.extend(
            heads
                .filter(|projection| self.nearest_end(projection, site, &ends))
                .filter_map(|projection| self.reader(site, projection)),
        );
        // A norm inside the language head, or a decoder's, stands nearer to the unembedding.
        let has_head_norm = sites.iter().any(|other| other.place == Place::Head);
        let is_last = ends.last().is_none_or(|end| end.name == site.name);
        if is_last && !has_head_norm {
            self.unembedding(site, config, readers);
        }
        self.cross_keys(site, sites, readers);
    }

    /// The unembedding: stored apart, or tied to the input embedding.
    fn unembedding(&self, site: &NormSite, config: Option<&Config>, readers: &mut Readers) {
        let scope = config.map(|config| config.scope(&site.name));
        let says_tied = scope.and_then(|scope| scope.truth("tie_word_embeddings")) == Some(true);
        let stored = self
            .outside
            .iter()
            .filter(|projection| projection.part == lexicon::Part::Unembedding)
            .filter_map(|projection| self.reader(site, projection));
        let before = readers.found.len();
        for mut reader in stored {
            // A stored copy is tied only where the configuration says so.
            if says_tied {
                reader.used_as = ReaderUse::TiedUnembedding;
            } else if !scope.is_some_and(|scope| scope.has("final_logit_softcapping")) {
                reader.invisible_rows = 1;
                let why = "logits go through a softmax, which does not see a constant added to all of them";
                reader.assumed = Some(why.to_owned());
            }
            readers.found.push(reader);
        }
        if readers.found.len() > before {
            return;
        }
        if let Some((weight, why)) = positions::tied_embedding(self.tensors, site, config) {
            let rows = self.tensors[weight].elements() / site.width;
            readers.found.push(Reader {
                weight,
                bias: None,
                used_as: ReaderUse::TiedUnembedding,
                rows,
                invisible_rows: 0,
                assumed: Some(why),
            });
        }
    }

    /// An encoder's final norm is read by every decoder block's cross-attention keys and values.
    fn cross_keys(&self, site: &NormSite, sites: &[NormSite], readers: &mut Readers) {
        if !lexicon::is_encoder(&site.name) {
            return;
        }
        let mut blocks: Vec<&str> = sites
            .iter()
            .filter_map(|other| other.block_path.as_deref())
            .filter(|block| self.has_cross_attention(Some(block)))
            .collect();
        order::sort_by(&mut blocks, |a, b| compare_names(a, b));
        blocks.dedup();
        for block in blocks {
            for projection in
                self.projections(Some(block)).iter().filter(|projection| lexicon::is_cross(&projection.path))
            {
                if matches!(projection.part, lexicon::Part::Key | lexicon::Part::Value) {
                    readers.found.extend(self.reader(site, projection));
                }
            }
        }
    }

    /// Whether `site` is the final norm this head belongs to: the one that shares the longest path with it, the last
    /// of equals (a decoder's before an encoder's).
    fn nearest_end(&self, projection: &Projection, site: &NormSite, ends: &[&NormSite]) -> bool {
        let name = &self.tensors[projection.weight].name;
        let nearest = ends
            .iter()
            .max_by_key(|end| (lexicon::same_part(&end.name, name), common_prefix(&end.name, name)));
        nearest.is_none_or(|end| end.name == site.name)
    }

    /// The projection as a reader of `site`, if one of its dimensions is the site's width.
    fn reader(&self, site: &NormSite, projection: &Projection) -> Option<Reader> {
        let tensor = &self.tensors[projection.weight];
        let (outer, inner) = (tensor.shape[tensor.shape.len() - 2], tensor.shape[tensor.shape.len() - 1]);
        // Linear maps are stored (out, in), but for Conv1D layouts and packed experts.
        if inner != site.width && !(outer == site.width && lexicon::may_be_transposed(&tensor.name)) {
            return None;
        }
        let bias = lexicon::bias_names(&tensor.name)
            .iter()
            .find_map(|name| self.by_name.get(name.as_str()).copied());
        Some(Reader {
            weight: projection.weight,
            bias,
            used_as: projection.part.used_as(),
            rows: tensor.elements() / site.width,
            invisible_rows: 0,
            assumed: None,
        })
    }
}

/// Key rows of a fused query-key-value matrix: a third of it, or less with grouped keys.
fn fused_key_rows(rows: u64, width: u64, scope: Option<Scope<'_>>) -> u64 {
    let count = |fields: &[&str]| scope.and_then(|scope| fields.iter().find_map(|field| scope.count(field)));
    let heads = count(&["num_attention_heads", "n_head", "num_heads", "n_heads"]);
    let groups = count(&[
        "num_key_value_heads",
        "num_kv_heads",
        "n_head_kv",
        "multi_query_group_num",
        "num_query_groups",
    ]);
    match (heads, groups) {
        (Some(heads), Some(groups)) if heads + 2 * groups > 0 && rows.is_multiple_of(heads + 2 * groups) => {
            groups * (rows / (heads + 2 * groups))
        }
        _ if rows == 3 * width => width,
        _ => 0,
    }
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b).count()
}
