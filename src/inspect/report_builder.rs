//! What an inspection knows while it judges sites and puts the report together.

use super::weights::Streams;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::norm::NormSite;
use crate::reader::ReaderIndex;
use crate::report::{Verification, Warning, WarningCode};
use crate::source::ByteSource;

pub(super) struct ReportBuilder<'a, S> {
    pub(super) checkpoint: &'a Checkpoint<S>,
    pub(super) sites: &'a [NormSite],
    pub(super) readers: ReaderIndex<'a>,
    pub(super) foreign_configs: Vec<&'a str>,
    pub(super) streams: &'a Streams,
    verification: Option<&'a Verification>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a, S: ByteSource> ReportBuilder<'a, S> {
    pub(super) fn new(checkpoint: &'a Checkpoint<S>, sites: &'a [NormSite], streams: &'a Streams) -> Self {
        let mut builder = Self {
            checkpoint,
            sites,
            readers: ReaderIndex::new(&checkpoint.tensors, sites).with_tied(&streams.tied),
            foreign_configs: Vec::new(),
            streams,
            verification: None,
            warnings: checkpoint.warnings.clone(),
        };
        for config in checkpoint.configs.iter().filter(|config| !fits(config, checkpoint)) {
            builder.foreign_configs.push(config.path.as_str());
            let widths = config.widths().iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let message = format!(
                "`{}` declares a width of {widths}, which no tensor has: it belongs to another model and is not used",
                config.path
            );
            builder.warn(WarningCode::ConfigForeign, &config.path, message);
        }
        builder
    }

    /// Adds what was measured on activations, and the warnings about it.
    pub(super) fn with(mut self, verification: &'a Verification, warnings: Vec<Warning>) -> Self {
        self.verification = Some(verification);
        self.warnings.extend(warnings);
        self
    }

    /// What was measured on activations, if anything.
    pub(super) fn verification(&self) -> Option<&'a Verification> {
        Verification::where_measured(self.verification)
    }

    /// The configuration that applies to a name, if it is trusted.
    pub(super) fn config(&self, name: &str) -> Option<&'a Config> {
        self.checkpoint.config_of(name).filter(|config| !self.foreign_configs.contains(&config.path.as_str()))
    }

    /// A site's name in the file: the stored name of its scale, without the part that names the scale inside the norm.
    pub(super) fn stored_name(&self, site: &'a NormSite) -> &'a str {
        let Some(scale) = site.scale.map(|index| self.checkpoint.tensors[index].name.as_str()) else {
            return &site.name;
        };
        let stored = self.checkpoint.stored_name(scale);
        let inside = scale.strip_prefix(site.name.as_str());
        inside
            .filter(|_| stored != scale)
            .and_then(|inside| stored.strip_suffix(inside))
            .unwrap_or(&site.name)
    }

    pub(super) fn warn(&mut self, code: WarningCode, place: &str, message: String) {
        self.warnings.push(Warning::new(code, place, message));
    }
}

/// Whether a configuration can belong to this checkpoint: one of its widths is a dimension of some tensor. The configuration of a
/// GGUF file is in the file itself.
pub(super) fn fits<S>(config: &Config, checkpoint: &Checkpoint<S>) -> bool {
    let widths = config.widths();
    let mut concerned = checkpoint.tensors.iter().filter(|tensor| tensor.name.starts_with(&config.prefix));
    config.scope("").is_gguf()
        || widths.is_empty()
        || concerned.any(|tensor| tensor.shape.iter().any(|size| widths.contains(size)))
}
