//! What blocks read beside the stream: vectors of their own for each token, and the keys and values of earlier blocks.

use super::kernels::{Columns, Kernels};
use super::observer::Observer;
use super::{ForwardError, Input, Pass};
use crate::model::architecture::BlockInput;
use crate::source::ByteSource;
use std::f32::consts::FRAC_1_SQRT_2;

/// What the next block of a pass reads beside the stream, and what earlier blocks lend.
pub(super) struct Aside<Values> {
    /// The vectors of the next block, n × p.
    pub(super) input: Option<Values>,
    /// Keys and values (n × key heads·h each) that later blocks use, by their places.
    pub(super) lent: Vec<Option<[Values; 2]>>,
}

impl<Values> Aside<Values> {
    /// Makes one with `places` for keys and values.
    pub(super) fn with_places(places: usize) -> Self {
        Self { input: None, lent: (0..places).map(|_| None).collect() }
    }
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Makes the vectors of all blocks from the stream before the first one: n × p for each block. None if the model has none.
    pub(super) async fn block_inputs(
        &self,
        stream: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<Vec<K::Values>, ForwardError> {
        let (Some(inputs), Input::TokenIds { ids, .. }) = (self.architecture.embedding.inputs(), self.input)
        else {
            return Ok(Vec::new());
        };
        let (width, of) = (inputs.width, inputs.map.outputs);
        let mapped = self.linear(&inputs.map, stream).await?;
        let normed = self.norm(&inputs.norm, &mapped, watch).await?;
        drop(mapped);
        let root = (width as f32).sqrt();
        let rows = self.rows(inputs.table, ids, of, root * FRAC_1_SQRT_2).await?;
        let mut all = self.kernels.put(rows);
        self.kernels.add(&mut all, &normed, FRAC_1_SQRT_2);
        let of_block = |block: usize| self.kernels.columns(&all, Columns { from: block * width, width, of });
        Ok((0..inputs.count()).map(of_block).collect())
    }

    /// Returns what a block makes of the stream (n × d) and of its own vectors (n × p): n × d.
    pub(super) async fn of_input(
        &self,
        part: &BlockInput,
        input: &K::Values,
        stream: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let mut gate = self.linear(&part.gate, stream).await?;
        self.kernels.gate(part.activation, &mut gate, input);
        let output = self.linear(&part.projection, &gate).await?;
        self.norm(&part.after, &output, watch).await
    }

    /// Returns a copy of the keys and values at a place.
    pub(super) fn borrowed(
        &self,
        aside: &Aside<K::Values>,
        place: usize,
        values: usize,
    ) -> Result<[K::Values; 2], ForwardError> {
        let lent = aside.lent.get(place).and_then(Option::as_ref).ok_or(ForwardError::NotLent)?;
        Ok(lent.each_ref().map(|lent| self.kernels.part(lent, 0, values)))
    }
}
