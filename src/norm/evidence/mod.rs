//! Evidence about the kind of a site: one file each, every one a log-likelihood ratio between LayerNorm and RMSNorm.
//!
//! To add one, write a file with `pub fn weigh(&Witness) -> Evidence`, say where its number comes from and when it
//! abstains, and list it in [`collect`]. How pieces depend on each other is decided in [`super::verdict`], nowhere else.

mod activations;
mod configuration;
mod layout;
mod loss;
mod names;
mod shift;
mod siblings;
mod structure;
mod values;
mod writer_energy;

pub use loss::BothKinds;
pub use siblings::Siblings;
pub use writer_energy::Stream;

use super::find::NormSite;
use crate::checkpoint::config::Scope;
use crate::report::{EvidenceReport, NormKind, SiteVerification};

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Which file it comes from.
    pub source: Source,
    /// ln P(seen | LayerNorm) − ln P(seen | RMSNorm), in nats; 0 abstains.
    pub log_likelihood_ratio: f64,
    /// What was seen.
    pub detail: String,
}

/// The kinds of evidence there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `config.json` and the family it names.
    Configuration,
    /// Whose code the block is from, by the names of all its tensors.
    Layout,
    /// Presence and absence of a shift.
    Shift,
    /// What the module is called.
    Names,
    /// How the block is built.
    Structure,
    /// The stored numbers.
    Values,
    /// The norms of the blocks on the same stream.
    Siblings,
    /// What training left in the matrices that write the residual stream.
    WriterEnergy,
    /// What the norms cost as the other kind.
    Loss,
    /// What the norm did, measured.
    Activations,
}

impl Source {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Layout => "layout",
            Self::Shift => "shift",
            Self::Names => "names",
            Self::Structure => "structure",
            Self::Values => "values",
            Self::Siblings => "siblings",
            Self::WriterEnergy => "writer energy",
            Self::Loss => "loss",
            Self::Activations => "activations",
        }
    }
}

/// What evidence may look at.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    /// The site.
    pub site: &'a NormSite,
    /// The configuration of the site's part of the model, when it is believed.
    pub config: Option<Scope<'a>>,
    /// Its scale is stored around zero: see [`super::convention::Storage`].
    pub stored_around_zero: bool,
    /// The shift's values, when there is one and it was read.
    pub shift: Option<&'a [f64]>,
    /// The writers of the site's stream, once they were sampled.
    pub writers: Option<&'a Stream>,
    /// Why there are none.
    pub no_writers: &'a str,
    /// What the model's text costs under both kinds, where it was run under both.
    pub loss: Option<BothKinds>,
    /// What was measured on activations.
    pub measured: Option<&'a SiteVerification>,
}

/// Why a site is no LayerNorm and no RMSNorm at all: by what it is made of, or because its code says so.
pub fn outside_theorem(witness: &Witness<'_>) -> Option<String> {
    let made = witness.site.other.map(str::to_owned);
    made.or_else(|| configuration::another_norm(witness)).or_else(|| {
        let layout = witness.site.layout.as_ref().filter(|layout| layout.likeness == 1.0)?;
        (layout.statement.kind == NormKind::Other && !configuration::contradicts_another(witness)).then(
            || {
                format!(
                    "the block is named as in {}, whose norm here is neither LayerNorm nor RMSNorm",
                    layout.families
                )
            },
        )
    })
}

/// All evidence about one site.
pub fn collect(witness: &Witness<'_>) -> Vec<Evidence> {
    let mut pieces = vec![
        configuration::weigh(witness),
        layout::weigh(witness),
        shift::weigh(witness),
        names::weigh(witness),
        structure::weigh(witness),
        values::weigh(witness),
        writer_energy::weigh(witness),
    ];
    pieces.extend(loss::weigh(witness));
    pieces.extend(activations::weigh(witness));
    pieces
}

impl Evidence {
    fn abstain(source: Source, detail: impl Into<String>) -> Self {
        Self { source, log_likelihood_ratio: 0.0, detail: detail.into() }
    }

    /// As the report shows it.
    pub fn report(&self) -> EvidenceReport {
        let says = if self.log_likelihood_ratio > 0.0 {
            NormKind::LayerNorm
        } else if self.log_likelihood_ratio < 0.0 {
            NormKind::RmsNorm
        } else {
            NormKind::Unknown
        };
        EvidenceReport {
            source: self.source.name().to_owned(),
            says,
            strength: self.log_likelihood_ratio.abs(),
            detail: self.detail.clone(),
        }
    }
}
