//! Resamples a sound to the model's rate.

use super::decode::Sound;
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Samples that one transform covers, at the lower of the two rates. The filter's edge is then as steep as that of soxr at its
/// high quality, which transformers uses: this length differs least from it.
const BLOCK: f64 = 320.0;

/// Resamples the sound to n · rate / old rate samples, rounded, as soxr does.
///
/// rubato resamples in the frequency domain with f64. The length of a transform is a multiple of the old rate over the greatest common
/// divisor of both, and even, because an odd one shifts the sound by half a sample.
pub(super) fn resample(sound: Sound, rate: u32) -> Result<Sound, String> {
    if sound.rate == rate {
        return Ok(sound);
    }
    let (from, to) = (sound.rate as usize, rate as usize);
    let length = sound.samples.len();
    let wanted = (length as u128 * to as u128 * 2 + from as u128) / (2 * from as u128);
    let samples = sound.samples.into_iter().map(f64::from).collect();
    let input = InterleavedOwned::new_from(samples, 1, length).map_err(|error| error.to_string())?;

    let unit = 2 * from / divisor(from, to);
    let block = BLOCK * (from as f64 / to as f64).max(1.0);
    let block = unit * (block / unit as f64).ceil() as usize;
    let window = WindowFunction::BlackmanHarris2;
    let mut resampler = Fft::<f64>::new_custom(from, to, block, 1, 1, window, FixedSync::Both)
        .map_err(|error| error.to_string())?;
    let output = resampler.process_all(&input, length, None).map_err(|error| error.to_string())?;
    let samples = output.take_data().into_iter().take(wanted.max(1) as usize);
    Ok(Sound { samples: samples.map(|sample| sample as f32).collect(), rate })
}

/// The greatest common divisor.
fn divisor(left: usize, right: usize) -> usize {
    if right == 0 { left } else { divisor(right, left % right) }
}
