//! LayerNorms as RMSNorms (arXiv 2305.14858): the variance of a stream without a mean is its mean square, so ε stays too.

use super::extend::{Added, Extended};
use super::modelling;
use super::walk::Walk;
use crate::checkpoint::config::Config;
use crate::model::architecture::Norm;
use crate::model::operation::Centring;
use crate::report::fold::{FoldOutcome, FoldedNorm, FoldedWriter};
use serde_json::Value;

/// What was planned for norms and writers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcomes<'a> {
    /// In the order of the sites of the walk.
    pub(super) norms: &'a [FoldedNorm],
    pub(super) writers: &'a [FoldedWriter],
    pub(super) not_centred: Option<&'a str>,
}

/// What a conversion changes beside the centred writers and the folded shifts.
pub(super) struct Converted {
    /// Shifts, which an RMSNorm does not have.
    pub(super) removed: Vec<usize>,
    /// Scales for norms that stored none.
    pub(super) scales: Vec<Added>,
    pub(super) config: Config,
    /// Name and text of a modelling file, if no family of transformers computes this.
    pub(super) modelling: Option<(String, Vec<u8>)>,
}

/// Converts a model whose shifts are folded and whose writers are centred as `outcomes` says. The error says why the result would compute
/// something else.
pub(super) fn convert(
    extended: &Extended,
    walk: &Walk<'_>,
    outcomes: Outcomes<'_>,
) -> Result<Converted, String> {
    is_exact(extended, walk, outcomes)?;
    let removed = walk.sites.iter().filter_map(|site| site.norm.shift).collect();
    if extended.architecture.family == "olmo" {
        let (config, scales) = llama(extended, walk)?;
        return Ok(Converted { removed, scales, config, modelling: None });
    }
    let (config, file) = modelling::write(extended, walk)?;
    Ok(Converted { removed, scales: Vec::new(), config, modelling: Some(file) })
}

fn name(norm: &Norm) -> &str {
    norm.site.as_deref().unwrap_or("a norm without a name")
}

/// Whether an RMSNorm in the place of each LayerNorm gives the same.
fn is_exact(extended: &Extended, walk: &Walk<'_>, outcomes: Outcomes<'_>) -> Result<(), String> {
    if walk.sites.iter().all(|site| site.norm.centring == Centring::None) {
        return Err("its norms are RMSNorms already".to_owned());
    }
    if let Some(norm) = walk.begins {
        return Err(format!(
            "the residual stream begins with the output of `{}`, which has a mean",
            name(norm)
        ));
    }
    if let Some(why) = outcomes.not_centred {
        return Err(why.to_owned());
    }
    // A norm of queries and keys, or inside a part, reads something that has a mean.
    let reads_stream = |norm: &Norm| walk.on_stream.contains(&norm);
    if let Some(site) = walk.sites.iter().find(|site| !reads_stream(site.norm)) {
        let why = site.elsewhere.as_deref().unwrap_or("it does not read the residual stream");
        return Err(format!("`{}` needs the mean: {why}", name(site.norm)));
    }
    for writer in outcomes.writers {
        let FoldOutcome::Left { why } = &writer.centred else { continue };
        let is_tied = extended.untied == FoldOutcome::NotAsked && why.ends_with("(tied)");
        let hint = if is_tied { "; --untie stores the unembedding apart" } else { "" };
        return Err(format!("`{}` cannot lose its mean: {why}{hint}", writer.name));
    }
    for norm in outcomes.norms {
        if let FoldOutcome::Left { why } = &norm.shift {
            return Err(format!("the shift of `{}` stays: {why}", norm.name));
        }
    }
    Ok(())
}

/// OLMo has LayerNorms without parameters. Otherwise it is Llama, whose RMSNorms store a scale.
fn llama(extended: &Extended, walk: &Walk<'_>) -> Result<(Config, Vec<Added>), String> {
    let (mut config, architecture) = (extended.config.clone(), &extended.architecture);
    if config.fields().get("clip_qkv").is_some_and(|clip| !clip.is_null()) {
        return Err(
            "`clip_qkv` bounds queries, keys and values, and the code of Llama has no such field".to_owned()
        );
    }
    let table = architecture.embedding.tokens().map(|tokens| &architecture.tensors[tokens.tokens]);
    let mut scales = Vec::new();
    for norm in walk.sites.iter().map(|site| site.norm) {
        let named = norm.site.as_ref().map(|site| format!("{site}.weight"));
        let scale = named
            .zip(table)
            .and_then(|(name, like)| Added::vector(name.clone(), name, norm.width as u64, 1.0, like));
        scales.push(scale.ok_or("the type of its embedding has no ones for the scales")?);
    }
    let last = architecture.final_norm.as_ref().ok_or("it has no norm before the unembedding")?;
    config.set("model_type", "llama".into());
    config.set("architectures", Value::from(vec!["LlamaForCausalLM"]));
    // As a decimal number, the shortest that is this ε.
    config.set("rms_norm_eps", last.epsilon.to_string().parse::<f64>().unwrap_or(last.epsilon.into()).into());
    config.set("vocab_size", (architecture.vocabulary as u64).into());
    config.set(
        "tie_word_embeddings",
        config.fields().get("tie_word_embeddings").cloned().unwrap_or(false.into()),
    );
    config.remove("clip_qkv");
    Ok((config, scales))
}
