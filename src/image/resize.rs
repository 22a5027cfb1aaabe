//! Pillow's resizing with 8 bits: the horizontal pass first, then the vertical, each rounded.
//!
//! The arithmetic is that of Pillow's `Resample.c`, with the same fixed point, so every value is the same as in Pillow up to 12.1.
//! Later versions run the vertical pass first in very tall images, which rounds differently (docs/inputs.md). The crate
//! `fast_image_resize` follows the same code, but differs at odd sizes: by more than 100 of 255 in nearest, box and bicubic, by 52
//! in Lanczos, and by 2 in the other filters.

use super::decode::{MOST_PIXELS, Rgb};
use super::{CHANNELS, ImageError};
use std::f64::consts::PI;

/// The filter that weights pixels, with Pillow's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// 0: the nearest pixel.
    Nearest,
    /// 1: a sinc with three lobes.
    Lanczos,
    /// 2: a triangle.
    Bilinear,
    /// 3: Catmull and Rom's cubic (a = -0.5).
    Bicubic,
    /// 4: the mean of the pixels that a new pixel covers.
    Box,
    /// 5: Hamming's window.
    Hamming,
}

impl Filter {
    /// The filter of a number in `resample`.
    pub fn of_number(number: u64) -> Option<Self> {
        let all = [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic, Self::Box, Self::Hamming];
        all.get(usize::try_from(number).ok()?).copied()
    }

    /// The filter of a name in timm's `interpolation`.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "nearest" => Self::Nearest,
            "lanczos" => Self::Lanczos,
            "bilinear" => Self::Bilinear,
            "bicubic" => Self::Bicubic,
            "box" => Self::Box,
            "hamming" => Self::Hamming,
            _ => return None,
        })
    }

    /// How far the filter reaches, in pixels of the larger of the two images.
    fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight of a pixel at this distance from the centre.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let distance = x.abs();
        match self {
            Self::Nearest | Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - distance).max(0.0),
            Self::Hamming if distance >= 1.0 => 0.0,
            // Pillow's constants are f32.
            Self::Hamming => {
                sinc(distance) * (f64::from(0.54f32) + f64::from(0.46f32) * (PI * distance).cos())
            }
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// A step that resizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The new size.
    pub to: Size,
    /// The filter.
    pub filter: Filter,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly this size, at any ratio.
    Exactly {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// The shorter edge becomes this, and the ratio stays.
    Shortest(u32),
    /// The longer edge becomes this, and the shorter one by the ratio, rounded up to an even number (Idefics3).
    Longest(u32),
    /// The shorter edge becomes `shortest`, or less if the longer one would exceed `longest`. The ratio stays.
    Within {
        /// The shorter edge.
        shortest: u32,
        /// The most that the longer edge may have.
        longest: u32,
    },
    /// The smallest size of the same ratio that covers this one.
    Cover {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// The largest size of the same ratio within this one.
    Fit {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
}

impl Size {
    /// (height, width) of an image of `height` × `width`, in the same floating-point steps as transformers and timm.
    pub(super) fn of(self, height: usize, width: usize) -> (u64, u64) {
        let (h, w) = (height as f64, width as f64);
        // Conversion of a float to an integer saturates, so the check of the size catches extreme ratios.
        match self {
            Self::Exactly { height, width } => (height.into(), width.into()),
            Self::Shortest(edge) => {
                let (short, long) = (height.min(width), height.max(width));
                let longer = (u64::from(edge).saturating_mul(long as u64) as f64 / short as f64) as u64;
                if width <= height { (longer, edge.into()) } else { (edge.into(), longer) }
            }
            Self::Longest(edge) => {
                let even = |shorter: f64| (shorter as u64).next_multiple_of(2).max(1);
                let (edge, ratio) = (u64::from(edge), w / h);
                match width >= height {
                    true => (even(edge as f64 / ratio), edge),
                    false => (edge, even(edge as f64 * ratio)),
                }
            }
            Self::Within { shortest, longest } => {
                let (short, long) = (h.min(w), h.max(w));
                let limited = long / short * f64::from(shortest) > f64::from(longest);
                let edge = if limited { f64::from(longest) * short / long } else { f64::from(shortest) };
                let shorter = edge.round_ties_even();
                if shorter == short {
                    (height as u64, width as u64)
                } else if width < height {
                    ((edge * h / w) as u64, shorter as u64)
                } else {
                    (shorter as u64, (edge * w / h) as u64)
                }
            }
            Self::Cover { height, width } => Self::by_ratio(h, w, height, width, f64::min),
            Self::Fit { height, width } => Self::by_ratio(h, w, height, width, f64::max),
        }
    }

    /// timm's `ResizeKeepRatio`.
    fn by_ratio(h: f64, w: f64, height: u32, width: u32, choose: fn(f64, f64) -> f64) -> (u64, u64) {
        let ratio = choose(h / f64::from(height), w / f64::from(width));
        ((h / ratio).round_ties_even() as u64, (w / ratio).round_ties_even() as u64)
    }
}

impl Resize {
    /// Resizes the image. `name` is the file, for messages.
    pub(super) fn apply(&self, name: &str, image: Rgb) -> Result<Rgb, ImageError> {
        let (height, width) = self.to.of(image.height, image.width);
        if height == 0 || width == 0 {
            let (width, height) = (image.width, image.height);
            return Err(ImageError::Vanishes { name: name.to_owned(), width, height });
        }
        let beside = u64::try_from(image.height).unwrap_or(u64::MAX).saturating_mul(width);
        if height.saturating_mul(width) > MOST_PIXELS || beside > MOST_PIXELS {
            let advice = "crop the image to a ratio nearer to a square";
            return Err(ImageError::TooLarge { what: format!("resizing `{name}`"), width, height, advice });
        }
        Ok(resize(image, height as usize, width as usize, self.filter))
    }
}

/// Resizes to height × width, neither of them 0.
fn resize(mut image: Rgb, height: usize, width: usize, filter: Filter) -> Rgb {
    if filter == Filter::Nearest {
        return nearest(&image, height, width);
    }
    if width != image.width {
        image = horizontal(&image, &windows(image.width, width, filter));
    }
    if height != image.height {
        image = vertical(&image, &windows(image.height, height, filter));
    }
    image
}

/// Bits after the point of a weight: 32 minus 8 of the pixel and 2 against overflow.
const PRECISION: u32 = 32 - 8 - 2;

/// The pixels that make one pixel of the result.
struct Window {
    first: usize,
    /// In fixed point.
    weights: Vec<i32>,
}

/// A window for each of `to` pixels, over `from` pixels.
fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretched = scale.max(1.0);
    let support = filter.support() * stretched;
    let window = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let inverse = 1.0 / stretched;
        let weight = |pixel: usize| filter.weight((pixel as f64 - centre + 0.5) * inverse);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let share = if sum == 0.0 { *weight } else { weight / sum };
            (share * f64::from(1 << PRECISION) + 0.5f64.copysign(share)) as i32
        };
        Window { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(window).collect()
}

/// The weighted sum of a channel's values, rounded.
fn weighted<'a>(window: &Window, values: impl Iterator<Item = &'a u8>) -> u8 {
    let sum = window.weights.iter().zip(values).fold(1 << (PRECISION - 1), |sum: i32, (&weight, &value)| {
        sum.wrapping_add(weight.wrapping_mul(i32::from(value)))
    });
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn horizontal(image: &Rgb, windows: &[Window]) -> Rgb {
    let row = |row: &[u8]| {
        let pixel = |window: &Window| -> [u8; CHANNELS] {
            let values = &row[CHANNELS * window.first..];
            std::array::from_fn(|channel| weighted(window, values.iter().skip(channel).step_by(CHANNELS)))
        };
        windows.iter().flat_map(pixel).collect::<Vec<u8>>()
    };
    let values = image.values.chunks_exact(CHANNELS * image.width).flat_map(row).collect();
    Rgb { width: windows.len(), height: image.height, values }
}

fn vertical(image: &Rgb, windows: &[Window]) -> Rgb {
    let stride = CHANNELS * image.width;
    let row = |window: &Window| {
        let values = &image.values[stride * window.first..];
        let value = |column: usize| weighted(window, values[column..].iter().step_by(stride));
        (0..stride).map(value).collect::<Vec<u8>>()
    };
    Rgb { width: image.width, height: windows.len(), values: windows.iter().flat_map(row).collect() }
}

/// Adds up positions one by one, as Pillow does. Pixels that this misses are black.
fn nearest(image: &Rgb, height: usize, width: usize) -> Rgb {
    let places = |from: usize, to: usize| -> Vec<usize> {
        let step = from as f64 / to as f64;
        std::iter::successors(Some(step * 0.5), |place| Some(place + step))
            .take(to)
            .map(|place| place as usize)
            .collect()
    };
    let (rows, columns) = (places(image.height, height), places(image.width, width));
    let pixel = |row: usize, column: usize| {
        let at = CHANNELS * (row * image.width + column);
        let inside = row < image.height && column < image.width;
        if inside { [image.values[at], image.values[at + 1], image.values[at + 2]] } else { [0; CHANNELS] }
    };
    let values = rows.iter().flat_map(|&row| columns.iter().flat_map(move |&column| pixel(row, column)));
    Rgb { width, height, values: values.collect() }
}
