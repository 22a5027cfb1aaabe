//! The header of an .npy file: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The reader is strict: it refuses
//! anything but an array of floating-point numbers that fills its file exactly, before it allocates the claimed size.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use crate::checkpoint::npy::{Fields, fields, header_range};
use std::ops::Range;

/// Where the numbers are in the file, and their layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Sizes of the dimensions, the outermost first.
    pub(super) shape: Vec<u64>,
    /// Whether the order is column by column.
    pub(super) fortran: bool,
    /// Bytes of a number: 4 or 8.
    pub(super) size: usize,
    /// Whether the most significant byte comes first.
    pub(super) big_endian: bool,
    /// Range of the numbers in the file.
    pub(super) data: Range<usize>,
}

/// Reads the header of a whole file. An error says what is wrong with it.
pub(super) fn header(file: &[u8]) -> Result<Header, String> {
    let Range { start: begin, end } = header_range(file)?;
    let ended = || "it ends inside its header".to_owned();
    let text = std::str::from_utf8(file.get(begin..end).ok_or_else(ended)?);
    let text = text.map_err(|_| "its header is not text".to_owned())?;
    let Fields { descr, fortran, shape } =
        fields(text).ok_or_else(|| format!("its header is {}", text.trim()))?;
    let (big_endian, size) = match descr {
        "<f4" => (false, 4),
        "<f8" => (false, 8),
        ">f4" => (true, 4),
        ">f8" => (true, 8),
        other => return Err(format!("its elements are {other}")),
    };
    let bytes = shape.iter().try_fold(size as u64, |bytes, &size| bytes.checked_mul(size));
    let there = file.len().saturating_sub(end) as u64;
    if bytes != Some(there) {
        let needed = bytes.map_or_else(|| "more than any file has".to_owned(), |bytes| bytes.to_string());
        return Err(format!("{there} bytes follow its header, and its shape needs {needed}"));
    }
    Ok(Header { shape, fortran, size, big_endian, data: end..file.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::npy::MAGIC;
    use proptest::prelude::*;

    fn file(version: u8, header: &str, data: usize) -> Vec<u8> {
        let length = match version {
            1 => (header.len() as u16).to_le_bytes().to_vec(),
            _ => (header.len() as u32).to_le_bytes().to_vec(),
        };
        [MAGIC, &[version, 0], &length, header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn headers_of_each_version_and_spelling_are_read() {
        for (version, text, shape, fortran, size, big_endian) in [
            (
                1,
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
                vec![2, 3],
                false,
                4,
                false,
            ),
            (2, "{'shape':(6,),'descr':\">f4\",'fortran_order':True}", vec![6], true, 4, true),
            (
                3,
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 1, 1)}",
                vec![3, 1, 1],
                false,
                8,
                false,
            ),
        ] {
            let bytes = file(version, text, 24);
            let data = bytes.len() - 24..bytes.len();
            assert_eq!(header(&bytes), Ok(Header { shape, fortran, size, big_endian, data }), "{text}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let sound = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
        for (bytes, what) in [
            (b"PK\x03\x04".to_vec(), "does not begin with"),
            (b"\x93NUMPY".to_vec(), "ends inside its header"),
            (b"\x93NUMPY\x01\x00".to_vec(), "ends inside its header"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec(), "ends inside its header"),
            (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version 9"),
            (file(1, &sound("(2, 3)"), 23), "23 bytes follow its header, and its shape needs 24"),
            (file(1, &sound("(2, 3)"), 25), "25 bytes follow"),
            (file(1, &sound("(4294967296, 4294967296)"), 0), "more than any file has"),
            (file(1, &sound("(-1, 3)"), 0), "its header is {"),
            (file(1, "{'descr': '<f4', 'shape': (1,)}", 4), "its header is {"),
            (
                file(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4),
                "its header is {",
            ),
            (file(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 4), "its elements are <i4"),
        ] {
            let error = header(&bytes).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_point_outside(bytes: Vec<u8>, text in "[{}()',:a-z0-9<>f ]{0,80}", version in 0u8..5) {
            for bytes in [[MAGIC, &bytes].concat(), file(version, &text, bytes.len()), bytes] {
                if let Ok(header) = header(&bytes) {
                    prop_assert!(header.data.end == bytes.len());
                }
            }
        }
    }
}
