//! Makes an [`Architecture`] from a configuration and a catalogue. Every field and every tensor must have a place.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::architecture::{
    Alternating, Architecture, Attention, Block, BlockInput, BlockInputs, Branch, Convolution,
    ConvolutionNorm, CrossAttention, DeltaProjections, DeltaRule, Disentangled, Embedding, Experts,
    ExpertsBeside, ExtraTokens, FeedForward, Gated, GatedInputs, Head, HeadNorm, ImagePositions, Latent,
    Laurel, LearnedPositions, Linear, LocalConvolution, Mixer, Norm, PatchEmbedding, Position,
    PositionalConvolution, Projections, Projector, Routing, SharedExpert, SoundEmbedding, SoundPositions,
    TokenEmbedding, Transform, Versions,
};
use super::dimensions::{
    Canvas, ConvolutionSize, DeltaSizes, Dimensions, StoredBlocks, attends_linearly, cut, input_widths,
    positional_convolution, versions,
};
use super::disentangled::{self, Local, Spans};
use super::families::rows;
use super::fields::{Accepted, Fields};
use super::llama_cpp::{Converted, Described};
use super::rms_normed;
use super::rotary;
use super::table::{
    BesideRow, CrossRow, DeltaProjectionsRow, DeltaRow, DisentangledRow, ExpertsRow, FeedForwardShape, Given,
    HeadNormsRow, HeadRow, HeadScales, ImagePositionsRow, InputsRow, LatentRow, LaurelRow, LayerScaleRow,
    Multiplier, NormRow, PatchesRow, PositionRow, ProjectionsRow, ProjectorRow, Row, ScaleRow,
    SharedExpertRow, SoundPositionsRow, SoundsRow, Switch, TogetherRow, Turned,
};
use super::timm;
use super::windows::{LayerHeads, is_placed, lender, window};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Tensor;
use crate::checkpoint::config::Config;
use crate::model::operation::Activation;
use crate::model::operation::Centring;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;
use crate::model::operation::ProjectionPlace;
use crate::model::operation::Reads;
use crate::source::ByteSource;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Resolves the model of a checkpoint. Of two towers it takes the one that reads images.
pub fn resolve<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Result<Architecture, ModelError> {
    resolve_reading(checkpoint, None, Accepted::Only(&[]))
}

/// Resolves the model of a checkpoint. Of two towers it takes the one that reads `reads`. Unknown fields of the configuration are an error,
/// unless they are `accepted`.
pub fn resolve_reading<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    reads: Option<Reads>,
    accepted: Accepted<'_>,
) -> Result<Architecture, ModelError> {
    let converted = Converted::of(checkpoint, accepted)?;
    let catalogue = match &converted {
        Some(converted) => Catalogue {
            names: converted.names.iter().map(String::as_str).collect(),
            tensors: Arc::clone(&converted.tensors),
            described: Some(&converted.described),
        },
        None => Catalogue {
            names: checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect(),
            tensors: checkpoint.tensors.as_slice().into(),
            described: None,
        },
    };
    let stated = || checkpoint.config_of("").or_else(|| checkpoint.configs.first());
    let config = converted.as_ref().map(|converted| &converted.described.config).or_else(stated);
    resolve_catalogue(&catalogue, config.ok_or(ModelError::NoConfig)?, reads, accepted)
}

/// Resolves the model that these tensors, under their names in the family's code, would be with this configuration.
pub(crate) fn resolve_tensors(tensors: &[Tensor], config: &Config) -> Result<Architecture, ModelError> {
    let names = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let catalogue = Catalogue { names, tensors: tensors.into(), described: None };
    resolve_catalogue(&catalogue, config, None, Accepted::All)
}

fn resolve_catalogue(
    catalogue: &Catalogue<'_>,
    config: &Config,
    reads: Option<Reads>,
    accepted: Accepted<'_>,
) -> Result<Architecture, ModelError> {
    let config = &*timm::translated(config)?;
    let (family, is_rms_normed) = rms_normed::base(config.family().unwrap_or("unknown"));
    let row = row(config, family, reads)?;
    let of_row = |row: &'static Row, encoder: Option<Architecture>| {
        let fields = Fields::of_row(config, family, row);
        let mut row = catalogue.described.map_or(*row, |described| described.row(row));
        if is_rms_normed {
            row.norm = NormRow { centring: Centring::None, one_plus: false, ..row.norm };
            // It is read here.
            fields.get(rms_normed::NORM_FIELD.0);
        }
        Resolver::new(&row, family, &fields, catalogue)?.architecture(encoder, accepted)
    };
    let holds = |prefixes: &[&str]| {
        catalogue.names.iter().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    let Some(decoder) = decoder_row(config, family)?.filter(|decoder| holds(decoder.prefixes)) else {
        return of_row(row, None);
    };
    if !holds(row.prefixes) {
        let tensor = format!("{}…", row.prefixes[0]);
        return Err(ModelError::NoEncoder { family: family.to_owned(), tensor });
    }
    of_row(decoder, Some(of_row(row, None)?))
}

/// Returns the row of the decoder that follows the encoder in this family, if there is one. Otherwise like [`row`].
pub(super) fn decoder_row(config: &Config, family: &str) -> Result<Option<&'static Row>, ModelError> {
    let mut of_family = rows().filter(|row| row.families.contains(&family) && row.is_behind()).peekable();
    if of_family.peek().is_none() { Ok(None) } else { nearest(config, family, of_family).map(Some) }
}

/// Returns what models of a family may read. This is more than one kind if their checkpoints hold several towers.
pub(super) fn all_reads(family: &str) -> Vec<Reads> {
    let mut all = Vec::new();
    for row in rows().filter(|row| row.families.contains(&family) && !row.is_behind()) {
        if !all.contains(&row.reads()) {
            all.push(row.reads());
        }
    }
    all
}

/// Returns the row whose `given` values all fit. The error is that of the nearest row. Of several towers it takes the one that reads
/// `reads`, or else the first. It never returns the decoder of an encoder.
pub(super) fn row(config: &Config, family: &str, reads: Option<Reads>) -> Result<&'static Row, ModelError> {
    let reads = reads.filter(|reads| all_reads(family).contains(reads));
    let of_family = rows().filter(|row| row.families.contains(&family) && !row.is_behind());
    nearest(config, family, of_family.filter(|row| reads.is_none_or(|reads| row.reads() == reads)))
}

/// Returns the one of these rows whose `given` values all fit.
fn nearest(
    config: &Config,
    family: &str,
    of_family: impl Iterator<Item = &'static Row>,
) -> Result<&'static Row, ModelError> {
    let fields = Fields::new(config, family);
    let path = &config.path;
    let misfits = |row: &Row| -> Vec<ModelError> {
        row.given.iter().filter_map(|(field, given)| differs(&fields, field, given)).collect()
    };
    let nearest = of_family.map(|row| (row, misfits(row))).min_by_key(|(_, misfits)| misfits.len());
    let unknown = || {
        let mut known: Vec<&str> = Vec::new();
        for family in rows().flat_map(|row| row.families) {
            if !known.contains(family) {
                known.push(family);
            }
        }
        ModelError::Family { path: path.clone(), family: family.to_owned(), known: known.join(", ") }
    };
    let (row, misfits) = nearest.ok_or_else(unknown)?;
    misfits.into_iter().next().map_or(Ok(row), Err)
}

fn differs(fields: &Fields<'_>, field: &str, given: &Given) -> Option<ModelError> {
    let found = fields.get(field);
    let (fits, expected) = match given {
        Given::Usually(value) => {
            (found.is_none_or(|found| found.as_bool() == Some(*value)), value.to_string())
        }
        Given::Only(value) => (found.is_some_and(|found| found.as_bool() == Some(*value)), value.to_string()),
        Given::Text(value) => (found.is_none_or(|found| found.as_str() == Some(value)), format!("{value:?}")),
        Given::OnlyText(value) => {
            (found.is_some_and(|found| found.as_str() == Some(value)), format!("{value:?}"))
        }
        Given::Number(value) => (found.is_none_or(|found| found.as_f64() == Some(*value)), value.to_string()),
        Given::Absent => (found.is_none(), "no value".to_owned()),
        Given::Zero => {
            let stated = fields.mentions(field);
            (stated && found.is_none_or(|found| found.as_f64() == Some(0.0)), "0".to_owned())
        }
        Given::Or(other) => {
            (found.is_some() || fields.get(other).is_some(), format!("a value, here or in `{other}`"))
        }
    };
    (!fits).then(|| fields.wrong(field, &expected))
}

/// Names of the tensors of a normalised weight, its length first: torch's older names, and its newer ones.
pub(super) const WEIGHT_NORM: [[&str; 2]; 2] =
    [["weight_g", "weight_v"], ["parametrizations.weight.original0", "parametrizations.weight.original1"]];

/// ε of the norms between convolutions. No field states it.
const CONVOLUTION_EPSILON: f32 = 1e-5;

/// The tensors of a checkpoint, with their names in the family's code.
struct Catalogue<'a> {
    names: Vec<&'a str>,
    tensors: Arc<[Tensor]>,
    /// What the names were made from, if the file has others.
    described: Option<&'a Described>,
}

struct Resolver<'a> {
    row: &'a Row,
    family: &'a str,
    fields: &'a Fields<'a>,
    catalogue: &'a Catalogue<'a>,
    tensors: &'a [Tensor],
    index: HashMap<&'a str, usize>,
    used: RefCell<Vec<bool>>,
    prefix: &'static str,
    size: Dimensions,
    /// Layers whose keys and values later ones use too, in order.
    lenders: Vec<usize>,
}

impl<'a> Resolver<'a> {
    fn new(
        row: &'a Row,
        family: &'a str,
        fields: &'a Fields<'a>,
        catalogue: &'a Catalogue<'a>,
    ) -> Result<Self, ModelError> {
        let tensors = &*catalogue.tensors;
        let index: HashMap<&str, usize> =
            catalogue.names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        // T5 shares its embedding, which therefore has no prefix. The final norm shows the prefix instead.
        let landmark = |prefix: &&&str| {
            let after_blocks = row.final_norm.map(|name| format!("{prefix}{name}.weight"));
            let begin = match (&row.patches, &row.sounds) {
                (Some(patches), _) => format!("{prefix}{}.weight", patches.projection),
                (None, Some(SoundsRow { positions: SoundPositionsRow::Table { name, .. }, .. })) => {
                    format!("{prefix}{name}")
                }
                (None, Some(SoundsRow { positions: SoundPositionsRow::Convolution(name), .. })) => {
                    format!("{prefix}{name}.bias")
                }
                (None, None) => format!("{prefix}{}", row.embedding.tokens),
            };
            index.contains_key(begin.as_str())
                || after_blocks.is_some_and(|name| index.contains_key(name.as_str()))
        };
        let prefix = row.prefixes.iter().find(landmark).copied().unwrap_or(row.prefixes[0]);
        let size = Dimensions::of(row, fields)?;
        let mut lenders = Vec::new();
        if row.attention.borrowers.is_some() {
            for layer in 0..size.layers {
                lenders.extend(lender(row, fields, size.layers, layer)?);
            }
        }
        lenders.sort_unstable();
        lenders.dedup();
        Ok(Self {
            row,
            family,
            fields,
            catalogue,
            tensors,
            index,
            used: RefCell::new(vec![false; tensors.len()]),
            prefix,
            size,
            lenders,
        })
    }

    /// Makes the architecture of this row, with the encoder that its cross-attention reads.
    fn architecture(
        &self,
        encoder: Option<Architecture>,
        accepted: Accepted<'_>,
    ) -> Result<Architecture, ModelError> {
        let (embedding, vocabulary, longest) = match (&self.row.patches, &self.row.sounds) {
            (Some(row), _) => (Embedding::Patches(self.patches(row)?), 0, None),
            (None, Some(row)) => (Embedding::Sounds(self.sounds(row)?), 0, None),
            (None, None) => {
                let (embedding, vocabulary, longest) = self.embedding(encoder.as_ref())?;
                (Embedding::Tokens(embedding), vocabulary, longest)
            }
        };
        let versions = self.versions()?;
        // Later ids are those of images and sounds.
        let texts = embedding.inputs().map(|inputs| self.sizes(inputs.table)[0]);
        let encoded = encoder.as_ref().map_or(0, |encoder| encoder.width);
        let stored = StoredBlocks::of(self.row, self.fields, self.size.layers)?;
        let block = |layer| self.block(layer, stored, encoded);
        let mut blocks = (0..self.size.layers).map(block).collect::<Result<Vec<_>, _>>()?;
        let longest = self.longest()?.into_iter().chain(longest).min();
        let final_norm = match self.fields.switch(self.row.final_norm_present)? {
            true => self.row.final_norm,
            false => None,
        };
        let final_norm = final_norm.map(|name| self.norm(&format!("{}{name}", self.prefix), self.size.width));
        let mut final_norm = final_norm.transpose()?;
        if let Some(layer) = self.row.feature_layer {
            // The other blocks and the norm have been checked, and are in the checkpoint for nothing.
            blocks.truncate(self.feature_blocks(layer)?);
            final_norm = None;
        }
        let head = match embedding.tokens() {
            Some(tokens) => self.head(tokens, vocabulary)?,
            None => None,
        };
        let start = match (embedding.projector(), &encoder) {
            (Some(projector), _) => vec![projector.token; projector.features()],
            (None, Some(_)) => self.start(vocabulary)?,
            (None, None) => Vec::new(),
        };
        self.all_used(head.is_some())?;
        let mut left_out_fields = self.fields.all_read(self.row.neutral, accepted)?;
        left_out_fields
            .extend(self.catalogue.described.iter().flat_map(|described| described.left_out.clone()));
        Ok(Architecture {
            family: self.family.to_owned(),
            tensors: Arc::clone(&self.catalogue.tensors),
            width: self.size.width,
            vocabulary: texts.map_or(vocabulary, |texts| vocabulary.min(texts)),
            longest,
            causal: self.row.causal,
            embedding,
            versions,
            blocks,
            final_norm,
            head,
            encoder: encoder.map(Box::new),
            start,
            left_out_fields,
        })
    }

    /// Returns the length up to which the family's code does what a run does.
    fn longest(&self) -> Result<Option<usize>, ModelError> {
        let mut least: Option<usize> = None;
        for (field, usual) in self.row.attention.longest {
            let usual = usual.filter(|_| !self.fields.mentions(field));
            let below = self.fields.count(&[field])?.or(usual).map(|length| length.saturating_sub(1));
            least = least.into_iter().chain(below).min();
        }
        Ok(least)
    }

    /// Returns the number of blocks before the hidden states that a decoder reads.
    fn feature_blocks(&self, (field, usual): (&str, i64)) -> Result<usize, ModelError> {
        let layers = self.size.layers as f64;
        let stated = self.fields.number(&[field])?.unwrap_or(usual as f64);
        let blocks = if stated < 0.0 { layers + 1.0 + stated } else { stated };
        if blocks.fract() != 0.0 || !(1.0..=layers).contains(&blocks) {
            let expected = format!("a whole number from 1 to {layers}, or from −{layers} to −1");
            return Err(self.fields.wrong(field, &expected));
        }
        Ok(blocks as usize)
    }

    /// Returns the ids that a decoder's sequences begin with: `decoder_start_token_id`, followed by the tokens of `forced_decoder_ids`.
    fn start(&self, vocabulary: usize) -> Result<Vec<u32>, ModelError> {
        let id = |value: Option<u64>| value.filter(|id| *id < vocabulary as u64).map(|id| id as u32);
        let field = "decoder_start_token_id";
        let Some(first) = self.fields.count(&[field])? else { return Ok(Vec::new()) };
        let below = format!("an id below the {vocabulary} of the vocabulary");
        let mut start = vec![id(Some(first as u64)).ok_or_else(|| self.fields.wrong(field, &below))?];
        let forced = self.fields.get("forced_decoder_ids").and_then(|forced| forced.as_array());
        for (place, pair) in (1..).zip(forced.into_iter().flatten()) {
            let at = |index: usize| pair.get(index).and_then(|value| value.as_u64());
            // A null leaves the choice to the model, so the fixed beginning ends there.
            let (Some(forced), true) = (id(at(1)), at(0) == Some(place)) else { break };
            start.push(forced);
        }
        Ok(start)
    }

    // Tensors.

    fn find(&self, name: &str) -> Option<usize> {
        let at = *self.index.get(name)?;
        self.used.borrow_mut()[at] = true;
        Some(at)
    }

    fn tensor(&self, name: &str) -> Result<usize, ModelError> {
        let in_file = || match self.catalogue.described {
            Some(described) => described.in_file(name),
            None => name.to_owned(),
        };
        let missing = || ModelError::NoTensor { name: in_file(), family: self.family.to_owned() };
        self.find(name).ok_or_else(missing)
    }

    /// Returns a tensor with the shape `expected`, in which 0 allows any size.
    fn shaped(&self, name: &str, expected: &[usize]) -> Result<usize, ModelError> {
        let at = self.tensor(name)?;
        self.check(at, expected)?;
        Ok(at)
    }

    fn check(&self, at: usize, expected: &[usize]) -> Result<(), ModelError> {
        let found = &self.tensors[at].shape;
        let fits = found.len() == expected.len()
            && found.iter().zip(expected).all(|(&found, &size)| size == 0 || found == size as u64);
        if fits {
            return Ok(());
        }
        let expected = expected.iter().zip(found.iter().chain(std::iter::repeat(&0)));
        let expected = expected.map(|(&size, &found)| if size == 0 { found } else { size as u64 }).collect();
        Err(ModelError::Shape { name: self.tensors[at].name.clone(), found: found.clone(), expected })
    }

    fn sizes(&self, at: usize) -> Vec<usize> {
        self.tensors[at].shape.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect()
    }

    /// Returns the matrix `name.weight` with this many outputs (0: any) and inputs, and `name.bias` if there is one.
    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        self.linear_of(name, outputs, inputs, self.row.layout)
    }

    fn linear_of(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        layout: Layout,
    ) -> Result<Linear, ModelError> {
        let shape = match layout {
            Layout::OutputInput => [outputs, inputs],
            Layout::InputOutput => [inputs, outputs],
        };
        let weight = self.shaped(&format!("{name}.weight"), &shape)?;
        let sizes = self.sizes(weight);
        let outputs = sizes[if layout == Layout::OutputInput { 0 } else { 1 }];
        let bias = self.find(&format!("{name}.bias"));
        bias.map(|bias| self.check(bias, &[outputs])).transpose()?;
        Ok(Linear { weight, first: 0, bias, first_bias: 0, inputs, outputs, layout })
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, ModelError> {
        if !self.row.norm.parametric {
            return Ok(Norm { site: Some(name.to_owned()), ..self.norm_of(width, None, None)? });
        }
        let scale = self.shaped(&format!("{name}.weight"), &[width])?;
        let shift = self.find(&format!("{name}.bias"));
        shift.map(|shift| self.check(shift, &[width])).transpose()?;
        // The report has the names of the file.
        let stored = &self.tensors[scale].name;
        let site = stored.strip_suffix(".weight").unwrap_or(stored).to_owned();
        Ok(Norm { site: Some(site), ..self.norm_of(width, Some(scale), shift)? })
    }

    /// Makes a norm of this family with these parameters, which is not a site of the report.
    fn norm_of(&self, width: usize, scale: Option<usize>, shift: Option<usize>) -> Result<Norm, ModelError> {
        let row = &self.row.norm;
        let stated = if row.epsilon.is_empty() { None } else { self.fields.number(&[row.epsilon])? };
        Ok(Norm {
            site: None,
            scale,
            shift,
            width,
            centring: row.centring,
            one_plus: row.one_plus,
            epsilon: stated.unwrap_or(row.usual_epsilon) as f32,
        })
    }

    /// Checks that every tensor has a place, or is known to take no part.
    fn all_used(&self, with_head: bool) -> Result<(), ModelError> {
        let used = self.used.borrow();
        let later = self.row.later_blocks.map(|field| self.fields.count(&[field])).transpose()?.flatten();
        let apart = |name: &str| {
            let HeadRow { unembedding, otherwise, .. } = self.row.head;
            let names = [unembedding].into_iter().chain(otherwise).filter(|name| !name.is_empty());
            let of_head =
                name.strip_suffix(".weight").is_some_and(|name| names.into_iter().any(|own| own == name));
            of_head
                || self.is_later_block(name, later)
                || self
                    .row
                    .apart
                    .iter()
                    .any(|part| name.starts_with(part) || name.ends_with(part) || name.contains(part))
                || (!with_head && name.starts_with("cls."))
        };
        let mut unused = self.tensors.iter().zip(&self.catalogue.names).zip(used.iter());
        // DINOv3 stores an empty tensor if it has no register tokens.
        let extra = unused.find(|((tensor, name), used)| !**used && tensor.elements() > 0 && !apart(name));
        match extra {
            None => Ok(()),
            Some(((tensor, _), _)) => {
                Err(ModelError::Extra { name: tensor.name.clone(), family: self.family.to_owned() })
            }
        }
    }

    /// Whether a tensor belongs to one of the `later` blocks after the last, which predict later tokens.
    fn is_later_block(&self, name: &str, later: Option<usize>) -> bool {
        let Some(later) = later else { return false };
        let Some((before, after)) = self.row.block.split_once("{layer}") else { return false };
        let inside = name.strip_prefix(self.prefix).and_then(|name| name.strip_prefix(before));
        let layer = inside.and_then(|name| name.split_once(after)).and_then(|(layer, _)| layer.parse().ok());
        let first = self.size.layers;
        layer.is_some_and(|layer: usize| (first..first.saturating_add(later)).contains(&layer))
    }

    // Parts.

    fn patches(&self, row: &PatchesRow) -> Result<PatchEmbedding, ModelError> {
        let Canvas { channels, patch, trained, patches, inputs } = Canvas::of(row, self.fields)?;
        let in_order = |side: usize| {
            let count = trained[side].checked_div(patch[side]).unwrap_or_default();
            row.sides.is_none_or(|sides| sides.contains(&count))
        };
        if !in_order(1) || !in_order(2) {
            let expected = "as many patches a side as have known positions, such as 26, 27 or 32";
            return Err(self.fields.wrong("image_size", expected));
        }
        let prefixed = |name: &str| format!("{}{name}", self.prefix);
        // Without frames, the weight has four dimensions.
        let sides = if row.video { &patch[..] } else { &patch[1..] };
        let shape = [&[self.size.width, channels], sides].concat();
        let name = prefixed(row.projection);
        let weight = self.shaped(&format!("{name}.weight"), &shape)?;
        let bias = self.find(&format!("{name}.bias"));
        bias.map(|bias| self.check(bias, &[self.size.width])).transpose()?;
        let (outputs, layout) = (self.size.width, Layout::OutputInput);
        let projection = Linear { weight, first: 0, bias, first_bias: 0, inputs, outputs, layout };
        let patch_norm =
            row.patch_norm.map(|norm| self.norm(&prefixed(norm), self.size.width)).transpose()?;
        let (mut extra, mut first) = (Vec::new(), 0);
        for token in row.extra {
            if !self.fields.switch(token.present)? {
                continue;
            }
            let count = match token.count {
                None => 1,
                Some((field, usual)) => self.fields.count(&[field])?.unwrap_or(usual),
            };
            if count == 0 {
                continue;
            }
            let shape = if token.bare { vec![self.size.width] } else { vec![1, count, self.size.width] };
            let tensor = self.shaped(&prefixed(token.name), &shape)?;
            let position = self.fields.switch(token.positioned)?.then_some(first);
            first = position.map_or(first, |first: usize| first.saturating_add(count));
            extra.push(ExtraTokens { tensor, count, position });
        }
        let positions = match row.positions {
            ImagePositionsRow::Sines => ImagePositions::Sines,
            ImagePositionsRow::None => ImagePositions::None,
            ImagePositionsRow::Table { name, present, bare, resized, .. } => {
                if self.fields.switch(present)? {
                    let rows = first.saturating_add(patches);
                    let shape =
                        if bare { vec![rows, self.size.width] } else { vec![1, rows, self.size.width] };
                    let tensor = self.shaped(&prefixed(name), &shape)?;
                    ImagePositions::Table { tensor, first, resized }
                } else {
                    ImagePositions::None
                }
            }
        };
        if positions == ImagePositions::None {
            extra.iter_mut().for_each(|extra| extra.position = None);
        }
        let norm = match row.norm {
            Some((norm, present)) if self.fields.switch(present)? => {
                Some(self.norm(&prefixed(norm), self.size.width)?)
            }
            _ => None,
        };
        Ok(PatchEmbedding { projection, channels, patch, trained, extra, patch_norm, positions, norm })
    }

    fn sounds(&self, row: &SoundsRow) -> Result<SoundEmbedding, ModelError> {
        let (channels, sizes) = ConvolutionSize::all(row, self.fields, self.size.width)?;
        let prefixed = |name: &str| format!("{}{name}", self.prefix);
        let activation = match self.fields.text(&["feat_extract_activation"])? {
            None => Activation::Gelu,
            Some(name) => self.activation_named("feat_extract_activation", name)?,
        };
        let mut convolutions = Vec::with_capacity(sizes.len());
        let (mut given, mut stride) = (channels, 1usize);
        for ConvolutionSize { name, inputs, outputs, reach, norm, .. } in sizes {
            let name = prefixed(&name);
            let weight = self.shaped(&format!("{name}.weight"), &[outputs, inputs, reach.kernel])?;
            let bias = self.find(&format!("{name}.bias"));
            bias.map(|bias| self.check(bias, &[outputs])).transpose()?;
            let inputs = reach.kernel.saturating_mul(inputs);
            let map = Linear {
                weight,
                first: 0,
                bias,
                first_bias: 0,
                inputs,
                outputs,
                layout: Layout::OutputInput,
            };
            let norm = match norm {
                None => None,
                Some((norm, over_time)) => {
                    let norm = Norm { epsilon: CONVOLUTION_EPSILON, ..self.norm(&prefixed(&norm), outputs)? };
                    Some(if over_time {
                        ConvolutionNorm::Time(norm)
                    } else {
                        ConvolutionNorm::Channels(norm)
                    })
                }
            };
            convolutions.push(Convolution { map, reach, norm, activation });
            (given, stride) = (outputs, stride.saturating_mul(reach.stride));
        }
        let (mut norm, mut projection) = (None, None);
        if let Some(row) = row.projection {
            if self.fields.switch(row.norm.1)? {
                norm = Some(self.norm(&prefixed(row.norm.0), given)?);
            }
            projection = Some(self.linear(&prefixed(row.map), self.size.width, given)?);
        }
        let positions = match row.positions {
            SoundPositionsRow::Table { name, tokens } => {
                let tokens = self.fields.needed(&[tokens])?;
                let tensor = self.shaped(&prefixed(name), &[tokens, self.size.width])?;
                SoundPositions::Table { tensor, tokens, frames: tokens.saturating_mul(stride) }
            }
            SoundPositionsRow::Convolution(name) => {
                SoundPositions::Convolution(self.positional_convolution(&prefixed(name), activation)?)
            }
        };
        let last_norm = row.norm.map(|norm| self.norm(&prefixed(norm), self.size.width)).transpose()?;
        Ok(SoundEmbedding { channels, convolutions, norm, projection, positions, last_norm })
    }

    fn positional_convolution(
        &self,
        name: &str,
        activation: Activation,
    ) -> Result<PositionalConvolution, ModelError> {
        let (reach, groups) = positional_convolution(self.fields, self.size.width)?;
        let there = |names: &&[&str; 2]| self.index.contains_key(format!("{name}.{}", names[0]).as_str());
        let [gain, direction] = WEIGHT_NORM.iter().find(there).unwrap_or(&WEIGHT_NORM[0]);
        Ok(PositionalConvolution {
            gain: self.shaped(&format!("{name}.{gain}"), &[1, 1, reach.kernel])?,
            direction: self.shaped(
                &format!("{name}.{direction}"),
                &[self.size.width, self.size.width.checked_div(groups).unwrap_or_default(), reach.kernel],
            )?,
            bias: self.shaped(&format!("{name}.bias"), &[self.size.width])?,
            reach,
            groups,
            activation,
        })
    }

    fn embedding(
        &self,
        encoder: Option<&Architecture>,
    ) -> Result<(TokenEmbedding, usize, Option<usize>), ModelError> {
        let row = &self.row.embedding;
        let name = |name: &str| {
            let prefixed = format!("{}{name}", self.prefix);
            if self.index.contains_key(prefixed.as_str()) { prefixed } else { name.to_owned() }
        };
        let projection = self.projection(row.projection);
        let tokens =
            self.shaped(&name(row.tokens), &[0, if projection.is_some() { 0 } else { self.size.width }])?;
        let sizes = self.sizes(tokens);
        let (vocabulary, width) = (sizes[0], sizes[1]);
        let projection = projection
            .map(|name| self.linear_of(&name, self.size.width, width, Layout::OutputInput))
            .transpose()?;
        // Width of the vectors that are added to the rows.
        let first = row.projection_place == ProjectionPlace::First;
        let wide = if first { self.size.width } else { width };
        let mut longest = None;
        let positioned = self.fields.switch(row.positioned)?;
        let positions = match row.positions.filter(|_| positioned) {
            None => None,
            Some((table, offset, skip)) => {
                let table = self.shaped(&name(table), &[0, wide])?;
                let skip = skip.map(|field| self.fields.count(&[field])).transpose()?.flatten();
                let offset = skip.map_or(offset, |skip| skip.saturating_add(1));
                longest = Some(self.sizes(table)[0].saturating_sub(offset));
                Some(LearnedPositions { table, offset, skip: skip.and_then(|id| u32::try_from(id).ok()) })
            }
        };
        let segments = match row.segments {
            Some(segments) if self.fields.has_segments()? => Some(self.shaped(&name(segments), &[0, wide])?),
            _ => None,
        };
        let normed = if row.projection_place == ProjectionPlace::Last { width } else { self.size.width };
        let norm = row.norm.map(|norm| self.norm(&format!("{}{norm}", self.prefix), normed)).transpose()?;
        let multiplier = self.multiplier(row.multiplier)?;
        let projection_place = row.projection_place;
        let projector = self.row.projector.as_ref().zip(encoder);
        let projector = projector.map(|(row, tower)| self.projector(row, tower, vocabulary)).transpose()?;
        let inputs = self.row.inputs.map(|row| self.block_inputs(&row, vocabulary)).transpose()?.flatten();
        let embedding = TokenEmbedding {
            tokens,
            width,
            multiplier,
            positions,
            segments,
            norm,
            projection,
            projection_place,
            projector,
            inputs,
        };
        Ok((embedding, vocabulary, longest))
    }

    /// The vectors that blocks read beside the stream, if the configuration has them.
    fn block_inputs(
        &self,
        row: &InputsRow,
        vocabulary: usize,
    ) -> Result<Option<Box<BlockInputs>>, ModelError> {
        let Some([width, all]) = input_widths(row, self.fields, self.size.layers)? else { return Ok(None) };
        let prefixed = |name: &str| format!("{}{name}", self.prefix);
        let table = self.shaped(&prefixed(row.table), &[0, all])?;
        if !row.ends_early && self.sizes(table)[0] < vocabulary {
            let expected = format!("at least the {vocabulary} rows of the embedding");
            return Err(self.fields.wrong(row.rows.0, &expected));
        }
        let norm = self.norm(&prefixed(row.norm), width)?;
        // The code divides the map's output by √d before the norm. With an ε that is d times as large, the norm alone gives the same.
        let epsilon = (f64::from(norm.epsilon) * self.size.width as f64) as f32;
        let map = self.linear(&prefixed(row.map), all, self.size.width)?;
        Ok(Some(Box::new(BlockInputs { table, width, map, norm: Norm { epsilon, ..norm } })))
    }

    /// The versions of the stream, if there are several.
    fn versions(&self) -> Result<Option<Versions>, ModelError> {
        let Some(row) = self.row.versions else { return Ok(None) };
        let (count, width) = (versions(&row, self.fields)?, self.size.width);
        let map = |name: &str, version: usize| {
            let name = name.replace("{version}", &version.to_string());
            self.linear(&format!("{}{name}", self.prefix), width, width)
        };
        let maps = |name: &str| -> Result<Vec<Linear>, ModelError> {
            (0..count.saturating_sub(1)).map(|version| map(name, version)).collect()
        };
        let [begin, end] = row.ends;
        Ok(Some(Versions { count, active: 0, begin: maps(begin)?, end: maps(end)? }))
    }

    /// What a block does with the versions of the stream.
    fn alternating(&self, name: &impl Fn(&str) -> String) -> Result<Option<Alternating>, ModelError> {
        let Some(row) = self.row.versions else { return Ok(None) };
        let (count, width) = (versions(&row, self.fields)?, self.size.width);
        let [norm, router, predict, correct] = row.block;
        let (scale, used) = row.output_scale;
        let scale = self.shaped(&name(scale), &[width])?;
        Ok(Some(Alternating {
            norm: self.norm(&name(norm), width)?,
            router: self.linear(&name(router), count, width)?,
            predict: self.linear(&name(predict), count.saturating_mul(count), count)?,
            correct: self.linear(&name(correct), count, count)?,
            output_scale: self.fields.switch(used)?.then_some(scale),
        }))
    }

    /// The map beside attention.
    fn laurel(&self, name: &impl Fn(&str) -> String) -> Result<Option<Laurel>, ModelError> {
        let Some(LaurelRow { maps: [left, right], after, .. }) = self.row.laurel else { return Ok(None) };
        let left = self.linear(&name(left), 0, self.size.width)?;
        let right = self.linear(&name(right), self.size.width, left.outputs)?;
        Ok(Some(Laurel { left, right, after: self.norm(&name(after), self.size.width)? }))
    }

    /// What a block does with its own vectors, if the configuration has them.
    fn block_input(&self, name: &impl Fn(&str) -> String) -> Result<Option<BlockInput>, ModelError> {
        let Some(row) = self.row.inputs else { return Ok(None) };
        let Some([width, _]) = input_widths(&row, self.fields, self.size.layers)? else { return Ok(None) };
        let [gate, projection, after] = row.block;
        Ok(Some(BlockInput {
            gate: self.linear(&name(gate), width, self.size.width)?,
            activation: self.activation()?,
            projection: self.linear(&name(projection), self.size.width, width)?,
            after: self.norm(&name(after), self.size.width)?,
        }))
    }

    /// From the last hidden states of this tower to the stream.
    fn projector(
        &self,
        row: &ProjectorRow,
        tower: &Architecture,
        vocabulary: usize,
    ) -> Result<Projector, ModelError> {
        let side = self.fields.side(row)?;
        let (grid, left_out) = match &tower.embedding {
            Embedding::Patches(patches) => {
                let [_, rows, columns] = patches.grid(patches.trained);
                (
                    [rows, columns],
                    patches.extra.iter().fold(0, |all: usize, extra| all.saturating_add(extra.count)),
                )
            }
            Embedding::Tokens(_) | Embedding::Sounds(_) => ([0, 0], 0),
        };
        let [rows, columns] = grid;
        if side == 0 || rows != columns || !rows.is_multiple_of(side) {
            let expected =
                format!("a divisor of the {rows} rows and {columns} columns of patches, as many of both");
            let field = row.side.map_or("image_size", |(field, _)| field);
            return Err(self.fields.wrong(field, &expected));
        }
        let (field, usual) = row.token;
        let token = self.fields.count(&[field])?.unwrap_or(usual);
        let below = format!("an id below the {vocabulary} of the vocabulary");
        let token = u32::try_from(token).ok().filter(|token| (*token as usize) < vocabulary);
        let token = token.ok_or_else(|| self.fields.wrong(field, &below))?;
        let named = |name: &&&str| self.index.contains_key(format!("{name}.weight").as_str());
        let of = |names: &'static [&'static str]| {
            names.iter().find(named).or(names.first()).copied().unwrap_or_default()
        };
        let name = of(row.maps);
        let square = side.saturating_mul(side);
        let expected = [self.size.width, tower.width.saturating_mul(square)];
        let map = self.linear_of(name, expected[0], expected[1], Layout::OutputInput);
        let map = map.map_err(|error| match error {
            ModelError::Shape { name, found, .. } if name.ends_with(".weight") => {
                let (decoder, tower) = (self.size.width, tower.width);
                ModelError::Projector { name, found, expected, decoder, square, tower }
            }
            other => other,
        })?;
        let second = match row.second {
            None => None,
            Some((names, (field, usual))) => {
                let activation = self.fields.text(&[field])?.unwrap_or(usual);
                let activation = self.activation_named(field, activation)?;
                let map = self.linear_of(of(names), self.size.width, self.size.width, Layout::OutputInput)?;
                Some((activation, map))
            }
        };
        Ok(Projector { map, second, left_out, grid, side, token })
    }

    /// Returns a map between the embedding's own width and the stream's, if the checkpoint has it.
    fn projection(&self, name: Option<&str>) -> Option<String> {
        let name = format!("{}{}", self.prefix, name?);
        self.index.contains_key(format!("{name}.weight").as_str()).then_some(name)
    }

    fn multiplier(&self, multiplier: Multiplier) -> Result<f32, ModelError> {
        Ok(match multiplier {
            Multiplier::None => 1.0,
            Multiplier::RootOfWidth => (self.size.width as f64).sqrt(),
            Multiplier::Field(field) => self.fields.number(&[field])?.unwrap_or(1.0),
            Multiplier::Usually(field, usual) => self.fields.number(&[field])?.unwrap_or(usual),
            Multiplier::Inverse(field) => 1.0 / self.fields.number(&[field])?.unwrap_or(1.0),
        } as f32)
    }

    /// Returns c of a soft cap. Null means none, and the default only applies if the field is missing.
    fn cap(&self, cap: Option<(&str, f64)>) -> Result<Option<f32>, ModelError> {
        let Some((field, usual)) = cap else { return Ok(None) };
        let usual = Some(usual).filter(|usual| *usual != 0.0 && !self.fields.mentions(field));
        Ok(self.fields.number(&[field])?.or(usual).map(|cap| cap as f32))
    }

    /// Makes the block of a layer. `encoded` is the width of the encoder's output.
    fn block(&self, layer: usize, stored: StoredBlocks, encoded: usize) -> Result<Block, ModelError> {
        let own = stored.of_layer(layer).to_string();
        let path = format!("{}{}", self.prefix, self.row.block.replace("{layer}", &own));
        let name = |name: &str| format!("{path}{name}");
        let multiplier = match self.row.residual_multiplier {
            Some(field) => self.fields.number(&[field])?.unwrap_or(1.0) as f32,
            None => 1.0,
        };
        let branch = |[before, inner_after, after]: [Option<&str>; 3],
                      layer_scale: Option<LayerScaleRow>,
                      bare: bool| {
            let layer_scale = match layer_scale {
                Some(scale) if self.fields.layer_scale(&scale)?.is_some() => {
                    Some(self.shaped(&name(scale.name), &[self.size.width])?)
                }
                _ => None,
            };
            // A norm that several layers use is one site. It is measured where the last of them uses it.
            let site_of = |norm: Norm| match stored.is_last_use(layer) {
                true => norm,
                false => Norm { site: None, ..norm },
            };
            let norm = |norm: Option<&str>| {
                norm.map(|norm| self.norm(&name(norm), self.size.width).map(site_of)).transpose()
            };
            let before = if bare { None } else { before };
            Ok::<_, ModelError>(Branch {
                before: norm(before)?,
                inner_after: norm(inner_after)?,
                after: norm(after)?,
                multiplier,
                layer_scale,
            })
        };
        let cross = |row: CrossRow| {
            let attention = self.cross_attention(&name, &row, encoded)?;
            Ok::<_, ModelError>(CrossAttention { attention, around: branch(row.around, None, false)? })
        };
        Ok(Block {
            cross: self.row.cross.map(cross).transpose()?,
            attention: self.mixer(&name, layer)?,
            around_attention: branch(
                self.row.around_attention,
                self.row.layer_scale[0],
                self.row.norm.bare_first && layer == 0,
            )?,
            feed_forward: self.feed_forward(&name, layer)?,
            around_feed_forward: branch(self.row.around_feed_forward, self.row.layer_scale[1], false)?,
            beside: self.experts_beside(&name)?.map(Box::new),
            input: self.block_input(&name)?,
            scale: self.row.block_scale.map(|scale| self.shaped(&name(scale), &[1])).transpose()?,
            convolution: if layer == 0 { self.local_convolution()? } else { None },
            parallel: self.fields.switch(self.row.parallel)?,
            laurel: self.laurel(&name)?,
            alternating: self.alternating(&name)?,
        })
    }

    /// Makes the convolution beside the first block, if the configuration has it.
    fn local_convolution(&self) -> Result<Option<LocalConvolution>, ModelError> {
        let Some(row) = self.row.convolution else { return Ok(None) };
        let Some(Local { kernel, reach }) = Local::of(&row, self.fields)? else { return Ok(None) };
        let (width, name) = (self.size.width, format!("{}{}", self.prefix, row.map));
        let weight = self.shaped(&format!("{name}.weight"), &[width, width, kernel])?;
        let bias = Some(self.shaped(&format!("{name}.bias"), &[width])?);
        let (field, usual) = row.activation;
        let activation = self.fields.text(&[field])?.unwrap_or(usual);
        let inputs = width.saturating_mul(kernel);
        Ok(Some(LocalConvolution {
            map: Linear {
                weight,
                first: 0,
                bias,
                first_bias: 0,
                inputs,
                outputs: width,
                layout: Layout::OutputInput,
            },
            reach,
            activation: self.activation_named(field, activation)?,
            norm: self.norm(&format!("{}{}", self.prefix, row.norm), width)?,
        }))
    }

    fn mixer(&self, name: &impl Fn(&str) -> String, layer: usize) -> Result<Mixer, ModelError> {
        match &self.row.delta_rule {
            Some(row) if attends_linearly(self.fields, layer)? => {
                Ok(Mixer::Linear(self.delta_rule(name, row)?))
            }
            _ => Ok(Mixer::Softmax(self.attention(name, layer)?)),
        }
    }

    fn delta_rule(&self, name: &impl Fn(&str) -> String, row: &DeltaRow) -> Result<DeltaRule, ModelError> {
        let sizes = DeltaSizes::of(self.fields)?;
        let DeltaSizes { heads, key_heads, key_width, value_width, kernel } = sizes;
        let (of_keys, of_values, channels) = (sizes.of_keys(), sizes.of_values(), sizes.channels());
        let linear = |map: &str, outputs: usize| self.linear(&name(map), outputs, self.size.width);
        let projections = match row.projections {
            DeltaProjectionsRow::Separate([all, gate, strength, decay]) => DeltaProjections::Separate {
                all: linear(all, channels)?,
                gate: linear(gate, of_values)?,
                strength: linear(strength, heads)?,
                decay: linear(decay, heads)?,
            },
            DeltaProjectionsRow::Grouped([all, both]) => DeltaProjections::Grouped {
                all: linear(all, of_keys.saturating_add(of_values).saturating_mul(2))?,
                both: linear(both, heads.saturating_mul(2))?,
            },
        };
        let norm = self.norm(&name(row.norm), value_width)?;
        Ok(DeltaRule {
            heads,
            key_heads,
            key_width,
            value_width,
            projections,
            convolution: self.shaped(&name(row.convolution), &[channels, 1, kernel])?,
            kernel,
            activation: self.activation()?,
            rates: self.shaped(&name(row.rates), &[heads])?,
            biases: self.shaped(&name(row.biases), &[heads])?,
            norm: Norm { one_plus: false, ..norm },
            output: self.linear(&name(row.output), self.size.width, of_values)?,
        })
    }

    fn attention(&self, name: &impl Fn(&str) -> String, layer: usize) -> Result<Attention, ModelError> {
        let (row, fields) = (&self.row.attention, self.fields);
        let of_layer = LayerHeads::of(self.row, fields, &self.size, layer)?;
        let LayerHeads { heads, key_heads, head_width: h, keys_are_values } = of_layer;
        let (of_queries, of_keys, d) = (of_layer.of_queries(), of_layer.of_keys(), self.size.width);
        // Each query may have a gate behind it.
        let asked = if row.gated { of_queries.saturating_mul(2) } else { of_queries };
        let borrowed = self.borrowed(layer, of_layer)?;
        let projections = match (row.projections, borrowed) {
            (ProjectionsRow::Separate([q, k, v]), Some(place)) => {
                self.leave_out(name, [k, v].into_iter().chain(row.qk_norm.map(|norms| norms.names[1])));
                Projections::Borrowed { queries: self.linear(&name(q), asked, d)?, place }
            }
            (ProjectionsRow::Separate([q, k, _]), _) if keys_are_values => {
                Projections::Shared([self.linear(&name(q), asked, d)?, self.linear(&name(k), of_keys, d)?])
            }
            (ProjectionsRow::Separate([q, k, v]), None) => Projections::Separate([
                self.linear(&name(q), asked, d)?,
                self.linear(&name(k), of_keys, d)?,
                self.linear(&name(v), of_keys, d)?,
            ]),
            (ProjectionsRow::Latent(latent), _) => return self.latent_attention(name, &latent),
            (ProjectionsRow::Concatenated(all), _) => Projections::Concatenated(self.linear(
                &name(all),
                of_queries.saturating_add(of_keys.saturating_mul(2)),
                d,
            )?),
            (ProjectionsRow::Grouped(all), _) => Projections::Grouped(self.linear(
                &name(all),
                of_queries.saturating_add(of_keys.saturating_mul(2)),
                d,
            )?),
        };
        let window = window(self.row, fields, layer)?;
        let placed = is_placed(self.row, fields, layer, window.is_some())?;
        let [query_norm, key_norm] = match row.qk_norm {
            Some(HeadNormsRow { names: [q, k], scales, present, .. })
                if fields.switch(present)? && (placed || scales != HeadScales::Nothing) =>
            {
                let of_keys = match borrowed {
                    None => Some(self.head_norm(&name(k), scales, key_heads, h)?),
                    Some(_) => None,
                };
                [Some(self.head_norm(&name(q), scales, heads, h)?), of_keys]
            }
            _ => [None, None],
        };
        let mut biases = [None; 3];
        for ((bias, stored), width) in biases.iter_mut().zip(row.biases).zip([of_queries, of_keys, of_keys]) {
            *bias = stored.and_then(|stored| self.find(&name(stored)));
            bias.map(|bias| self.check(bias, &[width])).transpose()?;
        }
        let normed = row.value_norm && borrowed.is_none();
        let value_norm = normed.then(|| self.norm_of(h, None, None)).transpose()?;
        Ok(Attention {
            heads,
            key_heads,
            head_width: h,
            projections,
            gated: row.gated,
            biases,
            output: self.linear(&name(row.output), d, of_queries)?,
            inner_norm: self.inner_norm(row.inner_norm, name, of_queries)?,
            query_norm,
            key_norm,
            value_norm,
            position: match placed {
                true => self.position(row.position, name, h, window.is_some())?,
                false => Position::None,
            },
            window,
            scale: self.attention_scale(h)?,
            cap: self.cap(row.cap)?,
            sinks: row.sinks.map(|sinks| self.shaped(&name(sinks), &[heads])).transpose()?,
            clip: row
                .clip
                .map(|field| fields.number(&[field]))
                .transpose()?
                .flatten()
                .map(|clip| clip as f32),
            lends: self.lenders.iter().position(|lender| *lender == layer),
        })
    }

    /// Returns where the pass keeps the keys and values that a layer with these heads uses, if they are those of an earlier layer.
    fn borrowed(&self, layer: usize, heads: LayerHeads) -> Result<Option<usize>, ModelError> {
        let lender = lender(self.row, self.fields, self.size.layers, layer)?;
        let Some(lender) = lender else { return Ok(None) };
        let of_lender = LayerHeads::of(self.row, self.fields, &self.size, lender)?;
        if (of_lender.key_heads, of_lender.head_width) != (heads.key_heads, heads.head_width) {
            let field = format!("per_layer_config.{layer}.head_dim");
            let expected = format!("the head width and key heads of layer {lender}, whose keys it uses");
            return Err(self.fields.wrong(&field, &expected));
        }
        Ok(self.lenders.iter().position(|layer| *layer == lender))
    }

    /// Leaves out modules that a checkpoint may store although the family's code does not load them.
    fn leave_out<'b>(&self, name: &impl Fn(&str) -> String, modules: impl Iterator<Item = &'b str>) {
        for module in modules {
            for end in ["weight", "bias"] {
                self.find(&format!("{}.{end}", name(module)));
            }
        }
    }

    /// Makes multi-head latent attention. Its heads are as wide as a query or a value, whichever is wider.
    fn latent_attention(
        &self,
        name: &impl Fn(&str) -> String,
        row: &LatentRow,
    ) -> Result<Attention, ModelError> {
        let (fields, d, heads) = (self.fields, self.size.width, self.size.heads);
        let [plain, turned, value_width, rank] =
            ["qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_lora_rank"]
                .map(|field| fields.needed(&[field]));
        let (plain, turned, value_width, rank) = (plain?, turned?, value_width?, rank?);
        if !turned.is_multiple_of(2) {
            return Err(fields.wrong("qk_rope_head_dim", "an even number"));
        }
        let query = plain.saturating_add(turned);
        let head_width = query.max(value_width);
        if heads.checked_mul(head_width).and_then(|width| width.checked_mul(3)).is_none() {
            return Err(fields.wrong("v_head_dim", "heads whose total width fits in a machine word"));
        }
        let norm = |norm: &str, width: usize| -> Result<Norm, ModelError> {
            Ok(Norm { epsilon: row.epsilon as f32, ..self.norm(&name(norm), width)? })
        };
        let of_queries = heads.saturating_mul(query);
        let without_narrow = fields.mentions("q_lora_rank") && fields.get("q_lora_rank").is_none();
        let (narrow, queries) = if without_narrow {
            (None, self.linear(&name(row.queries), of_queries, d)?)
        } else {
            let rank = fields.needed(&["q_lora_rank"])?;
            let [map, narrow, queries] = row.narrow;
            let narrow = (self.linear(&name(map), rank, d)?, norm(narrow, rank)?);
            (Some(narrow), self.linear(&name(queries), of_queries, rank)?)
        };
        let theta = fields.number(&["rope_parameters.rope_theta", "rope_theta"])?.unwrap_or(10_000.0);
        let pairing = if fields.switch(row.interleaved)? { Pairing::Interleaved } else { Pairing::Halves };
        let rotary = rotary::rotary(fields, "rope_parameters", theta, turned, true, pairing)?;
        let of_heads = heads.saturating_mul(plain.saturating_add(value_width));
        let latent = Latent {
            narrow,
            queries,
            compress: self.linear(&name(row.compress), rank.saturating_add(turned), d)?,
            norm: norm(row.norm, rank)?,
            expand: self.linear(&name(row.expand), of_heads, rank)?,
            plain,
            turned,
            value_width,
            rotary,
        };
        let heads = LayerHeads { heads, key_heads: heads, head_width, keys_are_values: false };
        let output =
            self.linear(&name(self.row.attention.output), d, heads.heads.saturating_mul(value_width))?;
        let scale = (query as f64).powf(-0.5) * rotary::magnitude(fields)?.powi(2);
        Ok(plain_attention(heads, Projections::Latent(Box::new(latent)), output, scale as f32))
    }

    /// Makes the attention to an encoder's output of `encoded` channels.
    fn cross_attention(
        &self,
        name: &impl Fn(&str) -> String,
        row: &CrossRow,
        encoded: usize,
    ) -> Result<Attention, ModelError> {
        let [of_queries, of_keys] =
            [self.size.heads, self.size.key_heads].map(|heads| heads.saturating_mul(self.size.head_width));
        let [q, k, v] = row.projections.map(name);
        let projections = Projections::Separate([
            self.linear(&q, of_queries, self.size.width)?,
            self.linear(&k, of_keys, encoded)?,
            self.linear(&v, of_keys, encoded)?,
        ]);
        let Dimensions { heads, key_heads, head_width, .. } = self.size;
        let heads = LayerHeads { heads, key_heads, head_width, keys_are_values: false };
        let output = self.linear(&name(row.output), self.size.width, of_queries)?;
        Ok(plain_attention(heads, projections, output, self.attention_scale(head_width)?))
    }

    /// Returns the factor of the products of queries and keys.
    fn attention_scale(&self, head_width: usize) -> Result<f32, ModelError> {
        Ok(match self.row.attention.scale {
            ScaleRow::RootOfHead => (head_width as f64).powf(-0.5),
            ScaleRow::RootOf(field, usual) => self.fields.number(&[field])?.unwrap_or(usual).powf(-0.5),
            ScaleRow::Field(field) => self.fields.number(&[field])?.unwrap_or(1.0),
            ScaleRow::Disentangled => {
                let scores = disentangled::kinds(self.fields)?.into_iter().filter(|kind| *kind).count();
                (head_width as f64 * (1.0 + scores as f64)).powf(-0.5)
            }
            ScaleRow::One => 1.0,
        } as f32)
    }

    /// Returns a norm inside a part, if the configuration has it.
    fn inner_norm(
        &self,
        row: Option<(&str, Switch)>,
        name: &impl Fn(&str) -> String,
        width: usize,
    ) -> Result<Option<Norm>, ModelError> {
        match row {
            Some((norm, present)) if self.fields.switch(present)? => self.norm(&name(norm), width).map(Some),
            _ => Ok(None),
        }
    }

    /// Makes a norm of `heads` heads of width `h`.
    fn head_norm(
        &self,
        name: &str,
        scales: HeadScales,
        heads: usize,
        h: usize,
    ) -> Result<HeadNorm, ModelError> {
        Ok(match scales {
            HeadScales::Shared => HeadNorm::One(self.norm(name, h)?),
            HeadScales::Whole => HeadNorm::One(self.norm(name, heads.saturating_mul(h))?),
            HeadScales::Matrix => {
                let scale = self.shaped(&format!("{name}.weight"), &[heads, h])?;
                HeadNorm::One(self.norm_of(h, Some(scale), None)?)
            }
            HeadScales::Nothing => HeadNorm::One(self.norm_of(h, None, None)?),
            HeadScales::Listed => {
                let norms = (0..heads).map(|head| self.norm(&format!("{name}.norms.{head}"), h));
                HeadNorm::Each(norms.collect::<Result<_, _>>()?)
            }
        })
    }

    fn position(
        &self,
        row: PositionRow,
        name: &impl Fn(&str) -> String,
        head_width: usize,
        windowed: bool,
    ) -> Result<Position, ModelError> {
        let fields = self.fields;
        match row {
            PositionRow::Window { own: (own, has_own), shared: (shared, has_shared) } => {
                let table = match (fields.switch(has_own)?, fields.switch(has_shared)?) {
                    (true, _) => name(own),
                    (false, true) => format!("{}{shared}", self.prefix),
                    (false, false) => return Ok(Position::None),
                };
                let patches = self.row.patches.as_ref();
                let distances = patches.map(|row| Canvas::of(row, fields)).transpose()?;
                let distances = distances.map_or(0, |canvas| canvas.distances());
                Ok(Position::Window { table: self.shaped(&table, &[distances, self.size.heads])? })
            }
            PositionRow::None => Ok(Position::None),
            PositionRow::Disentangled(row) => self.disentangled(&row, name),
            PositionRow::Axial(row) => {
                let rotary = rotary::axial(fields, &row, head_width, self.row.sizes.heads)?;
                Ok(rotary.map_or(Position::None, Position::Axial))
            }
            PositionRow::Alibi => Ok(Position::Alibi(alibi(self.size.heads))),
            PositionRow::CoarseAlibi => Ok(Position::CoarseAlibi(alibi(self.size.heads))),
            PositionRow::Relative(table) => {
                let buckets = fields.count(&["relative_attention_num_buckets"])?.unwrap_or(32);
                let furthest = fields.count(&["relative_attention_max_distance"])?.unwrap_or(128);
                let table = self.shaped(&format!("{}{table}", self.prefix), &[buckets, self.size.heads])?;
                Ok(Position::Relative { table, buckets, furthest })
            }
            PositionRow::Rotary { pairing, theta, usual_theta, turned, local_theta } => {
                let kind = if windowed { "sliding_attention" } else { "full_attention" };
                let of_kind = format!("rope_parameters.{kind}");
                let at = match fields.mentions(&format!("{of_kind}.rope_theta")) {
                    true => of_kind.as_str(),
                    false => "rope_parameters",
                };
                let (theta, usual) = match local_theta {
                    Some((field, usual)) if windowed => (vec![field], usual),
                    _ => (theta.to_vec(), usual_theta),
                };
                let newer = format!("{at}.rope_theta");
                let names: Vec<&str> = std::iter::once(newer.as_str()).chain(theta).collect();
                let base = fields.number(&names)?.unwrap_or(usual);
                let channels = match turned {
                    Turned::All => head_width,
                    Turned::Count(field, usual) => {
                        let stated = fields.count(&[field])?;
                        if stated.is_none() && fields.mentions(field) {
                            self.size.width
                        } else {
                            stated.unwrap_or(usual)
                        }
                    }
                    Turned::Share(older, usual) => {
                        let newer = format!("{at}.partial_rotary_factor");
                        let names: Vec<&str> =
                            std::iter::once(newer.as_str()).chain(older.iter().copied()).collect();
                        (head_width as f64 * fields.number(&names)?.unwrap_or(usual)) as usize
                    }
                };
                if channels > head_width || channels % 2 != 0 {
                    return Err(ModelError::Value {
                        path: "config.json".to_owned(),
                        field: "channels with a rotary position".to_owned(),
                        value: channels.to_string(),
                        family: self.family.to_owned(),
                        expected: format!("an even number up to {head_width}"),
                    });
                }
                // Older configurations only scale the global layers.
                let scaled = !(windowed && local_theta.is_some());
                Ok(Position::Rotary(rotary::rotary(fields, at, base, channels, scaled, pairing)?))
            }
        }
    }

    fn disentangled(
        &self,
        row: &DisentangledRow,
        name: &impl Fn(&str) -> String,
    ) -> Result<Position, ModelError> {
        let Some(Spans { span, buckets }) = Spans::of(self.fields)? else { return Ok(Position::None) };
        let width = self.size.width;
        let rows = span.saturating_mul(2);
        let table = self.shaped(&format!("{}{}", self.prefix, row.table), &[rows, width])?;
        let norm = match row.norm {
            Some(norm) if disentangled::is_normed(self.fields)? => {
                let norm = self.norm(&format!("{}{norm}", self.prefix), width)?;
                Some(Norm { site: None, ..norm })
            }
            _ => None,
        };
        let names = match self.row.attention.projections {
            ProjectionsRow::Separate([query, key, _]) if disentangled::is_shared(self.fields)? => {
                [key, query]
            }
            _ => row.maps,
        };
        let mut maps = [None; 2];
        let kinds = disentangled::kinds(self.fields)?;
        for ((map, own), _) in maps.iter_mut().zip(names).zip(kinds).filter(|(_, kind)| *kind) {
            *map = Some(self.linear(&name(own), self.size.of_queries(), width)?);
        }
        Ok(Position::Disentangled(Disentangled { table, norm, maps, span, buckets }))
    }

    fn activation(&self) -> Result<Activation, ModelError> {
        let row = &self.row.feed_forward;
        let name = self.fields.text(row.activation)?.unwrap_or(row.usual_activation);
        self.activation_named(row.activation.first().copied().unwrap_or("hidden_act"), name)
    }

    fn activation_named(&self, field: &str, name: &str) -> Result<Activation, ModelError> {
        let unknown =
            || self.fields.wrong(field, "gelu, gelu_new, quick_gelu, silu, relu, relu2, tanh or sigmoid");
        Activation::named(name).ok_or_else(unknown)
    }

    fn feed_forward(&self, name: &impl Fn(&str) -> String, layer: usize) -> Result<FeedForward, ModelError> {
        let (row, d, activation) = (&self.row.feed_forward, self.size.width, self.activation()?);
        if let Some(experts) = row.experts
            && self.index.contains_key(format!("{}.weight", name(experts.router)).as_str())
        {
            return Ok(FeedForward::Experts(self.experts(name, &experts, activation)?));
        }
        Ok(match row.shape {
            FeedForwardShape::Plain([up, down]) => {
                let up = self.linear(&name(up), 0, d)?;
                FeedForward::Plain { up, down: self.linear(&name(down), d, up.outputs)?, activation }
            }
            FeedForwardShape::Gated(names) => {
                let gated = self.gated(names.map(name), activation)?;
                let inner_norm = self.inner_norm(row.inner_norm, name, gated.down.inputs)?;
                let cut = self.row.sparsity.map(|field| cut(field, self.fields, self.size.layers, layer));
                FeedForward::Gated(Gated { inner_norm, cut: cut.transpose()?.flatten(), ..gated })
            }
            FeedForwardShape::GatedConcatenated([both, down]) => {
                let both = self.linear(&name(both), 0, d)?;
                let down = self.linear(&name(down), d, both.outputs / 2)?;
                let inner_norm = self.inner_norm(row.inner_norm, name, down.inputs)?;
                let inputs = GatedInputs::Concatenated(both);
                FeedForward::Gated(Gated { inputs, limit: None, cut: None, inner_norm, down, activation })
            }
        })
    }

    fn gated(&self, [gate, up, down]: [String; 3], activation: Activation) -> Result<Gated, ModelError> {
        let gate = self.linear(&gate, 0, self.size.width)?;
        let up = self.linear(&up, gate.outputs, self.size.width)?;
        let down = self.linear(&down, self.size.width, gate.outputs)?;
        Ok(Gated {
            inputs: GatedInputs::Separate([gate, up]),
            limit: None,
            cut: None,
            inner_norm: None,
            down,
            activation,
        })
    }

    /// Makes the experts beside the feed-forward part of a block, if the configuration has them.
    fn experts_beside(&self, name: &impl Fn(&str) -> String) -> Result<Option<ExpertsBeside>, ModelError> {
        let Some(row) = self.row.beside else { return Ok(None) };
        let BesideRow { present, part_after, around: [before, after], router_scale, experts } = row;
        if !self.fields.switch(present)? {
            return Ok(None);
        }
        let width = self.size.width;
        let mut experts = self.experts(name, &experts, self.activation()?)?;
        experts.routing.of_scores = (width as f64).powf(-0.5) as f32;
        let norm = |norm: &str| self.norm(&name(norm), width);
        let router_scale = self.shaped(&name(router_scale), &[width])?;
        Ok(Some(ExpertsBeside {
            part_after: norm(part_after)?,
            before: norm(before)?,
            router_norm: self.norm_of(width, Some(router_scale), None)?,
            experts,
            after: norm(after)?,
        }))
    }

    fn experts(
        &self,
        name: &impl Fn(&str) -> String,
        row: &ExpertsRow,
        activation: Activation,
    ) -> Result<Experts, ModelError> {
        let count = self.fields.needed(row.count)?;
        let limit = row
            .limit
            .map(|(field, usual)| Ok::<_, ModelError>(self.fields.number(&[field])?.unwrap_or(usual) as f32));
        let limit = limit.transpose()?;
        let together = row.together.map(|together| (together.names.map(name), together));
        let is_stored =
            |([inputs, _], _): &([String; 2], TogetherRow)| self.index.contains_key(inputs.as_str());
        let all = match together.filter(is_stored) {
            Some((names, together)) => self.experts_together(&names, &together, count, activation, limit)?,
            None => {
                let named = |path: &str, expert: usize| name(path).replace("{expert}", &expert.to_string());
                let of = |expert| self.gated(row.expert.map(|path| named(path, expert)), activation);
                (0..count).map(of).collect::<Result<_, _>>()?
            }
        };
        let shared = |row: SharedExpertRow| {
            let gate = row.gate.map(|gate| self.linear(&name(gate), 1, self.size.width)).transpose()?;
            Ok::<_, ModelError>(SharedExpert { gate, expert: self.gated(row.expert.map(name), activation)? })
        };
        let chosen = self.fields.count(&[row.chosen])?.unwrap_or(row.usual_chosen);
        if chosen == 0 || chosen > count {
            return Err(self.fields.wrong(row.chosen, &format!("1 to {count}")));
        }
        let vector = |tensor: Option<&str>| -> Result<Option<usize>, ModelError> {
            tensor.map(|tensor| self.shaped(&name(tensor), &[count])).transpose()
        };
        let groups = match row.groups {
            None => None,
            Some([of, kept]) => Some(self.groups(of, kept, count)?),
        };
        let routing = Routing {
            chosen,
            of_scores: 1.0,
            gate: row.gate,
            correction: vector(row.correction)?,
            groups,
            normalised: self.fields.switch(row.normalised)?,
            multiplier: self.multiplier(row.multiplier)?,
            factors: vector(row.factors)?,
            of_inputs: row.of_inputs,
        };
        Ok(Experts {
            router: self.linear(&name(row.router), count, self.size.width)?,
            all,
            routing,
            shared: row.shared.map(shared).transpose()?,
        })
    }

    /// Returns the number of groups of `count` experts, and of those that a token may choose from.
    fn groups(&self, of: &str, kept: &str, count: usize) -> Result<[usize; 2], ModelError> {
        let (groups, chosen) = (self.fields.needed(&[of])?, self.fields.needed(&[kept])?);
        if !count.is_multiple_of(groups) {
            return Err(self.fields.wrong(of, &format!("a divisor of the {count} experts")));
        }
        if chosen > groups {
            return Err(self.fields.wrong(kept, &format!("1 to {groups}")));
        }
        Ok([groups, chosen])
    }

    /// Makes the experts whose matrices are in two tensors: gate and up (experts × 2m × d, or experts × d × 2m), and down (experts × d × m,
    /// or experts × m × d).
    fn experts_together(
        &self,
        [inputs, down]: &[String; 2],
        row: &TogetherRow,
        count: usize,
        activation: Activation,
        limit: Option<f32>,
    ) -> Result<Vec<Gated>, ModelError> {
        let (width, layout) = (self.size.width, row.layout);
        let shape = |outputs: usize, inputs: usize| match layout {
            Layout::OutputInput => [count, outputs, inputs],
            Layout::InputOutput => [count, inputs, outputs],
        };
        let biases = |weight: &str, outputs: usize| {
            let bias = self.find(&format!("{weight}_bias"));
            bias.map(|bias| self.check(bias, &[count, outputs]).map(|()| bias)).transpose()
        };
        let (of_inputs, of_down) = (inputs, down);
        let inputs = self.shaped(inputs, &shape(0, width))?;
        let both = self.sizes(inputs)[if layout == Layout::OutputInput { 1 } else { 2 }];
        let down = self.shaped(down, &shape(width, both / 2))?;
        self.check(inputs, &shape((both / 2).saturating_mul(2), width))?;
        let [input_bias, down_bias] = [biases(of_inputs, both)?, biases(of_down, width)?];
        let matrix = |weight: usize, bias: Option<usize>, expert: usize, outputs: usize, inputs: usize| {
            let values = (outputs as u64).saturating_mul(inputs as u64);
            let first = values.saturating_mul(expert as u64);
            let first_bias = (outputs as u64).saturating_mul(expert as u64);
            Linear { weight, first, bias, first_bias, inputs, outputs, layout }
        };
        let of = |expert: usize| {
            let both = matrix(inputs, input_bias, expert, both, width);
            Gated {
                inputs: match row.interleaved {
                    true => GatedInputs::Interleaved(both),
                    false => GatedInputs::Concatenated(both),
                },
                limit,
                cut: None,
                inner_norm: None,
                down: matrix(down, down_bias, expert, width, both.outputs / 2),
                activation,
            }
        };
        Ok((0..count).map(of).collect())
    }

    fn head(&self, embedding: &TokenEmbedding, vocabulary: usize) -> Result<Option<Head>, ModelError> {
        let row = &self.row.head;
        let tied = self.fields.truth("tie_word_embeddings")?.unwrap_or(row.usually_tied);
        let multiplier = self.multiplier(row.multiplier)?;
        let cap = self.cap(row.cap)?;
        if row.unembedding.is_empty() {
            return Ok(None);
        }
        let (mut width, mut transform) = (self.size.width, None);
        if let Some(([dense, norm], activation)) = row.transform {
            if !self.index.contains_key(format!("{dense}.weight").as_str()) {
                return Ok(None);
            }
            width = embedding.width;
            let activation = match activation {
                Some(name) => Activation::named(name).unwrap_or(Activation::Gelu),
                None => self.activation()?,
            };
            let dense = self.linear_of(dense, width, self.size.width, Layout::OutputInput)?;
            let norm = Some(self.norm(norm, width)?);
            transform = Some(Transform { dense, activation: Some(activation), norm });
        }
        if let Some(name) = self.projection(row.projection) {
            width = embedding.width;
            let dense = self.linear_of(&name, width, self.size.width, Layout::OutputInput)?;
            transform = Some(Transform { dense, activation: None, norm: None });
        }
        let stored = |name: &&str| self.index.contains_key(format!("{name}.weight").as_str());
        let own = [row.unembedding].into_iter().chain(row.otherwise).find(stored).unwrap_or(row.unembedding);
        let (own, own_bias) = (format!("{own}.weight"), format!("{own}.bias"));
        let weight = match (tied, self.index.contains_key(own.as_str())) {
            (false, true) => self.shaped(&own, &[vocabulary, width])?,
            // A base model without a head.
            (false, false) => return Ok(None),
            (true, _) => embedding.tokens,
        };
        self.check(weight, &[vocabulary, width])?;
        let bias = match row.bias {
            Some(bias) => self.find(bias),
            None => self.find(&own_bias),
        };
        bias.map(|bias| self.check(bias, &[vocabulary])).transpose()?;
        let (outputs, layout) = (vocabulary, Layout::OutputInput);
        let unembedding = Linear { weight, first: 0, bias, first_bias: 0, inputs: width, outputs, layout };
        Ok(Some(Head { transform, unembedding, multiplier, cap }))
    }
}

/// Makes an attention that has nothing but its maps and its scale.
fn plain_attention(of: LayerHeads, projections: Projections, output: Linear, scale: f32) -> Attention {
    Attention {
        heads: of.heads,
        key_heads: of.key_heads,
        head_width: of.head_width,
        projections,
        gated: false,
        biases: [None; 3],
        output,
        inner_norm: None,
        query_norm: None,
        key_norm: None,
        value_norm: None,
        position: Position::None,
        window: None,
        scale,
        cap: None,
        sinks: None,
        clip: None,
        lends: None,
    }
}

/// Returns the slopes of ALiBi: powers of 2^(−8/n). If n is not a power of two, they start with those of the largest power of two below
/// n, and the rest come from the next power of two.
fn alibi(heads: usize) -> Vec<f32> {
    let full = heads.next_power_of_two();
    let slope = |at: usize| 2f64.powf(-8.0 * at.saturating_add(1) as f64 / full as f64) as f32;
    if full == heads {
        return (0..heads).map(slope).collect();
    }
    (1..full).step_by(2).chain((0..full).step_by(2)).map(slope).take(heads).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alibi_slopes_are_those_of_the_paper_also_for_heads_that_are_no_power_of_two() {
        assert_eq!(alibi(4), [0.25, 0.0625, 0.015625, 0.00390625]);
        assert_eq!(alibi(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
    }
}
