//! The other norms of the stream: if the names do not settle a norm outside the blocks, it is like the norms inside them.
//!
//! Counted over the norms outside blocks of transformers' model types (one a name), without a shift, on a stream whose
//! blocks have norms of the same shape without a shift, all of one kind: 382 are of that kind, 0 of the other.

use super::{Evidence, EvidenceSource};
use crate::norm::behaviour::Likelihood;
use crate::norm::site::NormSite;
use crate::norm::verdict::Verdict;
use crate::order;
use crate::report::NormKind;

/// ln (382.5/0.5)
const ALIKE: f64 = 6.64;

/// Three behaviours share what speaks against their kind.
const SHARED: f64 = 3.0;

/// Stream, width and whether there is a shift.
type Key<'a> = (&'a str, u64, bool);

/// The norms in blocks: their kind and the least log odds of it, if all are of one kind.
#[derive(Debug, Default)]
pub struct Siblings<'a> {
    /// Sorted.
    streams: Vec<(Key<'a>, (NormKind, f64))>,
}

fn key(site: &NormSite) -> Option<Key<'_>> {
    Some((site.stream.as_deref()?, site.width, site.shift.is_some()))
}

impl<'a> Siblings<'a> {
    /// Collects the verdicts on the norms inside blocks.
    pub fn of(judged: impl Iterator<Item = (&'a NormSite, Verdict)>) -> Self {
        let on_stream = judged.filter(|(site, _)| site.block.is_some() && site.reads_stream());
        let said = on_stream.filter_map(|(site, verdict)| {
            let odds = (verdict.confidence / (1.0 - verdict.confidence)).ln();
            let known = matches!(verdict.kind, NormKind::LayerNorm | NormKind::RmsNorm);
            Some((key(site)?, known.then_some((verdict.kind, odds))))
        });
        let agree = |all, next| match (all, next) {
            (Some((kind, least)), Some((other, odds))) if kind == other => {
                Some((kind, f64::min(least, odds)))
            }
            _ => None,
        };
        let streams = order::groups(said).into_iter();
        Self {
            streams: streams
                .filter_map(|(key, said)| Some((key, said.into_iter().reduce(agree)??)))
                .collect(),
        }
    }

    /// Evidence from them about a norm outside the blocks.
    pub fn weigh(&self, site: &NormSite) -> Option<Evidence> {
        if !site.is_beside_blocks() {
            return None;
        }
        let found = self.streams.binary_search_by_key(&key(site)?, |(key, _)| *key).ok()?;
        let (kind, odds) = self.streams[found].1;
        let name = if kind == NormKind::LayerNorm { "LayerNorms" } else { "RMSNorms" };
        let detail = format!("the norms of the blocks on the same stream are {name}");
        Some(Evidence {
            source: EvidenceSource::Siblings,
            likelihood: Likelihood::of(kind, odds.min(ALIKE) + SHARED.ln()),
            detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Tensor;
    use crate::checkpoint::dtype::TensorType;

    fn sites() -> Vec<NormSite> {
        let names = ["model.layers.0.input_layernorm", "model.layers.1.input_layernorm", "model.norm"];
        let tensors: Vec<Tensor> = names
            .iter()
            .map(|name| Tensor {
                name: format!("{name}.weight"),
                dtype: TensorType::parse("F32"),
                shape: vec![4],
                shard: 0,
                range: 0..16,
                strides: None,
            })
            .collect();
        crate::norm::find(&tensors, Vec::new(), crate::norm::Knowledge::default())
    }

    fn weighed(kinds: [NormKind; 2]) -> Option<f64> {
        let sites = sites();
        let verdicts = kinds.map(|kind| Verdict { kind, confidence: 0.97, posterior: Likelihood::NOTHING });
        let siblings = Siblings::of(sites.iter().zip(verdicts));
        siblings.weigh(&sites[2]).map(|piece| piece.likelihood.ratio())
    }

    #[test]
    fn the_final_norm_is_as_sure_as_the_blocks() {
        let odds = (0.97f64 / 0.03).ln() + SHARED.ln();
        assert!((weighed([NormKind::LayerNorm; 2]).unwrap() - odds).abs() < 1e-9);
        assert!((weighed([NormKind::RmsNorm; 2]).unwrap() + odds).abs() < 1e-9);
    }

    #[test]
    fn siblings_that_differ_or_are_unknown_say_nothing() {
        assert_eq!(weighed([NormKind::LayerNorm, NormKind::RmsNorm]), None);
        assert_eq!(weighed([NormKind::LayerNorm, NormKind::Unknown]), None);
    }
}
