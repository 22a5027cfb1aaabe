//! Several versions of the residual stream, of which a block runs on one: it predicts all of them before, and corrects them after (AltUp,
//! Baykal et al., 2023).

use super::kernels::{Columns, Kernels};
use super::observer::Observer;
use super::{ForwardError, Pass};
use crate::model::architecture::{Alternating, BlockInput, Laurel, Linear, Norm, Versions};
use crate::source::ByteSource;
use std::f32::consts::FRAC_1_SQRT_2;

/// The least mean square of a mapped version, by which its length is divided.
const LEAST_SQUARE: f64 = 1e-5;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Makes all versions (n × V·d) from the embedding (n × d), if the model has several. Each gets the length of the embedding.
    pub(super) async fn begin_versions(&self, first: K::Values) -> Result<K::Values, ForwardError> {
        let Some(versions) = &self.architecture.versions else { return Ok(first) };
        let mut state = self.kernels.zeros(self.sequences.tokens * self.architecture.state_width());
        self.add_version(&mut state, 0, &first, |_| 1.0);
        let squares = self.mean_squares(&first).await?;
        for (version, map) in (1..).zip(&versions.begin) {
            let (mapped, weights) = self.mapped_version(map, &first, &squares).await?;
            self.add_version(&mut state, version, &mapped, |token| weights[token]);
        }
        Ok(state)
    }

    /// Returns the mean of all versions (n × d), each mapped and with the length of the first, if there are several.
    pub(super) async fn end_versions(&self, state: K::Values) -> Result<K::Values, ForwardError> {
        let Some(versions) = &self.architecture.versions else { return Ok(state) };
        let share = 1.0 / versions.count as f32;
        let first = self.version(&state, 0);
        let squares = self.mean_squares(&first).await?;
        let mut mean = self.kernels.zeros(self.sequences.tokens * self.architecture.width);
        self.kernels.add(&mut mean, &first, share);
        for (version, map) in (1..).zip(&versions.end) {
            let (mapped, weights) =
                self.mapped_version(map, &self.version(&state, version), &squares).await?;
            let rows: Vec<(u32, f32)> = (0..).zip(weights.iter().map(|weight| weight * share)).collect();
            self.kernels.add_rows(&mut mean, self.architecture.width, &rows, &mapped);
        }
        Ok(mean)
    }

    /// Maps a version (n × d). Returns the result, and for each token the factor that gives it this mean square.
    async fn mapped_version(
        &self,
        map: &Linear,
        version: &K::Values,
        squares: &[f64],
    ) -> Result<(K::Values, Vec<f32>), ForwardError> {
        let mapped = self.linear(map, version).await?;
        let own = self.mean_squares(&mapped).await?;
        let weight = |(square, own): (&f64, f64)| (square / own.max(LEAST_SQUARE)).sqrt() as f32;
        let weights = squares.iter().zip(own).map(weight).collect();
        Ok((mapped, weights))
    }

    async fn mean_squares(&self, x: &K::Values) -> Result<Vec<f64>, ForwardError> {
        let (width, values) = (self.architecture.width, self.kernels.get(x).await?);
        let square = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        Ok(values.chunks_exact(width).map(|row| square(row) / width as f64).collect())
    }

    /// Copies a version (n × d).
    pub(super) fn version(&self, state: &K::Values, version: usize) -> K::Values {
        let (width, of) = (self.architecture.width, self.architecture.state_width());
        self.kernels.columns(state, Columns { from: version * width, width, of })
    }

    /// Adds weight · x (n × d) to a version. The weight depends on the token.
    fn add_version(
        &self,
        state: &mut K::Values,
        version: usize,
        x: &K::Values,
        weight: impl Fn(usize) -> f32,
    ) {
        let (width, count) = (self.architecture.width, self.architecture.state_width());
        let versions = count / width.max(1);
        let row = |token: usize| ((token * versions + version) as u32, weight(token));
        let rows: Vec<(u32, f32)> = (0..self.sequences.tokens).map(row).collect();
        self.kernels.add_rows(state, width, &rows, x);
    }

    /// Predicts all versions before a block (n × V·d): each is itself plus a sum of all, with weights that the active one decides.
    pub(super) async fn predict(
        &self,
        versions: &Versions,
        part: &Alternating,
        state: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let count = versions.count;
        // The norm is shown where the block uses it last.
        let norm = Norm { site: None, ..part.norm.clone() };
        let active = self.version(state, versions.active);
        let weights = self.weights_of(&norm, part, &part.predict, &active, watch).await?;
        let mut predicted =
            self.kernels.part(state, 0, self.sequences.tokens * self.architecture.state_width());
        for from in 0..count {
            let x = self.version(state, from);
            for to in 0..count {
                let weight = |token: usize| weights[token * count * count + to * count + from];
                self.add_version(&mut predicted, to, &x, weight);
            }
        }
        Ok(predicted)
    }

    /// Corrects the predictions (n × V·d) by how far the output of the block (n × d) is from the active one.
    pub(super) async fn correct(
        &self,
        versions: &Versions,
        part: &Alternating,
        mut predicted: K::Values,
        mut output: K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let count = versions.count;
        let weights = self.weights_of(&part.norm, part, &part.correct, &output, watch).await?;
        self.kernels.add(&mut output, &self.version(&predicted, versions.active), -1.0);
        for version in 0..count {
            self.add_version(&mut predicted, version, &output, |token| {
                weights[token * count + version] + 1.0
            });
        }
        Ok(predicted)
    }

    /// map(tanh(router(norm(x))/d)) of every token of x (n × d).
    async fn weights_of(
        &self,
        norm: &Norm,
        part: &Alternating,
        map: &Linear,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<Vec<f32>, ForwardError> {
        let normed = self.norm(norm, x, watch).await?;
        let mut routed = self.linear(&part.router, &normed).await?;
        self.kernels.logits(&mut routed, 1.0 / self.architecture.width as f32, Some(1.0));
        self.kernels.get(&self.linear(map, &routed).await?).await
    }

    /// Adds to all versions except the first what a block makes of its own vectors (n × p).
    pub(super) async fn with_input_for_others(
        &self,
        versions: &Versions,
        part: (&Alternating, &BlockInput),
        input: &K::Values,
        mut state: K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let (alternating, part) = part;
        let mut active = self.version(&state, versions.active);
        if let Some(scale) = self.weights.optional(alternating.output_scale).await? {
            active = self.scaled_and_shifted(&active, [Some(scale), None]);
        }
        let output = self.of_input(part, input, &active, watch).await?;
        for version in 1..versions.count {
            self.add_version(&mut state, version, &output, |_| 1.0);
        }
        Ok(state)
    }

    /// x + after(right(left x)) of the input of attention (n × d).
    pub(super) async fn laurel(
        &self,
        part: &Laurel,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let narrow = self.linear(&part.left, x).await?;
        let wide = self.linear(&part.right, &narrow).await?;
        let mut output = self.norm(&part.after, &wide, watch).await?;
        self.kernels.add(&mut output, x, 1.0);
        Ok(output)
    }

    /// (stream + laurel)/√2.
    pub(super) fn with_laurel(&self, mut stream: K::Values, laurel: &K::Values) -> K::Values {
        self.kernels.add(&mut stream, laurel, 1.0);
        let half = self.kernels.put(vec![FRAC_1_SQRT_2]);
        self.kernels.scale_and_shift(&stream, Some(&half), None, 1)
    }
}
