//! Linear attention by the gated delta rule.

use super::kernels::Kernels;
use super::observer::Observer;
use super::{ForwardError, Pass};
use crate::cpu::convolution::Causal;
use crate::cpu::delta_rule::DeltaRule as Kernel;
use crate::model::architecture::DeltaRule;
use crate::model::operation::{Activation, Centring};
use crate::source::ByteSource;

/// Added to the square of the length of a query or key. The family's code fixes it.
const EPSILON: f32 = 1e-6;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Linear attention: n × d from n × d. Shows the norm of the heads before its gate.
    pub(super) async fn delta_rule(
        &self,
        rule: &DeltaRule,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let DeltaRule { heads, key_heads, key_width, value_width, kernel, .. } = *rule;
        let (kernels, length) = (self.kernels, self.sequences.length);
        let all = self.linear(&rule.projection, x).await?;
        let weights = kernels.put(self.weights.all(rule.convolution).await?);
        let causal = Causal { channels: rule.projection.outputs, kernel, length };
        let mut all = kernels.convolve(causal, &all, &weights);
        kernels.activate(rule.activation, &mut all);
        let of_keys = key_heads * key_width;
        let [q, k, v] = self.split(&all, [of_keys, of_keys, heads * value_width]);
        drop(all);
        // An RMS norm gives √h times the vector of unit length.
        let width = key_width as f32;
        let [q, k] = [q, k].map(|x| kernels.normalise(Centring::None, &x, key_width, EPSILON / width));
        let (query_scale, key_scale) = (1.0 / width, 1.0 / width.sqrt());
        let rates = self.weights.all(rule.rates).await?.into_iter().map(f32::exp).collect();
        let biases = self.weights.all(rule.biases).await?;
        let mut alpha = self.linear(&rule.decay, x).await?;
        kernels.decay(&mut alpha, &kernels.put(rates), &kernels.put(biases), heads);
        let mut beta = self.linear(&rule.strength, x).await?;
        kernels.activate(Activation::Sigmoid, &mut beta);
        let rule_of = Kernel { heads, key_heads, key_width, value_width, length, query_scale, key_scale };
        let answers = kernels.delta_rule(&rule_of, [&q, &k, &v, &alpha, &beta]);
        let answers = self.norm_told(rule.norm.centring, &rule.norm, &answers, watch).await?;
        let mut gated = self.linear(&rule.gate, x).await?;
        kernels.gate(Activation::Silu, &mut gated, &answers);
        self.linear(&rule.output, &gated).await
    }
}
