//! Assembles one report from what was read: each site with its evidence, kernel and readers, then the model as a whole.

use super::dead::{reader_reports, total_dead};
use super::judge::Judged;
use super::kernel::{kernel_of, kernel_report};
use super::report_builder::ReportBuilder;
use super::{Inspection, Stored};
use crate::checkpoint::config::{Config, Scope};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::{Format, TensorError};
use crate::kernel::scale::Scale;
use crate::norm::convention::{self, Convention, LikelyOffset, Seen};
use crate::norm::evidence;
use crate::norm::{self, NormSite, unnamed, verdict};
use crate::order;
use crate::reader::Readers;
use crate::report::{
    CheckpointSummary, DeadParameters, ModelSummary, NormKind, NormReport, NormRole, RemoteSummary, Report,
    SCHEMA, ScaleConvention, WarningCode,
};
use crate::report::{reasons, sentence};
use crate::source::{ByteSource, Transfer};

impl<S: ByteSource> ReportBuilder<'_, S> {
    pub(super) fn report(mut self, stored: &[Stored]) -> Inspection {
        let judged = self.judge(stored);
        let (conventions, likely_offsets) = self.conventions(stored, &judged);
        let mut norms = Vec::with_capacity(self.sites.len());
        let mut scales = Vec::with_capacity(self.sites.len());
        let mut undecided = vec![None; self.sites.len()];
        for (index, convention) in conventions.into_iter().enumerate() {
            let site = &self.sites[index];
            if convention.convention == ScaleConvention::Unknown && !site.per_head {
                undecided[index] = split(stored[index].scale.as_ref()).0.map(<[f64]>::to_vec);
            }
            let (norm, scale) = self.site(site, &stored[index], &judged[index], convention);
            norms.push(norm);
            scales.push(scale);
        }
        self.warn_about_tensors();
        self.warn_about_names();
        self.warn_about_graph(&judged);
        let empty_norms = self.warn_about_empty();
        let missing = self.checkpoint.missing_shards.len();
        // Another warning names the missing shards.
        if norms.is_empty() && empty_norms == 0 && missing == 0 {
            let message = match self.checkpoint.has_graph() {
                true => {
                    "no norm with a stored scale was found in the graph: there is no scale to read a dead direction from. Batch norms are often folded into convolutions"
                }
                false => {
                    "no norm was found in the catalogue: there is no scale to read a dead direction from. A checkpoint of a transformer has tensors named like `…norm.weight`"
                }
            };
            self.warn(WarningCode::NoNorms, &self.checkpoint.name, message.to_owned());
        }
        let dead_parameters = total_dead(&norms, self.checkpoint.has_graph());
        let mut model = self.model(&norms, &dead_parameters);
        if norms.is_empty() && empty_norms > 0 {
            model.sentence = sentence::all_empty(empty_norms);
        } else if norms.is_empty() && missing > 0 {
            model.sentence = sentence::all_missing(missing);
        }
        let checkpoint = self.checkpoint;
        let norm_bytes = self
            .sites
            .iter()
            .flat_map(|site| site.scale.into_iter().chain(site.shift))
            .map(|index| checkpoint.tensors[index].bytes())
            .sum();
        let summary = |Transfer { address, requests, bytes }| RemoteSummary { address, requests, bytes };
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            checkpoint: CheckpointSummary {
                name: checkpoint.name.clone(),
                format: checkpoint.format.name().to_owned(),
                shards: checkpoint.shards.len() as u32,
                missing_shards: checkpoint.missing_shards.clone(),
                tensors: checkpoint.tensors.len() as u32,
                parameters: checkpoint.parameters(),
                bytes: checkpoint.bytes(),
                bytes_read: checkpoint.bytes_read(),
                header_bytes: checkpoint.header_bytes,
                norm_bytes,
                weight_bytes_read: checkpoint.weight_bytes_read(),
                remote: checkpoint.transfer().map(summary),
            },
            model,
            findings: Vec::new(),
            norms,
            dead_parameters,
            writers: self.streams.reports(checkpoint),
            verification: self.verification().cloned(),
            warnings: self.warnings,
            shared: None,
        };
        report.find();
        let shifts =
            stored.iter().map(|stored| stored.shift.as_ref().and_then(|shift| shift.clone().ok())).collect();
        let own_names = self.sites.iter().map(|site| site.name.clone()).collect();
        Inspection { report, scales, shifts, own_names, undecided, likely_offsets }
    }

    /// The convention of each site, with a warning about those whose values contradict it, and what γ − w seems to be there.
    fn conventions(
        &mut self,
        stored: &[Stored],
        judged: &[Judged],
    ) -> (Vec<Convention>, Vec<Option<LikelyOffset>>) {
        let (tensors, checkpoint) = (&self.checkpoint.tensors, self.checkpoint);
        let seen: Vec<Seen<'_>> = self
            .sites
            .iter()
            .zip(stored)
            .zip(judged)
            .map(|((site, stored), judged)| Seen {
                site,
                config: self.config(&site.name).map(|config| config.scope(&site.name)),
                kind: judged.verdict.kind,
                stored: split(stored.scale.as_ref()).0,
                mlx: site.scale.is_some_and(|scale| checkpoint.is_by_mlx(&tensors[scale])),
            })
            .collect();
        let (conventions, doubts) = convention::decide(&seen);
        let mut likely = vec![None; self.sites.len()];
        for doubt in doubts {
            doubt.sites.iter().for_each(|&site| likely[site] = Some(doubt.likely));
            let first = doubt.sites.first().map_or("", |&site| self.stored_name(&self.sites[site]));
            self.warn(WarningCode::ScaleOffByOne, first, doubt.message);
        }
        (conventions, likely)
    }

    fn site(
        &mut self,
        site: &NormSite,
        stored: &Stored,
        judged: &Judged,
        convention: Convention,
    ) -> (NormReport, Option<Scale>) {
        let config = self.config(&site.name);
        let checkpoint = self.checkpoint;
        let name_of = |index: Option<usize>| {
            index.map(|index| checkpoint.stored_name(&checkpoint.tensors[index].name).to_owned())
        };
        let name = self.stored_name(site).to_owned();
        let (raw, scale_problem) = split(stored.scale.as_ref());
        let (shift, shift_problem) = split(stored.shift.as_ref());
        let verdict = judged.verdict;
        let effective = raw.and_then(|raw| convention.effective(raw));
        let (scale, not_finite) = match effective.map(Scale::new) {
            Some(Ok(scale)) => (Some(scale), None),
            Some(Err(error)) => {
                (None, Some(format!("tensor `{}`: {error}", name_of(site.scale).unwrap_or_default())))
            }
            None => (None, None),
        };
        let problem = scale_problem.or(not_finite).or(shift_problem);
        if let Some(message) = &problem {
            self.warn(
                WarningCode::ScaleUnusable,
                &name,
                format!("{message}. The other sites are not affected"),
            );
        }
        // One direction for all heads would be wrong for every head.
        let scale = scale.filter(|_| !site.per_head);
        let problem = problem.or_else(|| site.per_head.then(|| PER_HEAD.to_owned()));
        let undecided = convention.convention == ScaleConvention::Unknown;
        let problem = problem.or_else(|| undecided.then(|| UNDECIDED.to_owned()));
        let kernel = scale.as_ref().and_then(|scale| kernel_of(scale, verdict.kind));
        let readers = match verdict.kind {
            NormKind::Other => Readers {
                note: Some("a norm of this kind has no known direction".to_owned()),
                ..Readers::default()
            },
            _ => self.readers.readers(site, self.sites, config),
        };
        let report = NormReport {
            name,
            scale: name_of(site.scale),
            shift: name_of(site.shift),
            width: site.width,
            role: site.role,
            block: site.block,
            part: site.part(),
            kind: verdict.kind,
            confidence: verdict.confidence,
            scale_convention: convention.convention,
            convention_reason: convention.reason,
            alternatives: evidence::alternatives(verdict.posterior),
            evidence: evidence::reports(&judged.pieces),
            settle: self.settle(site, judged),
            readers: reader_reports(checkpoint, kernel.as_ref(), site.shift.is_some(), shift, &readers),
            kernel: kernel_report(scale.as_ref(), kernel.as_ref(), verdict.kind),
            reader_note: readers.note,
            problem,
        };
        (report, scale)
    }

    fn model(&self, norms: &[NormReport], dead: &DeadParameters) -> ModelSummary {
        let verdict = sentence::model_verdict(norms);
        let final_norm = sentence::final_norm(norms);
        let site =
            final_norm.and_then(|norm| self.sites.iter().find(|site| self.stored_name(site) == norm.name));
        let config = self.config(site.map_or("", |site| site.name.as_str()));
        ModelSummary {
            family: config.and_then(Config::family).map(str::to_owned),
            verdict,
            confidence: sentence::confidence(norms),
            sentence: sentence::model_sentence(verdict, norms, dead),
            reasons: reasons::reasons(norms, self.verification()),
            parts: sentence::parts(norms),
            final_norm: final_norm.map(|norm| norm.name.clone()),
            layers: self.layers(config.map(|config| config.scope(""))),
            width: final_norm
                .map(|norm| norm.width)
                .or_else(|| norms.iter().find(|norm| norm.role == NormRole::Block).map(|norm| norm.width)),
        }
    }

    /// Number of blocks that run. ALBERT stores one block for each group of layers that share it.
    fn layers(&self, scope: Option<Scope<'_>>) -> Option<u32> {
        let stored = self.sites.iter().filter_map(|site| site.block).max()? + 1;
        let groups = scope.and_then(|scope| scope.count("num_hidden_groups"));
        let layers = scope.and_then(|scope| scope.count("num_hidden_layers"));
        match (groups, layers) {
            (Some(groups), Some(layers)) if groups == u64::from(stored) => u32::try_from(layers).ok(),
            _ => Some(stored),
        }
    }

    /// Adds one warning for each unknown element type, however many tensors have it.
    fn warn_about_tensors(&mut self) {
        let unknown = self.checkpoint.tensors.iter().filter_map(|tensor| match &tensor.dtype {
            TensorType::Unknown(dtype) => Some((dtype.as_str(), tensor.name.as_str())),
            _ => None,
        });
        let why = match self.checkpoint.format {
            Format::PyTorch | Format::Onnx => "which Gammascope does not read".to_owned(),
            format => format!("which the {} format does not define", format.name()),
        };
        for (dtype, tensors) in order::groups(unknown) {
            let more = match tensors.len() {
                0 | 1 => String::new(),
                2 => " and 1 more tensor".to_owned(),
                several => format!(" and {} more tensors", several - 1),
            };
            let message = format!(
                "tensor `{}`{more} has the element type {dtype:?}, {why}: its values are not used",
                tensors[0]
            );
            self.warn(WarningCode::DtypeUnknown, tensors[0], message);
        }
    }

    /// Adds one warning for all tensors without a value. Returns the number of norms among them.
    fn warn_about_empty(&mut self) -> usize {
        let empty: Vec<&str> = self
            .checkpoint
            .tensors
            .iter()
            .filter(|tensor| tensor.elements() == 0)
            .map(|tensor| tensor.name.as_str())
            .collect();
        let Some(&first) = empty.first() else { return 0 };
        let module = |name: &&str| name.rsplit_once('.').map_or(*name, |(module, _)| module).to_owned();
        let norms = order::distinct(empty.iter().filter(|name| norm::names_a_norm(name)).map(module));
        let named: Vec<String> = norms.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let of_norms = match (norms.len(), norms.len().saturating_sub(NAMED)) {
            (0, _) => String::new(),
            (_, 0) => format!(", among them those of the norms {}", named.join(", ")),
            (_, more) => format!(", among them those of the norms {} and {more} more", named.join(", ")),
        };
        let (tensors, are) = if empty.len() == 1 { ("tensor", "is") } else { ("tensors", "are") };
        let message = format!(
            "{} {tensors} {are} empty{of_norms}: DeepSpeed ZeRO 3 leaves parameters empty where they were not gathered before saving. Save the model again with its parameters gathered, or run zero_to_fp32.py on the training checkpoint",
            empty.len()
        );
        self.warn(WarningCode::TensorsEmpty, first, message);
        norms.len()
    }

    /// Adds one warning for all sites where the graph does another norm than everything else suggests.
    fn warn_about_graph(&mut self, judged: &[Judged]) {
        if !self.checkpoint.has_graph() {
            return;
        }
        let sites = self.sites.iter().zip(judged).filter(|(site, _)| site.stated().is_some());
        let differing: Vec<(&str, NormKind)> = sites
            .filter_map(|(site, judged)| {
                let other = verdict::beside_the_graph(&judged.pieces, judged.verdict.kind)?;
                Some((self.stored_name(site), other))
            })
            .collect();
        let Some(&(first, other)) = differing.first() else { return };
        let more = match differing.len() {
            1 => String::new(),
            several => format!(" and {} more", several - 1),
        };
        let (does, should) = match other {
            NormKind::RmsNorm => ("subtracts the mean", "an RMSNorm"),
            _ => ("subtracts no mean", "a LayerNorm"),
        };
        let message = format!(
            "the graph {does} at `{first}`{more}, but everything else in the files is that of {should}: the export may have changed what the model computes. Compare the outputs of both"
        );
        self.warn(WarningCode::GraphDiffers, first, message);
    }

    /// Norms with names that say nothing are found only if no name in the file says anything. A graph needs no names.
    fn warn_about_names(&mut self) {
        let tensors = &self.checkpoint.tensors;
        if self.checkpoint.has_graph() {
            return;
        }
        let opaque: Vec<&str> = tensors
            .iter()
            .map(|tensor| tensor.name.as_str())
            .filter(|name| unnamed::is_opaque(name))
            .collect();
        if opaque.len() < MANY_OPAQUE.max(tensors.len() / 10) {
            return;
        }
        let (name, count) = (opaque[0], opaque.len());
        let message = if count == tensors.len() {
            format!(
                "no name says what its tensor is for (`{name}`): sites were found by shapes and values, without role, block or readers"
            )
        } else {
            format!(
                "{count} of {} tensors have names that say nothing, such as `{name}`: norms among them are not found",
                tensors.len()
            )
        };
        self.warn(WarningCode::NamesOpaque, name, message);
    }
}

/// How many empty norms a warning names. It only counts the others.
const NAMED: usize = 4;

/// Least number of names that say nothing before a warning mentions them.
const MANY_OPAQUE: usize = 4;

/// Why nothing is read from a scale of heads × d.
const PER_HEAD: &str = "each head has its own scale and its own kernel, so none is shown";

/// Why nothing is read from a scale of unknown convention.
const UNDECIDED: &str =
    "whether γ is w or 1 + w is not known here, so neither a direction nor zero channels are read from it";

fn split(read: Option<&Result<Vec<f64>, TensorError>>) -> (Option<&[f64]>, Option<String>) {
    match read {
        None => (None, None),
        Some(Ok(values)) => (Some(values), None),
        Some(Err(error)) => (None, Some(error.to_string())),
    }
}
