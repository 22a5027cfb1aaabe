//! Decodes the bytes of a file to RGB with 8 bits, as Pillow's `convert("RGB")` gives it after `exif_transpose`.

use super::orientation::upright;
use super::{ImageError, Note};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Most pixels of an image: as many as Pillow opens without calling the file a decompression bomb.
pub const MOST_PIXELS: u64 = 89_478_485;

/// Most bytes that a decoder may allocate beside its output.
const MOST_BYTES: u64 = 1 << 30;

/// An image with 8 bits a channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rgb {
    pub(super) width: usize,
    pub(super) height: usize,
    /// height × width × 3, the channels fastest.
    pub(super) values: Vec<u8>,
}

/// Decodes the image of a file, or its first one.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<(Rgb, Vec<Note>), ImageError> {
    let format =
        image::guess_format(bytes).map_err(|_| ImageError::UnknownFormat { name: name.to_owned() })?;
    let mut notes = Vec::new();
    let image = match format {
        ImageFormat::Gif => gif(name, bytes, &mut notes)?,
        _ => still(name, bytes, format, &mut notes)?,
    };
    Ok((image, notes))
}

fn damaged(name: &str, reason: impl ToString) -> ImageError {
    ImageError::Damaged { name: name.to_owned(), reason: reason.to_string() }
}

/// Refuses an image that is too large, before anything of its size is allocated.
fn check_size(name: &str, width: u32, height: u32) -> Result<(), ImageError> {
    match u64::from(width) * u64::from(height) {
        0 => Err(damaged(name, "it has no pixels")),
        1..=MOST_PIXELS => Ok(()),
        _ => Err(ImageError::TooManyPixels { name: name.to_owned(), width, height }),
    }
}

/// Decodes every format except GIF.
fn still(name: &str, bytes: &[u8], format: ImageFormat, notes: &mut Vec<Note>) -> Result<Rgb, ImageError> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| damaged(name, error))?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    if matches!(decoder.color_type(), image::ColorType::Rgb32F | image::ColorType::Rgba32F) {
        return Err(ImageError::Float { name: name.to_owned() });
    }
    limits.reserve(decoder.total_bytes()).map_err(|error| damaged(name, error))?;
    decoder.set_limits(limits).map_err(|error| damaged(name, error))?;
    let orientation = upright(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(name, error))?;

    if let Some(of) = frames(bytes, format) {
        notes.push(Note::FirstFrame { of });
    }
    if orientation != image::metadata::Orientation::NoTransforms {
        image.apply_orientation(orientation);
        notes.push(Note::Turned);
    }
    if image.color().has_alpha() {
        notes.push(Note::AlphaDropped);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let values = rgb(image, notes).ok_or_else(|| ImageError::Float { name: name.to_owned() })?;
    Ok(Rgb { width, height, values })
}

/// Converts as Pillow does: alpha is dropped, 16 bits of a colour lose the lower 8, and 16 bits of grey are clipped.
fn rgb(image: DynamicImage, notes: &mut Vec<Note>) -> Option<Vec<u8>> {
    let high = |value: u16| (value >> 8) as u8;
    let pixels = match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.into_raw().iter().flat_map(|&grey| [grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|pixel| [pixel.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => {
            image.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]]).collect()
        }
        DynamicImage::ImageLuma16(image) => {
            notes.push(Note::Clipped);
            image.into_raw().iter().flat_map(|&grey| [grey.min(255) as u8; 3]).collect()
        }
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|pixel| [high(pixel.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.into_raw().into_iter().map(high).collect(),
        DynamicImage::ImageRgba16(image) => {
            image.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]].map(high)).collect()
        }
        _ => return None,
    };
    Some(pixels)
}

/// How many frames an animation has. `None` for a still image.
fn frames(bytes: &[u8], format: ImageFormat) -> Option<usize> {
    let frames = match format {
        ImageFormat::Png => {
            let reader = png::Decoder::new(Cursor::new(bytes)).read_info().ok()?;
            reader.info().animation_control?.num_frames
        }
        ImageFormat::WebP => image_webp::WebPDecoder::new(Cursor::new(bytes)).ok()?.num_frames(),
        _ => return None,
    };
    (frames > 1).then_some(frames as usize)
}

/// The first frame on its canvas. Uncovered pixels have the transparent colour or, without one, the first of the palette: alpha is
/// dropped, so the colour of transparent pixels shows.
fn gif(name: &str, bytes: &[u8], notes: &mut Vec<Note>) -> Result<Rgb, ImageError> {
    let options = |skip: bool| {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::Indexed);
        options.skip_frame_decoding(skip);
        if let Some(most) = std::num::NonZeroU64::new(MOST_BYTES) {
            options.set_memory_limit(gif::MemoryLimit::Bytes(most));
        }
        options
    };
    let mut decoder = options(false).read_info(Cursor::new(bytes)).map_err(|error| damaged(name, error))?;
    let (width, height) = (decoder.width(), decoder.height());
    check_size(name, u32::from(width), u32::from(height))?;
    let palette = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(|error| damaged(name, error))?;
    let frame = frame.ok_or_else(|| damaged(name, "it has no frame"))?;
    let palette = frame.palette.clone().or(palette).ok_or_else(|| damaged(name, "it has no palette"))?;
    let colour = |index: u8| {
        let at = 3 * usize::from(index);
        palette.get(at..at + 3).map_or([0; 3], |colour| [colour[0], colour[1], colour[2]])
    };

    let (width, height) = (usize::from(width), usize::from(height));
    let mut values = colour(frame.transparent.unwrap_or(0)).repeat(width * height);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let rows = frame.buffer.chunks(usize::from(frame.width).max(1));
    for (row, indices) in rows.enumerate().take_while(|(row, _)| top + row < height) {
        let inside = indices.iter().take(width.saturating_sub(left)).enumerate();
        for (column, &index) in inside {
            let at = 3 * ((top + row) * width + left + column);
            values[at..at + 3].copy_from_slice(&colour(index));
        }
    }
    if frame.transparent.is_some() {
        notes.push(Note::AlphaDropped);
    }

    let mut all = options(true).read_info(Cursor::new(bytes)).map_err(|error| damaged(name, error))?;
    let mut of = 0;
    while let Ok(Some(_)) = all.next_frame_info() {
        of += 1;
    }
    if of > 1 {
        notes.push(Note::FirstFrame { of });
    }
    Ok(Rgb { width, height, values })
}
