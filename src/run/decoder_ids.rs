//! The token ids that a decoder reads: one or more sequences for each input of its encoder.

use super::planned::{Model, RunError};
use crate::forward::ForwardError;
use crate::inspect::Opened;
use crate::report::Warning;
use crate::source::ByteSource;
use crate::text::Choice;
use crate::text::ids::TokenIds;
use crate::text::input;

/// Returns the chosen or usual ids, with warnings. Each sequence begins with the ids that the configuration names. A list of ids is used
/// unchanged.
pub(super) async fn decoder_ids<S: ByteSource>(
    opened: &Opened<S>,
    model: &Model,
    choice: Option<&Choice>,
    encoder: usize,
) -> Result<(TokenIds, Vec<Warning>), RunError> {
    let start = match choice {
        Some(Choice::Ids { .. }) => &[],
        Some(Choice::Text { .. } | Choice::Sample | Choice::Uniform) | None => model.start(),
    };
    let wanted = model.wanted_behind(encoder, start.len());
    let (ids, why) = input::of_checkpoint(opened, choice, wanted, model.least()).await?;
    let ids = dealt(begun(ids, start, wanted.length), wanted.length + start.len(), encoder)?;
    Ok((ids, why.iter().map(input::not_run).collect()))
}

/// Puts these ids before each sequence of `length` ids.
fn begun(ids: TokenIds, start: &[u32], length: usize) -> TokenIds {
    if start.is_empty() {
        return ids;
    }
    let named: Vec<String> = start.iter().map(u32::to_string).collect();
    TokenIds {
        ids: ids.ids.chunks(length.max(1)).flat_map(|sequence| [start, sequence].concat()).collect(),
        what: format!("{}, each sequence behind the start {}", ids.what, named.join(" ")),
        ..ids
    }
}

/// Keeps only as many sequences of `length` ids as give each input of the encoder equally many.
fn dealt(mut ids: TokenIds, length: usize, encoder: usize) -> Result<TokenIds, ForwardError> {
    let own = ids.ids.len() / length.max(1);
    let dealt = own / encoder.max(1) * encoder;
    if dealt == 0 {
        return Err(ForwardError::Shared { encoder, own });
    }
    if dealt < own {
        ids.ids.truncate(dealt * length);
        ids.what += &format!(" ({dealt} of {own} sequences, as many for each input of the encoder)");
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u32) -> TokenIds {
        TokenIds {
            ids: (10..10 + count).collect(),
            further: Vec::new(),
            what: "ids".to_owned(),
            is_text: true,
        }
    }

    #[test]
    fn each_sequence_begins_with_the_start_of_the_decoder() {
        let found = begun(ids(4), &[1, 2], 2);
        assert_eq!(found.ids, [1, 2, 10, 11, 1, 2, 12, 13]);
        assert_eq!(found.what, "ids, each sequence behind the start 1 2");
        assert_eq!(begun(ids(4), &[], 2), ids(4));
    }

    #[test]
    fn sequences_are_divided_evenly_and_the_rest_is_reported() {
        assert_eq!(dealt(ids(8), 2, 2).unwrap(), ids(8));
        let found = dealt(ids(10), 2, 2).unwrap();
        assert_eq!(found.ids.len(), 8);
        assert!(found.what.contains("4 of 5 sequences"), "{}", found.what);
        assert_eq!(dealt(ids(3), 2, 2).unwrap_err(), ForwardError::Shared { encoder: 2, own: 1 });
    }
}
