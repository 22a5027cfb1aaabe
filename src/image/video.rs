//! A video as a list of image files, one a frame.

use super::decode::Rgb;
use super::{ImageError, Note, Pixels, Processor};

/// The indices of those of `files` that are the frames of a video of `wanted` frames, in order. The names are sorted in natural
/// order (frame 2 before frame 10), then frames are taken evenly spaced, frame ⌊i · n / wanted⌋ for each i, as transformers' video
/// processors sample. All frames if `wanted` is not given.
pub fn frames(files: &[&str], wanted: Option<usize>) -> Result<Vec<usize>, ImageError> {
    let mut sorted: Vec<usize> = (0..files.len()).collect();
    sorted.sort_by(|&left, &right| alphanumeric_sort::compare_str(files[left], files[right]));
    let wanted = wanted.unwrap_or(sorted.len());
    if sorted.is_empty() || wanted == 0 {
        return Err(ImageError::NoFrames);
    }
    if wanted > sorted.len() {
        return Err(ImageError::TooFewFrames { frames: sorted.len(), wanted });
    }
    let place = |index: usize| (index as u128 * sorted.len() as u128 / wanted as u128) as usize;
    Ok((0..wanted).map(|index| sorted[place(index)]).collect())
}

impl Processor {
    /// The pixels of a video of image files (name and bytes): frames × channels × height × width. If there are more frames than
    /// `wanted`, evenly spaced ones are used.
    pub fn video(&self, files: &[(&str, &[u8])], wanted: Option<usize>) -> Result<Pixels, ImageError> {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let places = frames(&names, wanted)?;
        let mut images: Vec<Rgb> = Vec::with_capacity(places.len());
        let mut notes = Vec::new();
        for &place in &places {
            let (name, bytes) = files[place];
            let (image, of_frame) = self.prepared(name, bytes)?;
            if images.first().is_some_and(|first| (first.height, first.width) != (image.height, image.width))
            {
                return Err(ImageError::FramesDiffer { name: name.to_owned() });
            }
            images.push(image);
            notes.extend(of_frame);
        }
        notes.sort();
        notes.dedup();
        if places.len() < files.len() {
            notes.push(Note::Sampled { frames: places.len(), of: files.len() });
        }
        Ok(self.pixels(&images, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_in_natural_order_and_evenly_spaced() {
        let names = ["frame10.png", "frame9.png", "frame1.png", "frame2.png", "frame11.png"];
        assert_eq!(frames(&names, None).unwrap(), [2, 3, 1, 0, 4]);
        assert_eq!(frames(&names, Some(2)).unwrap(), [2, 1]);
        assert_eq!(frames(&names, Some(5)).unwrap(), [2, 3, 1, 0, 4]);
    }

    #[test]
    fn no_frames_and_too_few_are_errors() {
        assert_eq!(frames(&[], None), Err(ImageError::NoFrames));
        assert_eq!(frames(&["a"], Some(0)), Err(ImageError::NoFrames));
        assert_eq!(frames(&["a"], Some(2)), Err(ImageError::TooFewFrames { frames: 1, wanted: 2 }));
    }
}
