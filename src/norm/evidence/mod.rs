//! Evidence about the kind of a site: one file each, every one a likelihood under each [`Behaviour`].
//!
//! To add one, write a file with `pub fn weigh(&Witness) -> Evidence`, say where its number comes from and when it
//! abstains, and list it in [`collect`]. How pieces depend on each other is decided in [`super::verdict`], nowhere else.

mod activations;
mod configuration;
mod graph;
mod layout;
mod loss;
mod names;
mod prior;
mod shift;
mod siblings;
mod stored;
mod structure;
mod values;
mod writer_energy;

pub use loss::BothKinds;
pub use siblings::Siblings;
pub use writer_energy::Stream;

use super::behaviour::{Behaviour, Likelihood, reported};
use super::site::NormSite;
use crate::checkpoint::config::Scope;
use crate::report::{AlternativeReport, EvidenceReport, NormKind, SiteVerification};

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Which file it comes from.
    pub source: EvidenceSource,
    /// The likelihood of what was seen under each behaviour. Says nothing if it abstains.
    pub likelihood: Likelihood,
    /// What was seen.
    pub detail: String,
}

/// The kinds of evidence there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvidenceSource {
    /// What the graph of an ONNX file does.
    Graph,
    /// How often each behaviour was counted.
    Prior,
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
    /// What only one kind of module stores.
    Stored,
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

impl EvidenceSource {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Prior => "prior",
            Self::Configuration => "configuration",
            Self::Layout => "layout",
            Self::Shift => "shift",
            Self::Names => "names",
            Self::Structure => "structure",
            Self::Stored => "module",
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
    /// The configuration of the site's part of the model, if it is trusted.
    pub config: Option<Scope<'a>>,
    /// The shift's values, if there is one and it was read.
    pub shift: Option<&'a [f64]>,
    /// The writers of the site's stream, once they were sampled.
    pub writers: Option<&'a Stream>,
    /// Why `writers` is missing.
    pub no_writers: &'a str,
    /// What the model's text costs under both kinds, if it was run under both.
    pub loss: Option<BothKinds>,
    /// What was measured on activations.
    pub measured: Option<&'a SiteVerification>,
}

/// All evidence about one site.
pub fn collect(witness: &Witness<'_>) -> Vec<Evidence> {
    let mut pieces: Vec<Evidence> = graph::weigh(witness).into_iter().collect();
    pieces.extend([
        prior::weigh(witness),
        configuration::weigh(witness),
        layout::weigh(witness),
        shift::weigh(witness),
        names::weigh(witness),
        structure::weigh(witness),
        stored::weigh(witness),
        values::weigh(witness),
        writer_energy::weigh(witness),
    ]);
    pieces.extend(loss::weigh(witness));
    pieces.extend(activations::weigh(witness));
    pieces
}

impl Evidence {
    fn abstain(source: EvidenceSource, detail: impl Into<String>) -> Self {
        Self { source, likelihood: Likelihood::NOTHING, detail: detail.into() }
    }

    /// Whether it says anything.
    pub fn speaks(&self) -> bool {
        self.likelihood != Likelihood::NOTHING
    }

    fn report(&self, leaning: (NormKind, f64)) -> EvidenceReport {
        let (says, strength) = leaning;
        EvidenceReport {
            source: self.source.name().to_owned(),
            says,
            strength: reported(strength),
            detail: self.detail.clone(),
            under: if self.speaks() { alternatives(self.likelihood) } else { Vec::new() },
        }
    }
}

/// All evidence as the report shows it. Structure and names were counted given the habits before them, and are shown that way.
pub fn reports(pieces: &[Evidence]) -> Vec<EvidenceReport> {
    let given = |before: &[EvidenceSource]| {
        let before = pieces.iter().filter(|piece| before.contains(&piece.source));
        before.fold(Likelihood::NOTHING, |all, piece| all.and(piece.likelihood))
    };
    let leaning = |piece: &Evidence| match piece.source {
        EvidenceSource::Structure => {
            piece.likelihood.leaning_given(given(&[EvidenceSource::Prior, EvidenceSource::Shift]))
        }
        EvidenceSource::Names => piece.likelihood.leaning_given(given(&[
            EvidenceSource::Prior,
            EvidenceSource::Shift,
            EvidenceSource::Structure,
        ])),
        _ => piece.likelihood.leaning(),
    };
    pieces.iter().map(|piece| piece.report(leaning(piece))).collect()
}

/// A likelihood as shares that add up to 1, one for each behaviour.
pub fn alternatives(likelihood: Likelihood) -> Vec<AlternativeReport> {
    let shares = likelihood.normalised();
    let report = |(behaviour, probability): (Behaviour, f64)| AlternativeReport {
        behaviour: behaviour.into(),
        probability: reported(probability),
    };
    Behaviour::ALL.into_iter().zip(shares).map(report).collect()
}
