//! Decodes the bytes of a file to one channel of f32 samples.

use super::{AudioError, Note};
use std::io::Cursor;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Most seconds of a sound that are read: a file of a few bytes may claim hours.
pub const MOST_SECONDS: u32 = 600;

/// Most samples a second.
pub const MOST_RATE: u32 = 384_000;

/// Most channels of a WAV file. symphonia multiplies their number before it checks it, which overflows beyond 16,383.
const MOST_CHANNELS: u16 = 255;

/// How far into a file symphonia looks for the beginning of a sound.
const SEARCHED: usize = 1 << 20;

/// Whether a file has the header of a WAV file with more channels than that, wherever the header begins.
fn has_too_many_channels(bytes: &[u8]) -> bool {
    // The name of the chunk, its length, the kind of the samples, and the channels.
    bytes[..bytes.len().min(SEARCHED)].windows(12).any(|header| {
        header.starts_with(b"fmt ") && u16::from_le_bytes([header[10], header[11]]) > MOST_CHANNELS
    })
}

/// A sound of one channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sound {
    /// -1 to 1, except in files of floating-point samples.
    pub(super) samples: Vec<f32>,
    /// Samples a second.
    pub(super) rate: u32,
}

/// Decodes the sound of a file's first track. Several channels become their mean. At most `seconds` are read.
pub(super) fn decode(name: &str, bytes: &[u8], seconds: u32) -> Result<(Sound, Vec<Note>), AudioError> {
    let unknown =
        |error: Error| AudioError::UnknownFormat { name: name.to_owned(), reason: error.to_string() };
    let without = |what: &str| AudioError::UnknownFormat { name: name.to_owned(), reason: what.to_owned() };
    if has_too_many_channels(bytes) {
        return Err(without("it has more than 255 channels"));
    }
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default())
        .map_err(unknown)?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| without("it has no sound"))?;
    let id = track.id;
    let codec = track.codec_params.as_ref().and_then(|params| params.audio());
    let codec = codec.ok_or_else(|| without("its codec is unknown"))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(codec, &AudioDecoderOptions::default())
        .map_err(unknown)?;

    let mut sound = Sound { samples: Vec::new(), rate: 0 };
    let (mut most, mut most_channels, mut damaged, mut cut) = (usize::MAX, 0, 0, false);
    let mut interleaved: Vec<f32> = Vec::new();
    // If a stream ends early, what was read before stays: files that were cut off are common.
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id != id {
            continue;
        }
        let Ok(decoded) = decoder.decode(&packet) else {
            damaged += 1;
            continue;
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if sound.rate == 0 {
            if !(1..=MOST_RATE).contains(&rate) {
                return Err(AudioError::Rate { name: name.to_owned(), rate });
            }
            sound.rate = rate;
            most = rate as usize * seconds as usize;
        }
        if channels == 0 {
            continue;
        }
        most_channels = channels.max(most_channels);
        interleaved.resize(decoded.samples_interleaved(), 0.0);
        decoded.copy_to_slice_interleaved(&mut interleaved);
        let mean = |frame: &[f32]| match frame {
            [alone] => *alone,
            frame => frame.iter().sum::<f32>() / frame.len() as f32,
        };
        let room = most - sound.samples.len();
        sound.samples.extend(interleaved.chunks_exact(channels).take(room).map(mean));
        if interleaved.len() / channels > room {
            cut = true;
            break;
        }
    }
    if sound.samples.is_empty() {
        return Err(AudioError::Empty { name: name.to_owned() });
    }
    if !sound.samples.iter().all(|sample| sample.is_finite()) {
        return Err(AudioError::NotFinite { name: name.to_owned() });
    }

    let mut notes = Vec::new();
    if most_channels > 1 {
        notes.push(Note::Averaged { channels: most_channels });
    }
    if damaged > 0 {
        notes.push(Note::Damaged { packets: damaged });
    }
    if cut {
        notes.push(Note::Cut { seconds });
    }
    if sound.samples.iter().all(|sample| *sample == sound.samples[0]) {
        notes.push(Note::Silent);
    }
    Ok((sound, notes))
}
