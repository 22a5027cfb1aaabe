//! Reaches the verdict on each site: combines its evidence, then, for norms outside the blocks that are still open, adds what
//! their siblings are.

use super::Stored;
use super::report_builder::ReportBuilder;
use crate::norm::NormSite;
use crate::norm::evidence::{self, BothKinds, Evidence, EvidenceSource, Siblings, Stream, Witness};
use crate::norm::verdict::{self, Verdict};
use crate::report::{NormKind, SiteVerification};
use crate::source::ByteSource;

/// A site's verdict and its evidence.
#[derive(Debug)]
pub(super) struct Judged {
    /// All evidence, for and against.
    pub(super) pieces: Vec<Evidence>,
    /// The verdict.
    pub(super) verdict: Verdict,
}

impl<S: ByteSource> ReportBuilder<'_, S> {
    /// Judges every site.
    pub(super) fn judge(&self, stored: &[Stored]) -> Vec<Judged> {
        let mut judged: Vec<Judged> =
            self.sites.iter().zip(stored).map(|(site, stored)| self.judge_alone(site, stored)).collect();
        let siblings = Siblings::of(self.sites.iter().zip(judged.iter().map(|judged| judged.verdict)));
        for (site, judged) in self.sites.iter().zip(&mut judged) {
            if site.block.is_some() || judged.verdict.kind != NormKind::Unknown {
                continue;
            }
            if let Some(piece) = siblings.weigh(site) {
                judged.pieces.push(piece);
                judged.verdict = verdict::combine(&judged.pieces);
            }
        }
        judged
    }

    fn measured(&self, site: &str) -> Option<&SiteVerification> {
        // A pass that was given the kind is no evidence of it.
        let of_own_code = self.verification().filter(|verification| verification.pass.is_none());
        of_own_code?.sites.iter().find(|measured| measured.name == site)
    }

    /// The loss of a pass that ran with norms of one kind and then of the other.
    fn loss(&self) -> Option<BothKinds> {
        let verification = self.verification()?;
        let (loss, pass) = (verification.loss?, verification.pass.as_ref()?);
        Some(BothKinds { loss, sequences: loss.tokens / pass.length.saturating_sub(1).max(1) })
    }

    fn judge_alone(&self, site: &NormSite, stored: &Stored) -> Judged {
        let witness = Witness {
            site,
            config: self.config(&site.name).map(|config| config.scope(&site.name)),
            shift: stored.shift.as_ref().and_then(|shift| shift.as_deref().ok()),
            writers: self.streams.of(site),
            no_writers: self.streams.why_not(),
            loss: self.loss(),
            measured: self.measured(self.stored_name(site)),
        };
        let pieces = evidence::collect(&witness);
        let centred = witness.measured.is_none()
            && witness.writers.is_some_and(Stream::is_centred)
            && site.reads_stream();
        let verdict = if centred { verdict::on_a_centred_stream() } else { verdict::combine(&pieces) };
        Judged { pieces, verdict }
    }

    /// The same if there is a graph, which is what the file computes.
    fn settle_beside_graph(&self, judged: &Judged) -> Option<String> {
        if judged.verdict.kind == NormKind::Unknown {
            return Some("The code that the file was exported from would settle it.".to_owned());
        }
        verdict::beside_the_graph(&judged.pieces, judged.verdict.kind)?;
        Some("The graph is what this file computes. Names, shapes or configuration are of the other kind: check that the export kept the norms of the model.".to_owned())
    }

    /// What would settle a kind that is unknown, or about which two pieces of evidence contradict each other.
    pub(super) fn settle(&self, site: &NormSite, judged: &Judged) -> Option<String> {
        if site.stated().is_some() {
            return self.settle_beside_graph(judged);
        }
        let clash = verdict::contradiction(&judged.pieces);
        if judged.verdict.kind != NormKind::Unknown && clash.is_none() {
            return None;
        }
        let clash = clash.map(|(layer, rms)| {
            format!(
                "Evidence for LayerNorm: {}. Evidence for RMSNorm: {}. ",
                layer.source.name(),
                rms.source.name()
            )
        });
        let weighed =
            judged.pieces.iter().any(|piece| piece.source == EvidenceSource::WriterEnergy && piece.speaks());
        let advice = match (self.config(&site.name).is_some(), self.streams.refused(), weighed) {
            (false, true, _) => {
                "A config.json beside the weights would settle it, or a sample of the weights."
            }
            (false, false, _) => {
                "A config.json beside the weights would settle it, or the code that the model runs in."
            }
            (true, true, _) => "A sample of the weights may settle it.",
            (true, false, false) => {
                "The code that the model runs in would settle it; neither its configuration nor its weights do."
            }
            (true, false, true) => {
                "The code that the model runs in would settle it; check that the configuration is this model's."
            }
        };
        Some(clash.unwrap_or_default() + advice)
    }
}
