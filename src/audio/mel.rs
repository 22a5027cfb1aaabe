//! Whisper's log-mel spectrogram, in f64 as transformers' code on NumPy has it.
//!
//! The crate `mel_spec` has the same filters, but depends on every image format, on threads and on ndarray for its pictures.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

/// The highest frequency of a filter in Hz, at any rate.
const HIGHEST: f64 = 8000.0;
/// The least power before the logarithm.
const FLOOR: f64 = 1e-10;
/// Values further than this below the greatest, in powers of ten, are raised.
const RANGE: f32 = 8.0;

/// A log-mel spectrogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMel {
    /// Mel bins.
    pub bins: usize,
    /// Samples a second.
    pub rate: u32,
    /// Samples of a window.
    pub window: usize,
    /// Samples from a window to the next one.
    pub hop: usize,
    /// Samples that the model reads. A shorter sound is padded with silence, a longer one is cut.
    pub samples: usize,
}

impl LogMel {
    /// Seconds that the model reads.
    pub fn seconds(&self) -> u32 {
        (self.samples / self.rate as usize) as u32
    }

    /// Frames of the spectrogram.
    pub fn frames(&self) -> usize {
        self.samples / self.hop
    }

    /// The bins × frames features of `samples`, which are padded or cut to [`Self::samples`].
    pub(super) fn features(&self, samples: &[f32]) -> Vec<f32> {
        let half = self.window / 2;
        let sample = |at: usize| f64::from(samples.get(at).copied().unwrap_or(0.0));
        // The ends are mirrored, without repeating the last sample.
        let padded = |at: usize| match at.checked_sub(half) {
            None => sample(half - at),
            Some(at) if at >= self.samples => sample(2 * (self.samples - 1) - at),
            Some(at) => sample(at),
        };
        let turn = std::f64::consts::TAU / self.window as f64;
        let weights: Vec<f64> = (0..self.window).map(|at| 0.5 - 0.5 * (turn * at as f64).cos()).collect();
        let fourier = FftPlanner::new().plan_fft_forward(self.window);
        let filters = self.filters();
        let (frames, bins) = (self.frames(), self.bins);
        let mut values = vec![0.0; bins * frames];
        let mut buffer = vec![Complex64::default(); self.window];
        let mut scratch = vec![Complex64::default(); fourier.get_inplace_scratch_len()];
        for frame in 0..frames {
            for (at, (value, weight)) in buffer.iter_mut().zip(&weights).enumerate() {
                *value = Complex64::new(padded(frame * self.hop + at) * weight, 0.0);
            }
            fourier.process_with_scratch(&mut buffer, &mut scratch);
            for (bin, filter) in filters.iter().enumerate() {
                let power = filter.weights.iter().zip(&buffer[filter.first..]);
                let power: f64 = power.map(|(weight, value)| weight * value.norm_sqr()).sum();
                values[bin * frames + frame] = power.max(FLOOR).log10() as f32;
            }
        }
        let least = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - RANGE;
        values.iter().map(|value| (value.max(least) + 4.0) / 4.0).collect()
    }

    /// Slaney's triangles, each of area 1 over the Fourier frequencies.
    fn filters(&self) -> Vec<Filter> {
        let frequencies = self.window / 2 + 1;
        let step = f64::from(self.rate / 2) / (frequencies - 1) as f64;
        let corner = |n: usize| hertz(mel(HIGHEST) * n as f64 / (self.bins + 1) as f64);
        let filter = |bin: usize| {
            let [low, middle, high] = [corner(bin), corner(bin + 1), corner(bin + 2)];
            let weight = |n: usize| {
                let frequency = n as f64 * step;
                let rising = (frequency - low) / (middle - low);
                let falling = (high - frequency) / (high - middle);
                rising.min(falling).max(0.0) * 2.0 / (high - low)
            };
            let first = (0..frequencies).find(|&n| weight(n) > 0.0).unwrap_or(0);
            Filter {
                first,
                weights: (first..frequencies).map(weight).take_while(|&weight| weight > 0.0).collect(),
            }
        };
        (0..self.bins).map(filter).collect()
    }
}

/// A triangle over Fourier frequencies, without those of weight 0.
struct Filter {
    /// The first frequency.
    first: usize,
    weights: Vec<f64>,
}

/// Slaney's scale: linear up to 1 kHz, logarithmic above.
fn mel(hertz: f64) -> f64 {
    if hertz < 1000.0 { 3.0 * hertz / 200.0 } else { 15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4f64.ln() }
}

fn hertz(mel: f64) -> f64 {
    if mel < 15.0 { 200.0 * mel / 3.0 } else { 1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp() }
}
