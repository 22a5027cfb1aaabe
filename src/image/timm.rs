//! timm's transforms for evaluation: made from `pretrained_cfg` of a timm `config.json`, as `timm.data.create_transform` makes
//! them.

use super::crop::{Crop, Rounding};
use super::decode::MOST_PIXELS;
use super::processor::{Normalise, Processor, Step};
use super::resize::{Filter, Resize, Size};
use super::{CHANNELS, ImageError};
use serde_json::{Map, Value};

/// ImageNet's mean and standard deviation, by channel.
pub(super) const MEAN: [f64; CHANNELS] = [0.485, 0.456, 0.406];
pub(super) const DEVIATION: [f64; CHANNELS] = [0.229, 0.224, 0.225];
/// Rows and columns, if the file says nothing.
const SIZE: u32 = 224;
/// The part of an edge that is left after cropping, if the file says nothing.
const CROP: f64 = 0.875;
/// The least part: a smaller one would enlarge the image beyond bounds.
const LEAST_CROP: f64 = 0.01;

/// The field of a timm `config.json` that says how a model was evaluated.
pub const TIMM: &str = "pretrained_cfg";

/// The processor of a configuration that has it.
pub(super) fn processor(path: &str, fields: &Map<String, Value>) -> Result<Processor, ImageError> {
    let none = Map::new();
    let fields = fields.get(TIMM).and_then(Value::as_object).unwrap_or(&none);
    let bad = |field: &str, expected: &'static str| ImageError::BadField {
        path: path.to_owned(),
        field: format!("pretrained_cfg.{field}"),
        value: fields.get(field).unwrap_or(&Value::Null).to_string(),
        expected,
    };
    // timm uses its own value for a field that is absent, null, zero or empty.
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let text = |name: &str, usual: &'static str| match field(name) {
        None => Ok(usual),
        Some(value) => value.as_str().ok_or_else(|| bad(name, "text")),
    };
    let by_channel = |name: &str, usual: [f64; CHANNELS]| match field(name) {
        None => Ok(usual),
        Some(value) => {
            let numbers =
                value.as_array().and_then(|all| all.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
            let numbers = numbers.and_then(|numbers| <[f64; CHANNELS]>::try_from(numbers).ok());
            numbers.ok_or_else(|| bad(name, "a number for each of three channels"))
        }
    };

    let (height, width) = match field("input_size") {
        None => (SIZE, SIZE),
        Some(value) => input_size(value)
            .ok_or_else(|| bad("input_size", "3, a height and a width, of at most 89478485 pixels"))?,
    };
    let part = match field("crop_pct").map(Value::as_f64) {
        None | Some(Some(0.0)) => CROP,
        Some(part) => part
            .filter(|part| (LEAST_CROP..=1.0).contains(part))
            .ok_or_else(|| bad("crop_pct", "a number from 0.01 to 1"))?,
    };
    let filter = Filter::of_name(text("interpolation", "bicubic")?)
        .ok_or_else(|| bad("interpolation", "nearest, lanczos, bilinear, bicubic, box or hamming"))?;
    let mean = by_channel("mean", MEAN)?;
    let deviation = by_channel("std", DEVIATION)?.map(|value| value as f32);
    if deviation.contains(&0.0) {
        return Err(bad("std", "other numbers than 0"));
    }

    let larger = |edge: u32| (f64::from(edge) / part).floor() as u32;
    let (tall, wide) = (larger(height), larger(width));
    let mut fill = [0; CHANNELS];
    let to = match text("crop_mode", "center")? {
        "squash" => Size::Exactly { height: tall, width: wide },
        "border" => {
            fill = mean.map(|mean| (255.0 * mean).round_ties_even() as u8);
            Size::Fit { height: tall, width: wide }
        }
        "center" if tall == wide => Size::Shortest(tall),
        "center" => Size::Cover { height: tall, width: wide },
        _ => return Err(bad("crop_mode", "center, squash or border")),
    };
    let crop = Crop { height, width, rounding: Rounding::Torchvision, fill };
    let normalise = Normalise { mean: mean.map(|value| value as f32), deviation };
    Ok(Processor {
        steps: vec![Step::Resize(Resize { to, filter }), Step::Crop(crop)],
        rescale: Some(1.0 / 255.0),
        tiles: false,
        normalise: Some(normalise),
    })
}

/// Height and width of [3, height, width].
fn input_size(value: &Value) -> Option<(u32, u32)> {
    let [channels, height, width] = value.as_array()?.as_slice() else { return None };
    let edge =
        |value: &Value| value.as_u64().and_then(|edge| u32::try_from(edge).ok()).filter(|edge| *edge > 0);
    let (height, width) = (edge(height)?, edge(width)?);
    let pixels = u64::from(height) * u64::from(width);
    (channels.as_u64()? == CHANNELS as u64 && pixels <= MOST_PIXELS).then_some((height, width))
}
