//! Bytes as the fragment of a link: `#report=VERSION.CRC-32.DATA`. The data is deflated and in URL-safe base64.
//!
//! The version and the checksum are readable, so that every later version can tell what it has. The checksum covers the data as sent: a
//! damaged link is refused before anything is unpacked.

use super::ShareError;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

/// The version that this code writes, and the latest that it reads.
pub(super) const VERSION: u32 = 1;
/// A report of a thousand sites unpacks to less than this. The limit applies during unpacking.
pub(super) const MOST_BYTES: usize = 8 << 20;

const BEGINS: &str = "#report=";
/// The level with the smallest output.
const BEST: u8 = 10;

pub(super) fn written(bytes: &[u8]) -> String {
    let data = compress_to_vec(bytes, BEST);
    let checksum = crc32fast::hash(&data);
    format!("{BEGINS}{VERSION}.{checksum:08x}.{}", BASE64_URL_SAFE_NO_PAD.encode(data))
}

pub(super) fn read(fragment: &str) -> Result<Vec<u8>, ShareError> {
    let rest = fragment.trim().strip_prefix(BEGINS).ok_or(ShareError::Form)?;
    let (version, rest) = rest.split_once('.').ok_or(ShareError::Form)?;
    // Only digits are accepted: `+1` and `01` are not versions of ours.
    let found =
        version.parse().ok().filter(|found: &u32| found.to_string() == version).ok_or(ShareError::Form)?;
    if found > VERSION {
        return Err(ShareError::Newer { found });
    }
    let (said, data) = rest.split_once('.').filter(|_| found > 0).ok_or(ShareError::Form)?;
    let damaged = |found: String| ShareError::Damaged { said: said.chars().take(8).collect(), found };
    let data = BASE64_URL_SAFE_NO_PAD.decode(data).map_err(|_| damaged("none".to_owned()))?;
    let found = format!("{:08x}", crc32fast::hash(&data));
    if found != said {
        return Err(damaged(found));
    }
    decompress_to_vec_with_limit(&data, MOST_BYTES).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => ShareError::TooLarge,
        _ => super::content("it does not unpack"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_unpacks_to_a_gigabyte_is_refused() {
        let data = compress_to_vec(&vec![b'['; 1 << 30], 1);
        let fragment =
            format!("#report=1.{:08x}.{}", crc32fast::hash(&data), BASE64_URL_SAFE_NO_PAD.encode(data));
        assert!(matches!(read(&fragment), Err(ShareError::TooLarge)));
    }

    #[test]
    fn a_later_version_is_named() {
        let later = written(b"{}").replacen("=1.", "=7.", 1);
        let error = read(&later).unwrap_err();
        assert!(error.to_string().contains("has version 7, and this page reads versions up to 1"), "{error}");
    }

    #[test]
    fn a_link_that_was_cut_off_says_so() {
        let whole = written(b"some report that is long enough to be cut");
        for end in BEGINS.len() + 2..whole.len() {
            let error = read(&whole[..end]).unwrap_err();
            assert!(matches!(error, ShareError::Damaged { .. } | ShareError::Form), "{end}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: Vec<u8>) {
            prop_assert_eq!(read(&written(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn any_changed_letter_is_noticed(bytes in proptest::collection::vec(any::<u8>(), 1..200), at: usize, by in 1_u8..94) {
            let mut letters = written(&bytes).into_bytes();
            let at = at % letters.len();
            letters[at] = b'!' + (letters[at] - b'!' + by) % 94;
            let changed = String::from_utf8(letters).unwrap();
            // The checksum is in lower case. Any other spelling counts as a change too.
            prop_assert!(read(&changed).is_err(), "{}", changed);
        }

        #[test]
        fn garbage_is_refused(text in "(#report=)?[0-9]{0,3}[.]?[0-9a-f]{0,9}[.]?.{0,60}") {
            prop_assert!(read(&text).is_err());
        }
    }
}
