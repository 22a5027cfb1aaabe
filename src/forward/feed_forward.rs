//! The part of a block that acts on each token alone.

use super::kernels::Kernels;
use super::observer::Observer;
use super::weights::Loaded;
use super::{ForwardError, Pass};
use crate::cpu::experts::Router;
use crate::model::architecture::{
    Experts, ExpertsBeside, FeedForward, Gated, GatedInputs, Linear, Norm, Routing, SharedExpert,
};
use crate::model::operation::Activation;
use crate::source::ByteSource;
use std::rc::Rc;

/// Tokens whose hidden values are in memory at once, if all matrices of a part stay loaded.
const AT_ONCE: usize = 2048;

/// How many tokens a part with this many inputs processes at once. Up to this limit each matrix is loaded, used on all tokens and
/// dropped. With more tokens, the hidden values would take more memory than all matrices of the part. If they have a norm, which is shown
/// whole, the part processes all tokens at once.
pub(super) fn at_once(tokens: usize, inputs: usize, normed: bool) -> usize {
    if normed || tokens <= AT_ONCE + inputs { tokens } else { AT_ONCE }
}

/// A part in which every token passes through every matrix.
#[derive(Clone, Copy)]
enum Dense<'a> {
    Plain { up: &'a Linear, down: &'a Linear, activation: Activation },
    Gated(&'a Gated),
}

impl<'a> Dense<'a> {
    /// Maps to the hidden values.
    fn inputs(self) -> &'a [Linear] {
        match self {
            Self::Plain { up, .. } => std::slice::from_ref(up),
            Self::Gated(Gated { inputs: GatedInputs::Separate(both), .. }) => both,
            Self::Gated(Gated {
                inputs: GatedInputs::Concatenated(both) | GatedInputs::Interleaved(both),
                ..
            }) => std::slice::from_ref(both),
        }
    }

    /// Map back to the stream.
    fn down(self) -> &'a Linear {
        match self {
            Self::Plain { down, .. } => down,
            Self::Gated(gated) => &gated.down,
        }
    }

    /// Norm of the hidden values.
    fn inner_norm(self) -> Option<&'a Norm> {
        match self {
            Self::Plain { .. } => None,
            Self::Gated(gated) => gated.inner_norm.as_ref(),
        }
    }
}

/// Matrices that stay on the device, with the index of their tensors.
type Held<K> = Vec<(usize, Rc<Loaded<K>>)>;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Computes n × d from n × d.
    pub(super) async fn feed_forward(
        &self,
        part: &FeedForward,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let n = self.sequences.tokens;
        match part {
            FeedForward::Plain { up, down, activation } => {
                self.dense(Dense::Plain { up, down, activation: *activation }, x, n, watch).await
            }
            FeedForward::Gated(gated) => self.dense(Dense::Gated(gated), x, n, watch).await,
            FeedForward::Experts(experts) => self.experts(experts, x, x, watch).await,
        }
    }

    /// Adds what experts give beside a feed-forward part, whose output is `part`. All are n × d.
    pub(super) async fn with_experts(
        &self,
        beside: &ExpertsBeside,
        part: &K::Values,
        stream: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let ExpertsBeside { part_after, before, router_norm, experts, after } = beside;
        let mut y = self.norm(part_after, part, watch).await?;
        let routed = self.norm_told(router_norm.centring, router_norm, stream, watch).await?;
        let x = self.norm(before, stream, watch).await?;
        let given = self.experts(experts, &x, &routed, watch).await?;
        self.kernels.add(&mut y, &self.norm(after, &given, watch).await?, 1.0);
        Ok(y)
    }

    /// Computes n × d from x (n × d). The router reads `routed` (n × d).
    async fn experts(
        &self,
        part: &Experts,
        x: &K::Values,
        routed: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let (d, n) = (self.architecture.width, self.sequences.tokens);
        let Experts { router, all, routing, shared } = part;
        let of_expert = self.routed(router, routing, all.len(), routed).await?;
        let mut y = self.kernels.zeros(n * d);
        for (expert, mut tokens) in all.iter().zip(of_expert).filter(|(_, tokens)| !tokens.is_empty()) {
            let rows: Vec<u32> = tokens.iter().map(|(token, _)| *token).collect();
            let mut input = self.kernels.rows(x, d, &rows);
            if routing.of_inputs {
                let mut multiplied = self.kernels.zeros(rows.len() * d);
                let weights = (0..).zip(tokens.iter_mut());
                let to: Vec<(u32, f32)> =
                    weights.map(|(row, (_, weight))| (row, std::mem::replace(weight, 1.0))).collect();
                self.kernels.add_rows(&mut multiplied, d, &to, &input);
                input = multiplied;
            }
            let output = self.dense(Dense::Gated(expert), &input, rows.len(), watch).await?;
            self.kernels.add_rows(&mut y, d, &tokens, &output);
        }
        if let Some(SharedExpert { gate, expert }) = shared {
            let output = self.dense(Dense::Gated(expert), x, n, watch).await?;
            match gate {
                None => self.kernels.add(&mut y, &output, 1.0),
                Some(gate) => {
                    let mut weights = self.linear(gate, x).await?;
                    self.kernels.activate(Activation::Sigmoid, &mut weights);
                    let weights = self.kernels.get(&weights).await?;
                    let tokens: Vec<(u32, f32)> = (0..).zip(weights).collect();
                    self.kernels.add_rows(&mut y, d, &tokens, &output);
                }
            }
        }
        Ok(y)
    }

    /// Returns the tokens of each expert, with their weights.
    async fn routed(
        &self,
        router: &Linear,
        routing: &Routing,
        experts: usize,
        x: &K::Values,
    ) -> Result<Vec<Vec<(u32, f32)>>, ForwardError> {
        let scores = self.linear(router, x).await?;
        let mut scores = self.kernels.get(&scores).await?;
        scores.iter_mut().for_each(|score| *score *= routing.of_scores);
        let correction = self.weights.optional(routing.correction).await?;
        let factors = self.weights.optional(routing.factors).await?;
        let Routing { chosen, gate, groups, normalised, multiplier, .. } = *routing;
        let (correction, factors) = (correction.as_deref(), factors.as_deref());
        let router = Router { chosen, gate, correction, groups, normalised, multiplier, factors };
        let mut of_expert: Vec<Vec<(u32, f32)>> = vec![Vec::new(); experts];
        for (token, scores) in (0..).zip(scores.chunks_exact(experts)) {
            for (expert, weight) in router.route(scores) {
                of_expert[expert].push((token, weight));
            }
        }
        Ok(of_expert)
    }

    /// Computes `tokens` × d from `tokens` × d.
    async fn dense(
        &self,
        part: Dense<'_>,
        x: &K::Values,
        tokens: usize,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let width = self.architecture.width;
        let at_once = at_once(tokens, width, part.inner_norm().is_some());
        if tokens <= at_once {
            return self.dense_at_once(part, &Vec::new(), x, watch).await;
        }
        let mut held = Held::new();
        for linear in part.inputs().iter().chain([part.down()]) {
            held.push((linear.weight, self.load(linear).await?));
        }
        let mut y = self.kernels.zeros(tokens * width);
        for first in (0..tokens).step_by(at_once) {
            let some = at_once.min(tokens - first);
            let x = self.kernels.part(x, first * width, some * width);
            self.kernels.put_part(&mut y, first * width, &self.dense_at_once(part, &held, &x, watch).await?);
        }
        Ok(y)
    }

    async fn dense_at_once(
        &self,
        part: Dense<'_>,
        held: &Held<K>,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let mut hidden = match part {
            Dense::Plain { up, activation, .. } => {
                let mut hidden = self.through(up, held, x).await?;
                self.kernels.activate(activation, &mut hidden);
                hidden
            }
            Dense::Gated(gated) => {
                let [mut gate, mut up] = match &gated.inputs {
                    GatedInputs::Separate([gate, up]) => {
                        [self.through(gate, held, x).await?, self.through(up, held, x).await?]
                    }
                    GatedInputs::Concatenated(both) => {
                        self.split(&self.through(both, held, x).await?, [both.outputs / 2; 2])
                    }
                    GatedInputs::Interleaved(both) => self.split(&self.through(both, held, x).await?, [1; 2]),
                };
                if let Some(limit) = gated.limit {
                    self.kernels.clamp(&mut gate, [f32::MIN, limit]);
                    self.kernels.clamp(&mut up, [-limit, limit]);
                    let one = self.kernels.put(vec![1.0]);
                    up = self.kernels.scale_and_shift(&up, None, Some(&one), 1);
                }
                if let Some(k) = gated.cut {
                    gate = self.kernels.cut(&gate, gated.down.inputs, k);
                }
                self.kernels.gate(gated.activation, &mut gate, &up);
                gate
            }
        };
        if let Some(norm) = part.inner_norm() {
            hidden = self.norm_told(norm.centring, norm, &hidden, watch).await?;
        }
        self.through(part.down(), held, &hidden).await
    }

    /// Applies a linear map. If its matrix is not in `held`, it is loaded and dropped again.
    async fn through(
        &self,
        linear: &Linear,
        held: &Held<K>,
        x: &K::Values,
    ) -> Result<K::Values, ForwardError> {
        match held.iter().find(|(weight, _)| *weight == linear.weight) {
            Some((_, loaded)) => {
                self.pause().await?;
                Ok(loaded.apply(self.kernels, x))
            }
            None => self.linear(linear, x).await,
        }
    }
}
