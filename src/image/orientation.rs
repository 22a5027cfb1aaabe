//! How an image is rotated or mirrored: by EXIF, otherwise by XMP, where Pillow's `exif_transpose` looks too.

use image::ImageDecoder;
use image::metadata::Orientation;

/// The operation that makes the image of this decoder upright. Metadata that cannot be read count as none.
pub(super) fn upright(decoder: &mut impl ImageDecoder) -> Orientation {
    match decoder.orientation() {
        Ok(Orientation::NoTransforms) | Err(_) => {
            let xmp = decoder.xmp_metadata().ok().flatten().unwrap_or_default();
            of_xmp(&xmp).unwrap_or(Orientation::NoTransforms)
        }
        Ok(orientation) => orientation,
    }
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let rest = xmp.windows(NAME.len()).position(|window| window == NAME).map(|at| &xmp[at + NAME.len()..])?;
    let digit = rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"))?.first()?;
    Orientation::from_exif(digit.checked_sub(b'0')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_says_how_an_image_is_turned() {
        assert_eq!(of_xmp(b"<x tiff:Orientation=\"6\" />"), Some(Orientation::Rotate90));
        assert_eq!(of_xmp(b"<tiff:Orientation>3</tiff:Orientation>"), Some(Orientation::Rotate180));
        for none in [&b""[..], b"tiff:Orientation", b"tiff:Orientation=\"", b"tiff:Orientation=\"x\""] {
            assert_eq!(of_xmp(none), None);
        }
    }
}
