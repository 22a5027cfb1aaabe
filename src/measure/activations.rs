//! Activations from the user's own code: a safetensors file with one tensor for each site, or an .npy file of one site.

use super::{MeasureError, npy};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::{self, Checkpoint, CheckpointError};
use crate::source::{ByteSource, SourceError};

pub use super::values::Values;

/// The suffix of tensors with a site's normalised input, captured before the scale.
pub const BEFORE_SCALE: &str = ".before_scale";

/// Outputs of one norm: tokens × width.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations {
    /// Name of the tensor, or the file name without its extension.
    pub tensor: String,
    /// n.
    pub tokens: usize,
    /// d.
    pub width: usize,
    /// Token by token.
    pub values: Values,
    /// Unit roundoff: half the distance from 1 to the next number of the stored type.
    pub unit_roundoff: f64,
    /// How the values were changed on the way.
    pub notes: Vec<String>,
}

/// Bytes of a tensor that are read at once, in addition to its values in memory.
const AT_ONCE: u64 = 16 << 20;

/// Why a file of activations cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActivationsError {
    /// The file could not be opened as a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Not an array of numbers.
    #[error(
        "`{file}` is not an .npy file of floating-point numbers ({reason}); save it with numpy.save as float32"
    )]
    NotNpy {
        /// The file.
        file: String,
        /// What the reader found instead.
        reason: String,
    },
    /// Wrong number of dimensions.
    #[error(
        "`{name}` has {dimensions} dimensions; activations are tokens × width, or batch × tokens × width"
    )]
    Dimensions {
        /// Tensor or file.
        name: String,
        /// Number of dimensions.
        dimensions: usize,
    },
    /// A type that activations cannot have.
    #[error("`{name}` is stored as {dtype}; activations are F64, F32, F16 or BF16")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// None of its tensors could be matched to a site.
    #[error("{0}")]
    NoMatch(String),
    /// Measuring failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

impl Activations {
    /// Makes activations that were computed here, in f64: tokens × `width` values, token by token.
    pub fn of(tensor: &str, width: usize, values: Vec<f64>) -> Self {
        Self {
            tensor: tensor.to_owned(),
            tokens: values.len() / width.max(1),
            width,
            values: Values::F64(values),
            unit_roundoff: f64::EPSILON / 2.0,
            notes: Vec::new(),
        }
    }

    /// Returns the λ/mean that the rounding of the stored type alone leaves along any direction: u²/3.
    pub fn floor(&self) -> f64 {
        self.unit_roundoff * self.unit_roundoff / 3.0
    }

    fn new(
        tensor: &str,
        shape: &[u64],
        values: Values,
        unit_roundoff: f64,
    ) -> Result<Self, ActivationsError> {
        let (&width, outer) =
            shape.split_last().filter(|(_, outer)| (1..=3).contains(&outer.len())).ok_or_else(|| {
                ActivationsError::Dimensions { name: tensor.to_owned(), dimensions: shape.len() }
            })?;
        let mut notes = Vec::new();
        if outer.len() > 1 {
            let all = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
            notes.push(format!("{all} was flattened to {} tokens × {width}", outer.iter().product::<u64>()));
        }
        let widened = values.rounded_to(unit_roundoff);
        let unit_roundoff = widened.map_or(unit_roundoff, |(_, roundoff)| roundoff);
        let floor = unit_roundoff * unit_roundoff / 3.0;
        if let Some((name, _)) = widened {
            notes.push(format!(
                "every value is a {name} number in a wider type: that rounding alone leaves a depth of {floor:.0e}, and a kernel is not seen below it"
            ));
        } else if unit_roundoff > 1e-7 {
            notes.push(format!(
                "stored in a type whose rounding alone leaves a depth of {floor:.0e}: a kernel is not seen below that"
            ));
        }
        let width = width as usize;
        let tokens = values.len().checked_div(width).unwrap_or_default();
        Ok(Self { tensor: tensor.to_owned(), tokens, width, values, unit_roundoff, notes })
    }
}

/// Returns 2^−(bits of the significand) for types that activations can have.
fn unit_roundoff(dtype: &TensorType) -> Option<f64> {
    match dtype.to_string().as_str() {
        "F64" => Some(f64::EPSILON / 2.0),
        "F32" => Some(f64::from(f32::EPSILON) / 2.0),
        "F16" => Some(2f64.powi(-11)),
        "BF16" => Some(2f64.powi(-9)),
        _ => None,
    }
}

/// An open file of activations.
pub enum Captured<S> {
    /// A safetensors file with a tensor for each site.
    Tensors(Checkpoint<S>),
    /// An .npy file of one site.
    Array {
        /// The file's path.
        file: String,
        /// Its content.
        array: Activations,
    },
}

impl<S: ByteSource> Captured<S> {
    /// Opens a .safetensors or an .npy file.
    pub async fn open(source: S) -> Result<Self, ActivationsError> {
        if source.path().ends_with(".npy") {
            let (file, array) = (source.path().to_owned(), array(&source).await?);
            return Ok(Self::Array { file, array });
        }
        Ok(Self::Tensors(checkpoint::open(vec![source], |_| {}).await?))
    }

    /// Names of the tensors.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Tensors(tensors) => tensors.tensors.iter().map(|tensor| tensor.name.as_str()).collect(),
            Self::Array { array, .. } => vec![&array.tensor],
        }
    }

    /// Path of the file.
    pub fn file(&self) -> &str {
        match self {
            Self::Tensors(tensors) => tensors.shards[0].path(),
            Self::Array { file, .. } => file,
        }
    }

    /// Tokens, width and bytes of a tensor.
    pub fn size(&self, name: &str) -> Option<(u64, u64, u64)> {
        match self {
            Self::Array { array, .. } => {
                let (tokens, width) = (array.tokens as u64, array.width as u64);
                Some((tokens, width, array.values.bytes()))
            }
            Self::Tensors(tensors) => {
                let tensor = tensors.tensors.iter().find(|tensor| tensor.name == name)?;
                let width = *tensor.shape.last()?;
                let tokens = tensor.elements().checked_div(width)?;
                Some((tokens, width, tensor.bytes()))
            }
        }
    }

    /// Reads a tensor.
    pub async fn read(&self, name: &str) -> Result<Activations, ActivationsError> {
        let absent = || ActivationsError::NoMatch(format!("there are no activations called `{name}`"));
        match self {
            Self::Array { array, .. } => Ok(array.clone()),
            Self::Tensors(tensors) => {
                let tensor = tensors.tensors.iter().find(|tensor| tensor.name == name).ok_or_else(absent)?;
                let kind =
                    || ActivationsError::Type { name: name.to_owned(), dtype: tensor.dtype.to_string() };
                let roundoff = unit_roundoff(&tensor.dtype).ok_or_else(kind)?;
                let mut values = match roundoff < f64::from(f32::EPSILON) / 2.0 {
                    true => Values::F64(Vec::new()),
                    false => Values::F32(Vec::with_capacity(
                        usize::try_from(tensor.elements().min(AT_ONCE)).unwrap_or_default(),
                    )),
                };
                // A strided tensor is put in order only when all of it is in memory.
                let at_once = if tensor.strides.is_some() { tensor.bytes() } else { AT_ONCE };
                let mut from = tensor.range.start;
                while from < tensor.range.end {
                    let to = tensor.range.end.min(from + at_once);
                    let bytes = tensor.in_order(tensors.read_weights(tensor.shard, from..to).await?);
                    let decoded = tensor.dtype.decode(&bytes).map_err(|_| kind())?;
                    match &mut values {
                        Values::F64(values) => values.extend(decoded),
                        Values::F32(values) => values.extend(decoded.into_iter().map(|value| value as f32)),
                    }
                    from = to;
                }
                Activations::new(name, &tensor.shape, values, roundoff)
            }
        }
    }
}

async fn array<S: ByteSource>(source: &S) -> Result<Activations, ActivationsError> {
    let file = source.path().to_owned();
    let bytes = source.read(0..source.length()).await?;
    let header = npy::header(&bytes);
    let header = header.map_err(|reason| ActivationsError::NotNpy { file: file.clone(), reason })?;
    let npy::Header { shape, fortran, big_endian, .. } = header;
    let data = &bytes[header.data];
    let (values, roundoff) = if header.size == 8 {
        let read = if big_endian { f64::from_be_bytes } else { f64::from_le_bytes };
        let values: Vec<_> = data.as_chunks().0.iter().map(|bytes| read(*bytes)).collect();
        let values = if fortran { transposed(&values, &shape) } else { values };
        (Values::F64(values), f64::EPSILON / 2.0)
    } else {
        let read = if big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
        let values: Vec<_> = data.as_chunks().0.iter().map(|bytes| read(*bytes)).collect();
        let values = if fortran { transposed(&values, &shape) } else { values };
        (Values::F32(values), f64::from(f32::EPSILON) / 2.0)
    };
    let stem = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".npy").to_owned();
    let mut activations = Activations::new(&stem, &shape, values, roundoff)?;
    if fortran {
        activations.notes.push("stored column by column (Fortran order), read as such".to_owned());
    }
    Ok(activations)
}

/// Reorders column-major values of any shape to row-major.
fn transposed<Number: Copy>(values: &[Number], shape: &[u64]) -> Vec<Number> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &size| {
            let here = *stride;
            *stride *= size as usize;
            Some(here)
        })
        .collect();
    (0..values.len())
        .map(|mut at| {
            let mut from = 0;
            for (size, stride) in shape.iter().zip(&strides).rev() {
                from += (at % *size as usize) * stride;
                at /= *size as usize;
            }
            values[from]
        })
        .collect()
}

/// Matches tensors to `sites`: by equal names, otherwise if one name ends with the other and no other site fits.
pub fn matched<'a>(sites: &[&'a str], tensors: &[&'a str]) -> Vec<(usize, &'a str)> {
    let plain: Vec<&str> = tensors.iter().copied().filter(|name| !name.ends_with(BEFORE_SCALE)).collect();
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let mut pairs = Vec::new();
    for tensor in plain {
        if let Some(at) = sites.iter().position(|site| *site == tensor) {
            pairs.push((at, tensor));
            continue;
        }
        let mut like = sites.iter().enumerate().filter(|(_, site)| ends(site, tensor) || ends(tensor, site));
        if let (Some((at, _)), None) = (like.next(), like.next()) {
            pairs.push((at, tensor));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole_or_by_a_unique_end() {
        let sites = ["bert.encoder.layer.0.norm", "bert.encoder.layer.1.norm", "bert.final"];
        let tensors = [
            "bert.final",
            "encoder.layer.1.norm",
            "model.bert.encoder.layer.0.norm",
            "norm",
            "bert.final.before_scale",
        ];
        assert_eq!(
            matched(&sites, &tensors),
            [(2, "bert.final"), (1, "encoder.layer.1.norm"), (0, "model.bert.encoder.layer.0.norm")]
        );
    }

    #[test]
    fn column_major_values_are_turned() {
        // [[1, 2, 3], [4, 5, 6]] column by column.
        assert_eq!(transposed(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], &[2, 3]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
