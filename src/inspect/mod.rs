//! Turns files into a report: files → catalogue → sites → evidence → kernels → readers → report.

mod assemble;
mod contents;
mod dead;
mod judge;
mod kernel;
mod report_builder;
#[cfg(feature = "onnx")]
mod stated;
mod weights;

use crate::checkpoint::config::Scope;
use crate::checkpoint::{self, Checkpoint, CheckpointError, Tensor, TensorError};
use crate::kernel::scale::Scale;
use crate::norm::convention::LikelyOffset;
use crate::norm::{self, Knowledge, NormSite};
use crate::order;
use crate::reader::{self, tied};
use crate::report::claims::Claim;
use crate::report::story::Story;
use crate::report::{Report, Verification, Warning};
use crate::source::ByteSource;
use crate::writer;
use report_builder::ReportBuilder;
use serde::Serialize;
use std::ops::ControlFlow;
use weights::Streams;

pub(crate) use kernel::kernel_of;
pub use weights::WeightSample;

/// How far one stage of reading, measuring or running has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Shards, tensors or writers done.
    pub done: u32,
    /// Shards, tensors or writers in all.
    pub total: u32,
    /// Bytes read so far.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes_read: u64,
}

/// The stages of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Headers of the shards.
    Headers,
    /// Scales and shifts of the norms.
    Scales,
    /// A sample of the weights that write the residual stream, after the first verdict.
    Weights,
    /// Sites measured on activations.
    Sites,
    /// Blocks of the model that have run.
    Blocks,
}

/// A report and the scales behind it, which the figures need.
#[derive(Debug)]
pub struct Inspection {
    /// What was found.
    pub report: Report,
    /// γ of each site of `report.norms`, if it could be read.
    pub scales: Vec<Option<Scale>>,
    /// β of each site, if it has one that could be read.
    pub shifts: Vec<Option<Vec<f64>>>,
    /// Name of each site in the model's own code. The report has the names in the file, which differ if unwrapping changed them.
    pub own_names: Vec<String>,
    /// What each site of unknown convention stores: such a site has no γ.
    pub undecided: Vec<Option<Vec<f64>>>,
    /// What γ − w seems to be at each site whose values contradict its convention.
    pub likely_offsets: Vec<Option<LikelyOffset>>,
}

/// An inspected checkpoint that is still open.
#[derive(Debug)]
pub struct Opened<S> {
    /// What was found so far.
    pub inspection: Inspection,
    checkpoint: Checkpoint<S>,
    sites: Vec<NormSite>,
    stored: Vec<Stored>,
    streams: Streams,
    measured: Option<(Verification, Vec<Warning>)>,
}

/// What was read for one site.
#[derive(Debug)]
struct Stored {
    scale: Option<Result<Vec<f64>, TensorError>>,
    shift: Option<Result<Vec<f64>, TensorError>>,
}

/// Inspects the files of one checkpoint: headers and norm tensors only.
pub async fn inspect<S: ByteSource>(
    sources: Vec<S>,
    progress: impl FnMut(Progress),
) -> Result<Inspection, CheckpointError> {
    Ok(open(sources, progress).await?.inspection)
}

/// Opens and inspects the files of one checkpoint; the weights can be sampled afterwards.
pub async fn open<S: ByteSource>(
    sources: Vec<S>,
    progress: impl FnMut(Progress),
) -> Result<Opened<S>, CheckpointError> {
    open_knowing(sources, Knowledge::default(), progress).await
}

/// The same, without part of the knowledge of other models.
pub async fn open_knowing<S: ByteSource>(
    sources: Vec<S>,
    knowledge: Knowledge,
    mut progress: impl FnMut(Progress),
) -> Result<Opened<S>, CheckpointError> {
    open_telling(sources, knowledge, &mut progress).await
}

/// [`open_knowing`] with a dynamic `progress`, so that it is compiled only once.
async fn open_telling<S: ByteSource>(
    sources: Vec<S>,
    knowledge: Knowledge,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened<S>, CheckpointError> {
    Ok(locate_telling(sources, progress).await?.judge_telling(knowledge, progress).await)
}

/// A checkpoint whose headers were read and whose norm sites were found, without knowledge of other models.
#[derive(Debug)]
pub struct Located<S> {
    checkpoint: Checkpoint<S>,
    sites: Vec<NormSite>,
}

/// Reads the headers of one checkpoint and finds its norm sites.
pub async fn locate<S: ByteSource>(
    sources: Vec<S>,
    mut progress: impl FnMut(Progress),
) -> Result<Located<S>, CheckpointError> {
    locate_telling(sources, &mut progress).await
}

/// [`locate`] with a dynamic `progress`, so that it is compiled only once.
async fn locate_telling<S: ByteSource>(
    sources: Vec<S>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Located<S>, CheckpointError> {
    let checkpoint = checkpoint::open(sources, |opened| {
        progress(Progress {
            stage: Stage::Headers,
            done: opened.shards_done as u32,
            total: opened.shards as u32,
            bytes_read: opened.bytes_read,
        });
    })
    .await?;
    let parameterless = match checkpoint.has_graph() {
        true => Vec::new(),
        false => norm::parameterless::find(&checkpoint.tensors, |name| scope_of(&checkpoint, name)),
    };
    let sites = norm::find::locate(&checkpoint.tensors, parameterless);
    #[cfg(feature = "onnx")]
    if checkpoint.has_graph() {
        return Ok(stated::located(checkpoint, &sites));
    }
    Ok(Located { checkpoint, sites })
}

/// What the configuration that applies to a name says, if it is trusted.
fn scope_of<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, name: &str) -> Option<Scope<'a>> {
    let config = checkpoint.config_of(name).filter(|config| report_builder::fits(config, checkpoint))?;
    Some(config.scope(name))
}

impl<S: ByteSource> Located<S> {
    /// The parts of the tables of measured models that have lines for this checkpoint, sorted by name.
    pub fn tables(&self) -> Vec<String> {
        let tensors = &self.checkpoint.tensors;
        let layouts = norm::layout::parts(tensors, &self.sites);
        let readers = reader::parts(tensors, &self.sites, |name| scope_of(&self.checkpoint, name));
        // A configuration also applies to sites that are found only by their values.
        let configs = self.checkpoint.configs.iter().map(|config| config.scope(""));
        let scopes = self.sites.iter().filter_map(|site| scope_of(&self.checkpoint, &site.name));
        let families = configs.chain(scopes).flat_map(norm::registry::family_parts);
        order::distinct(layouts.into_iter().chain(readers).chain(families))
    }

    /// Reads the norms and judges them.
    pub async fn judge(self, knowledge: Knowledge, mut progress: impl FnMut(Progress)) -> Opened<S> {
        self.judge_telling(knowledge, &mut progress).await
    }

    /// [`Located::judge`] with a dynamic `progress`, so that it is compiled only once.
    async fn judge_telling(self, knowledge: Knowledge, progress: &mut dyn FnMut(Progress)) -> Opened<S> {
        let Self { checkpoint, sites } = self;
        let (sites, mut read) = read_sites(&checkpoint, sites, knowledge, progress).await;
        let mut take = |index: usize| read[index].take();
        let stored = sites
            .iter()
            .map(|site| Stored {
                scale: match site.scale {
                    Some(scale) => take(scale),
                    None => Some(Ok(vec![1.0; site.width as usize])),
                },
                shift: site.shift.and_then(&mut take),
            })
            .collect::<Vec<_>>();
        let streams = Streams::default();
        let inspection = ReportBuilder::new(&checkpoint, &sites, &streams).report(&stored);
        Opened { inspection, checkpoint, sites, stored, streams, measured: None }
    }
}

/// Values by index of their tensor, if it was read.
type Read = Vec<Option<Result<Vec<f64>, TensorError>>>;

/// The norm sites with knowledge of other models, and what was read of their tensors. If the names say nothing, every vector is
/// read to find the sites.
async fn read_sites<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    mut sites: Vec<NormSite>,
    knowledge: Knowledge,
    progress: &mut dyn FnMut(Progress),
) -> (Vec<NormSite>, Read) {
    let tensors = &checkpoint.tensors;
    // Every configuration that diffusers writes names one of its classes.
    let diffusers = checkpoint.configs.iter().any(|config| config.scope("").has("_class_name"));
    let knowledge = Knowledge { library: diffusers.then_some("diffusers"), ..knowledge };
    norm::find::recognise(tensors, &mut sites, knowledge);
    let unnamed = sites.is_empty() && !checkpoint.has_graph() && norm::unnamed::says_nothing(tensors);
    let wanted: Vec<usize> = if unnamed {
        norm::unnamed::vectors(tensors)
    } else {
        sites.iter().flat_map(|site| site.scale.into_iter().chain(site.shift)).collect()
    };
    let total = wanted.len() as u32;
    let values = checkpoint
        .read(&wanted, |done, bytes_read| {
            progress(Progress { stage: Stage::Scales, done: done as u32, total, bytes_read })
        })
        .await;
    let sites = if unnamed {
        let readable: Vec<_> = values.iter().map(|values| values.as_deref().ok()).collect();
        norm::unnamed::find(tensors, &wanted, &readable)
    } else {
        sites
    };
    let mut read = vec![None; tensors.len()];
    for (index, values) in wanted.into_iter().zip(values) {
        read[index] = Some(values);
    }
    (sites, read)
}

impl<S: ByteSource> Opened<S> {
    /// Samples the weights that write the residual streams, at most `budget` bytes of them. `progress` may end it.
    /// [`Opened::take`] uses the result; figures can be drawn meanwhile.
    pub async fn weigh(
        &self,
        budget: u64,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> WeightSample {
        // A graph's matrices lie as its nodes read them, which writers are not recognised by.
        let of_graph = self.checkpoint.has_graph();
        let writers = if of_graph { Vec::new() } else { writer::find(&self.checkpoint.tensors, &self.sites) };
        let planned = writer::sample::plan(&self.checkpoint.tensors, writers, budget);
        let total = planned.len() as u32;
        let sampled = writer::sample::read(&self.checkpoint, planned, |done, bytes_read| {
            progress(Progress { stage: Stage::Weights, done: done as u32, total, bytes_read })
        })
        .await;
        let complete = sampled.len() == total as usize;
        let tied = if complete && !of_graph { tied::by_values(&self.checkpoint).await } else { Vec::new() };
        WeightSample { complete, sampled, tied }
    }

    /// Makes the report again with the evidence of the weights. A sample that was ended early says nothing.
    pub fn take(&mut self, sample: WeightSample) {
        self.streams = Streams::new(sample);
        self.report_anew();
    }

    /// Every norm site, in the order of the report.
    pub fn sites(&self) -> &[NormSite] {
        &self.sites
    }

    /// Every tensor of the checkpoint, sorted by name.
    pub fn tensors(&self) -> &[Tensor] {
        &self.checkpoint.tensors
    }

    /// The checkpoint itself.
    pub fn checkpoint(&self) -> &Checkpoint<S> {
        &self.checkpoint
    }

    /// ε of a site of `report.norms`, from the configuration.
    pub fn epsilon(&self, site: usize) -> Option<f64> {
        let name = &self.inspection.report.norms.get(site)?.name;
        scope_of(&self.checkpoint, name)?.epsilon()
    }

    /// Makes the report again with measurements on activations, and with their warnings.
    pub fn verify(&mut self, mut verification: Verification, warnings: Vec<Warning>) {
        if verification.pass.is_some() {
            let norms = &self.inspection.report.norms;
            verification.claims = Claim::of(&verification, norms);
            verification.story = Story::of(&verification, norms);
        }
        self.measured = Some((verification, warnings));
        self.report_anew();
    }

    fn report_anew(&mut self) {
        let mut builder = ReportBuilder::new(&self.checkpoint, &self.sites, &self.streams);
        if let Some((verification, warnings)) = &self.measured {
            builder = builder.with(verification, warnings.clone());
        }
        self.inspection = builder.report(&self.stored);
    }
}
