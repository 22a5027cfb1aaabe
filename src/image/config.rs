//! Reads a `preprocessor_config.json` into a processor.
//!
//! Absent fields have the values of transformers 5.24's classes on Pillow (`ViTImageProcessorPil` and so on). If the classes on
//! torchvision differ, Pillow's count.

use super::crop::{Crop, Rounding};
use super::decode::MOST_PIXELS;
use super::processor::{Normalise, Processor, Step};
use super::resize::{Filter, Resize, Size};
use super::{CHANNELS, ImageError, timm};
use serde_json::{Map, Value, json};

impl Processor {
    /// The processor of a `preprocessor_config.json`, or of a timm `config.json`, which has `pretrained_cfg`.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ImageError::NotJson { path: path.to_owned(), reason: error.to_string() })?;
        let Value::Object(fields) = value else {
            return Err(ImageError::NotJson {
                path: path.to_owned(),
                reason: "it is another value".to_owned(),
            });
        };
        Self::of_fields(path, &fields)
    }

    /// The same for the fields of such a file. `path` is what messages call it.
    pub fn of_fields(path: &str, fields: &Map<String, Value>) -> Result<Self, ImageError> {
        match fields.contains_key(timm::TIMM) {
            true => timm::processor(path, fields),
            false => Reader { path, fields }.processor(),
        }
    }
}

/// A class of transformers: what it does if the file says nothing.
struct Class {
    /// Without the ending `ImageProcessor`.
    name: &'static str,
    size: Edges,
    /// Whether a single number as `size` sets both edges, not the shorter one.
    square: bool,
    /// Rows and columns of `crop_size`.
    crop_size: Option<u32>,
    center_crop: bool,
    resample: u64,
    mean: [f64; CHANNELS],
    deviation: [f64; CHANNELS],
    /// Rows and columns of a tile; the whole image is one of them.
    tile: Option<u32>,
}

#[derive(Clone, Copy)]
enum Edges {
    Both(u32),
    Shortest(u32),
    Longest(u32),
}

const HALF: [f64; CHANNELS] = [0.5; CHANNELS];
const CLIP_MEAN: [f64; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_DEVIATION: [f64; CHANNELS] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Every class that is supported.
const CLASSES: [Class; 11] = [
    class("ViT", Edges::Both(224), None, 2),
    Class { center_crop: true, ..class("DeiT", Edges::Both(256), Some(224), 3) },
    class("Beit", Edges::Both(224), Some(224), 3),
    clip(class("CLIP", Edges::Shortest(224), Some(224), 3)),
    Class { square: false, ..class("Siglip", Edges::Both(224), None, 3) },
    class("ConvNext", Edges::Shortest(384), None, 3),
    clip(class("Bit", Edges::Shortest(224), Some(224), 3)),
    Class { mean: timm::MEAN, deviation: timm::DEVIATION, ..class("DINOv3ViT", Edges::Both(224), None, 2) },
    Class { center_crop: true, ..class("VideoMAE", Edges::Shortest(224), Some(224), 2) },
    Class { tile: Some(364), ..class("Idefics3", Edges::Longest(1456), None, 1) },
    Class { tile: Some(364), ..class("SmolVLM", Edges::Longest(1456), None, 1) },
];

const fn class(name: &'static str, size: Edges, crop_size: Option<u32>, resample: u64) -> Class {
    let square = matches!(size, Edges::Both(_));
    let (center_crop, mean, deviation, tile) = (false, HALF, HALF, None);
    Class { name, size, square, crop_size, center_crop, resample, mean, deviation, tile }
}

const fn clip(class: Class) -> Class {
    Class { center_crop: true, mean: CLIP_MEAN, deviation: CLIP_DEVIATION, ..class }
}

/// ConvNeXT crops images below this size.
const CONVNEXT_WHOLE: u32 = 384;
/// The part of an image that is left after ConvNeXT's crop.
const CONVNEXT_CROP: f64 = 224.0 / 256.0;
/// For 8 bits.
const RESCALE: f64 = 1.0 / 255.0;

/// Fields that are read below.
const READ: [&str; 13] = [
    "image_processor_type",
    "feature_extractor_type",
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "crop_pct",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
];

/// Fields that change no pixels: names, layouts that are fixed anyway, labels, the device.
const HARMLESS: [&str; 17] = [
    "_valid_processor_keys",
    "default_to_square",
    "device",
    "disable_grouping",
    "do_convert_rgb",
    "do_reduce_labels",
    "image_seq_length",
    "image_size",
    "input_data_format",
    "model_input_names",
    "num_channels",
    "num_frames",
    "patch_size",
    "processor_class",
    "reduce_labels",
    "return_tensors",
    "transformers_version",
];

/// Fields of the classes that make tiles: two that are read, padding, which images of one size do not get, what else is given back, and a choice of frames.
const OF_TILES: [&str; 5] =
    ["do_image_splitting", "max_image_size", "do_pad", "return_row_col_info", "video_sampling"];

/// The largest edge that a configuration may ask for.
const LONGEST: u32 = 65_535;
/// The largest one where the longer edge is stated: Idefics3 makes larger images smaller again.
const MOST_LONGEST: u32 = 4096;

/// A configuration that is being read.
struct Reader<'a> {
    path: &'a str,
    fields: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn processor(&self) -> Result<Processor, ImageError> {
        let class = self.class()?;
        self.refuse_unknown(class)?;
        let filter = match self.field("resample") {
            None => class.resample,
            Some(value) => value.as_u64().unwrap_or(u64::MAX),
        };
        let filter = Filter::of_number(filter).ok_or_else(|| self.bad("resample", "a number from 0 to 5"))?;

        let mut steps = Vec::new();
        if self.flag("do_resize", true)? {
            let to = self.size(class)?;
            match to {
                Size::Shortest(edge) if class.name == "ConvNext" => {
                    steps.extend(self.convnext(edge, filter)?)
                }
                _ if class.name == "ConvNext" => {
                    return Err(self.bad("size", "shortest_edge alone"));
                }
                to => steps.push(Step::Resize(Resize { to, filter })),
            }
        }
        let tiles = match class.tile {
            Some(usual) => {
                let edge = self.tile(usual)?;
                steps.push(Step::Resize(Resize { to: Size::Exactly { height: edge, width: edge }, filter }));
                self.flag("do_image_splitting", true)?
            }
            None => false,
        };
        if self.flag("do_center_crop", class.center_crop)? {
            let (height, width) = self.crop_size(class)?;
            steps.push(self.crop(height, width));
        }

        let rescale = self.flag("do_rescale", true)?.then(|| match self.field("rescale_factor") {
            None => Ok(RESCALE),
            Some(value) => value.as_f64().ok_or_else(|| self.bad("rescale_factor", "a number")),
        });
        let normalise = self.flag("do_normalize", true)?.then(|| {
            let mean = self.by_channel("image_mean", class.mean)?;
            let deviation = self.by_channel("image_std", class.deviation)?;
            match deviation.contains(&0.0) {
                true => Err(self.bad("image_std", "other numbers than 0")),
                false => Ok(Normalise { mean, deviation }),
            }
        });
        Ok(Processor { steps, rescale: rescale.transpose()?, normalise: normalise.transpose()?, tiles })
    }

    /// A field that is present and not null. Null means the class's own value.
    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn bad(&self, field: &str, expected: &'static str) -> ImageError {
        let value = self.fields.get(field).unwrap_or(&Value::Null).to_string();
        ImageError::BadField { path: self.path.to_owned(), field: field.to_owned(), value, expected }
    }

    fn flag(&self, name: &str, usual: bool) -> Result<bool, ImageError> {
        match self.field(name) {
            None => Ok(usual),
            Some(value) => value.as_bool().ok_or_else(|| self.bad(name, "true or false")),
        }
    }

    /// `ViTImageProcessor`, `ViTImageProcessorFast` and the older `ViTFeatureExtractor` are one class.
    fn class(&self) -> Result<&'static Class, ImageError> {
        let named = self.field("image_processor_type").or(self.field("feature_extractor_type"));
        let named = named.and_then(Value::as_str);
        let named = named.ok_or_else(|| ImageError::NoProcessor { path: self.path.to_owned() })?;
        let endings = ["ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor"];
        let found = endings
            .iter()
            .filter_map(|ending| named.strip_suffix(ending))
            .find_map(|name| CLASSES.iter().find(|class| class.name == name));
        found.ok_or_else(|| {
            let names = CLASSES.map(|class| format!("{}ImageProcessor", class.name));
            let (path, class, supported) = (self.path.to_owned(), named.to_owned(), names.join(", "));
            ImageError::UnknownProcessor { path, class, supported }
        })
    }

    fn refuse_unknown(&self, class: &Class) -> Result<(), ImageError> {
        let other = self.fields.iter().find(|(name, value)| {
            let off = value.is_null() || **value == json!(false);
            let harmless = match name.as_str() {
                "data_format" => **value == json!("channels_first"),
                // The checkpoint's own code. Code for a tokenizer beside it does not matter.
                "auto_map" => value.get("AutoImageProcessor").or(value.get("AutoFeatureExtractor")).is_none(),
                name if class.tile.is_some() && OF_TILES.contains(&name) => true,
                name => READ.contains(&name) || HARMLESS.contains(&name),
            };
            !off && !harmless
        });
        other.map_or(Ok(()), |(field, value)| {
            let (path, field, value) = (self.path.to_owned(), field.clone(), value.to_string());
            Err(ImageError::UnknownField { path, field, value })
        })
    }

    fn size(&self, class: &Class) -> Result<Size, ImageError> {
        let Some(value) = self.field("size") else {
            return Ok(match class.size {
                Edges::Both(edge) => Size::Exactly { height: edge, width: edge },
                Edges::Shortest(edge) => Size::Shortest(edge),
                Edges::Longest(edge) => Size::Longest(edge),
            });
        };
        if class.tile.is_some() {
            let edge = value.get("longest_edge").and_then(edge).filter(|edge| *edge <= MOST_LONGEST);
            let edge = edge.filter(|_| value.as_object().is_some_and(|edges| edges.len() == 1));
            let expected = "longest_edge alone, from 1 to 4096";
            return edge.map(Size::Longest).ok_or_else(|| self.bad("size", expected));
        }
        let square = self.flag("default_to_square", class.square)?;
        let size = size(value, square).ok_or_else(|| {
            self.bad(
                "size",
                "height and width, or shortest_edge with or without longest_edge, from 1 to 65535",
            )
        })?;
        if let Size::Exactly { height, width } = size {
            self.check_size("size", height, width)?;
        }
        Ok(size)
    }

    /// Rows and columns of a tile.
    fn tile(&self, usual: u32) -> Result<u32, ImageError> {
        let Some(value) = self.field("max_image_size") else { return Ok(usual) };
        let edge = value.get("longest_edge").and_then(edge).filter(|edge| *edge <= MOST_LONGEST);
        edge.ok_or_else(|| self.bad("max_image_size", "longest_edge from 1 to 4096"))
    }

    fn crop_size(&self, class: &Class) -> Result<(u32, u32), ImageError> {
        let both = match self.field("crop_size") {
            None => class.crop_size.map(|edge| (edge, edge)),
            Some(value) => match size(value, true) {
                Some(Size::Exactly { height, width }) => Some((height, width)),
                _ => None,
            },
        };
        let (height, width) =
            both.ok_or_else(|| self.bad("crop_size", "a height and a width from 1 to 65535"))?;
        self.check_size("crop_size", height, width)?;
        Ok((height, width))
    }

    fn check_size(&self, field: &str, height: u32, width: u32) -> Result<(), ImageError> {
        let (height, width) = (u64::from(height), u64::from(width));
        if height * width <= MOST_PIXELS {
            return Ok(());
        }
        let (what, advice) = (format!("{field} in `{}`", self.path), "correct the configuration");
        Err(ImageError::TooLarge { what, width, height, advice })
    }

    /// ConvNeXT keeps the centre of a small image and distorts a larger one to a square.
    fn convnext(&self, edge: u32, filter: Filter) -> Result<Vec<Step>, ImageError> {
        let part = match self.field("crop_pct") {
            None => CONVNEXT_CROP,
            Some(value) => value
                .as_f64()
                .filter(|&part| part > 0.0 && part <= 1.0)
                .ok_or_else(|| self.bad("crop_pct", "a number above 0 and up to 1"))?,
        };
        if edge >= CONVNEXT_WHOLE {
            let to = Size::Exactly { height: edge, width: edge };
            return Ok(vec![Step::Resize(Resize { to, filter })]);
        }
        let to = Size::Shortest((f64::from(edge) / part) as u32);
        Ok(vec![Step::Resize(Resize { to, filter }), self.crop(edge, edge)])
    }

    fn crop(&self, height: u32, width: u32) -> Step {
        Step::Crop(Crop { height, width, rounding: Rounding::Transformers, fill: [0; CHANNELS] })
    }

    /// One number for all channels, or one for each.
    fn by_channel(&self, name: &str, usual: [f64; CHANNELS]) -> Result<[f32; CHANNELS], ImageError> {
        let values = match self.field(name) {
            None => Some(usual),
            Some(Value::Array(values)) => {
                let values: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
                values.and_then(|values| values.try_into().ok())
            }
            Some(value) => value.as_f64().map(|value| [value; CHANNELS]),
        };
        let values = values.ok_or_else(|| self.bad(name, "one number for each of three channels"))?;
        Ok(values.map(|value| value as f32))
    }
}

/// A number, a list of height and width, or an object with the names of edges.
fn size(value: &Value, square: bool) -> Option<Size> {
    match value {
        Value::Number(_) if square => Some(Size::Exactly { height: edge(value)?, width: edge(value)? }),
        Value::Number(_) => Some(Size::Shortest(edge(value)?)),
        Value::Array(both) => match both.as_slice() {
            [height, width] => Some(Size::Exactly { height: edge(height)?, width: edge(width)? }),
            _ => None,
        },
        Value::Object(edges) => {
            let mut edges: Vec<(&str, &Value)> = edges
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .filter(|(_, value)| !value.is_null())
                .collect();
            edges.sort_by_key(|(name, _)| *name);
            match edges.as_slice() {
                [("height", height), ("width", width)] => {
                    Some(Size::Exactly { height: edge(height)?, width: edge(width)? })
                }
                [("shortest_edge", shortest)] => Some(Size::Shortest(edge(shortest)?)),
                [("longest_edge", longest), ("shortest_edge", shortest)] => {
                    Some(Size::Within { shortest: edge(shortest)?, longest: edge(longest)? })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn edge(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|edge| u32::try_from(edge).ok()).filter(|edge| (1..=LONGEST).contains(edge))
}
