//! The catalogue that a checkpoint of a configuration would have: names and shapes, without values.
//!
//! It follows the same row as [`resolve`](super::resolve()), which accepts the result. Tensors that take no part (a row's `apart`) are
//! left out.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::dimensions::{
    Canvas, ConvolutionSize, DeltaSizes, Dimensions, StoredBlocks, attends_linearly, input_widths,
    positional_convolution, versions,
};
use super::disentangled::{self, Local, Spans};
use super::fields::Fields;
use super::operation::{ProjectionPlace, Reads};
use super::resolve::{WEIGHT_NORM, all_reads, decoder_row, row};
use super::table::{
    BesideRow, CrossRow, DeltaProjectionsRow, DeltaRow, DisentangledRow, ExpertsRow, FeedForwardShape,
    HeadNormsRow, HeadScales, HiddenWidth, ImagePositionsRow, LatentRow, LaurelRow, LayerScaleRow,
    PatchesRow, PositionRow, ProjectionsRow, Row, SoundPositionsRow, SoundsRow, StoredRow, Switch,
    TogetherRow,
};
use super::timm;
use super::windows::{LayerHeads, lender};
use crate::checkpoint::Tensor;
use crate::checkpoint::config::Config;
use crate::model::operation::Layout;

/// Ends of the names of architectures that have the head of their family. Others are a base model, or have a head for another task.
const WITH_HEAD: [&str; 5] =
    ["ForCausalLM", "LMHeadModel", "ForMaskedLM", "BertForPreTraining", "ForConditionalGeneration"];

/// End of the names of architectures that are an encoder without its decoder.
const ENCODER_ALONE: &str = "ForAudioClassification";

/// More blocks, or experts in a block, than any model has. A catalogue of more would not fit in memory.
const MOST: usize = 1024;

/// More tensors than any model has. The limit is needed because layers and experts multiply.
const MOST_SHAPES: usize = 250_000;

/// A tensor without values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
}

impl From<&Tensor> for Shape {
    fn from(tensor: &Tensor) -> Self {
        Self { name: tensor.name.clone(), shape: tensor.shape.clone() }
    }
}

/// Returns the tensors of a model with this configuration, in running order.
///
/// The name of its architecture says whether it has a head. Without a name it has one. A family with two towers, or with encoder and
/// decoder, gets both. An architecture for audio classification gets only the encoder.
pub fn catalogue(config: &Config) -> Result<Vec<Shape>, ModelError> {
    let config = &*timm::translated(config)?;
    let family = config.family().unwrap_or("unknown");
    let mut rows = match all_reads(family).as_slice() {
        [] | [_] => vec![row(config, family, None)?],
        several => several.iter().map(|reads| row(config, family, Some(*reads))).collect::<Result<_, _>>()?,
    };
    let alone = architecture(config).is_some_and(|name| name.ends_with(ENCODER_ALONE));
    let encoder = rows[0];
    rows.extend(decoder_row(config, family)?.filter(|_| !alone));
    let encoded = Dimensions::of(encoder, &Fields::of_row(config, family, encoder))?.width;
    let of_rows = rows.into_iter().map(|row| of_row(config, family, row, encoded));
    Ok(of_rows.collect::<Result<Vec<_>, _>>()?.concat())
}

fn architecture(config: &Config) -> Option<&str> {
    config.fields().get("architectures").and_then(|all| all.get(0)?.as_str())
}

/// `encoded` is the width of an encoder's stream, where there is one.
fn of_row(
    config: &Config,
    family: &str,
    row: &'static Row,
    encoded: usize,
) -> Result<Vec<Shape>, ModelError> {
    let fields = Fields::of_row(config, family, row);
    let architecture = architecture(config);
    let with_head = architecture.is_none_or(|name| WITH_HEAD.iter().any(|end| name.ends_with(end)));
    let base = architecture.is_some_and(|name| name.ends_with("Model") && !with_head);
    // The encoder of T5 is a part of its base model, and keeps its prefix there.
    let bare = base && (row.reads() != Reads::Tokens || !row.head.unembedding.is_empty());
    let prefix = row.prefixes.get(usize::from(bare)).or(row.prefixes.last()).copied().unwrap_or_default();
    let mut walk = Walk {
        row,
        fields: &fields,
        prefix,
        size: Dimensions::of(row, &fields)?,
        encoded,
        shapes: Vec::new(),
    };
    walk.model(with_head)?;
    Ok(walk.shapes)
}

struct Walk<'a> {
    row: &'static Row,
    fields: &'a Fields<'a>,
    prefix: &'static str,
    size: Dimensions,
    /// Of the stream of an encoder.
    encoded: usize,
    shapes: Vec<Shape>,
}

impl Walk<'_> {
    fn stored(&self) -> &'static StoredRow {
        &self.row.stored
    }

    fn add(&mut self, name: String, shape: &[usize]) {
        self.shapes.push(Shape { name, shape: shape.iter().map(|&size| size as u64).collect() });
    }

    /// A matrix of a block, and its bias if there is one.
    fn linear(&mut self, name: &str, outputs: usize, inputs: usize, bias: Switch) -> Result<(), ModelError> {
        let shape = match self.row.layout {
            Layout::OutputInput => [outputs, inputs],
            Layout::InputOutput => [inputs, outputs],
        };
        self.matrix(name, shape, outputs, bias)
    }

    fn matrix(
        &mut self,
        name: &str,
        shape: [usize; 2],
        outputs: usize,
        bias: Switch,
    ) -> Result<(), ModelError> {
        self.add(format!("{name}.weight"), &shape);
        if self.fields.switch(bias)? {
            self.add(format!("{name}.bias"), &[outputs]);
        }
        Ok(())
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<(), ModelError> {
        self.norm_of(name, &[width], self.stored().shift)
    }

    fn norm_of(&mut self, name: &str, shape: &[usize], shift: Switch) -> Result<(), ModelError> {
        if self.row.norm.parametric {
            self.add(format!("{name}.weight"), shape);
            if self.fields.switch(shift)? {
                self.add(format!("{name}.bias"), shape);
            }
        }
        Ok(())
    }

    fn model(&mut self, with_head: bool) -> Result<(), ModelError> {
        let (vocabulary, width) = match (&self.row.patches, &self.row.sounds) {
            (Some(row), _) => {
                self.patches(row)?;
                (0, self.size.width)
            }
            (None, Some(row)) => {
                self.sounds(row)?;
                (0, self.size.width)
            }
            (None, None) => {
                let sizes = (self.fields.needed(&["vocab_size"])?, self.embedding_width()?);
                self.embedding(sizes.0, sizes.1)?;
                self.block_inputs()?;
                self.versions()?;
                self.projector()?;
                sizes
            }
        };
        if self.size.layers > MOST {
            return Err(self.fields.wrong(self.row.sizes.layers, &format!("at most {MOST}")));
        }
        let stored = StoredBlocks::of(self.row, self.fields, self.size.layers)?;
        for layer in (0..self.size.layers).filter(|&layer| stored.is_last_use(layer)) {
            self.block(stored.of_layer(layer))?;
            if self.shapes.len() > MOST_SHAPES {
                let expected = format!("layers of at most {MOST_SHAPES} tensors together");
                return Err(self.fields.wrong(self.row.sizes.layers, &expected));
            }
        }
        // All blocks share one table of distances, which the first block stores.
        if let PositionRow::Relative(table) = self.row.attention.position {
            let buckets = self.fields.count(&["relative_attention_num_buckets"])?.unwrap_or(32);
            self.add(format!("{}{table}", self.prefix), &[buckets, self.size.heads]);
        }
        if let PositionRow::Disentangled(row) = &self.row.attention.position {
            self.positions(row)?;
        }
        self.local_convolution()?;
        if let Some(name) = self.row.final_norm
            && self.fields.switch(self.row.final_norm_present)?
        {
            self.norm(&format!("{}{name}", self.prefix), self.size.width)?;
        }
        if with_head { self.head(vocabulary, width) } else { Ok(()) }
    }

    /// The table of disentangled positions, and its norm.
    fn positions(&mut self, row: &DisentangledRow) -> Result<(), ModelError> {
        let Some(Spans { span, .. }) = Spans::of(self.fields)? else { return Ok(()) };
        let (prefix, width) = (self.prefix, self.size.width);
        self.add(format!("{prefix}{}", row.table), &[span.saturating_mul(2), width]);
        match row.norm {
            Some(norm) if disentangled::is_normed(self.fields)? => {
                self.norm(&format!("{prefix}{norm}"), width)
            }
            _ => Ok(()),
        }
    }

    /// The convolution beside the first block.
    fn local_convolution(&mut self) -> Result<(), ModelError> {
        let Some(row) = self.row.convolution else { return Ok(()) };
        let Some(Local { kernel, .. }) = Local::of(&row, self.fields)? else { return Ok(()) };
        let (prefix, width) = (self.prefix, self.size.width);
        self.add(format!("{prefix}{}.weight", row.map), &[width, width, kernel]);
        self.add(format!("{prefix}{}.bias", row.map), &[width]);
        self.norm(&format!("{prefix}{}", row.norm), width)
    }

    fn sounds(&mut self, row: &SoundsRow) -> Result<(), ModelError> {
        let (width, prefix) = (self.size.width, self.prefix);
        let (channels, sizes) = ConvolutionSize::all(row, self.fields, width)?;
        let given = sizes.last().map_or(channels, |last| last.outputs);
        for ConvolutionSize { name, inputs, outputs, reach, biased, norm } in sizes {
            self.add(format!("{prefix}{name}.weight"), &[outputs, inputs, reach.kernel]);
            if biased {
                self.add(format!("{prefix}{name}.bias"), &[outputs]);
            }
            if let Some((norm, _)) = norm {
                self.norm(&format!("{prefix}{norm}"), outputs)?;
            }
        }
        if let Some(projection) = row.projection {
            if self.fields.switch(projection.norm.1)? {
                self.norm(&format!("{prefix}{}", projection.norm.0), given)?;
            }
            self.matrix(&format!("{prefix}{}", projection.map), [width, given], width, Switch::Is(true))?;
        }
        match row.positions {
            SoundPositionsRow::Table { name, tokens } => {
                let tokens = self.fields.needed(&[tokens])?;
                self.add(format!("{prefix}{name}"), &[tokens, width]);
            }
            SoundPositionsRow::Convolution(name) => {
                let (reach, groups) = positional_convolution(self.fields, width)?;
                let [[gain, direction], _] = WEIGHT_NORM;
                self.add(format!("{prefix}{name}.{gain}"), &[1, 1, reach.kernel]);
                self.add(
                    format!("{prefix}{name}.{direction}"),
                    &[width, width.checked_div(groups).unwrap_or_default(), reach.kernel],
                );
                self.add(format!("{prefix}{name}.bias"), &[width]);
            }
        }
        match row.norm {
            Some(norm) => self.norm(&format!("{prefix}{norm}"), width),
            None => Ok(()),
        }
    }

    fn patches(&mut self, row: &PatchesRow) -> Result<(), ModelError> {
        let Canvas { channels, patch, patches, .. } = Canvas::of(row, self.fields)?;
        let (width, prefix) = (self.size.width, self.prefix);
        let mut rows = patches;
        for token in row.extra {
            let count = match token.count {
                None => 1,
                Some((field, usual)) => self.fields.count(&[field])?.unwrap_or(usual),
            };
            if count == 0 || !self.fields.switch(token.present)? {
                continue;
            }
            if self.fields.switch(token.positioned)? {
                rows = rows.saturating_add(count);
            }
            let shape = if token.bare { vec![width] } else { vec![1, count, width] };
            self.add(format!("{prefix}{}", token.name), &shape);
        }
        if let ImagePositionsRow::Table { name, present, bare, .. } = row.positions
            && self.fields.switch(present)?
        {
            let shape = if bare { vec![rows, width] } else { vec![1, rows, width] };
            self.add(format!("{prefix}{name}"), &shape);
        }
        let sides = if row.video { &patch[..] } else { &patch[1..] };
        let name = format!("{prefix}{}", row.projection);
        self.add(format!("{name}.weight"), &[&[width, channels], sides].concat());
        if self.fields.switch(row.bias)? {
            self.add(format!("{name}.bias"), &[width]);
        }
        if let Some(norm) = row.patch_norm {
            self.norm(&format!("{prefix}{norm}"), width)?;
        }
        match row.norm {
            Some((norm, present)) if self.fields.switch(present)? => {
                self.norm(&format!("{prefix}{norm}"), width)
            }
            _ => Ok(()),
        }
    }

    /// The vector that multiplies a part's output.
    fn layer_scale(&mut self, path: &str, row: Option<LayerScaleRow>) -> Result<(), ModelError> {
        if let Some(row) = row
            && self.fields.layer_scale(&row)?.is_some()
        {
            self.add(format!("{path}{}", row.name), &[self.size.width]);
        }
        Ok(())
    }

    fn embedding_width(&self) -> Result<usize, ModelError> {
        let stated = self.stored().embedding_width.map(|field| self.fields.count(&[field])).transpose()?;
        Ok(stated.flatten().unwrap_or(self.size.width))
    }

    fn embedding(&mut self, vocabulary: usize, width: usize) -> Result<(), ModelError> {
        let row = &self.row.embedding;
        let prefix = self.prefix;
        // T5's two stacks share the embedding, so it lies outside both.
        let shared = row.tokens == "shared.weight";
        self.add(format!("{}{}", if shared { "" } else { prefix }, row.tokens), &[vocabulary, width]);
        // Width of the vectors that are added to the rows.
        let wide = if row.projection_place == ProjectionPlace::First { self.size.width } else { width };
        let positioned = self.fields.switch(row.positioned)?;
        let positions = row.positions.filter(|_| positioned);
        if let (Some((table, ..)), Some((field, beyond))) = (positions, self.stored().positions) {
            let rows = self.fields.needed(&[field])?.saturating_add(beyond);
            self.add(format!("{prefix}{table}"), &[rows, wide]);
        }
        if let Some(segments) = row.segments
            && self.fields.has_segments()?
        {
            let rows = self.fields.needed(&["type_vocab_size"])?;
            self.add(format!("{prefix}{segments}"), &[rows, wide]);
        }
        if let Some(norm) = row.norm {
            let normed = if row.projection_place == ProjectionPlace::Last { width } else { self.size.width };
            self.norm(&format!("{prefix}{norm}"), normed)?;
        }
        match row.projection.filter(|_| width != self.size.width) {
            Some(name) => {
                let outputs = self.size.width;
                let bias = self.stored().embedding_bias;
                self.matrix(&format!("{prefix}{name}"), [outputs, width], outputs, bias)
            }
            None => Ok(()),
        }
    }

    /// The table and the map of the vectors that blocks read beside the stream.
    fn block_inputs(&mut self) -> Result<(), ModelError> {
        let Some(row) = self.row.inputs else { return Ok(()) };
        let Some([width, all]) = input_widths(&row, self.fields, self.size.layers)? else { return Ok(()) };
        let (prefix, (field, usual)) = (self.prefix, row.rows);
        let rows = self.fields.count(&[field])?.unwrap_or(usual);
        self.add(format!("{prefix}{}", row.table), &[rows, all]);
        self.linear(&format!("{prefix}{}", row.map), all, self.size.width, Switch::Is(false))?;
        self.norm(&format!("{prefix}{}", row.norm), width)
    }

    /// What a block does with its own vectors.
    fn block_input(&mut self, path: &str) -> Result<(), ModelError> {
        let Some(row) = self.row.inputs else { return Ok(()) };
        let Some([width, _]) = input_widths(&row, self.fields, self.size.layers)? else { return Ok(()) };
        let ([gate, projection, after], d, never) = (row.block, self.size.width, Switch::Is(false));
        self.linear(&format!("{path}{gate}"), width, d, never)?;
        self.linear(&format!("{path}{projection}"), d, width, never)?;
        self.norm(&format!("{path}{after}"), d)
    }

    /// The maps of the versions of the stream, at its ends.
    fn versions(&mut self) -> Result<(), ModelError> {
        let Some(row) = self.row.versions else { return Ok(()) };
        let (count, width) = (versions(&row, self.fields)?, self.size.width);
        for name in row.ends {
            for version in 0..count.saturating_sub(1) {
                let name = name.replace("{version}", &version.to_string());
                self.linear(&format!("{}{name}", self.prefix), width, width, Switch::Is(false))?;
            }
        }
        Ok(())
    }

    /// What a block does with the versions of the stream.
    fn alternating(&mut self, path: &str) -> Result<(), ModelError> {
        let Some(row) = self.row.versions else { return Ok(()) };
        let (count, width) = (versions(&row, self.fields)?, self.size.width);
        let ([norm, router, predict, correct], never) = (row.block, Switch::Is(false));
        self.add(format!("{path}{}", row.output_scale.0), &[width]);
        self.norm(&format!("{path}{norm}"), width)?;
        self.linear(&format!("{path}{router}"), count, width, never)?;
        self.linear(&format!("{path}{predict}"), count.saturating_mul(count), count, never)?;
        self.linear(&format!("{path}{correct}"), count, count, never)
    }

    /// The map beside attention.
    fn laurel(&mut self, path: &str) -> Result<(), ModelError> {
        let Some(LaurelRow { maps: [left, right], after, rank: (field, usual) }) = self.row.laurel else {
            return Ok(());
        };
        let (rank, width) = (self.fields.count(&[field])?.unwrap_or(usual), self.size.width);
        self.linear(&format!("{path}{left}"), rank, width, Switch::Is(false))?;
        self.linear(&format!("{path}{right}"), width, rank, Switch::Is(false))?;
        self.norm(&format!("{path}{after}"), width)
    }

    /// Whether a layer uses the keys and values of an earlier one.
    fn borrows(&self, layer: usize) -> Result<bool, ModelError> {
        Ok(lender(self.row, self.fields, self.size.layers, layer)?.is_some())
    }

    fn projector(&mut self) -> Result<(), ModelError> {
        let Some(row) = self.row.projector else { return Ok(()) };
        let side = self.fields.side(&row)?;
        let inputs = self.encoded.saturating_mul(side).saturating_mul(side);
        let at = self.row.prefixes.iter().position(|prefix| *prefix == self.prefix).unwrap_or_default();
        let name = |names: &[&'static str]| names.get(at).or(names.first()).copied().unwrap_or_default();
        let width = self.size.width;
        self.matrix(name(row.maps), [width, inputs], width, row.bias)?;
        match row.second {
            Some((names, _)) => self.matrix(name(names), [width, width], width, row.bias),
            None => Ok(()),
        }
    }

    fn block(&mut self, layer: usize) -> Result<(), ModelError> {
        let row = self.row;
        let path = format!("{}{}", self.prefix, row.block.replace("{layer}", &layer.to_string()));
        let bare = row.norm.bare_first && layer == 0;
        let around_attention = row.around_attention.iter().skip(usize::from(bare));
        // Some blocks have one norm before both parts.
        let mut norms: Vec<&str> = Vec::new();
        let around_cross = row.cross.iter().flat_map(|cross| &cross.around);
        for name in around_attention.chain(around_cross).chain(&row.around_feed_forward).flatten() {
            if !norms.contains(name) {
                norms.push(name);
                self.norm(&format!("{path}{name}"), self.size.width)?;
            }
        }
        match &row.delta_rule {
            Some(rule) if attends_linearly(self.fields, layer)? => self.delta_rule(&path, rule)?,
            _ => self.attention(&path, layer)?,
        }
        self.layer_scale(&path, row.layer_scale[0])?;
        row.cross.map(|cross| self.cross_attention(&path, &cross)).transpose()?;
        self.feed_forward(&path, layer)?;
        self.experts_beside(&path)?;
        self.block_input(&path)?;
        self.alternating(&path)?;
        self.laurel(&path)?;
        if let Some(scale) = row.block_scale {
            self.add(format!("{path}{scale}"), &[1]);
        }
        self.layer_scale(&path, row.layer_scale[1])
    }

    fn delta_rule(&mut self, path: &str, row: &DeltaRow) -> Result<(), ModelError> {
        let (sizes, width, never) = (DeltaSizes::of(self.fields)?, self.size.width, Switch::Is(false));
        let (heads, channels, of_values) = (sizes.heads, sizes.channels(), sizes.of_values());
        let maps = match row.projections {
            DeltaProjectionsRow::Separate([all, gate, strength, decay]) => {
                vec![(all, channels), (gate, of_values), (strength, heads), (decay, heads)]
            }
            DeltaProjectionsRow::Grouped([all, both]) => {
                vec![(all, channels.saturating_add(of_values)), (both, heads.saturating_mul(2))]
            }
        };
        for (name, outputs) in maps {
            self.linear(&format!("{path}{name}"), outputs, width, never)?;
        }
        self.add(format!("{path}{}", row.convolution), &[channels, 1, sizes.kernel]);
        self.add(format!("{path}{}", row.rates), &[heads]);
        self.add(format!("{path}{}", row.biases), &[heads]);
        self.norm(&format!("{path}{}", row.norm), sizes.value_width)?;
        self.linear(&format!("{path}{}", row.output), width, of_values, never)
    }

    /// Whether the maps to queries, keys and values have biases.
    fn biases(&self) -> [Switch; 3] {
        let stored = self.stored();
        let usual = stored.projection_bias;
        [usual, stored.key_bias.unwrap_or(usual), stored.value_bias.unwrap_or(usual)]
    }

    fn attention(&mut self, path: &str, layer: usize) -> Result<(), ModelError> {
        let (row, stored) = (&self.row.attention, self.stored());
        let of_layer = LayerHeads::of(self.row, self.fields, &self.size, layer)?;
        let LayerHeads { heads, key_heads, head_width, keys_are_values } = of_layer;
        let (of_queries, of_keys, width) = (of_layer.of_queries(), of_layer.of_keys(), self.size.width);
        // Each query may have a gate behind it.
        let asked = if row.gated { of_queries.saturating_mul(2) } else { of_queries };
        match row.projections {
            ProjectionsRow::Separate(names) => {
                let stored = match (self.borrows(layer)?, keys_are_values) {
                    (true, _) => &names[..1],
                    (false, true) => &names[..2],
                    (false, false) => &names[..],
                };
                for ((name, outputs), bias) in stored.iter().zip([asked, of_keys, of_keys]).zip(self.biases())
                {
                    self.linear(&format!("{path}{name}"), outputs, width, bias)?;
                }
            }
            ProjectionsRow::Latent(latent) => return self.latent_attention(path, &latent),
            ProjectionsRow::Concatenated(name) | ProjectionsRow::Grouped(name) => {
                let outputs = of_queries.saturating_add(of_keys.saturating_mul(2));
                self.linear(&format!("{path}{name}"), outputs, width, stored.projection_bias)?;
            }
        }
        if self.fields.switch(stored.separate_bias)? {
            for (name, outputs) in row.biases.iter().zip([of_queries, of_keys, of_keys]) {
                if let Some(name) = name {
                    self.add(format!("{path}{name}"), &[outputs]);
                }
            }
        }
        if let PositionRow::Disentangled(row) = &row.position
            && Spans::of(self.fields)?.is_some()
            && !disentangled::is_shared(self.fields)?
        {
            let all = row.maps.into_iter().zip(row.biases).zip(disentangled::kinds(self.fields)?);
            for ((name, bias), _) in all.filter(|(_, kind)| *kind) {
                self.linear(&format!("{path}{name}"), of_queries, width, bias)?;
            }
        }
        if let PositionRow::Window { own: (own, has_own), shared: (shared, has_shared) } = row.position {
            let has_own = self.fields.switch(has_own)?;
            let has_shared = !has_own && layer == 0 && self.fields.switch(has_shared)?;
            let patches = self.row.patches.as_ref().filter(|_| has_own || has_shared);
            if let Some(patches) = patches {
                let distances = Canvas::of(patches, self.fields)?.distances();
                let name = if has_own { format!("{path}{own}") } else { format!("{}{shared}", self.prefix) };
                self.add(name, &[distances, heads]);
            }
        }
        if let Some(HeadNormsRow { names, scales, shift, present }) = row.qk_norm
            && self.fields.switch(present)?
        {
            let normed = if self.borrows(layer)? { 1 } else { 2 };
            for (name, heads) in names.iter().zip([heads, key_heads]).take(normed) {
                let name = format!("{path}{name}");
                match scales {
                    HeadScales::Nothing => {}
                    HeadScales::Shared => self.norm_of(&name, &[head_width], shift)?,
                    HeadScales::Whole => self.norm_of(&name, &[heads.saturating_mul(head_width)], shift)?,
                    HeadScales::Matrix => self.norm_of(&name, &[heads, head_width], shift)?,
                    HeadScales::Listed => {
                        for head in 0..heads {
                            self.norm_of(&format!("{name}.norms.{head}"), &[head_width], shift)?;
                        }
                    }
                }
            }
        }
        self.inner_norm(path, row.inner_norm, of_queries)?;
        if let Some(sinks) = row.sinks {
            self.add(format!("{path}{sinks}"), &[heads]);
        }
        self.linear(&format!("{path}{}", row.output), width, of_queries, stored.output_bias)
    }

    fn latent_attention(&mut self, path: &str, row: &LatentRow) -> Result<(), ModelError> {
        let (stored, width, heads, never) =
            (self.stored(), self.size.width, self.size.heads, Switch::Is(false));
        let size = |field: &str| self.fields.needed(&[field]);
        let (plain, turned) = (size("qk_nope_head_dim")?, size("qk_rope_head_dim")?);
        let (value, rank) = (size("v_head_dim")?, size("kv_lora_rank")?);
        let of_queries = heads.saturating_mul(plain.saturating_add(turned));
        if self.fields.mentions("q_lora_rank") && self.fields.get("q_lora_rank").is_none() {
            self.linear(&format!("{path}{}", row.queries), of_queries, width, never)?;
        } else {
            let (rank, [map, norm, queries]) = (self.fields.needed(&["q_lora_rank"])?, row.narrow);
            self.linear(&format!("{path}{map}"), rank, width, stored.projection_bias)?;
            self.norm(&format!("{path}{norm}"), rank)?;
            self.linear(&format!("{path}{queries}"), of_queries, rank, never)?;
        }
        let compressed = rank.saturating_add(turned);
        self.linear(&format!("{path}{}", row.compress), compressed, width, stored.projection_bias)?;
        self.norm(&format!("{path}{}", row.norm), rank)?;
        let of_heads = heads.saturating_mul(plain.saturating_add(value));
        self.linear(&format!("{path}{}", row.expand), of_heads, rank, never)?;
        let of_values = heads.saturating_mul(value);
        self.linear(&format!("{path}{}", self.row.attention.output), width, of_values, stored.output_bias)
    }

    /// A norm inside a part, if the configuration has it.
    fn inner_norm(
        &mut self,
        path: &str,
        row: Option<(&str, Switch)>,
        width: usize,
    ) -> Result<(), ModelError> {
        match row {
            Some((norm, present)) if self.fields.switch(present)? => {
                self.norm(&format!("{path}{norm}"), width)
            }
            _ => Ok(()),
        }
    }

    /// Adds cross-attention. The encoder's stream is as wide as this one.
    fn cross_attention(&mut self, path: &str, row: &CrossRow) -> Result<(), ModelError> {
        let stored = self.stored();
        let width = self.size.width;
        let (of_queries, of_keys) = (self.size.of_queries(), self.size.of_keys());
        let names = row.projections.iter().zip([of_queries, of_keys, of_keys]);
        for ((name, outputs), bias) in names.zip(self.biases()) {
            self.linear(&format!("{path}{name}"), outputs, width, bias)?;
        }
        self.linear(&format!("{path}{}", row.output), width, of_queries, stored.output_bias)
    }

    fn feed_forward(&mut self, path: &str, layer: usize) -> Result<(), ModelError> {
        let row = &self.row.feed_forward;
        if let Some(experts) = row.experts.filter(|_| self.has_experts(layer)) {
            return self.experts(path, &experts);
        }
        let (width, bias) = (self.size.width, self.stored().feed_forward_bias);
        let hidden = match self.stored().hidden_width {
            HiddenWidth::Field(field) => self.fields.needed(&[field])?,
            HiddenWidth::Listed(field) => match self.fields.get(field) {
                Some(widths) if widths.is_array() => {
                    let listed = self.fields.counts(field)?.and_then(|widths| widths.get(layer).copied());
                    listed.ok_or_else(|| self.fields.wrong(field, "a number for each layer"))?
                }
                _ => self.fields.needed(&[field])?,
            },
            HiddenWidth::Usually(field) => self.fields.count(&[field])?.unwrap_or(width.saturating_mul(4)),
            HiddenWidth::Fourfold => width.saturating_mul(4),
            HiddenWidth::Ratio(field, usual) => {
                (self.fields.number(&[field])?.unwrap_or(usual) * width as f64) as usize
            }
            HiddenWidth::TwoThirds(field, usual) => {
                let whole = (self.fields.number(&[field])?.unwrap_or(usual) * width as f64) as usize;
                (whole.saturating_mul(2) / 3).next_multiple_of(8)
            }
        };
        let is_wide = self.fields.switch(self.stored().wide_borrowers)? && self.borrows(layer)?;
        let hidden = if is_wide { hidden.saturating_mul(2) } else { hidden };
        let (into, down) = match &row.shape {
            FeedForwardShape::Plain([up, down]) => (vec![(*up, hidden)], *down),
            FeedForwardShape::Gated([gate, up, down]) => (vec![(*gate, hidden), (*up, hidden)], *down),
            FeedForwardShape::GatedConcatenated([both, down]) => {
                (vec![(*both, hidden.saturating_mul(2))], *down)
            }
        };
        for (name, outputs) in into {
            self.linear(&format!("{path}{name}"), outputs, width, bias)?;
        }
        self.inner_norm(path, row.inner_norm, hidden)?;
        self.linear(&format!("{path}{down}"), width, hidden, bias)
    }

    /// The experts beside the feed-forward part.
    fn experts_beside(&mut self, path: &str) -> Result<(), ModelError> {
        let Some(BesideRow { present, part_after, around: [before, after], router_scale, experts }) =
            self.row.beside
        else {
            return Ok(());
        };
        if !self.fields.switch(present)? {
            return Ok(());
        }
        let width = self.size.width;
        for norm in [part_after, before, after] {
            self.norm(&format!("{path}{norm}"), width)?;
        }
        self.add(format!("{path}{router_scale}"), &[width]);
        self.experts(path, &experts)
    }

    /// Whether a layer of a family with experts has them. Every layer does, except those in `mlp_only_layers`, the first
    /// `first_k_dense_replace`, and those that `decoder_sparse_step` or `interleave_moe_layer_step` skips. `moe_layers` lists those that do.
    fn has_experts(&self, layer: usize) -> bool {
        let lists = |field: &str| {
            let listed = self.fields.get(field).and_then(|layers| layers.as_array());
            listed.map(|layers| layers.iter().any(|listed| listed.as_u64() == Some(layer as u64)))
        };
        let number = |field: &str| self.fields.get(field).and_then(|value| value.as_u64());
        if let Some(listed) = lists("moe_layers") {
            return listed;
        }
        let plain = lists("mlp_only_layers").unwrap_or(false)
            || number("first_k_dense_replace").is_some_and(|first| (layer as u64) < first);
        let step = number("decoder_sparse_step").or(number("interleave_moe_layer_step")).unwrap_or(1);
        !plain && (layer as u64).saturating_add(1).is_multiple_of(step.max(1))
    }

    fn experts(&mut self, path: &str, row: &ExpertsRow) -> Result<(), ModelError> {
        let (width, never) = (self.size.width, Switch::Is(false));
        let (count, hidden) =
            (self.fields.needed(row.count)?, self.fields.needed(&[self.stored().expert_width])?);
        if count > MOST {
            return Err(self.fields.wrong(row.count[0], &format!("at most {MOST}")));
        }
        let bias = self.stored().feed_forward_bias;
        self.linear(&format!("{path}{}", row.router), count, width, bias)?;
        for vector in [row.correction, row.factors].into_iter().flatten() {
            self.add(format!("{path}{vector}"), &[count]);
        }
        if let Some(shared) = &row.shared {
            let times = shared.count.map(|field| self.fields.count(&[field])).transpose()?.flatten();
            let hidden = self.fields.needed(&[shared.width])?.saturating_mul(times.unwrap_or(1));
            let [gate, up, down] = shared.expert;
            let of_gate = shared.gate.map(|name| (name, 1, width));
            let of_expert = [(gate, hidden, width), (up, hidden, width), (down, width, hidden)];
            for (name, outputs, inputs) in of_gate.into_iter().chain(of_expert) {
                self.linear(&format!("{path}{name}"), outputs, inputs, never)?;
            }
        }
        if let Some(TogetherRow { names: [inputs, down], layout, .. }) = row.together {
            let both = hidden.saturating_mul(2);
            for (name, outputs, inputs) in [(inputs, both, width), (down, width, hidden)] {
                let shape = match layout {
                    Layout::OutputInput => [count, outputs, inputs],
                    Layout::InputOutput => [count, inputs, outputs],
                };
                self.add(format!("{path}{name}"), &shape);
                if self.fields.switch(bias)? {
                    self.add(format!("{path}{name}_bias"), &[count, outputs]);
                }
            }
            return Ok(());
        }
        for expert in 0..count {
            let [gate, up, down] =
                row.expert.map(|name| format!("{path}{}", name.replace("{expert}", &expert.to_string())));
            self.linear(&gate, hidden, width, never)?;
            self.linear(&up, hidden, width, never)?;
            self.linear(&down, width, hidden, never)?;
        }
        Ok(())
    }

    fn head(&mut self, vocabulary: usize, width: usize) -> Result<(), ModelError> {
        let (row, stored) = (&self.row.head, self.stored());
        if row.unembedding.is_empty() {
            return Ok(());
        }
        if let Some(([dense, norm], _)) = row.transform {
            self.matrix(dense, [width, self.size.width], width, stored.transform_bias)?;
            self.norm(norm, width)?;
        }
        if let Some(name) = row.projection.filter(|_| width != self.size.width) {
            let inputs = self.size.width;
            self.matrix(&format!("{}{name}", self.prefix), [width, inputs], width, Switch::Is(false))?;
        }
        if !self.fields.truth("tie_word_embeddings")?.unwrap_or(row.usually_tied) {
            self.add(format!("{}.weight", row.unembedding), &[vocabulary, width]);
        }
        if self.fields.switch(stored.head_bias)? {
            self.add(
                row.bias.map_or_else(|| format!("{}.bias", row.unembedding), str::to_owned),
                &[vocabulary],
            );
        }
        Ok(())
    }
}
