//! Puts the last hidden states of a tower of images into the stream of its decoder.

use super::attention::Encoded;
use super::kernels::Kernels;
use super::{ForwardError, Pass};
use crate::model::architecture::Projector;
use crate::source::ByteSource;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Returns what this stack reads from its encoder: the projector's vectors, or without a projector the last hidden states `hidden`.
    pub(super) async fn projected(
        &self,
        encoder: &Self,
        hidden: K::Values,
    ) -> Result<K::Values, ForwardError> {
        let Some(projector) = self.architecture.embedding.projector() else { return Ok(hidden) };
        let (order, length) = (projector.order(), encoder.sequences.length);
        let images = 0..encoder.sequences.count();
        let rows: Vec<u32> =
            images.flat_map(|image| order.iter().map(move |token| (image * length + token) as u32)).collect();
        // The vectors of a square follow each other, so they form one row.
        let squares = self.kernels.rows(&hidden, encoder.architecture.width, &rows);
        let mut projected = self.linear(&projector.map, &squares).await?;
        if let Some((activation, map)) = &projector.second {
            self.kernels.activate(*activation, &mut projected);
            projected = self.linear(map, &projected).await?;
        }
        Ok(projected)
    }

    /// Returns the rows of tokens, n × d, in which the vectors of each sequence's image replace its image tokens, in order.
    pub(super) fn with_images(
        &self,
        projector: &Projector,
        encoded: &Encoded<'_, K::Values>,
        ids: &[u32],
        mut rows: Vec<f32>,
    ) -> K::Values {
        let (width, length) = (self.architecture.width, self.sequences.length);
        let is_image = |id: &u32| *id == projector.token;
        for (row, _) in rows.chunks_exact_mut(width).zip(ids).filter(|(_, id)| is_image(id)) {
            row.fill(0.0);
        }
        let mut x = self.kernels.put(rows);
        let places: Vec<(u32, f32)> =
            ids.iter().zip(0..).filter(|(id, _)| is_image(id)).map(|(_, place)| (place, 1.0)).collect();
        let features = projector.features();
        let of_sequence = |sequence: usize| {
            let first = sequence / encoded.sharing.max(1) * features;
            (first..first + features).map(|row| row as u32)
        };
        let vectors: Vec<u32> = (0..ids.len() / length.max(1)).flat_map(of_sequence).collect();
        let vectors = self.kernels.rows(encoded.hidden, width, &vectors);
        self.kernels.add_rows(&mut x, width, &places, &vectors);
        x
    }
}
