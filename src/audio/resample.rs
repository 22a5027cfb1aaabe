//! To the model's rate.

use super::decode::Sound;
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler};

/// Frames of the input that one transform covers, about. Longer ones have a sharper edge at the highest frequency.
const CHUNK: usize = 4096;

/// The sound at another rate, of ⌈n · rate / old rate⌉ samples.
///
/// rubato resamples in the frequency domain with f64. What the two rates have in common decides how long a transform must be; rates
/// without a common divisor take one of a second.
pub(super) fn resample(sound: Sound, rate: u32) -> Result<Sound, String> {
    if sound.rate == rate {
        return Ok(sound);
    }
    let length = sound.samples.len();
    let samples = sound.samples.into_iter().map(f64::from).collect();
    let input = InterleavedOwned::new_from(samples, 1, length).map_err(|error| error.to_string())?;
    let (from, to) = (sound.rate as usize, rate as usize);
    let mut resampler = Fft::<f64>::new_custom(
        from,
        to,
        CHUNK,
        1,
        1,
        rubato::WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|error| error.to_string())?;
    let output = resampler.process_all(&input, length, None).map_err(|error| error.to_string())?;
    Ok(Sound { samples: output.take_data().into_iter().map(|sample| sample as f32).collect(), rate })
}
