//! The modelling file of a model whose LayerNorms became RMSNorms, and its configuration. transformers loads both.

use super::extend::Extended;
use super::walk::Walk;
use crate::checkpoint::config::Config;
use crate::model::rms_normed::{NORM_FIELD, PREFIX};
use serde_json::json;

/// The families for which a file is written, each with the class of transformers that has its head.
const CLASSES: [(&str, &str); 12] = [
    ("cohere", "CohereForCausalLM"),
    ("cohere2", "Cohere2ForCausalLM"),
    ("falcon", "FalconForCausalLM"),
    ("gpt2", "GPT2LMHeadModel"),
    ("gpt_neox", "GPTNeoXForCausalLM"),
    ("gptj", "GPTJForCausalLM"),
    ("mpt", "MptForCausalLM"),
    ("nemotron", "NemotronForCausalLM"),
    ("opt", "OPTForCausalLM"),
    ("phi", "PhiForCausalLM"),
    ("stablelm", "StableLmForCausalLM"),
    ("starcoder2", "Starcoder2ForCausalLM"),
];

/// Name of the file.
const FILE: &str = "modeling_rmsnorm.py";

/// Returns the configuration of the result, and the name and text of its modelling file.
pub(super) fn write(extended: &Extended, walk: &Walk<'_>) -> Result<(Config, (String, Vec<u8>)), String> {
    let (architecture, mut config) = (&extended.architecture, extended.config.clone());
    let family = architecture.family.as_str();
    let class = CLASSES.iter().find(|(name, _)| *name == family).map(|(_, class)| *class);
    let class = class.filter(|_| architecture.head.is_some()).ok_or_else(|| {
        let families = CLASSES.map(|(name, _)| name).join(", ");
        format!(
            "a modelling file is only written for models with an unembedding of these families: {families}"
        )
    })?;
    let norm = walk.sites.first().map(|site| site.norm).ok_or("it has no norms")?;
    let own_class = format!("RmsNorm{class}");
    let module = FILE.trim_end_matches(".py");
    config.set("model_type", format!("{PREFIX}{family}").into());
    config.set("architectures", json!([own_class]));
    config.set(NORM_FIELD.0, NORM_FIELD.1.into());
    let auto = json!({"AutoConfig": format!("{module}.RmsNormConfig"), "AutoModelForCausalLM": format!("{module}.{own_class}")});
    config.set("auto_map", auto);
    let text = text(family, class, norm.epsilon, &biases(extended));
    Ok((config, (FILE.to_owned(), text.into_bytes())))
}

/// Whether the unembedding got a bias, and the other modules that did, with N for numbers.
fn biases(extended: &Extended) -> (bool, Vec<String>) {
    let architecture = &extended.architecture;
    let of_head = architecture.head.as_ref().and_then(|head| head.unembedding.bias);
    let of_head = of_head.map(|bias| architecture.tensors[bias].name.as_str());
    let (mut head, mut modules) = (false, Vec::new());
    for added in &extended.added {
        let name = added.tensor.name.as_str();
        let Some(module) = name.strip_suffix(".bias") else { continue };
        if Some(name) == of_head {
            head = true;
            continue;
        }
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> =
            module.split('.').map(|part| if is_number(part) { "N" } else { part }).collect();
        let module = parts.join(".");
        if !modules.contains(&module) {
            modules.push(module);
        }
    }
    (head, modules)
}

fn text(family: &str, class: &str, epsilon: f32, (head, biases): &(bool, Vec<String>)) -> String {
    let [field, value] = <[&str; 2]>::from(NORM_FIELD);
    let head = if *head { "True" } else { "False" };
    let biases: String = biases.iter().map(|module| format!("\".{module}\", ")).collect();
    format!(
        r#""""{class} with RMSNorms in the place of its LayerNorms, written by `gammascope fold --to rmsnorm`.

What writes the residual stream has no mean over the channels, and the shifts of the norms are in the biases of the maps that read them.
So an RMSNorm with the same scale and epsilon gives what the LayerNorm gave (arXiv 2305.14858).

Load it with AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True). In config.json, `model_type` is "{PREFIX}{family}" and
`{field}` is "{value}". All other fields are those of `{family}`.
"""
import torch
from transformers import {class}

# Whether the unembedding has a bias only here, and the other modules of which this is so, with N for numbers.
HEAD_BIAS = {head}
BIASES = ({biases})

try:  # transformers 5 knows other names of some tensors, by the class.
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping, register_checkpoint_conversion_mapping
    if names := get_checkpoint_conversion_mapping("{class}"):
        register_checkpoint_conversion_mapping("RmsNorm{class}", names, overwrite=True)
except ImportError:
    pass


class RmsNormConfig({class}.config_class):
    model_type = "{PREFIX}{family}"


class RmsNorm{class}({class}):
    config_class = RmsNormConfig

    def __init__(self, config):
        super().__init__(config)
        biased = [self.get_output_embeddings()] if HEAD_BIAS else []
        for path, module in list(self.named_modules()):
            parent, _, name = path.rpartition(".")
            if "LayerNorm" in type(module).__name__:
                setattr(self.get_submodule(parent), name, torch.nn.RMSNorm(module.weight.shape, eps={epsilon:e}))
            elif ("." + ".".join("N" if part.isdigit() else part for part in path.split("."))).endswith(BIASES):
                biased.append(module)
        for module in biased:
            module.bias = torch.nn.Parameter(torch.zeros(module.weight.shape[0]))
        self.post_init()
"#
    )
}
