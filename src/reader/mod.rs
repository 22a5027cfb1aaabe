//! Which linear maps read a norm's output (MATH §3 and §7).
//!
//! A reader counts if the graph of an ONNX file says so (`stated`), or if its block is understood: by structure alone (`sequence`), by measurement of the module with these
//! tensors (`measured`), or by rules that know every tensor of the block (`rules`). Otherwise no reader is counted, and the site
//! says so.

mod block;
mod lexicon;
mod measured;
mod norm_order;
mod outside;
mod positions;
mod rules;
mod sequence;
mod stated;
pub(crate) mod tied;
mod view;

use crate::checkpoint::Tensor;
use crate::checkpoint::buffer;
use crate::checkpoint::config::{Config, Scope};
use crate::norm::{self, NormSite, Place};
use crate::order;
pub use crate::report::NOT_COUNTED;
use crate::report::{NormRole, ReaderUse};
use block::{Block, numberless};
use lexicon::Part;
use measured::{Class, Home, Outside, Relation};
use outside::Tail;
use rules::Target;
use sequence::Names;
use std::borrow::Cow;
use std::collections::HashMap;
use view::{Module, View};

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
    /// The readers that were found.
    pub found: Vec<Reader>,
    /// Why there are no readers, or what was assumed.
    pub note: Option<String>,
}

impl Readers {
    /// Nothing reads the site, for this reason.
    fn none(note: impl Into<String>) -> Self {
        Self { found: Vec::new(), note: Some(note.into()) }
    }

    /// It is not known what reads the site, for this reason.
    fn not_known(why: impl std::fmt::Display) -> Self {
        Self::none(format!("{NOT_COUNTED}{why}"))
    }
}

/// The catalogue sorted for finding readers.
pub struct ReaderIndex<'a> {
    tensors: &'a [Tensor],
    by_name: HashMap<&'a str, usize>,
    /// Sorted by path.
    blocks: Vec<(String, Block)>,
    outside: Vec<usize>,
    /// Modules outside the blocks, with numbers as N.
    outside_modules: Vec<String>,
    /// Norms in each block, as their modules are called there and without numbers, sorted by the block's path.
    norms: Vec<(String, Vec<(String, String)>)>,
    /// The most norms in a block of each stack.
    most_norms: Vec<(String, usize)>,
    positions: positions::Positions,
    /// Whether any tensor is a bias.
    has_biases: bool,
    /// Unembeddings whose values are those of the embedding.
    tied: &'a [usize],
}

impl<'a> ReaderIndex<'a> {
    /// Sorts the catalogue by block, once.
    pub fn new(tensors: &'a [Tensor], sites: &[NormSite]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        let (blocks, outside) = block::blocks(tensors);
        let inside = sites.iter().filter_map(|site| {
            let path = site.block_path.as_ref()?;
            let name = site.name.get(path.len() + 1..)?;
            Some((path.clone(), (name.to_owned(), numberless(name))))
        });
        let norms = order::groups(inside);
        let stacks = norms.iter().map(|(path, norms)| (stack_of(path).to_owned(), norms.len()));
        let most_norms = order::groups(stacks)
            .into_iter()
            .map(|(stack, counts)| (stack, counts.into_iter().max().unwrap_or_default()));
        Self {
            tensors,
            by_name,
            outside_modules: outside::modules(tensors, &outside),
            outside,
            most_norms: most_norms.collect(),
            norms,
            blocks,
            positions: positions::Positions::new(tensors, sites),
            has_biases: tensors.iter().any(|tensor| lexicon::is_bias(&tensor.name)),
            tied: &[],
        }
    }

    /// Adds the unembeddings that `tied::by_values` found.
    pub fn with_tied(self, tied: &'a [usize]) -> Self {
        Self { tied, ..self }
    }

    /// The linear maps that read `site`. `sites` are all sites; `config` is the configuration of the checkpoint.
    pub fn readers(&self, site: &NormSite, sites: &[NormSite], config: Option<&Config>) -> Readers {
        if let Some(stated) = site.stated() {
            return stated::readers(self.tensors, stated);
        }
        if site.unnamed {
            return Readers::not_known("the names say nothing");
        }
        let scope = config.map(|config| config.scope(&site.name));
        let structure = Names { tensors: self.tensors, by_name: &self.by_name };
        if let Some(found) = structure.readers(&site.name, site.width) {
            let found =
                found.into_iter().filter_map(|index| self.reader(site, index, Class::Bias, None)).collect();
            return Readers { found, note: None };
        }
        if let Some(map) = self.beside(site) {
            let found = self.reader(site, map, Class::Bias, None).into_iter().collect();
            let mut readers = Readers { found, note: None };
            self.mark_unembeddings(site, config, &mut readers);
            return readers;
        }
        let block = site.block_path.as_deref().and_then(|path| order::value_of(&self.blocks, path));
        let mut readers = match block {
            Some(block) => self.in_block(site, block, sites, config, scope),
            None => self.outside_blocks(site, sites, config, scope),
        };
        self.leave_maps_of_positions(&mut readers);
        self.leave_maps_behind_convolution(site, &mut readers);
        if readers.found.is_empty() && readers.note.is_none() {
            readers.note = Readers::not_known("no linear map of its width was recognised after it").note;
        }
        readers
    }

    /// Takes out the maps to queries and keys through which positions go too (DeBERTa V3): a direction that is dead for the norm is not
    /// dead for these. Other sizes of the family have maps of their own for positions.
    fn leave_maps_of_positions(&self, readers: &mut Readers) {
        let is_called = |tensor: &Tensor, names: &[&str]| {
            let (module, _) = lexicon::module_of(&tensor.name);
            names.contains(&view::last_of(module))
        };
        let holds = |names: &[&str]| self.tensors.iter().any(|tensor| is_called(tensor, names));
        let is_shared = |reader: &Reader| {
            self.tensors.get(reader.weight).is_some_and(|map| is_called(map, &["query_proj", "key_proj"]))
        };
        let own = ["pos_proj", "pos_key_proj", "pos_query_proj"];
        if readers.found.iter().any(is_shared) && holds(&["rel_embeddings"]) && !holds(&own) {
            readers.found.retain(|reader| !is_shared(reader));
            let why = "`rel_embeddings` goes through `query_proj` and `key_proj` too";
            readers.note = Readers::not_known(why).note;
        }
    }

    /// Takes out the maps of the second block for a norm of the first, if a convolution and its norm come between them (DeBERTa V2 XL).
    fn leave_maps_behind_convolution(&self, site: &NormSite, readers: &mut Readers) {
        let Some(path) = site.block_path.as_deref() else { return };
        let Some((stack, "0")) = path.rsplit_once('.') else { return };
        let beside = stack.rsplit_once('.').map_or(String::new(), |(parent, _)| format!("{parent}."));
        let holds = |name: &str| self.by_name.contains_key(format!("{beside}conv.{name}").as_str());
        if !holds("conv.weight") || !holds("LayerNorm.weight") {
            return;
        }
        let is_here = |reader: &Reader| {
            let map = self.tensors.get(reader.weight);
            map.and_then(|map| map.name.strip_prefix(path)).is_some_and(|rest| rest.starts_with('.'))
        };
        if !readers.found.iter().all(is_here) {
            readers.found.retain(is_here);
            readers.note =
                Readers::not_known(format!("`{beside}conv` comes between it and the next block")).note;
        }
    }

    /// The map that is alone with the norm in a small module.
    fn beside(&self, site: &NormSite) -> Option<usize> {
        let names = Names { tensors: self.tensors, by_name: &self.by_name };
        outside::beside(&site.name, site.width, |parent| {
            let under = names.under(parent).filter_map(|(inside, tensor)| {
                Some((inside.to_owned(), *self.by_name.get(tensor.name.as_str())?, tensor.shape.clone()))
            });
            under.collect()
        })
    }

    fn in_block(
        &self,
        site: &NormSite,
        block: &Block,
        sites: &[NormSite],
        config: Option<&Config>,
        scope: Option<Scope<'_>>,
    ) -> Readers {
        let unit = Unit::of(block, &site.name);
        let view = self.view(block, &unit, scope);
        let own = unit.own(block, &site.name);
        let by_rule = rules::target(&view, &own);
        let key = measured::key(block.names(self.tensors));
        let says = measured::block(&key, block.inside(&site.name), scope);
        // If the configuration says on which side the norms are, perhaps the other side was measured.
        let configured = scope.and_then(norm_order::configured).is_some() && by_rule.is_ok();
        if let Some(says) = says.as_ref().filter(|says| says.by_family && !configured) {
            return self.measured(site, block, says, sites, config, scope);
        }
        match (by_rule, says) {
            (Ok(target), _) => self.of_target(site, block, &unit, &view, target, sites, config, scope),
            // Without a configuration, names that leave no order open are those of the measured code.
            (Err(_), Some(says)) if scope.is_none() && !rules::is_open(&view, &own) => {
                self.measured(site, block, &says, sites, config, scope)
            }
            (Err(why), _) => Readers::not_known(why),
        }
    }

    /// The readers of a measured block.
    fn measured(
        &self,
        site: &NormSite,
        block: &Block,
        says: &measured::Says,
        sites: &[NormSite],
        config: Option<&Config>,
        scope: Option<Scope<'_>>,
    ) -> Readers {
        let mut readers = Readers::default();
        let keys = self.positions.keys(site, scope);
        let own = block.inside(&site.name);
        let next = self.next_block(block);
        for relation in &says.relations {
            let numbers = measured::matches(relation.site, own).unwrap_or_default();
            let maps = match relation.home {
                Home::Here => of_block(self.tensors, block, relation, &numbers),
                Home::Next => {
                    next.map(|next| of_block(self.tensors, next, relation, &numbers)).unwrap_or_default()
                }
                Home::Elsewhere if next.is_none() => self.elsewhere(&site.name, relation.reader),
                Home::Elsewhere => Vec::new(),
            };
            // A file that does not name its family may have another position code.
            let free = keys.invisible || says.exact && !keys.known_to_be_seen;
            let class = if free { relation.class } else { Class::Bias };
            let why = if says.exact && free { MEASURED_KEYS } else { &keys.why };
            readers.found.extend(maps.into_iter().filter_map(|map| self.reader(site, map, class, Some(why))));
        }
        let goes_on = says.relations.iter().any(|relation| relation.home != Home::Here);
        if goes_on && next.is_none() && readers.found.is_empty() {
            return self.end_of_blocks(site, block, sites, config);
        }
        if readers.found.is_empty() {
            readers.note = if says.by_family {
                Some("no linear map reads it in the module of this family".to_owned())
            } else {
                Readers::not_known("modules with these names read it in more ways than one").note
            };
        }
        self.mark_unembeddings(site, config, &mut readers);
        readers
    }

    /// The tensors of the form `wanted`, below a prefix that the site's name begins with.
    fn elsewhere(&self, site: &str, wanted: &str) -> Vec<usize> {
        let ends = site.match_indices('.').map(|(at, _)| at + 1);
        let prefixes = std::iter::once(0).chain(ends).filter_map(|end| site.get(..end));
        let of = |prefix: &str| self.under(prefix, wanted);
        prefixes.map(of).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The tensors of the form `wanted` after a prefix.
    fn under(&self, prefix: &str, wanted: &str) -> Vec<usize> {
        if !wanted.split('.').any(|part| matches!(part, "N" | "#")) {
            return self.by_name.get(format!("{prefix}{wanted}").as_str()).copied().into_iter().collect();
        }
        let alike = |tensor: &Tensor| {
            tensor.name.strip_prefix(prefix).is_some_and(|name| measured::matches(wanted, name).is_some())
        };
        (0..self.tensors.len()).filter(|&index| alike(&self.tensors[index])).collect()
    }

    fn view<'v>(&'v self, block: &'v Block, unit: &Unit, scope: Option<Scope<'v>>) -> View<'v> {
        let norms = order::value_of(&self.norms, &block.path).map_or(&[][..], Vec::as_slice);
        let own: Vec<&str> = norms
            .iter()
            .filter(|(name, _)| unit.holds(name))
            .map(|(_, numberless)| unit.inside(numberless))
            .collect();
        // A norm that stores nothing is still a module.
        let mut modules: Vec<Module<'v>> =
            own.iter().map(|path| Module { path, norm: true, dimensions: 1 }).collect();
        let mut biased_qkv = false;
        for (name, indices) in &block.tensors {
            let Some(&index) =
                indices.iter().find(|&&index| unit.holds(block.inside(&self.tensors[index].name)))
            else {
                continue;
            };
            let tensor = &self.tensors[index];
            let inside = unit.inside(name);
            let of_norm = |norm: &&str| inside.strip_prefix(*norm).is_some_and(|end| end.starts_with('.'));
            if buffer::is_buffer(&tensor.name, &tensor.shape) || own.iter().any(of_norm) {
                continue;
            }
            let (path, _) = lexicon::module_of(inside);
            biased_qkv |= ["qkv.bias", "q.bias", "q_bias"].iter().any(|bias| inside.ends_with(bias));
            let dimensions = tensor.shape.len();
            match modules.iter_mut().find(|module| module.path == path) {
                Some(module) => module.dimensions = module.dimensions.max(dimensions),
                None => modules.push(Module { path, norm: false, dimensions }),
            }
        }
        let most = order::value_of(&self.most_norms, stack_of(&block.path)).copied().unwrap_or_default();
        View {
            modules,
            has_most_norms: norms.len() == most,
            biased_qkv,
            scope,
            outside: &self.outside_modules,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one site with all that is known of it")]
    fn of_target(
        &self,
        site: &NormSite,
        block: &Block,
        unit: &Unit,
        view: &View<'_>,
        target: Target,
        sites: &[NormSite],
        config: Option<&Config>,
        scope: Option<Scope<'_>>,
    ) -> Readers {
        let mut readers = Readers::default();
        // After a spatial reduction, keys and values read another norm.
        let reduced = view.is_reduced();
        let attention =
            |part: Part, cross: bool| part.is_attention() && !cross && !(reduced && part.is_key_or_value());
        let feed_forward = |part: Part, _: bool| part.is_feed_forward();
        match target {
            Target::ReducedAttention => {
                self.maps(site, block, unit, scope, |part, _| part.is_key_or_value(), &mut readers);
            }
            Target::Attention => self.maps(site, block, unit, scope, attention, &mut readers),
            Target::FeedForward => {
                self.maps(site, block, unit, scope, feed_forward, &mut readers);
                // Q-Former: the output of cross-attention belongs to the query tokens.
                let of_queries =
                    |reader: &Reader| self.tensors[reader.weight].name.contains("intermediate_query");
                if site.name.contains("crossattention") && readers.found.iter().any(of_queries) {
                    readers.found.retain(of_queries);
                }
            }
            Target::Both => {
                self.maps(site, block, unit, scope, attention, &mut readers);
                self.maps(site, block, unit, scope, feed_forward, &mut readers);
            }
            Target::CrossQueries => {
                let queries = |part: Part, cross: bool| part == Part::Query && cross;
                self.maps(site, block, unit, scope, queries, &mut readers);
            }
            Target::NextAttention => match self.next_block(block) {
                Some(next) => self.maps(site, next, unit, scope, attention, &mut readers),
                None => return self.end_of_blocks(site, block, sites, config),
            },
            Target::Scores => {
                readers.note =
                    Some("queries and keys are read by attention scores, not by a linear map".to_owned());
            }
            Target::Stream => {
                readers.note = Some(
                    "its output goes to the residual stream, which the next norm reads: no linear reader"
                        .to_owned(),
                );
            }
        }
        readers
    }

    /// Adds the maps of a block that play a wanted part.
    fn maps(
        &self,
        site: &NormSite,
        block: &Block,
        unit: &Unit,
        scope: Option<Scope<'_>>,
        wanted: impl Fn(Part, bool) -> bool,
        readers: &mut Readers,
    ) {
        let keys = self.positions.keys(site, scope);
        for (name, indices) in &block.tensors {
            let (module, is_map) = lexicon::module_of(unit.inside(name));
            let Some(part) = lexicon::part_of(module) else { continue };
            if !is_map || !wanted(part, lexicon::is_cross(module)) {
                continue;
            }
            let class = match part {
                Part::Key if keys.invisible => Class::Free,
                Part::FusedAttention if keys.invisible => Class::Keys,
                _ => Class::Bias,
            };
            let why = matches!(part, Part::Key | Part::FusedAttention).then_some(keys.why.as_str());
            let own = indices.iter().filter(|&&index| unit.holds(block.inside(&self.tensors[index].name)));
            for &index in own {
                if let Some(mut reader) = self.reader(site, index, class, why) {
                    reader.used_as = part.used_as();
                    if part == Part::FusedAttention && keys.invisible {
                        reader.invisible_rows = fused_key_rows(reader.rows, site.width, scope);
                    }
                    reader.assumed = why.map(str::to_owned);
                    readers.found.push(reader);
                }
            }
        }
    }

    /// The block after this one, by number.
    fn next_block(&self, block: &Block) -> Option<&Block> {
        let (stack, number) = block.path.rsplit_once(['.', '_'])?;
        let separator = block.path.get(stack.len()..=stack.len())?;
        let next = format!("{stack}{separator}{}", number.parse::<u32>().ok()?.checked_add(1)?);
        order::value_of(&self.blocks, &next)
    }

    fn outside_blocks(
        &self,
        site: &NormSite,
        sites: &[NormSite],
        config: Option<&Config>,
        scope: Option<Scope<'_>>,
    ) -> Readers {
        if let Some(Outside { prefix, measured, of_kin }) = measured::outside(&site.name, scope) {
            let mut readers = Readers::default();
            // Kin may pool in different ways. If this file has several of these, nothing says which one it uses.
            let is_here = |relation: &Relation| !self.under(prefix, relation.reader).is_empty();
            let here = measured.iter().filter(|relations| relations.iter().any(is_here));
            let open = of_kin && here.count() > 1;
            for relation in measured.into_iter().flatten().filter(|_| !open) {
                // A base model in a larger one has a prefix; its heads do not.
                let mut maps = self.under(prefix, relation.reader);
                if maps.is_empty() {
                    maps = self.under("", relation.reader);
                }
                // If the configuration says on which side the norms are, perhaps the other side was measured. In wav2vec 2.0, one
                // norm comes before the blocks in one order and after them in the other.
                let in_block = |map: &usize| crate::norm::block_path(&self.tensors[*map].name);
                maps.retain(|map| match (scope.and_then(norm_order::configured), in_block(map)) {
                    (Some(norm_order::Order::Pre), Some((_, inside))) => lexicon::is_cross(&inside),
                    (Some(norm_order::Order::Post), None) => site.place != Place::Final,
                    _ => true,
                });
                let of = |map| self.reader(site, map, relation.class, Some(MEASURED_KEYS));
                readers.found.extend(maps.into_iter().filter_map(of));
            }
            self.mark_unembeddings(site, config, &mut readers);
            // Heads of other classes of the family were not measured.
            if !readers.found.is_empty() || !matches!(site.place, Place::Final | Place::Head) {
                if readers.found.is_empty() {
                    readers.note = Some("no linear map reads it in the module of this family".to_owned());
                }
                return readers;
            }
        }
        if let Some(decoders) = outside::decoder_behind(&site.name) {
            let stored = decoders.iter().find_map(|name| self.by_name.get(name.as_str()));
            let mut readers = Readers::default();
            readers.found.extend(stored.and_then(|&map| self.reader(site, map, Class::Bias, None)));
            if readers.found.is_empty() {
                self.tied(site, config, &mut readers);
            }
            self.mark_unembeddings(site, config, &mut readers);
            return readers;
        }
        match site.place {
            Place::Embedding => self.after_embedding(site, sites, scope),
            // x-transformers' `resi_dual` adds a second residual stream to the output of this norm.
            Place::Final if self.norms_the_stream(site) => {
                Readers::not_known("its blocks norm the stream too, and a head may read a sum of both")
            }
            Place::Final => match self.is_post_norm(site, sites, scope) {
                // wav2vec 2.0 has a norm of this name before its blocks if they are post-norm.
                Some(true) => Readers::not_known(
                    "the norms of its stack come after the parts, so it may begin the stack",
                ),
                None if self.outside_modules.iter().any(|name| name.contains("pos_conv_embed")) => {
                    Readers::not_known("its position is not known")
                }
                _ => self.end(site, sites, config),
            },
            // Stages hold the stacks, so the norm is two levels above them.
            Place::Unknown if self.ends_the_model(site, sites) => self.end(site, sites, config),
            Place::InsideAttention => {
                Readers::none("queries and keys are read by attention scores, not by a linear map")
            }
            _ => Readers::not_known("its place in the network is not known"),
        }
    }

    /// Whether the blocks before it are of x-transformers and have a norm on the stream, `layers.0.0.2`.
    fn norms_the_stream(&self, site: &NormSite) -> bool {
        let stack = site.stream.as_deref().unwrap_or_default();
        let of_stack = self.norms.iter().filter(|(path, _)| stack_of(path) == stack);
        of_stack.flat_map(|(_, norms)| norms).any(|(name, _)| name == "0.2")
    }

    /// Whether the blocks of the stack that a norm begins or ends are post-norm.
    fn is_post_norm(&self, site: &NormSite, sites: &[NormSite], scope: Option<Scope<'_>>) -> Option<bool> {
        let stack = site.stream.as_deref()?;
        let own: Vec<&NormSite> =
            sites.iter().filter(|other| other.block.is_some() && other.stack == stack).collect();
        let block = order::value_of(&self.blocks, own.first()?.block_path.as_deref()?)?;
        let unit = Unit::of(block, &own.first()?.name);
        let view = self.view(block, &unit, scope);
        let key = measured::key(block.names(self.tensors));
        let (mut open, mut post) = (false, false);
        for other in own.iter().filter(|other| other.block_path.as_deref() == Some(&block.path)) {
            let says = measured::block(&key, block.inside(&other.name), scope).filter(|says| says.by_family);
            match (rules::target(&view, &unit.own(block, &other.name)), says) {
                (Ok(target), _) => post |= target == Target::NextAttention,
                (Err(_), Some(says)) => {
                    post |= says.relations.iter().any(|relation| relation.home == Home::Next)
                }
                (Err(_), None) => open = true,
            }
        }
        if post { Some(true) } else { (!open).then_some(false) }
    }

    /// Whether a norm is called `norm`, is at the top of a model whose stacks are in stages, and is the only norm there.
    fn ends_the_model(&self, site: &NormSite, sites: &[NormSite]) -> bool {
        let parent = |name: &str| name.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
        let home = parent(&site.name);
        let prefix = if home.is_empty() { String::new() } else { format!("{home}.") };
        let last = site.name.rsplit('.').next().unwrap_or_default();
        matches!(last, "norm" | "layernorm" | "layer_norm")
            && self.blocks.iter().any(|(path, _)| path.starts_with(&prefix))
            && sites.iter().filter(|other| other.block.is_none() && parent(&other.name) == home).count() == 1
            && !sites.iter().any(|other| matches!(other.place, Place::Final | Place::Head))
    }

    /// In a post-norm stack the first block reads the embedding norm. In a pre-norm one no linear map does, unless a projection
    /// to the stream's width follows it.
    fn after_embedding(&self, site: &NormSite, sites: &[NormSite], scope: Option<Scope<'_>>) -> Readers {
        let mut readers = Readers::default();
        let projections = self.outside.iter().filter(|&&index| {
            let module = lexicon::module_of(&self.tensors[index].name).0;
            matches!(module.rsplit('.').next(), Some("embeddings_project" | "embedding_hidden_mapping_in"))
        });
        readers.found.extend(projections.filter_map(|&index| self.reader(site, index, Class::Bias, None)));
        if !readers.found.is_empty() {
            return readers;
        }
        // GGUF's names have no parent.
        let root = |name: &str| match name.split('.').next().unwrap_or_default() {
            "token_embd_norm" | "blk" => String::new(),
            root => root.to_owned(),
        };
        let first = sites
            .iter()
            .filter(|other| other.block == Some(0) && other.width == site.width)
            .filter(|other| root(&other.name) == root(&site.name))
            .filter_map(|other| order::value_of(&self.blocks, other.block_path.as_deref()?))
            .next();
        let Some(block) = first else {
            return Readers::not_known("what follows it is not known");
        };
        let unit = Unit::default();
        let view = self.view(block, &unit, scope);
        let post = sites
            .iter()
            .filter(|other| other.block_path.as_deref() == Some(&block.path))
            .map(|other| rules::target(&view, &unit.own(block, &other.name)))
            .collect::<Result<Vec<_>, _>>();
        match post {
            Ok(targets) if targets.contains(&Target::NextAttention) => {
                let attention = |part: Part, cross: bool| part.is_attention() && !cross;
                self.maps(site, block, &unit, scope, attention, &mut readers);
            }
            Ok(_) => {
                readers.note = Some(
                    "its output starts the residual stream, which the first norm reads: no linear reader"
                        .to_owned(),
                );
            }
            Err(why) => readers.note = Readers::not_known(why).note,
        }
        readers
    }

    /// The readers of the last norm of a stack's last block: what follows the stack, unless a stack of the same form follows.
    fn end_of_blocks(
        &self,
        site: &NormSite,
        block: &Block,
        sites: &[NormSite],
        config: Option<&Config>,
    ) -> Readers {
        let stack = stack_of(&block.path);
        let alike = |path: &str| stack_of(path) != stack && numberless(stack_of(path)) == numberless(stack);
        if self.blocks.iter().any(|(path, _)| alike(path)) {
            return Readers::not_known("what follows its stack is not known");
        }
        self.end(site, sites, config)
    }

    /// The readers of the norm that ends a stack: heads, poolers, the unembedding, a decoder's cross-attention.
    fn end(&self, site: &NormSite, sites: &[NormSite], config: Option<&Config>) -> Readers {
        let mut readers = Readers::default();
        self.cross_keys(site, &mut readers);
        let ends: Vec<&NormSite> = sites
            .iter()
            .filter(|other| {
                other.place == Place::Final || other.role == NormRole::Final || other.name == site.name
            })
            .filter(|other| other.width == site.width)
            .collect();
        let maps: Vec<(usize, Tail)> = self
            .outside
            .iter()
            .filter(|&&index| self.reader(site, index, Class::Bias, None).is_some())
            .filter(|&&index| !self.is_tied_to_the_input(&self.tensors[index].name))
            .map(|&index| (index, outside::tail(lexicon::module_of(&self.tensors[index].name).0)))
            .filter(|(index, tail)| *tail != Tail::Front && self.tensors[*index].shape.len() == 2)
            .filter(|(index, _)| self.tensors[*index].shape[0] > 1)
            .collect();
        if let Some((index, _)) = maps.iter().find(|(_, tail)| *tail == Tail::Unknown) {
            let name = &self.tensors[*index].name;
            readers.note =
                Readers::not_known(format!("`{name}` is not known, and may come between it and a head")).note;
            return readers;
        }
        let first = maps.iter().any(|(_, tail)| *tail == Tail::First);
        let wanted = |tail: Tail| {
            if first { tail == Tail::First } else { matches!(tail, Tail::Head | Tail::Unembedding) }
        };
        let mut unembeds = first || sites.iter().any(|other| other.place == Place::Head);
        for &(index, tail) in maps.iter().filter(|(_, tail)| wanted(*tail)) {
            unembeds |= tail == Tail::Unembedding;
            if self.belongs(&self.tensors[index].name, site, &ends) {
                readers.found.extend(self.reader(site, index, Class::Bias, None));
            }
        }
        if !unembeds && self.belongs("lm_head.weight", site, &ends) {
            self.tied(site, config, &mut readers);
        }
        self.mark_unembeddings(site, config, &mut readers);
        readers
    }

    /// Whether a name is that of an embedding, which the unembedding may share.
    fn is_tied_to_the_input(&self, name: &str) -> bool {
        positions::is_token_table(name)
    }

    /// Whether `site` is the end that a head belongs to: the only one of its part of the model, or the decoder's.
    fn belongs(&self, head: &str, site: &NormSite, ends: &[&NormSite]) -> bool {
        if ends.len() == 1 {
            return true;
        }
        let of_part: Vec<&&NormSite> =
            ends.iter().filter(|end| outside::same_part(&end.name, head)).collect();
        let says = |name: &str, word: &str| name.split('.').any(|part| part == word);
        match of_part[..] {
            [one] => one.name == site.name,
            [_, ..] => {
                let decoders: Vec<&&&NormSite> =
                    of_part.iter().filter(|end| says(&end.name, "decoder")).collect();
                let encoders = of_part.iter().filter(|end| says(&end.name, "encoder")).count();
                matches!(decoders[..], [one] if one.name == site.name && encoders + 1 == of_part.len())
            }
            [] => false,
        }
    }

    /// Marks unembeddings, which go through a softmax. One that the configuration ties is counted separately.
    fn mark_unembeddings(&self, site: &NormSite, config: Option<&Config>, readers: &mut Readers) {
        let scope = config.map(|config| config.scope(&site.name));
        let says_tied = scope.and_then(|scope| scope.truth("tie_word_embeddings")) == Some(true);
        for reader in &mut readers.found {
            let module = lexicon::module_of(&self.tensors[reader.weight].name).0;
            let unembeds = match outside::tail(module) {
                Tail::Unembedding => true,
                Tail::Behind => module.ends_with("decoder") || module.ends_with("vocab_projector"),
                _ => module.ends_with("lm_head.linear"),
            };
            if !unembeds || reader.used_as == ReaderUse::TiedUnembedding {
                continue;
            }
            let same_values =
                self.tied.contains(&reader.weight) || tied::by_place(self.tensors, reader.weight);
            if same_values {
                reader.assumed = Some("its values are those of the input embedding".to_owned());
            }
            let says_tied = says_tied || same_values;
            reader.used_as = if says_tied { ReaderUse::TiedUnembedding } else { ReaderUse::Unembedding };
            if !says_tied && !scope.is_some_and(|scope| scope.has("final_logit_softcapping")) {
                reader.invisible_rows = 1;
                let why = "logits go through a softmax, which does not see a constant added to all of them";
                reader.assumed = Some(why.to_owned());
            }
        }
    }

    /// Adds the input embedding as unembedding, if nothing else unembeds.
    fn tied(&self, site: &NormSite, config: Option<&Config>, readers: &mut Readers) {
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

    /// Adds the keys and values of cross-attention in the decoder of the same path: they read the end of an encoder.
    fn cross_keys(&self, site: &NormSite, readers: &mut Readers) {
        let Some((before, after)) = site.name.split_once("encoder.") else { return };
        let decoder = format!("{before}decoder.");
        let detector =
            self.outside_modules.iter().any(|name| name.contains("query_pos") || name.contains("bbox"));
        if after.contains("decoder") || detector {
            return;
        }
        for (path, block) in self.blocks.iter().filter(|(path, _)| path.starts_with(&decoder)) {
            let names = order::value_of(&self.norms, path);
            if names.is_none() {
                continue;
            }
            for (name, indices) in &block.tensors {
                let (module, is_map) = lexicon::module_of(name);
                let part = lexicon::part_of(module);
                if is_map && lexicon::is_cross(module) && matches!(part, Some(Part::Key | Part::Value)) {
                    readers.found.extend(
                        indices.iter().filter_map(|&index| self.reader(site, index, Class::Bias, None)),
                    );
                }
            }
        }
    }

    /// A map as a reader of `site`, if one of its dimensions is the site's width.
    fn reader(&self, site: &NormSite, weight: usize, class: Class, why: Option<&str>) -> Option<Reader> {
        let tensor = &self.tensors[weight];
        let [.., outer, inner] = tensor.shape[..] else { return None };
        // Linear maps are stored (out, in), except in Conv1D layouts and packed experts.
        let transposed =
            lexicon::may_be_transposed(&tensor.name) || outside::is_bare_projection(&tensor.name);
        if inner != site.width && !(outer == site.width && transposed) {
            return None;
        }
        let bias = self.has_biases.then(|| lexicon::bias_names(&tensor.name));
        let bias = bias.iter().flatten().find_map(|name| self.by_name.get(name.as_str()).copied());
        let rows = tensor.elements() / site.width;
        let module = lexicon::module_of(&tensor.name).0;
        // Readers are mostly in the block of their norm, and blocks may have thousands of experts.
        let inside = match site.block_path.as_deref() {
            Some(path) if norm::is_inside(&tensor.name, path) => {
                Some(Cow::Borrowed(&tensor.name[path.len() + 1..]))
            }
            _ => norm::inside_block(&tensor.name).map(Cow::Owned),
        };
        let part = inside.and_then(|inside| lexicon::part_of(lexicon::module_of(&inside).0));
        let used_as = match part {
            Some(part) => part.used_as(),
            None if outside::tail(module) == Tail::Unembedding => ReaderUse::Unembedding,
            None => ReaderUse::Projection,
        };
        let (invisible_rows, assumed) = match class {
            Class::Bias => (0, None),
            // Keys do not see a constant. Elsewhere a norm may hide it, and only a file's numbers show that.
            Class::Free if used_as == ReaderUse::Key => (rows, why),
            Class::Free => (0, None),
            Class::Keys => (if rows == 3 * site.width { site.width } else { 0 }, why),
        };
        Some(Reader { weight, bias, used_as, rows, invisible_rows, assumed: assumed.map(str::to_owned) })
    }
}

/// The parts of the measured tables in which [`ReaderIndex::readers`] looks for these sites: by the names of their blocks, and by
/// the families that their configurations name.
pub fn parts<'a>(
    tensors: &[Tensor],
    sites: &[NormSite],
    scope_of: impl Fn(&str) -> Option<Scope<'a>>,
) -> Vec<String> {
    let (blocks, _) = block::blocks(tensors);
    let paths = order::distinct(sites.iter().filter_map(|site| site.block_path.as_deref()));
    let keys = paths.into_iter().filter_map(|path| {
        let block = order::value_of(&blocks, path)?;
        Some(measured::part_of_block(&measured::key(block.names(tensors))))
    });
    let scopes = sites.iter().filter_map(|site| scope_of(&site.name));
    order::distinct(keys.chain(scopes.flat_map(measured::parts_of_family)))
}

/// Why keys do not see a constant, in a family that was measured.
const MEASURED_KEYS: &str = "a constant in all keys adds the same to every score and softmax does not see it, as was measured on this family's module";

/// The maps of a relation in a block.
fn of_block(tensors: &[Tensor], block: &Block, relation: &Relation, numbers: &[&str]) -> Vec<usize> {
    let alike = block.at(&numberless(relation.reader)).iter().copied();
    alike
        .filter(|&index| measured::reads(relation.reader, block.inside(&tensors[index].name), numbers))
        .collect()
}

/// One of several blocks that share a path, as a list: `layers.0.0` and `layers.0.1` are two in the block `layers.0`.
#[derive(Debug, Default)]
struct Unit {
    /// `0.`, or nothing.
    prefix: String,
}

impl Unit {
    fn of(block: &Block, site: &str) -> Self {
        let own = block.inside(site).split('.').next().unwrap_or_default();
        let numbered = !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_digit());
        let all = block.tensors.iter().all(|(name, _)| name.starts_with("N."));
        Self { prefix: if numbered && all { format!("{own}.") } else { String::new() } }
    }

    /// Whether a name inside the block belongs to this unit.
    fn holds(&self, inside: &str) -> bool {
        inside.starts_with(&self.prefix)
    }

    /// The name inside the unit of a numberless name inside the block.
    fn inside<'a>(&self, name: &'a str) -> &'a str {
        if self.prefix.is_empty() { name } else { name.strip_prefix("N.").unwrap_or(name) }
    }

    /// A norm's numberless name inside the unit.
    fn own(&self, block: &Block, site: &str) -> String {
        self.inside(&numberless(block.inside(site))).to_owned()
    }
}

fn stack_of(path: &str) -> &str {
    path.rsplit_once(['.', '_']).map_or("", |(stack, _)| stack)
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
    // Queries, keys and values: a share of the rows for each head and twice for each group.
    let shares =
        heads.zip(groups).map(|(heads, groups)| (groups, heads.saturating_add(groups.saturating_mul(2))));
    match shares {
        Some((groups, shares)) if shares > 0 && rows.is_multiple_of(shares) => groups * (rows / shares),
        _ if rows == width.saturating_mul(3) => width,
        _ => 0,
    }
}
