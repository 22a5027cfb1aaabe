//! An image where nobody gives one.

use super::decode::{MOST_PIXELS, Rgb};
use super::{CHANNELS, ImageError, Note, Pixels, Processor};
use crate::noise::{Spectrum, generator, natural};

/// Grey of 8 bits: the mean, and how far values usually are from it.
const MEAN: f64 = 127.5;
const DEVIATION: f64 = 50.0;

/// `count` images of height × width of noise with a 1/f spectrum, of 8 bits and then in the range that `processor` gives images.
/// They depend on the seed and the size alone.
pub fn noise(
    processor: &Processor,
    count: usize,
    height: usize,
    width: usize,
    seed: u64,
) -> Result<Pixels, ImageError> {
    let pixels = (count as u64).saturating_mul(height as u64).saturating_mul(width as u64);
    if pixels > MOST_PIXELS {
        let (what, advice) = (format!("{count} images of noise"), "ask for fewer or smaller ones");
        return Err(ImageError::TooLarge { what, width: width as u64, height: height as u64, advice });
    }
    let mut random = generator(seed);
    let mut image = || {
        let channels: [Vec<f64>; CHANNELS] =
            std::array::from_fn(|_| natural(height, width, Spectrum::Image, &mut random));
        let grey = |value: f64| (MEAN + DEVIATION * value).round().clamp(0.0, 255.0) as u8;
        let values = (0..height * width).flat_map(|at| channels.each_ref().map(|channel| grey(channel[at])));
        Rgb { width, height, values: values.collect() }
    };
    let images: Vec<Rgb> = (0..count).map(|_| image()).collect();
    Ok(processor.pixels(&images, vec![Note::Noise { seed }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vit() -> Processor {
        Processor::parse("p", br#"{"image_processor_type": "ViTImageProcessor"}"#).unwrap()
    }

    #[test]
    fn noise_is_in_the_range_of_the_model_and_fills_it() {
        let pixels = noise(&vit(), 2, 32, 24, 7).unwrap();
        assert_eq!((pixels.count, pixels.channels, pixels.height, pixels.width), (2, 3, 32, 24));
        assert_eq!(pixels.values.len(), 2 * 3 * 32 * 24);
        assert!(pixels.values.iter().all(|value| (-1.0..=1.0).contains(value)));
        assert!(
            pixels.values.iter().any(|value| *value < -0.5) && pixels.values.iter().any(|value| *value > 0.5)
        );
        assert_eq!(pixels, noise(&vit(), 2, 32, 24, 7).unwrap());
        assert_ne!(pixels.values, noise(&vit(), 2, 32, 24, 8).unwrap().values);
        let planes: Vec<&[f32]> = pixels.values.chunks(32 * 24).collect();
        assert!((1..6).all(|other| planes[0] != planes[other]));
    }

    #[test]
    fn too_much_noise_is_refused() {
        let refused = noise(&vit(), usize::MAX, 2, 2, 1);
        assert!(matches!(refused, Err(ImageError::TooLarge { .. })));
    }
}
