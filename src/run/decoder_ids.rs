//! The token ids that a decoder reads: one or more sequences for each input of its encoder.

use super::planned::{Model, RunError};
use crate::forward::ForwardError;
use crate::inspect::Opened;
use crate::report::{StackName, Warning};
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
    let image = model.image_tokens().filter(|_| !start.is_empty());
    if let Some((_, image)) = image.filter(|(_, image)| *image >= model.length()) {
        return Err(RunError::OnlyImages { length: model.length(), image });
    }
    let wanted = model.wanted_behind(encoder, start.len());
    let (mut ids, why) = input::of_checkpoint(opened, choice, wanted, model.least()).await?;
    if let Some((token, _)) = image.filter(|_| !ids.is_text) {
        without(&mut ids.ids, token, wanted.vocabulary);
    }
    let named = match image {
        Some((token, count)) => format!("the {count} tokens of its image (id {token})"),
        None => format!("the start {}", start.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")),
    };
    let first = model.first_name();
    let ids = dealt(begun(ids, start, wanted.length, &named), wanted.length + start.len(), encoder, first)?;
    Ok((ids, why.iter().map(input::not_run).collect()))
}

/// Replaces `token`, which stands for a vector of an image, by the next id: drawn ids and texts do not mean an image.
fn without(ids: &mut [u32], token: u32, vocabulary: usize) {
    let next = token.checked_add(1).filter(|next| (*next as usize) < vocabulary).unwrap_or_default();
    ids.iter_mut().filter(|id| **id == token).for_each(|id| *id = next);
}

/// Puts these ids, which are called `named`, before each sequence of `length` ids.
fn begun(ids: TokenIds, start: &[u32], length: usize, named: &str) -> TokenIds {
    if start.is_empty() {
        return ids;
    }
    TokenIds {
        ids: ids.ids.chunks(length.max(1)).flat_map(|sequence| [start, sequence].concat()).collect(),
        what: format!("{}, each sequence behind {named}", ids.what),
        ..ids
    }
}

/// Keeps only as many sequences of `length` ids as give each input of the encoder equally many.
fn dealt(
    mut ids: TokenIds,
    length: usize,
    encoder: usize,
    first: StackName,
) -> Result<TokenIds, ForwardError> {
    let own = ids.ids.len() / length.max(1);
    let dealt = own / encoder.max(1) * encoder;
    if dealt == 0 {
        return Err(ForwardError::Shared { encoder, own });
    }
    if dealt < own {
        ids.ids.truncate(dealt * length);
        let first = first.text();
        ids.what += &format!(" ({dealt} of {own} sequences, as many for each input of the {first})");
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
        let found = begun(ids(4), &[1, 2], 2, "the start 1 2");
        assert_eq!(found.ids, [1, 2, 10, 11, 1, 2, 12, 13]);
        assert_eq!(found.what, "ids, each sequence behind the start 1 2");
        assert_eq!(begun(ids(4), &[], 2, ""), ids(4));
    }

    #[test]
    fn an_image_token_is_no_text() {
        let mut some = [3, 4, 5, 4];
        without(&mut some, 4, 6);
        assert_eq!(some, [3, 5, 5, 5]);
        without(&mut some, 5, 6);
        assert_eq!(some, [3, 0, 0, 0]);
    }

    #[test]
    fn sequences_are_divided_evenly_and_the_rest_is_reported() {
        assert_eq!(dealt(ids(8), 2, 2, StackName::Encoder).unwrap(), ids(8));
        let found = dealt(ids(10), 2, 2, StackName::Encoder).unwrap();
        assert_eq!(found.ids.len(), 8);
        assert!(found.what.contains("4 of 5 sequences"), "{}", found.what);
        assert_eq!(
            dealt(ids(3), 2, 2, StackName::Encoder).unwrap_err(),
            ForwardError::Shared { encoder: 2, own: 1 }
        );
    }
}
