//! The files of this folder that tests damage.

/// Images in every format and a few modes.
pub(crate) const IMAGES: &[&str] = &[
    "rgb.png",
    "palette.png",
    "rgb16.png",
    "animated.png",
    "animated.gif",
    "clear.gif",
    "lossless.webp",
    "animated.webp",
    "rgb.bmp",
    "palette.bmp",
    "rgb.tif",
    "rgb.jpg",
    "progressive.jpg",
    "half.jpg",
    "cmyk.jpg",
    "turned6.jpg",
];

/// Sounds in every format.
pub(crate) const SOUNDS: &[&str] =
    &["tone16.wav", "stereo8.wav", "short.wav", "tone44.flac", "tone.ogg", "tone.mp3"];
