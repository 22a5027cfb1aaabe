//! GGUF files run as the models that they were made from. The models are the tiny checkpoints of tests/forward, converted here as
//! llama.cpp's converter does it, under the names of gguf-py (`scripts/fixtures/gguf_names.py`).

use crate::support::families::{compare, furthest};
use crate::support::gguf::Gguf;
use crate::support::sampled;
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::forward::{Input, Pass, Seen};
use gammascope::inspect;
use gammascope::model::{Architecture, resolve};
use gammascope::quantised;
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::{SAMPLE, Tokenizer};
use pollster::block_on;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NAMES: &str = include_str!("../gguf/names.tsv");

/// Values and shape of tensors by their names.
type Tensors = BTreeMap<String, (Vec<f32>, Vec<u64>)>;

/// A model of transformers, and the architecture of llama.cpp that it becomes.
#[derive(Clone)]
struct Model {
    folder: String,
    architecture: String,
    config: Value,
    tensors: Tensors,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Folder and architecture of every model that is converted.
fn folders() -> BTreeMap<&'static str, &'static str> {
    let columns = NAMES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    columns.map(|columns| (columns[0], columns[1])).collect()
}

impl Model {
    fn of(folder: &str, architecture: &str) -> Self {
        let path = root().join("forward").join(folder);
        let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
        let file = opened(vec![MemorySource::new("model.safetensors", bytes)]);
        let all: Vec<usize> = (0..file.tensors.len()).collect();
        let values = block_on(file.read(&all, |_, _| {}));
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let named = file.tensors.iter().zip(values);
        let tensors = named
            .map(|(tensor, values)| (tensor.name.clone(), (single(values.unwrap()), tensor.shape.clone())));
        let tensors = tensors.collect();
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        as_llama_cpp_runs_it(&mut config);
        Self { folder: folder.to_owned(), architecture: architecture.to_owned(), config, tensors }
    }

    fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| self.config.pointer(&format!("/{}", name.replace('.', "/")))?.as_f64())
    }

    fn count(&self, names: &[&str]) -> Option<u32> {
        self.number(names).map(|count| count as u32)
    }

    fn heads(&self) -> u64 {
        self.count(&["num_attention_heads", "n_head"]).unwrap().into()
    }

    fn key_heads(&self) -> u64 {
        self.count(&["num_key_value_heads"]).map_or(self.heads(), u64::from)
    }

    fn width(&self) -> u64 {
        self.count(&["hidden_size", "n_embd"]).unwrap().into()
    }

    fn head_width(&self) -> u64 {
        self.count(&["head_dim"]).map_or(self.width() / self.heads(), u64::from)
    }

    /// The file of transformers.
    fn files(&self) -> Vec<MemorySource> {
        let tensors: Vec<(&str, Vec<usize>, Vec<f32>)> = self
            .tensors
            .iter()
            .map(|(name, (values, shape))| {
                (name.as_str(), shape.iter().map(|size| *size as usize).collect(), values.clone())
            })
            .collect();
        let borrowed: Vec<(&str, &[usize], Vec<f32>)> =
            tensors.iter().map(|(name, shape, values)| (*name, shape.as_slice(), values.clone())).collect();
        vec![
            MemorySource::new("model.safetensors", crate::support::tensors(&borrowed)),
            MemorySource::new("config.json", self.config.to_string().into_bytes()),
        ]
    }

    /// The metadata that llama.cpp's converter writes.
    fn metadata(&self) -> Gguf {
        let mut file = Gguf::of(&self.architecture);
        let key = |end: &str| format!("{}.{end}", self.architecture);
        let counts = [
            ("embedding_length", self.count(&["hidden_size", "n_embd"])),
            ("block_count", self.count(&["num_hidden_layers", "n_layer"])),
            ("attention.head_count", self.count(&["num_attention_heads", "n_head"])),
            ("attention.head_count_kv", self.count(&["num_key_value_heads"])),
            ("attention.key_length", self.count(&["head_dim"])),
            ("attention.value_length", self.count(&["head_dim"])),
            ("attention.sliding_window", self.count(&["sliding_window"])),
            ("attention.sliding_window_pattern", self.count(&["_sliding_window_pattern"])),
            ("expert_count", self.count(&["num_local_experts"])),
            ("expert_used_count", self.count(&["num_experts_per_tok"])),
            ("context_length", self.count(&["max_position_embeddings", "n_positions"])),
            (
                "rope.scaling.original_context_length",
                self.count(&["rope_parameters.original_max_position_embeddings"]),
            ),
        ];
        let of_layer_norm = ["layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"];
        let base = ["rope_parameters.rope_theta", "rope_parameters.full_attention.rope_theta"];
        let numbers = [
            ("attention.layer_norm_rms_epsilon", self.number(&["rms_norm_eps"])),
            ("attention.layer_norm_epsilon", self.number(&of_layer_norm)),
            ("rope.freq_base", self.number(&base)),
            ("attn_logit_softcapping", self.number(&["attn_logit_softcapping"])),
            ("final_logit_softcapping", self.number(&["final_logit_softcapping"])),
            ("embedding_scale", self.number(&["embedding_multiplier"])),
            ("residual_scale", self.number(&["residual_multiplier"])),
            ("attention.scale", self.number(&["attention_multiplier"])),
            ("logit_scale", self.number(&["logits_scaling", "logit_scale"])),
        ];
        for (end, count) in counts {
            file = count.map_or(file.clone(), |count| file.u32(&key(end), count));
        }
        for (end, number) in numbers {
            file = number.map_or(file.clone(), |number| file.f32(&key(end), number as f32));
        }
        if let Some(share) = self.number(&["rope_parameters.partial_rotary_factor"]) {
            let channels = (share * self.head_width() as f64) as u32;
            file = file.u32(&key("rope.dimension_count"), channels);
        }
        if let Some(parallel) = self.config["use_parallel_residual"].as_bool() {
            file = file.pair(&key("use_parallel_residual"), 7, &[u8::from(parallel)]);
        }
        if self.architecture == "bloom" {
            file = file.f32(&key("attention.max_alibi_bias"), 8.0);
        }
        self.with_factors(file)
    }

    /// Adds the tensors of factors of stretched rotary codes.
    fn with_factors(&self, mut file: Gguf) -> Gguf {
        let parameters = &self.config["rope_parameters"];
        let number = |name: &str| parameters[name].as_f64().unwrap();
        let list = |name: &str| -> Vec<f32> {
            let values = parameters[name].as_array().unwrap();
            values.iter().map(|value| value.as_f64().unwrap() as f32).collect()
        };
        match parameters["rope_type"].as_str() {
            Some("longrope") => {
                for name in ["long", "short"] {
                    let factors = list(&format!("{name}_factor"));
                    let shape = [factors.len() as u64];
                    file = file.values(&format!("rope_factors_{name}.weight"), &shape, &factors);
                }
                let (whole, own) = (
                    self.number(&["max_position_embeddings"]).unwrap(),
                    number("original_max_position_embeddings"),
                );
                let factor = (1.0 + (whole / own).ln() / own.ln()).sqrt();
                file.f32("phi3.rope.scaling.attn_factor", factor as f32)
            }
            Some("llama3") => {
                let (factor, low, high) =
                    (number("factor"), number("low_freq_factor"), number("high_freq_factor"));
                let length = number("original_max_position_embeddings");
                let of = |pair: u64| {
                    let frequency = number("rope_theta").powf(-2.0 * pair as f64 / self.head_width() as f64);
                    let wave = std::f64::consts::TAU / frequency;
                    if wave < length / high {
                        1.0
                    } else if wave > length / low {
                        factor as f32
                    } else {
                        let smooth = (length / wave - low) / (high - low);
                        (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
                    }
                };
                let factors: Vec<f32> = (0..self.head_width() / 2).map(of).collect();
                file.values("rope_freqs.weight", &[factors.len() as u64], &factors)
            }
            _ => file,
        }
    }

    /// The tensors that llama.cpp's converter writes, under the names of gguf-py.
    fn converted(&self) -> Tensors {
        let mut converted = Tensors::new();
        for (name, (values, shape)) in &self.tensors {
            let (mut values, mut shape) = (values.clone(), shape.clone());
            let (pattern, layer, expert) = pattern_of(name);
            let ends = |endings: &[&str]| endings.iter().any(|end| name.contains(end));
            let architecture = self.architecture.as_str();
            if matches!(architecture, "gemma" | "gemma2" | "gemma3" | "nemotron")
                && name.ends_with("norm.weight")
            {
                values.iter_mut().for_each(|value| *value += 1.0);
            }
            let heads = if ends(&["q_proj"]) { self.heads() } else { self.key_heads() };
            if matches!(architecture, "llama" | "granite") && ends(&["q_proj", "k_proj"]) {
                values = interleaved(&values, heads, self.head_width());
            }
            if matches!(architecture, "gptneox" | "bloom") && ends(&["query_key_value"]) {
                values = regrouped(&values, self.heads(), self.head_width());
            }
            if architecture == "gpt2" && ends(&["c_attn.weight", "c_proj.weight", "c_fc.weight"]) {
                (values, shape) = (transposed(&values, shape[0], shape[1]), vec![shape[1], shape[0]]);
            }
            let mut lines = NAMES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
            let line = lines.find(|line| line[0] == self.folder && line[2] == pattern);
            let own =
                line.unwrap_or_else(|| panic!("{}: {pattern}", self.folder))[3].replace("{layer}", &layer);
            if expert.is_none() {
                converted.insert(own, (values, shape));
                continue;
            }
            // Names in order are experts in order, while there are fewer than ten.
            let (all, sizes) =
                converted.entry(own).or_insert_with(|| (Vec::new(), [vec![0], shape].concat()));
            all.extend(values);
            sizes[0] += 1;
        }
        converted
    }

    fn gguf(&self) -> Gguf {
        let tensors = self.converted();
        tensors.iter().fold(self.metadata(), |file, (name, (values, shape))| file.values(name, shape, values))
    }
}

/// Changes what a GGUF file cannot say to what llama.cpp's code fixes.
fn as_llama_cpp_runs_it(config: &mut Value) {
    let fields = config.as_object_mut().unwrap();
    fields.remove("layer_types");
    if fields["model_type"] == "gpt_neox" {
        fields.insert("hidden_act".to_owned(), "gelu".into());
    }
    if let Some(width) =
        fields.get("head_dim").cloned().filter(|_| fields.contains_key("query_pre_attn_scalar"))
    {
        fields.insert("query_pre_attn_scalar".to_owned(), width);
    }
    // Else both blocks of the small model would see a window.
    if fields.contains_key("_sliding_window_pattern") {
        fields.insert("_sliding_window_pattern".to_owned(), 2.into());
    }
    if fields.contains_key("use_sliding_window") {
        fields.insert("use_sliding_window".to_owned(), false.into());
        fields.remove("sliding_window");
    }
}

/// A name with `{layer}` and `{expert}`, and these.
fn pattern_of(name: &str) -> (String, String, Option<String>) {
    let (mut layer, mut expert) = (String::new(), None);
    let mut parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    for at in 1..parts.len() {
        if parts[at].bytes().all(|byte| byte.is_ascii_digit()) {
            let is_expert = parts[at - 1] == "experts";
            let own =
                std::mem::replace(&mut parts[at], if is_expert { "{expert}" } else { "{layer}" }.to_owned());
            if is_expert { expert = Some(own) } else { layer = own }
        }
    }
    (parts.join("."), layer, expert)
}

/// Rows in the order of llama.cpp's rotary code: those that turn together are neighbours.
fn interleaved(values: &[f32], heads: u64, width: u64) -> Vec<f32> {
    let columns = values.len() / (heads * width) as usize;
    let half = width / 2;
    let rows = (0..heads).flat_map(|head| (0..width).map(move |at| head * width + at % 2 * half + at / 2));
    rows.flat_map(|row| &values[row as usize * columns..][..columns]).copied().collect()
}

/// All queries, all keys, all values, from those of each head in turn.
fn regrouped(values: &[f32], heads: u64, width: u64) -> Vec<f32> {
    let columns = values.len() / (3 * heads * width) as usize;
    let rows = (0..3).flat_map(|part| {
        (0..heads).flat_map(move |head| (0..width).map(move |at| (head * 3 + part) * width + at))
    });
    rows.flat_map(|row| &values[row as usize * columns..][..columns]).copied().collect()
}

fn transposed(values: &[f32], rows: u64, columns: u64) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[(row * columns + column) as usize]))
        .collect()
}

fn opened(files: Vec<MemorySource>) -> Checkpoint<MemorySource> {
    block_on(checkpoint::open(files, |_| {})).unwrap()
}

fn gguf(bytes: Vec<u8>) -> Checkpoint<MemorySource> {
    opened(vec![MemorySource::new("m.gguf", bytes)])
}

/// The stream after each block, and the last hidden states.
fn hidden<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    ids: &[u32],
) -> Result<Vec<Vec<f32>>, String> {
    let pass = Pass::new(checkpoint, architecture, Input::token_ids(ids, ids.len()).unwrap());
    let pass = pass.map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    let mut visit = async |seen: Seen<'_>| {
        if let Seen::Block { stream, .. } = seen {
            results.push(stream.to_vec());
        }
    };
    let hidden = block_on(pass.run(&mut visit)).map_err(|error| error.to_string())?;
    results.push(hidden);
    Ok(results)
}

/// The same with the logits.
fn run(checkpoint: &Checkpoint<MemorySource>, ids: &[u32]) -> Result<Vec<Vec<f32>>, String> {
    let architecture = resolve(checkpoint).map_err(|error| error.to_string())?;
    let mut results = hidden(checkpoint, &architecture, ids)?;
    let pass = Pass::new(checkpoint, &architecture, Input::token_ids(ids, ids.len()).unwrap()).unwrap();
    let (mut logits, last) = (Vec::new(), results.last().cloned().unwrap_or_default());
    block_on(pass.logits(&last, |_, _, slice| logits.extend_from_slice(slice)))
        .map_err(|error| error.to_string())?;
    results.push(logits);
    Ok(results)
}

/// Where two runs first differ.
fn departs(found: &[Vec<f32>], expected: &[Vec<f32>]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} results for {}", found.len(), expected.len()));
    }
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
        compare(&format!("result {at} of {}", found.len()), found, &expected)?;
    }
    Ok(())
}

const IDS: [u32; 19] = [5, 71, 2, 33, 9, 9, 64, 17, 50, 3, 28, 76, 41, 12, 6, 59, 22, 70, 38];

#[test]
fn every_architecture_computes_what_its_family_does() {
    let mut failures = Vec::new();
    for (folder, architecture) in folders() {
        let model = Model::of(folder, architecture);
        let expected = run(&opened(model.files()), &IDS).unwrap();
        let found = run(&gguf(model.gguf().build()), &IDS);
        if let Err(error) = found.and_then(|found| departs(&found, &expected)) {
            failures.push(format!("{folder}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn norms_are_shown_under_the_names_of_the_file() {
    for (folder, architecture) in folders() {
        let bytes = Model::of(folder, architecture).gguf().build();
        let report = block_on(inspect::open(vec![MemorySource::new("m.gguf", bytes.clone())], |_| {}));
        let inspection = report.unwrap().inspection;
        let checkpoint = gguf(bytes);
        let sites: Vec<String> =
            resolve(&checkpoint).unwrap().norms().filter_map(|norm| norm.site.clone()).collect();
        let unknown: Vec<&String> =
            sites.iter().filter(|site| !inspection.own_names.contains(site)).collect();
        assert!(unknown.is_empty() && !sites.is_empty(), "{folder}: {unknown:?}");
    }
}

/// A quantised type: its number in GGUF files, its name, values and bytes of a block, and where its half-precision numbers lie.
type Quantised = (u32, &'static str, u64, usize, &'static [usize]);

const QUANTISED: [Quantised; 13] = [
    (2, "Q4_0", 32, 18, &[0]),
    (3, "Q4_1", 32, 20, &[0, 2]),
    (6, "Q5_0", 32, 22, &[0]),
    (7, "Q5_1", 32, 24, &[0, 2]),
    (8, "Q8_0", 32, 34, &[0]),
    (10, "Q2_K", 256, 84, &[80, 82]),
    (11, "Q3_K", 256, 110, &[108]),
    (12, "Q4_K", 256, 144, &[0, 2]),
    (13, "Q5_K", 256, 176, &[0, 2]),
    (14, "Q6_K", 256, 210, &[208]),
    (20, "IQ4_NL", 32, 18, &[0]),
    (23, "IQ4_XS", 256, 136, &[0]),
    (39, "MXFP4", 32, 17, &[]),
];

/// Random blocks, with numbers about as large as those of a trained model.
fn blocks(random: &mut StdRng, (_, _, values, size, halves): Quantised, count: u64) -> Vec<u8> {
    let mut blocks = Vec::new();
    for _ in 0..count / values {
        let mut block: Vec<u8> = (0..size).map(|_| random.random()).collect();
        for &at in halves {
            let scale = half::f16::from_f32(random.random_range(-1e-3..1e-3));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
        if halves.is_empty() {
            block[0] = random.random_range(114..119);
        }
        blocks.extend(block);
    }
    blocks
}

/// A Llama of one block of 256 channels whose matrices are of this type, and the same with their values as F32.
fn quantised_and_twin(kind: Quantised) -> [Vec<u8>; 2] {
    let mut random = StdRng::seed_from_u64(kind.0.into());
    let start = || {
        let counts = [
            ("embedding_length", 256),
            ("block_count", 1),
            ("attention.head_count", 8),
            ("attention.head_count_kv", 4),
        ];
        let file = Gguf::of("llama").f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        counts.into_iter().fold(file, |file, (end, count)| file.u32(&format!("llama.{end}"), count))
    };
    let (mut own, mut twin) = (start(), start());
    let matrices = [
        ("token_embd", [80, 256]),
        ("blk.0.attn_q", [256, 256]),
        ("blk.0.attn_k", [128, 256]),
        ("blk.0.attn_v", [128, 256]),
        ("blk.0.attn_output", [256, 256]),
        ("blk.0.ffn_gate", [512, 256]),
        ("blk.0.ffn_up", [512, 256]),
        ("blk.0.ffn_down", [256, 512]),
    ];
    for (name, shape) in matrices {
        let (name, bytes) = (format!("{name}.weight"), blocks(&mut random, kind, shape[0] * shape[1]));
        let mut values = Vec::new();
        quantised::decode(kind.1, &bytes, &mut values).unwrap();
        own = own.tensor(&name, &shape, kind.0, bytes);
        twin = twin.values(&name, &shape, &values);
    }
    for name in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"] {
        let scale: Vec<f32> = (0..256).map(|_| random.random_range(0.5..2.0)).collect();
        own = own.values(&format!("{name}.weight"), &[256], &scale);
        twin = twin.values(&format!("{name}.weight"), &[256], &scale);
    }
    [own.build(), twin.build()]
}

#[test]
fn quantised_weights_run_as_their_decoded_values() {
    for kind in QUANTISED {
        let [own, twin] = quantised_and_twin(kind);
        let [found, expected] = [own, twin].map(|file| run(&gguf(file), &IDS).unwrap());
        assert_eq!(found, expected, "{}", kind.1);
        assert!(found.iter().flatten().all(|value| value.is_finite()), "{}", kind.1);
    }
}

#[test]
fn writer_energy_is_measured_on_quantised_weights() {
    for kind in QUANTISED {
        let [found, expected] = quantised_and_twin(kind).map(|file| sampled(vec![("m.gguf", file)]).writers);
        assert_eq!(found.len(), 3, "the embedding, and both parts of the block: {}", kind.1);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((&found.name, found.columns), (&expected.name, expected.columns));
            assert!((found.energy - expected.energy).abs() < 1e-9, "{}: {}", kind.1, found.name);
        }
    }
}

/// Why the model of a file does not run.
fn refused(file: &Gguf) -> String {
    run(&gguf(file.build()), &IDS).unwrap_err()
}

#[test]
fn what_does_not_run_is_named_with_what_does() {
    let llama = || Model::of("llama", "llama");
    let other = Gguf::of("mamba").values("token_embd.weight", &[8, 4], &[0.5; 32]);
    let error = refused(&other);
    assert!(
        error.contains("`m.gguf`") && error.contains("`mamba`") && error.contains("gemma3, qwen2"),
        "{error}"
    );

    let unread = refused(&llama().gguf().f32("llama.attention.temperature_scale", 2.0));
    assert!(unread.contains("`llama.attention.temperature_scale` is 2.0"), "{unread}");
    let listed = llama().gguf().pair(
        "llama.attention.head_count_other",
        9,
        &crate::support::gguf::list(4, 1, &[1, 0, 0, 0]),
    );
    let listed = refused(&listed);
    assert!(listed.contains("head_count_other") && listed.contains("a list of 1"), "{listed}");

    let mut without = llama();
    without.tensors.remove("model.layers.1.mlp.up_proj.weight");
    let missing = refused(&without.gguf());
    assert!(missing.contains("`blk.1.ffn_up.weight` is not in the checkpoint"), "{missing}");

    let more = refused(&llama().gguf().values("blk.0.attn_sinks.weight", &[4], &[0.5; 4]));
    assert!(more.contains("`blk.0.attn_sinks.weight` has no place"), "{more}");

    let mut wide = llama();
    let own = wide.converted();
    wide.config["num_key_value_heads"] = json!(4);
    let wide =
        own.iter().fold(wide.metadata(), |file, (name, (values, shape))| file.values(name, shape, values));
    let wide = refused(&wide);
    assert!(wide.contains("`blk.0.attn_k.weight`") && wide.contains("should be [32, 32]"), "{wide}");

    let nothing = Gguf::of("llama").values("token_embd.weight", &[8, 4], &[0.5; 32]);
    let nothing = refused(&nothing);
    assert!(nothing.contains("`llama.embedding_length` is not there"), "{nothing}");
}

#[test]
fn a_type_that_is_not_decoded_is_named_with_those_that_are() {
    let [file, _] = quantised_and_twin(QUANTISED[7]);
    // The type of the first matrix, after its name and its two sizes, becomes IQ2_XXS.
    let at = file.windows(17).position(|window| window == b"token_embd.weight").unwrap() + 17 + 4 + 16;
    let mut other = file;
    other[at..at + 4].copy_from_slice(&16u32.to_le_bytes());
    let error = run(&gguf(other), &IDS).unwrap_err();
    assert!(
        error.contains("`token_embd.weight`") && error.contains("IQ2_XXS") && error.contains("Q4_K"),
        "{error}"
    );
}

/// Text with characters that tokenizers treat in unusual ways.
const UNUSUAL: &str = "Ünïcode — 漢字 кириллица עברית العربية 🤗👩\u{200d}👩\u{200d}👧 \t tabs  two   three\n\nnew  lines\r\n½ ² ٣ 12345 0x1F\u{200b}\u{feff} ﬁ e\u{301} \u{1F9FF} don't WE'LL ▁ <0x0A> 한국어 ไทย ñ\u{7}.";

/// What a SentencePiece model of the same pieces and scores makes of it (the package `sentencepiece`).
const UNUSUAL_IN_GEMMA: [u32; 74] = [
    238194, 236749, 238527, 3970, 2192, 236743, 201637, 13584, 1297, 25204, 7484, 11173, 104154, 237270,
    87595, 223603, 243767, 237243, 243767, 237243, 244814, 236743, 255968, 42364, 138, 13498, 139, 19891,
    108, 1951, 138, 8721, 251, 107, 238612, 145191, 223766, 236743, 236770, 236778, 236800, 236812, 236810,
    236743, 236771, 236781, 236770, 236811, 237141, 237922, 97940, 545, 238288, 236743, 248979, 1537, 236789,
    236745, 19716, 236789, 2182, 139, 236820, 236771, 236781, 236771, 236776, 236813, 50413, 237430, 127604,
    131079, 245, 236761,
];

fn fetched(file: &str) -> DiskSource {
    DiskSource::open(&root().join("../.cache/models").join(file), file).unwrap()
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn real_gguf_files_tokenize_as_their_models_do() {
    let of = |file: &str| {
        let opened = block_on(inspect::open(vec![fetched(file)], |_| {})).unwrap();
        block_on(Tokenizer::of(&opened)).unwrap().unwrap()
    };
    let own = of("SmolLM2-135M-Instruct.Q4_1.gguf");
    let file = root().join("../.cache/models/SmolLM2-135M/tokenizer.json");
    let reference = Tokenizer::read("tokenizer.json", &std::fs::read(file).unwrap()).unwrap();
    for text in [UNUSUAL, SAMPLE, "<|im_start|>user\n1 2<|endoftext|>"] {
        assert_eq!(own.ids(text).unwrap(), reference.ids(text).unwrap());
    }
    let gemma = of("gemma-3-270m.Q4_K_M.gguf");
    assert_eq!(gemma.ids(UNUSUAL).unwrap(), UNUSUAL_IN_GEMMA);
}

/// The first blocks of a GGUF file as transformers would store their decoded values, with the first rows of the embedding.
fn twin_of(file: &str, model: &Model, blocks: usize, rows: usize) -> Checkpoint<MemorySource> {
    let checkpoint = block_on(checkpoint::open(vec![fetched(file)], |_| {})).unwrap();
    let mut tensors = Tensors::new();
    for line in NAMES.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
        if line[0] != model.folder {
            continue;
        }
        for layer in 0..if line[2].contains("{layer}") { blocks } else { 1 } {
            let named = |pattern: &str| pattern.replace("{layer}", &layer.to_string());
            let Some(tensor) = checkpoint.tensors.iter().find(|tensor| tensor.name == named(line[3])) else {
                continue;
            };
            let mut shape = tensor.shape.clone();
            shape[0] = shape[0].min(rows as u64);
            let part = tensor.bytes() / tensor.shape[0] * shape[0];
            let range = tensor.range.start..tensor.range.start + part;
            let bytes = block_on(checkpoint.read_weights(tensor.shard, range)).unwrap();
            let mut values = Vec::new();
            tensor.dtype.decode_f32(&bytes, &mut values).unwrap();
            if model.architecture == "gemma3" && line[2].ends_with("norm.weight") {
                values.iter_mut().for_each(|value| *value -= 1.0);
            }
            if model.architecture == "llama" && (line[2].contains("q_proj") || line[2].contains("k_proj")) {
                let heads = if line[2].contains("q_proj") { model.heads() } else { model.key_heads() };
                values = apart(&values, heads, model.head_width());
            }
            tensors.insert(named(line[2]), (values, shape));
        }
    }
    opened(Model { tensors, ..model.clone() }.files())
}

/// Rows in the order of transformers, from those of [`interleaved`].
fn apart(values: &[f32], heads: u64, width: u64) -> Vec<f32> {
    let columns = values.len() / (heads * width) as usize;
    let rows = (0..heads)
        .flat_map(|head| (0..width).map(move |at| head * width + at % (width / 2) * 2 + at / (width / 2)));
    rows.flat_map(|row| &values[row as usize * columns..][..columns]).copied().collect()
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn real_gguf_files_compute_what_their_decoded_values_do() {
    const BLOCKS: usize = 7;
    const ROWS: usize = 4096;
    let smol = json!({"model_type": "llama", "hidden_size": 576, "num_hidden_layers": BLOCKS, "num_attention_heads": 9,
        "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 1e5, "tie_word_embeddings": true});
    let gemma = json!({"model_type": "gemma3_text", "hidden_size": 640, "num_hidden_layers": BLOCKS,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "sliding_window": 512, "tie_word_embeddings": true});
    for (file, folder, architecture, config) in [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "llama", "llama", smol),
        ("gemma-3-270m.Q4_K_M.gguf", "gemma3", "gemma3", gemma),
    ] {
        let (folder, architecture) = (folder.to_owned(), architecture.to_owned());
        let model = Model { folder, architecture, config, tensors: Tensors::new() };
        let twin = twin_of(file, &model, BLOCKS, ROWS);
        let checkpoint = block_on(checkpoint::open(vec![fetched(file)], |_| {})).unwrap();
        let ids: Vec<u32> = (0..64).map(|at| (at * 1237 + 11) % ROWS as u32).collect();
        let own = resolve(&checkpoint).unwrap().first_blocks(BLOCKS);
        let twins = resolve(&twin).unwrap().first_blocks(BLOCKS);
        let found = hidden(&checkpoint, &own, &ids).unwrap();
        let expected = hidden(&twin, &twins, &ids).unwrap();
        assert_eq!(found.len(), BLOCKS + 1);
        for (found, expected) in found.iter().zip(&expected) {
            let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
            let off = furthest(found, &expected);
            // The products of a head are summed in another order.
            assert!(off < 1e-4, "{file}: {off:.1e}");
        }
    }
}
