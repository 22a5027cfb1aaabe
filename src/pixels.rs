//! Pixels to run an image model on: those of image files or of a file of values, or noise if there is neither.

use crate::checkpoint::{self, Checkpoint, CheckpointError, formats};
use crate::image::{self, ImageError, Pixels, Processor};
use crate::noise::{generator, natural};
use crate::report::{Warning, WarningCode};
use crate::source::memory::MemorySource;
use crate::source::{ByteSource, SourceError};

/// The tensor that holds them, as transformers' processors call it.
pub const TENSOR: &str = "pixel_values";

/// Values of noise must be fewer than this: a gibibyte of them.
const MOST_VALUES: usize = 1 << 28;

/// The same noise on every machine.
const SEED: u64 = 2606_19491;

/// Images or videos of one size, normalised as the model's processor does it.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelValues {
    /// count × frames × channels × rows × columns values. An image has one frame.
    pub values: Vec<f32>,
    /// Images, frames, channels, rows and columns.
    pub shape: [usize; 5],
    /// What they are, for the report.
    pub what: String,
}

/// The files that the user chose.
#[derive(Debug, Clone)]
pub enum PixelChoice {
    /// A safetensors file with the tensor [`TENSOR`], which the model's processor made.
    Values(MemorySource),
    /// Image files, in any order. For a model of videos they are the frames of one.
    Images(Vec<MemorySource>),
}

/// Why a file gives no pixels.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PixelError {
    /// The image, or the configuration that says how images are prepared, is unusable.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Nothing says how images are prepared.
    #[error(
        "no file beside the weights says how images are prepared: add the model's preprocessor_config.json, or give the values that its processor makes"
    )]
    NoProcessor,
    /// No image.
    #[error("no image was given: choose at least one")]
    NoImages,
    /// The images have different sizes after preparation.
    #[error(
        "`{name}` becomes {} × {} pixels and the images before it {} × {}: the model's processor keeps their shapes, so give images of one shape",
        size[0], size[1], before[0], before[1]
    )]
    Sizes {
        /// The first image that differs.
        name: String,
        /// Its rows and columns.
        size: [usize; 2],
        /// Those of the images before it.
        before: [usize; 2],
    },
    /// The safetensors file is unusable.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// The values cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file has only other tensors.
    #[error(
        "`{file}` has no tensor `{TENSOR}`: save what the model's processor gives under that name, images × channels × rows × columns"
    )]
    NoTensor {
        /// The file.
        file: String,
    },
    /// The tensor has another number of dimensions, or a dimension of 0.
    #[error(
        "`{TENSOR}` in `{file}` is {shape:?}: it should be images × channels × rows × columns, or videos × frames × channels × rows × columns, each at least one"
    )]
    Shape {
        /// The file.
        file: String,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// The type of the values is not decoded.
    #[error("`{TENSOR}` in `{file}` is stored as {dtype}, which is not decoded: save it as float32")]
    Type {
        /// The file.
        file: String,
        /// Its type.
        dtype: String,
    },
    /// More noise is needed than is made.
    #[error(
        "{} images of {} × {} pixels are {MOST_VALUES} values or more: run fewer tokens, or give the pixels of a file",
        shape[0], shape[3], shape[4]
    )]
    TooMuchNoise {
        /// Images, frames, channels, rows and columns.
        shape: [usize; 5],
    },
    /// A value is not a finite number.
    #[error("value {at} of `{TENSOR}` in `{file}` is {value}: pixels are finite numbers")]
    NotFinite {
        /// The file.
        file: String,
        /// Which value.
        at: usize,
        /// NaN or an infinity.
        value: f32,
    },
}

impl PixelValues {
    /// Reads the images or videos of a file of values: the first `most` of them, or all if `most` is `None`.
    pub async fn read(source: &MemorySource, most: Option<usize>) -> Result<Self, PixelError> {
        let file = source.path().to_owned();
        let opened = checkpoint::open(vec![source.clone()], |_| {}).await?;
        let tensor = opened.tensors.iter().find(|tensor| tensor.name == TENSOR);
        let Some(tensor) = tensor else { return Err(PixelError::NoTensor { file }) };
        let wrong = || PixelError::Shape { file: file.clone(), shape: tensor.shape.clone() };
        let sizes: Option<Vec<usize>> = tensor.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
        let [stored, of_each @ ..] = match sizes.as_deref() {
            Some(&[count, channels, rows, columns]) => [count, 1, channels, rows, columns],
            Some(&[count, frames, channels, rows, columns]) => [count, frames, channels, rows, columns],
            _ => return Err(wrong()),
        };
        let count = most.map_or(stored, |most| stored.min(most));
        let [frames, channels, rows, columns] = of_each;
        if count == 0 || of_each.contains(&0) {
            return Err(wrong());
        }
        // The header has been checked, so the bytes of all of them are in the file.
        let all = tensor.bytes();
        // A view is read whole: its first images may be anywhere in it.
        let bytes = if tensor.strides.is_some() { all } else { all / stored as u64 * count as u64 };
        let start = tensor.range.start;
        let mut bytes = tensor.in_order(opened.shards[tensor.shard].read(start..start + bytes).await?);
        bytes.truncate(bytes.len() / if tensor.strides.is_some() { stored } else { count } * count);
        let mut values = Vec::new();
        if tensor.dtype.decode_f32(&bytes, &mut values).is_err() {
            return Err(PixelError::Type { file, dtype: tensor.dtype.to_string() });
        }
        if let Some((at, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(PixelError::NotFinite { file, at, value });
        }
        let what = match stored > count {
            true => format!("the first {count} of {stored} in {file}"),
            false => format!("the {count} in {file}"),
        };
        Ok(PixelValues { values, shape: [count, frames, channels, rows, columns], what })
    }
}

/// Prepares image files. If `frames` is more than one, they are the frames of a video. Warnings say what was changed on the way.
pub fn of_images(
    files: &[MemorySource],
    processor: &Processor,
    frames: usize,
) -> Result<(PixelValues, Vec<Warning>), PixelError> {
    let mut warnings = Vec::new();
    let mut note = |name: &str, pixels: &Pixels| {
        let message = |note: &image::Note| format!("{name}: {note}");
        let of_one =
            pixels.notes.iter().map(|note| Warning::new(WarningCode::ImageChanged, name, message(note)));
        warnings.extend(of_one);
    };
    if frames > 1 {
        let files: Vec<(&str, &[u8])> = files.iter().map(|file| (file.path(), file.bytes())).collect();
        let video = processor.video(&files, Some(frames))?;
        note("the video", &video);
        let shape = [1, frames, video.channels, video.height, video.width];
        let what = format!("a video of {frames} frames");
        return Ok((PixelValues { values: video.values, shape, what }, warnings));
    }
    let mut all: Option<Pixels> = None;
    for file in files {
        let one = processor.image(file.path(), file.bytes())?;
        note(file.path(), &one);
        match &mut all {
            None => all = Some(one),
            Some(all) => {
                let (size, before) = ([one.height, one.width], [all.height, all.width]);
                if size != before {
                    return Err(PixelError::Sizes { name: file.path().to_owned(), size, before });
                }
                all.values.extend(one.values);
                all.count += one.count;
            }
        }
    }
    let Pixels { values, count, channels, height, width, .. } = all.ok_or(PixelError::NoImages)?;
    let what = match files {
        [file] => format!("the image {}", file.path()),
        _ => format!("{count} images"),
    };
    Ok((PixelValues { values, shape: [count, 1, channels, height, width], what }, warnings))
}

/// How the checkpoint says that images are prepared: by its `preprocessor_config.json`, or by the `config.json` of timm.
pub async fn processor<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Result<Processor, PixelError> {
    if let Some(read) = checkpoint.for_run(formats::PREPROCESSOR).await {
        let (path, bytes) = read?;
        return Ok(Processor::parse(&path, &bytes)?);
    }
    let of_timm = checkpoint.configs.iter().find(|config| config.fields().contains_key(image::TIMM));
    let config = of_timm.ok_or(PixelError::NoProcessor)?;
    Ok(Processor::of_fields(&config.path, config.fields())?)
}

/// Noise with a 1/f spectrum in place of images, with mean 0 and deviation 1 on each channel. It is the same on every machine.
pub fn noise(shape: [usize; 5]) -> Result<PixelValues, PixelError> {
    let [count, frames, channels, rows, columns] = shape;
    if shape.iter().fold(1usize, |all, side| all.saturating_mul(*side)) >= MOST_VALUES {
        return Err(PixelError::TooMuchNoise { shape });
    }
    let mut random = generator(SEED);
    let plane = |_| natural(rows, columns, &mut random);
    let values = (0..count * frames * channels).flat_map(plane).map(|value| value as f32).collect();
    Ok(PixelValues { values, shape, what: "noise with a 1/f spectrum instead of images".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    fn file(name: &str, shape: &[usize], values: &[f32]) -> MemorySource {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
        let bytes = safetensors::serialize([(name, view)], None).unwrap();
        MemorySource::new("photos.safetensors", bytes)
    }

    #[test]
    fn as_many_images_as_are_wanted_are_read() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let file = file("pixel_values", &[3, 2, 2, 2], &values);
        let found = block_on(PixelValues::read(&file, Some(2))).unwrap();
        assert_eq!((found.shape, found.values.as_slice()), ([2, 1, 2, 2, 2], &values[..16]));
        assert_eq!(found.what, "the first 2 of 3 in photos.safetensors");
        let all = block_on(PixelValues::read(&file, None)).unwrap();
        assert_eq!((all.shape, all.values), ([3, 1, 2, 2, 2], values));
    }

    #[test]
    fn a_file_without_pixels_is_an_error_in_a_sentence() {
        let says = |file: MemorySource, part: &str| {
            let message = block_on(PixelValues::read(&file, None)).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("photos.safetensors"), "{message}");
        };
        says(file("pixels", &[1, 1, 1, 1], &[0.0]), "no tensor `pixel_values`");
        says(file("pixel_values", &[2, 2], &[0.0; 4]), "is [2, 2]");
        says(file("pixel_values", &[0, 3, 2, 2], &[]), "each at least one");
        says(file("pixel_values", &[1, 1, 1, 2], &[0.0, f32::NAN]), "value 1");
    }

    #[test]
    fn noise_is_the_same_each_time() {
        let found = noise([2, 1, 3, 8, 8]).unwrap();
        assert_eq!((found.values.len(), &found), (384, &noise([2, 1, 3, 8, 8]).unwrap()));
        let error = noise([1, 1, 3, 1 << 14, 1 << 14]).unwrap_err().to_string();
        assert!(error.contains("16384 × 16384"), "{error}");
        let mean = found.values.iter().sum::<f32>() / 384.0;
        let variance = found.values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 384.0;
        assert!(mean.abs() < 0.2 && (variance - 1.0).abs() < 0.3, "{mean} {variance}");
    }
}
