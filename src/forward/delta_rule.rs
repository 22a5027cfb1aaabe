//! Linear attention by the gated delta rule.

use super::kernels::Kernels;
use super::observer::Observer;
use super::{ForwardError, Pass};
use crate::cpu::convolution::Causal;
use crate::cpu::delta_rule::DeltaRule as Kernel;
use crate::model::architecture::{DeltaProjections, DeltaRule, Linear};
use crate::model::operation::{Activation, Centring};
use crate::source::ByteSource;

/// Added to the square of the length of a query or key. The family's code fixes it.
const EPSILON: f32 = 1e-6;

/// What the maps of linear attention give for n tokens.
struct Projected<Values> {
    /// Queries and keys (n × key heads · key width each), and values (n × heads · value width).
    pieces: [Values; 3],
    /// Numbers whose sigmoids are β, n × heads.
    strength: Values,
    /// Numbers of which α is made, n × heads.
    decay: Values,
    /// Gates of the output, n × heads · value width.
    gate: Gates<Values>,
}

/// Gates of the output. If they have a map of their own, it runs when they are needed.
enum Gates<Values> {
    Known(Values),
    By(Linear),
}

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
        let Projected { pieces: [q, k, v], strength: mut beta, decay: mut alpha, gate } =
            self.projected_for_rule(rule, x).await?;
        let weights = self.weights.all(rule.convolution).await?;
        let (of_keys, mut first) = (key_heads * key_width, 0);
        let [q, k, v] = [(q, of_keys), (k, of_keys), (v, heads * value_width)].map(|(x, channels)| {
            let own = kernels.put(weights[first * kernel..][..channels * kernel].to_vec());
            first += channels;
            let mut y = kernels.convolve(Causal { channels, kernel, length }, &x, &own);
            kernels.activate(rule.activation, &mut y);
            y
        });
        // An RMS norm gives √h times the vector of unit length.
        let width = key_width as f32;
        let [q, k] = [q, k].map(|x| kernels.normalise(Centring::None, &x, key_width, EPSILON / width));
        let (query_scale, key_scale) = (1.0 / width, 1.0 / width.sqrt());
        let rates = self.weights.all(rule.rates).await?.into_iter().map(f32::exp).collect();
        let biases = self.weights.all(rule.biases).await?;
        kernels.decay(&mut alpha, &kernels.put(rates), &kernels.put(biases), heads);
        kernels.activate(Activation::Sigmoid, &mut beta);
        let rule_of = Kernel { heads, key_heads, key_width, value_width, length, query_scale, key_scale };
        let answers = kernels.delta_rule(&rule_of, [&q, &k, &v, &alpha, &beta]);
        let answers = self.norm_told(rule.norm.centring, &rule.norm, &answers, watch).await?;
        let mut gated = match gate {
            Gates::Known(gates) => gates,
            Gates::By(map) => self.linear(&map, x).await?,
        };
        kernels.gate(Activation::Silu, &mut gated, &answers);
        self.linear(&rule.output, &gated).await
    }

    async fn projected_for_rule(
        &self,
        rule: &DeltaRule,
        x: &K::Values,
    ) -> Result<Projected<K::Values>, ForwardError> {
        let DeltaRule { heads, key_heads, key_width, value_width, .. } = *rule;
        Ok(match &rule.projections {
            DeltaProjections::Separate { all, gate, strength, decay } => {
                let all = self.linear(all, x).await?;
                let of_keys = key_heads * key_width;
                let pieces = self.split(&all, [of_keys, of_keys, heads * value_width]);
                let (decay, strength) = (self.linear(decay, x).await?, self.linear(strength, x).await?);
                Projected { pieces, strength, decay, gate: Gates::By(*gate) }
            }
            DeltaProjections::Grouped { all, both } => {
                let of_group = heads / key_heads;
                let of_values = of_group * value_width;
                let all = self.linear(all, x).await?;
                let [q, k, v, gates] = self.split(&all, [key_width, key_width, of_values, of_values]);
                let [strength, decay] = self.split(&self.linear(both, x).await?, [of_group; 2]);
                Projected { pieces: [q, k, v], strength, decay, gate: Gates::Known(gates) }
            }
        })
    }
}
