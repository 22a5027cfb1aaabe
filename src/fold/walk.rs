//! What reads each norm of an architecture, and what writes its residual stream.

use crate::checkpoint::buffer::is_buffer;
use crate::model::architecture::{
    Architecture, Attention, Block, Branch, Embedding, Experts, FeedForward, Gated, GatedInputs, Head,
    Linear, Mixer, Norm, Position, Projections, TokenEmbedding,
};
use crate::model::operation::{Layout, ProjectionPlace};

/// A norm and what reads it.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) norm: &'a Norm,
    /// The maps whose input is its output.
    pub(super) readers: Vec<Reader>,
    /// What else reads it, or may.
    pub(super) elsewhere: Option<String>,
}

/// A map that reads a norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reader {
    pub(super) map: Linear,
    /// Whether its bias is stored apart from it, with those of other maps.
    pub(super) bias_is_apart: bool,
}

/// Something that writes the residual stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Writer {
    /// The map, or a table as one: a row for each input.
    pub(super) map: Linear,
    /// What stands between it and the stream.
    pub(super) between: Option<&'static str>,
}

/// What uses a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Reads(usize),
    Writes,
    Embeds,
}

/// A walk through an architecture.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    architecture: &'a Architecture,
    pub(super) sites: Vec<Site<'a>>,
    pub(super) writers: Vec<Writer>,
    /// The norms that read the residual stream.
    pub(super) on_stream: Vec<&'a Norm>,
    /// The norm whose output begins the residual stream.
    pub(super) begins: Option<&'a Norm>,
    /// What reads the residual stream and is no norm, or may.
    pub(super) reads_stream: Option<String>,
    roles: Vec<(Linear, Role)>,
}

impl<'a> Walk<'a> {
    /// Walks through one stack.
    pub(super) fn of(architecture: &'a Architecture) -> Self {
        let mut walk = Self {
            architecture,
            sites: Vec::new(),
            writers: Vec::new(),
            on_stream: Vec::new(),
            begins: architecture.embedding.last_norm(),
            reads_stream: None,
            roles: Vec::new(),
        };
        walk.embedding();
        // The norm whose output is the stream, if there is one.
        let mut stream = walk.begins;
        for block in &architecture.blocks {
            stream = walk.block(block, stream);
        }
        walk.end(stream);
        walk
    }

    fn name(&self, tensor: usize) -> &str {
        &self.architecture.tensors[tensor].name
    }

    fn site(&mut self, norm: &'a Norm) -> usize {
        match self.sites.iter().position(|site| site.norm == norm) {
            Some(at) => at,
            None => {
                self.sites.push(Site { norm, readers: Vec::new(), elsewhere: None });
                self.sites.len() - 1
            }
        }
    }

    fn goes_elsewhere(&mut self, norm: &'a Norm, why: &str) {
        let at = self.site(norm);
        self.sites[at].elsewhere.get_or_insert_with(|| why.to_owned());
    }

    /// Adds maps that read this norm, or the stream itself if there is none.
    fn reads(&mut self, norm: Option<&'a Norm>, maps: &[Linear], bias_is_apart: bool) {
        let Some(norm) = norm else {
            // The map has another role than any reader of a norm: its number is no site's.
            self.roles.extend(maps.iter().map(|map| (*map, Role::Reads(usize::MAX))));
            return;
        };
        let at = self.site(norm);
        for map in maps {
            self.roles.push((*map, Role::Reads(at)));
            let reader = Reader { map: *map, bias_is_apart };
            if !self.sites[at].readers.contains(&reader) {
                self.sites[at].readers.push(reader);
            }
        }
    }

    fn writes(&mut self, map: Linear, between: Option<&'static str>) {
        self.roles.push((map, Role::Writes));
        let writer = Writer { map, between };
        if !self.writers.contains(&writer) {
            self.writers.push(writer);
        }
    }

    fn embedding(&mut self) {
        let architecture = self.architecture;
        for norm in architecture.embedding.norms() {
            self.goes_elsewhere(
                norm,
                "it is in the embedding, and the residual stream begins with its output",
            );
        }
        let Embedding::Tokens(tokens) = &architecture.embedding else {
            self.reads_stream = Some("only text models are centred".to_owned());
            return;
        };
        if let Some(versions) = &architecture.versions {
            self.reads_stream = Some("the residual stream has several versions, which maps mix".to_owned());
            self.reads(None, &versions.begin, false);
            self.reads(None, &versions.end, false);
        }
        if let Some(inputs) = &tokens.inputs {
            self.reads_stream = Some("a map of the embedding makes vectors for all blocks".to_owned());
            self.reads(None, &[inputs.map], false);
            self.goes_elsewhere(&inputs.norm, "its output is added to vectors that all blocks read");
        }
        let TokenEmbedding { tokens: table, width, projection, projection_place, norm, .. } = tokens;
        let rows =
            |tensor: usize, width: usize| architecture.tensors[tensor].elements() as usize / width.max(1);
        let of = |tensor, width: usize, rows: usize| Linear {
            weight: tensor,
            first: 0,
            bias: None,
            first_bias: 0,
            inputs: rows,
            outputs: width,
            layout: Layout::InputOutput,
        };
        let d = architecture.width;
        let own = of(*table, *width, rows(*table, *width));
        let added: Vec<Linear> = tokens
            .positions
            .iter()
            .map(|positions| positions.table)
            .chain(tokens.segments)
            .map(|tensor| of(tensor, d, rows(tensor, d)))
            .collect();
        self.roles.push((own, Role::Embeds));
        match (projection, norm) {
            (None, None) => {
                self.writes(own, None);
                added.into_iter().for_each(|map| self.writes(map, None));
            }
            (Some(projection), None) if *projection_place == ProjectionPlace::First => {
                self.writes(*projection, None);
                added.into_iter().for_each(|map| self.writes(map, None));
            }
            (Some(projection), None) => self.writes(*projection, None),
            // A norm writes the stream, or comes before what does.
            (_, Some(_)) => {}
        }
    }

    /// Returns the norm whose output is the stream after the block, if there is one.
    fn block(&mut self, block: &'a Block, stream: Option<&'a Norm>) -> Option<&'a Norm> {
        if let Some(part) = &block.alternating {
            self.on_stream.push(&part.norm);
            self.reads(Some(&part.norm), &[part.router], false);
            self.reads(None, &[part.predict, part.correct], false);
        }
        let attention = &block.around_attention;
        let read = self.before(attention, stream, "attention");
        match &block.attention {
            Mixer::Softmax(of) => {
                self.attention(of, read);
                for norm in [&of.query_norm, &of.key_norm].into_iter().flatten().flat_map(|norm| norm.norms())
                {
                    self.goes_elsewhere(norm, "it normalises queries or keys, which no linear map reads");
                }
                if let Some(norm) = &of.inner_norm {
                    self.goes_elsewhere(norm, INNER);
                }
                self.branch(attention, of.output);
            }
            Mixer::Linear(rule) => {
                let maps: Vec<Linear> = rule.projections.linear_maps().copied().collect();
                self.reads(read, &maps, false);
                self.goes_elsewhere(&rule.norm, INNER);
                self.branch(attention, rule.output);
            }
        }
        if let Some(laurel) = &block.laurel {
            self.reads(read, &[laurel.left], false);
            self.writes(laurel.right, Some("a norm stands between it and the residual stream"));
            self.goes_elsewhere(&laurel.after, ADDED);
            if let Some(norm) = read {
                self.goes_elsewhere(norm, "its output is also added to the residual stream");
            }
        }
        let stream = attention.after.as_ref();
        let own = &block.around_feed_forward;
        let fed = match (&own.before, block.parallel) {
            (None, true) => read,
            _ => self.before(own, stream, "a feed-forward part"),
        };
        match &block.feed_forward {
            FeedForward::Plain { up, down, .. } => {
                self.reads(fed, &[*up], false);
                self.branch(own, *down);
            }
            FeedForward::Gated(gated) => self.gated(gated, fed, own),
            FeedForward::Experts(experts) => self.experts(experts, fed, fed, own),
        }
        if let Some(beside) = &block.beside {
            self.on_stream.extend([&beside.before, &beside.router_norm]);
            self.experts(&beside.experts, Some(&beside.before), None, own);
            for norm in [&beside.part_after, &beside.after] {
                self.goes_elsewhere(norm, INNER);
            }
        }
        if let Some(input) = &block.input {
            self.reads_stream
                .get_or_insert_with(|| "a gate reads the residual stream without a norm".to_owned());
            self.reads(None, &[input.gate], false);
            self.writes(input.projection, Some("a norm stands between it and the residual stream"));
            self.goes_elsewhere(&input.after, ADDED);
        }
        if let Some(convolution) = &block.convolution {
            self.reads_stream.get_or_insert_with(|| "a convolution reads the residual stream".to_owned());
            self.goes_elsewhere(
                &convolution.norm,
                "its output is the residual stream, to which the next part adds",
            );
            return Some(&convolution.norm);
        }
        own.after.as_ref().filter(|_| block.scale.is_none() && block.input.is_none())
    }

    /// The maps to queries, keys and values.
    fn attention(&mut self, of: &'a Attention, read: Option<&'a Norm>) {
        let inputs: Vec<Linear> = match &of.projections {
            Projections::Separate(all) => all.to_vec(),
            Projections::Shared(both) => both.to_vec(),
            Projections::Borrowed { queries, .. } => vec![*queries],
            Projections::Concatenated(all) | Projections::Grouped(all) => vec![*all],
            Projections::Latent(latent) => {
                let queries = match &latent.narrow {
                    Some((map, norm)) => {
                        self.goes_elsewhere(norm, INNER);
                        self.reads(None, &[latent.queries], false);
                        *map
                    }
                    None => latent.queries,
                };
                self.goes_elsewhere(&latent.norm, INNER);
                self.reads(None, &[latent.expand], false);
                vec![queries, latent.compress]
            }
        };
        self.reads(read, &inputs, of.biases.iter().any(Option::is_some));
        // Positions go through some of these maps too, and keep what a norm does not give.
        if let Position::Disentangled(positions) = &of.position {
            let maps: Vec<Linear> = positions.maps.iter().flatten().copied().collect();
            self.reads(None, &maps, false);
        }
    }

    /// Experts, and the norm that their router reads, if it is one of the report.
    fn experts(
        &mut self,
        experts: &'a Experts,
        read: Option<&'a Norm>,
        routed: Option<&'a Norm>,
        around: &'a Branch,
    ) {
        self.reads(routed, &[experts.router], false);
        experts.all.iter().for_each(|expert| self.gated(expert, read, around));
        if let Some(shared) = &experts.shared {
            self.reads(read, shared.gate.as_slice(), false);
            self.gated(&shared.expert, read, around);
        }
    }

    fn gated(&mut self, gated: &'a Gated, read: Option<&'a Norm>, around: &'a Branch) {
        match &gated.inputs {
            GatedInputs::Separate(both) => self.reads(read, both, false),
            GatedInputs::Concatenated(both) | GatedInputs::Interleaved(both) => {
                self.reads(read, &[*both], false);
            }
        }
        if let Some(norm) = &gated.inner_norm {
            self.goes_elsewhere(norm, INNER);
        }
        self.branch(around, gated.down);
    }

    /// The norm that a part reads: its own, or the one whose output is the stream.
    fn before(&mut self, around: &'a Branch, stream: Option<&'a Norm>, part: &str) -> Option<&'a Norm> {
        match &around.before {
            Some(norm) => {
                self.on_stream.push(norm);
                Some(norm)
            }
            None => {
                self.reads_stream.get_or_insert_with(|| {
                    format!("{part} reads the residual stream without a norm of its own")
                });
                stream
            }
        }
    }

    /// The end of a part: its output, and the norms after it.
    fn branch(&mut self, around: &'a Branch, output: Linear) {
        let between = match (&around.inner_after, around.layer_scale) {
            (Some(_), _) => Some("a norm stands between it and the residual stream"),
            (None, Some(_)) => Some("a LayerScale stands between it and the residual stream"),
            (None, None) => None,
        };
        self.writes(output, between);
        if let Some(norm) = &around.inner_after {
            self.goes_elsewhere(norm, ADDED);
        }
        if let Some(norm) = &around.after {
            self.goes_elsewhere(norm, "its output is the residual stream, to which the next part adds");
            self.reads_stream.get_or_insert_with(|| "its norms come after its parts".to_owned());
        }
    }

    fn end(&mut self, stream: Option<&'a Norm>) {
        let last = &self.architecture.final_norm;
        match last {
            Some(norm) => self.on_stream.push(norm),
            None => {
                self.reads_stream.get_or_insert_with(|| "no norm comes after its last block".to_owned());
            }
        }
        let read = last.as_ref().or(stream);
        let Some(Head { transform, unembedding, .. }) = &self.architecture.head else {
            if let Some(norm) = read {
                self.goes_elsewhere(
                    norm,
                    "its output is what the model gives, and the checkpoint has no head that reads it",
                );
            }
            return;
        };
        match transform {
            Some(transform) => {
                self.reads(read, &[transform.dense], false);
                self.reads(transform.norm.as_ref(), &[*unembedding], false);
            }
            None => self.reads(read, &[*unembedding], false),
        }
        if let Some(extra) = self.extra() {
            self.reads_stream.get_or_insert_with(|| format!("`{extra}` may read the residual stream"));
            if let Some(norm) = read {
                self.goes_elsewhere(norm, &format!("`{extra}` may read it too"));
            }
        }
    }

    /// A tensor that takes no part in what the architecture computes, and may be another head.
    fn extra(&self) -> Option<String> {
        let architecture = self.architecture;
        let mut used = vec![false; architecture.tensors.len()];
        let of_tokens = architecture.embedding.tokens().into_iter().flat_map(|tokens| {
            let tables =
                [Some(tokens.tokens), tokens.positions.map(|positions| positions.table), tokens.segments];
            let norm = tokens.norm.iter().flat_map(|norm| [norm.scale, norm.shift]);
            let map = tokens.projection.iter().flat_map(|map| [Some(map.weight), map.bias]);
            let inputs = tokens.inputs.iter().flat_map(|inputs| {
                [Some(inputs.table), Some(inputs.map.weight), inputs.map.bias, inputs.norm.scale]
            });
            tables.into_iter().chain(norm).chain(map).chain(inputs).collect::<Vec<_>>()
        });
        let of_head = architecture.head.iter().flat_map(|head| {
            let maps = [Some(&head.unembedding), head.transform.as_ref().map(|transform| &transform.dense)];
            let norm = head.transform.as_ref().and_then(|transform| transform.norm.as_ref());
            let maps = maps.into_iter().flatten().flat_map(|map| [Some(map.weight), map.bias]);
            maps.chain(norm.into_iter().flat_map(|norm| [norm.scale, norm.shift])).collect::<Vec<_>>()
        });
        let versions =
            architecture.versions.iter().flat_map(|versions| versions.begin.iter().chain(&versions.end));
        let of_tokens = of_tokens.chain(versions.flat_map(|map| [Some(map.weight), map.bias]));
        let of_blocks = architecture.reads_from(0).map(|(_, read)| Some(read.tensor));
        for tensor in of_tokens.chain(of_head).chain(of_blocks).flatten() {
            used[tensor] = true;
        }
        let tensors = architecture.tensors.iter().zip(used);
        let mut extra = tensors.filter(|(tensor, used)| {
            !used && tensor.elements() > 0 && !is_buffer(&tensor.name, &tensor.shape)
        });
        extra.next().map(|(tensor, _)| tensor.name.clone())
    }

    /// Why a matrix cannot change, if it is used in two ways.
    pub(super) fn shared(&self, map: &Linear) -> Option<String> {
        let same = |(other, _): &&(Linear, Role)| other.weight == map.weight && other.first == map.first;
        let mut roles = self.roles.iter().filter(same).map(|(_, role)| *role);
        let first = roles.next();
        if let Some(other) = roles.clone().find(|role| Some(*role) != first) {
            let name = self.name(map.weight);
            return Some(match (first, other) {
                (Some(Role::Embeds), Role::Writes) | (Some(Role::Writes), Role::Embeds) => {
                    return self.tied(map);
                }
                (Some(Role::Embeds), _) | (_, Role::Embeds) => {
                    format!("`{name}` is the input embedding and the unembedding (tied)")
                }
                (Some(Role::Reads(_)), Role::Reads(_)) => {
                    format!("`{name}` is used at two places, which read different vectors")
                }
                _ => format!("`{name}` is used in two ways"),
            });
        }
        let bias = map.bias?;
        let has_it = |other: &Linear| (other.bias, other.first_bias) == (map.bias, map.first_bias);
        let others = self.roles.iter().filter(|(other, _)| has_it(other));
        let mut others = others.filter(|(other, _)| (other.weight, other.first) != (map.weight, map.first));
        others.next().map(|_| format!("`{}` is the bias of two maps", self.name(bias)))
    }

    /// Why an embedding cannot change although it writes the stream.
    fn tied(&self, map: &Linear) -> Option<String> {
        let reads =
            |(other, role): &(Linear, Role)| other.weight == map.weight && matches!(role, Role::Reads(_));
        let name = self.name(map.weight);
        self.roles
            .iter()
            .any(reads)
            .then(|| format!("`{name}` is the input embedding and the unembedding (tied)"))
    }
}

const ADDED: &str = "its output is added to the residual stream, and no linear map reads it";
const INNER: &str = "it is inside a part of a block, and only norms of the residual stream are folded";
