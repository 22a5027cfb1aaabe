//! Multi-head latent attention: queries, keys and values from narrow vectors (DeepSeek-V2, 2024).

use super::kernels::{Heads, Kernels};
use super::observer::Observer;
use super::{ForwardError, Pass};
use crate::cpu::rotary::RotaryTable;
use crate::model::architecture::{Attention, Latent};
use crate::source::ByteSource;

/// Channels of each head: a piece of the result of [`Pass::joined`].
struct Piece<'a, Values> {
    /// n × heads · width values, or n × width if all heads have the same.
    values: &'a Values,
    /// Channels of a head.
    width: usize,
    /// Whether all heads have the same.
    shared: bool,
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Computes queries, keys and values (n × heads·h each) from x (n × d), turned by their positions. h has room for a query and for a
    /// value. Other channels are zero.
    pub(super) async fn latent(
        &self,
        latent: &Latent,
        attention: &Attention,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<[K::Values; 3], ForwardError> {
        let Latent { plain, turned, value_width, .. } = *latent;
        let length = self.sequences.length;
        let turns = RotaryTable::new(&latent.rotary.frequencies_of(length), length, latent.rotary.factor);
        let turn = |values: &mut K::Values, count: usize| {
            let heads = Heads { count, width: turned, length };
            self.kernels.rotary(values, &turns, heads, latent.rotary.pairing);
        };
        let q = match &latent.narrow {
            Some((map, norm)) => {
                let narrow = self.linear(map, x).await?;
                let narrow = self.norm_told(norm.centring, norm, &narrow, watch).await?;
                self.linear(&latent.queries, &narrow).await?
            }
            None => self.linear(&latent.queries, x).await?,
        };
        let [of_query, mut turned_query] = self.split(&q, [plain, turned]);
        drop(q);
        turn(&mut turned_query, attention.heads);
        let compressed = self.linear(&latent.compress, x).await?;
        let [narrow, mut turned_key] = self.split(&compressed, [latent.expand.inputs, turned]);
        turn(&mut turned_key, 1);
        let narrow = self.norm_told(latent.norm.centring, &latent.norm, &narrow, watch).await?;
        let expanded = self.linear(&latent.expand, &narrow).await?;
        let [of_key, of_value] = self.split(&expanded, [plain, value_width]);
        let piece = |values, width, shared| Piece { values, width, shared };
        let q = [piece(&of_query, plain, false), piece(&turned_query, turned, false)];
        let k = [piece(&of_key, plain, false), piece(&turned_key, turned, true)];
        let v = [piece(&of_value, value_width, false)];
        Ok([self.joined(attention, &q), self.joined(attention, &k), self.joined(attention, &v)])
    }

    /// Puts the pieces of every head beside each other, with zeros behind them: n × heads·h.
    fn joined(&self, attention: &Attention, pieces: &[Piece<'_, K::Values>]) -> K::Values {
        let Attention { heads, head_width, .. } = *attention;
        let tokens = self.sequences.tokens;
        // The values are moved in runs of equal size, by which every width can be divided.
        let run = pieces.iter().fold(head_width, |run, piece| common_divisor(run, piece.width));
        let count =
            |piece: &Piece<'_, K::Values>| tokens * piece.width * if piece.shared { 1 } else { heads };
        let total: usize = pieces.iter().map(count).sum();
        // Zeros are behind the values of all pieces.
        let mut all = self.kernels.zeros(total + run);
        let (mut at, mut firsts) = (0, Vec::with_capacity(pieces.len()));
        for piece in pieces {
            self.kernels.put_part(&mut all, at, piece.values);
            firsts.push(at / run);
            at += count(piece);
        }
        let mut order = Vec::with_capacity(tokens * heads * head_width / run);
        for token in 0..tokens {
            for head in 0..heads {
                let end = order.len() + head_width / run;
                for (piece, first) in pieces.iter().zip(&firsts) {
                    let row = if piece.shared { token } else { token * heads + head };
                    let runs = piece.width / run;
                    order.extend((0..runs).map(|index| (first + row * runs + index) as u32));
                }
                order.resize(end, (total / run) as u32);
            }
        }
        self.kernels.rows(&all, run, &order)
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
