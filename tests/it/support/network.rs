//! Three tiny, simple transformers in f64: the reference for dead parameter directions. Each takes its weights from a map, so
//! that a test can change any of them, and returns log-probabilities or a pooled vector.

use std::collections::BTreeMap;

/// Name → (shape, values). The values are exact in f32.
pub(crate) type Weights = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

pub(crate) const TOKENS: [usize; 6] = [3, 0, 5, 2, 5, 1];
pub(crate) const VOCABULARY: usize = 7;
pub(crate) const WIDTH: usize = 6;
const HEADS: usize = 2;
const HIDDEN: usize = 8;
const BLOCKS: usize = 2;

/// One vector per token.
type Stream = Vec<Vec<f64>>;

/// A generator of small numbers, the same on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    /// Uniform in (−1, 1), rounded to f32.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(((self.0 >> 33) as f64 / f64::from(1u32 << 30) - 1.0) as f32)
    }
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Pre-norm LayerNorm, learned positions, fused q, k, v in Conv1D layout (in, out), tied or separate unembedding.
    Gpt2 { tied: bool },
    /// Post-norm LayerNorm, separate q, k, v with biases, a pooler.
    Bert,
    /// Pre-norm RMSNorm without shifts, rotary positions, gated feed-forward, separate unembedding.
    Llama,
}

impl Network {
    /// The configuration of the network.
    pub(crate) fn config(self) -> String {
        let common =
            format!(r#""hidden_size":{WIDTH},"num_attention_heads":{HEADS},"vocab_size":{VOCABULARY}"#);
        match self {
            Self::Gpt2 { tied } => {
                format!(
                    r#"{{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"tie_word_embeddings":{tied},{common}}}"#
                )
            }
            Self::Bert => format!(r#"{{"model_type":"bert","architectures":["BertModel"],{common}}}"#),
            Self::Llama => {
                format!(
                    r#"{{"model_type":"llama","architectures":["LlamaForCausalLM"],"tie_word_embeddings":false,"rope_theta":100.0,{common}}}"#
                )
            }
        }
    }

    /// Random weights.
    pub(crate) fn weights(self, random: &mut Random) -> Weights {
        let mut weights = Weights::new();
        let mut add = |name: String, shape: &[usize], offset: f64| {
            let values = (0..shape.iter().product()).map(|_| offset + 0.5 * random.next()).collect();
            weights.insert(name, (shape.to_vec(), values));
        };
        let (d, h) = (WIDTH, HIDDEN);
        match self {
            Self::Gpt2 { tied } => {
                add("transformer.wte.weight".into(), &[VOCABULARY, d], 0.0);
                add("transformer.wpe.weight".into(), &[TOKENS.len(), d], 0.0);
                if !tied {
                    add("lm_head.weight".into(), &[VOCABULARY, d], 0.0);
                }
                for block in 0..BLOCKS {
                    let name = |part: &str| format!("transformer.h.{block}.{part}");
                    for norm in ["ln_1", "ln_2"] {
                        add(name(&format!("{norm}.weight")), &[d], 1.0);
                        add(name(&format!("{norm}.bias")), &[d], 0.0);
                    }
                    for (part, rows, columns) in [
                        ("attn.c_attn", d, 3 * d),
                        ("attn.c_proj", d, d),
                        ("mlp.c_fc", d, h),
                        ("mlp.c_proj", h, d),
                    ] {
                        add(name(&format!("{part}.weight")), &[rows, columns], 0.0);
                        add(name(&format!("{part}.bias")), &[columns], 0.0);
                    }
                }
                add("transformer.ln_f.weight".into(), &[d], 1.0);
                add("transformer.ln_f.bias".into(), &[d], 0.0);
            }
            Self::Bert => {
                add("embeddings.word_embeddings.weight".into(), &[VOCABULARY, d], 0.0);
                add("embeddings.position_embeddings.weight".into(), &[TOKENS.len(), d], 0.0);
                let mut norms = vec!["embeddings.LayerNorm".to_owned()];
                let mut maps = vec![("pooler.dense".to_owned(), d, d)];
                for block in 0..BLOCKS {
                    let name = |part: &str| format!("encoder.layer.{block}.{part}");
                    norms.extend([name("attention.output.LayerNorm"), name("output.LayerNorm")]);
                    maps.extend(
                        ["query", "key", "value"].map(|part| (name(&format!("attention.self.{part}")), d, d)),
                    );
                    maps.push((name("attention.output.dense"), d, d));
                    maps.push((name("intermediate.dense"), h, d));
                    maps.push((name("output.dense"), d, h));
                }
                for norm in norms {
                    add(format!("{norm}.weight"), &[d], 1.0);
                    add(format!("{norm}.bias"), &[d], 0.0);
                }
                for (map, rows, columns) in maps {
                    add(format!("{map}.weight"), &[rows, columns], 0.0);
                    add(format!("{map}.bias"), &[rows], 0.0);
                }
            }
            Self::Llama => {
                add("model.embed_tokens.weight".into(), &[VOCABULARY, d], 0.0);
                add("lm_head.weight".into(), &[VOCABULARY, d], 0.0);
                add("model.norm.weight".into(), &[d], 1.0);
                for block in 0..BLOCKS {
                    let name = |part: &str| format!("model.layers.{block}.{part}.weight");
                    for norm in ["input_layernorm", "post_attention_layernorm"] {
                        add(name(norm), &[d], 1.0);
                    }
                    for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                        add(name(&format!("self_attn.{part}")), &[d, d], 0.0);
                    }
                    add(name("mlp.gate_proj"), &[h, d], 0.0);
                    add(name("mlp.up_proj"), &[h, d], 0.0);
                    add(name("mlp.down_proj"), &[d, h], 0.0);
                }
            }
        }
        weights
    }

    /// The output of the network for [`TOKENS`].
    pub(crate) fn forward(self, weights: &Weights) -> Vec<f64> {
        match self {
            Self::Gpt2 { tied } => gpt2(weights, tied),
            Self::Bert => bert(weights),
            Self::Llama => llama(weights),
        }
    }
}

fn gpt2(w: &Weights, tied: bool) -> Vec<f64> {
    let mut x = sum(&embed(w, "transformer.wte"), &positions(w, "transformer.wpe"));
    for block in 0..BLOCKS {
        let name = |part: &str| format!("transformer.h.{block}.{part}");
        let y = norm(w, &name("ln_1"), &x, true);
        let qkv = conv1d(w, &name("attn.c_attn"), &y);
        let part = |at: usize| -> Stream {
            qkv.iter().map(|row| row[at * WIDTH..(at + 1) * WIDTH].to_vec()).collect()
        };
        x = sum(&x, &conv1d(w, &name("attn.c_proj"), &attention(&part(0), &part(1), &part(2), true)));
        let y = norm(w, &name("ln_2"), &x, true);
        x = sum(&x, &conv1d(w, &name("mlp.c_proj"), &map(&conv1d(w, &name("mlp.c_fc"), &y), f64::tanh)));
    }
    let head = if tied { "transformer.wte" } else { "lm_head" };
    log_softmax(&linear(w, head, &norm(w, "transformer.ln_f", &x, true)))
}

fn bert(w: &Weights) -> Vec<f64> {
    let embedded =
        sum(&embed(w, "embeddings.word_embeddings"), &positions(w, "embeddings.position_embeddings"));
    let mut x = norm(w, "embeddings.LayerNorm", &embedded, true);
    for block in 0..BLOCKS {
        let name = |part: &str| format!("encoder.layer.{block}.{part}");
        let read = |part: &str, x: &Stream| linear(w, &name(&format!("attention.self.{part}")), x);
        let attended = attention(&read("query", &x), &read("key", &x), &read("value", &x), false);
        let mixed = sum(&x, &linear(w, &name("attention.output.dense"), &attended));
        x = norm(w, &name("attention.output.LayerNorm"), &mixed, true);
        let hidden = map(&linear(w, &name("intermediate.dense"), &x), f64::tanh);
        x = norm(w, &name("output.LayerNorm"), &sum(&x, &linear(w, &name("output.dense"), &hidden)), true);
    }
    let mut output = map(&linear(w, "pooler.dense", &x), f64::tanh);
    output.extend(x);
    output.concat()
}

fn llama(w: &Weights) -> Vec<f64> {
    let mut x = embed(w, "model.embed_tokens");
    for block in 0..BLOCKS {
        let name = |part: &str| format!("model.layers.{block}.{part}");
        let y = norm(w, &name("input_layernorm"), &x, false);
        let read = |part: &str| linear(w, &name(&format!("self_attn.{part}_proj")), &y);
        let attended = attention(&rotate(&read("q")), &rotate(&read("k")), &read("v"), true);
        x = sum(&x, &linear(w, &name("self_attn.o_proj"), &attended));
        let y = norm(w, &name("post_attention_layernorm"), &x, false);
        let (gate, up) = (linear(w, &name("mlp.gate_proj"), &y), linear(w, &name("mlp.up_proj"), &y));
        let gated = map(&gate, |g| g / (1.0 + (-g).exp()));
        let hidden =
            gated.iter().zip(&up).map(|(g, u)| g.iter().zip(u).map(|(g, u)| g * u).collect()).collect();
        x = sum(&x, &linear(w, &name("mlp.down_proj"), &hidden));
    }
    log_softmax(&linear(w, "lm_head", &norm(w, "model.norm", &x, false)))
}

fn values<'a>(w: &'a Weights, name: &str) -> &'a [f64] {
    &w[name].1
}

fn embed(w: &Weights, name: &str) -> Stream {
    let table = values(w, &format!("{name}.weight"));
    TOKENS.iter().map(|&token| table[token * WIDTH..(token + 1) * WIDTH].to_vec()).collect()
}

fn positions(w: &Weights, name: &str) -> Stream {
    values(w, &format!("{name}.weight")).chunks(WIDTH).map(<[f64]>::to_vec).collect()
}

fn sum(a: &Stream, b: &Stream) -> Stream {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn map(x: &Stream, f: impl Fn(f64) -> f64) -> Stream {
    x.iter().map(|row| row.iter().map(|&value| f(value)).collect()).collect()
}

/// y = x Wᵀ + b, W stored (out, in). Without a stored bias, b = 0.
fn linear(w: &Weights, name: &str, x: &Stream) -> Stream {
    let (shape, weight) = &w[&format!("{name}.weight")];
    let bias = w.get(&format!("{name}.bias")).map(|(_, bias)| bias);
    let row = |x: &Vec<f64>| {
        (0..shape[0])
            .map(|m| {
                let dot: f64 = (0..shape[1]).map(|i| weight[m * shape[1] + i] * x[i]).sum();
                dot + bias.map_or(0.0, |bias| bias[m])
            })
            .collect()
    };
    x.iter().map(row).collect()
}

/// y = x W + b, W stored (in, out).
fn conv1d(w: &Weights, name: &str, x: &Stream) -> Stream {
    let (shape, weight) = &w[&format!("{name}.weight")];
    let bias = values(w, &format!("{name}.bias"));
    let row = |x: &Vec<f64>| {
        (0..shape[1])
            .map(|m| bias[m] + (0..shape[0]).map(|i| weight[i * shape[1] + m] * x[i]).sum::<f64>())
            .collect()
    };
    x.iter().map(row).collect()
}

/// LayerNorm if `subtracts_mean`, otherwise RMSNorm.
fn norm(w: &Weights, name: &str, x: &Stream, subtracts_mean: bool) -> Stream {
    let scale = values(w, &format!("{name}.weight"));
    let shift = w.get(&format!("{name}.bias")).map(|(_, shift)| shift);
    let row = |x: &Vec<f64>| {
        let mean = if subtracts_mean { x.iter().sum::<f64>() / x.len() as f64 } else { 0.0 };
        let size = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
        (0..x.len()).map(|i| scale[i] * (x[i] - mean) / size + shift.map_or(0.0, |shift| shift[i])).collect()
    };
    x.iter().map(row).collect()
}

/// Softmax attention, head by head.
fn attention(q: &Stream, k: &Stream, v: &Stream, causal: bool) -> Stream {
    let size = WIDTH / HEADS;
    let mut mixed = vec![vec![0.0; WIDTH]; q.len()];
    for head in 0..HEADS {
        let at = head * size..(head + 1) * size;
        for i in 0..q.len() {
            let seen = if causal { i + 1 } else { k.len() };
            let score = |j: usize| at.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (size as f64).sqrt();
            let odds: Vec<f64> = (0..seen).map(|j| score(j).exp()).collect();
            let total: f64 = odds.iter().sum();
            for (j, odd) in odds.iter().enumerate() {
                for c in at.clone() {
                    mixed[i][c] += odd / total * v[j][c];
                }
            }
        }
    }
    mixed
}

/// Rotary positions on the first two channels of each head. Heads have three.
fn rotate(x: &Stream) -> Stream {
    let mut turned = x.clone();
    for (position, row) in turned.iter_mut().enumerate() {
        let (sin, cos) = (position as f64).sin_cos();
        for head in 0..HEADS {
            let at = head * WIDTH / HEADS;
            (row[at], row[at + 1]) = (row[at] * cos - row[at + 1] * sin, row[at] * sin + row[at + 1] * cos);
        }
    }
    turned
}

fn log_softmax(x: &Stream) -> Vec<f64> {
    x.iter()
        .flat_map(|row| {
            let total = row.iter().map(|value| value.exp()).sum::<f64>().ln();
            row.iter().map(move |value| value - total)
        })
        .collect()
}
