//! Exports kernel directions for other programs: safetensors and JSON, of the sites whose verdict says that there is a kernel.
//!
//! A safetensors file holds for each site `SITE.kernel`, F64, `[d]` for v = γ⁻¹/‖γ⁻¹‖ or [k, d] for k zero coordinates, and
//! `SITE.constant`, F64, `[1]` or `[k]`: the value of vᵀy for every token. Its metadata say the same ([`CONVENTION`]).

use crate::inspect::Inspection;
use crate::kernel::direction::Kernel;
use crate::report::kernels::{CONVENTION, ExportedKernel, KernelExport, SCHEMA};
use crate::report::{KernelForm, NormKind};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};

/// Coordinates are k rows of d values in a file. Files with more bytes than this are refused.
const MOST_BYTES: u64 = 1 << 30;

/// Why there is nothing to export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A requested name is not the name of a site.
    #[error("there is no norm site `{0}`; `gammascope inspect --all` lists them")]
    NoSuchSite(String),
    /// The list of sites is empty.
    #[error("no norm site is chosen, so there is no kernel to export; choose one, or all of them")]
    NoneChosen,
    /// The checkpoint has no norm.
    #[error("`{0}` has no norm site, so there is no kernel to export")]
    NoSites(String),
    /// No chosen site has a kernel.
    #[error(
        "none of the {sites} norm sites chosen in `{checkpoint}` has a kernel: {why}. Only a LayerNorm has a kernel direction, and any norm the channels whose scale is exactly zero"
    )]
    NoKernel {
        /// Its name.
        checkpoint: String,
        /// How many sites were chosen.
        sites: usize,
        /// What they are.
        why: String,
    },
    /// Too many coordinates to write as rows.
    #[error(
        "the kernels take {0} bytes as rows of zeros and ones; choose sites, or JSON, which lists the channels"
    )]
    TooLarge(u64),
    /// The writer of safetensors failed.
    #[error("the file could not be made: {0}")]
    Safetensors(String),
    /// The writer of JSON failed.
    #[error("the JSON could not be made: {0}")]
    Json(String),
}

/// The kernels of the sites with these names, or of all sites without a list. Sites without a kernel are left out. It is an error
/// if none is left.
pub fn kernels(inspection: &Inspection, names: Option<&[&str]>) -> Result<KernelExport, ExportError> {
    let report = &inspection.report;
    let checkpoint = report.checkpoint.name.clone();
    if report.norms.is_empty() {
        return Err(ExportError::NoSites(checkpoint));
    }
    if names.is_some_and(<[_]>::is_empty) {
        return Err(ExportError::NoneChosen);
    }
    if let Some(unknown) =
        names.into_iter().flatten().find(|name| !report.norms.iter().any(|norm| norm.name == **name))
    {
        return Err(ExportError::NoSuchSite((*unknown).to_owned()));
    }
    let chosen: Vec<usize> = (0..report.norms.len())
        .filter(|&site| names.is_none_or(|names| names.contains(&report.norms[site].name.as_str())))
        .collect();
    let sites: Vec<ExportedKernel> = chosen.iter().filter_map(|&site| exported(inspection, site)).collect();
    if sites.is_empty() {
        let why = why_none(chosen.iter().map(|&site| report.norms[site].kind));
        return Err(ExportError::NoKernel { checkpoint, sites: chosen.len(), why });
    }
    Ok(KernelExport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint,
        convention: CONVENTION.to_owned(),
        sites,
    })
}

fn why_none(kinds: impl Iterator<Item = NormKind>) -> String {
    let mut counts: [(NormKind, &str, usize); 4] = [
        (NormKind::RmsNorm, "RMSNorm without a zero scale", 0),
        (NormKind::Unknown, "of unknown kind", 0),
        (NormKind::Other, "another kind of norm", 0),
        (NormKind::LayerNorm, "LayerNorm with a scale that could not be used", 0),
    ];
    for kind in kinds {
        for (of, _, count) in &mut counts {
            *count += usize::from(*of == kind);
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .filter(|(.., count)| *count > 0)
        .map(|(_, what, count)| format!("{count} {} {what}", if *count == 1 { "is" } else { "are" }))
        .collect();
    parts.join(", ")
}

/// One site's kernel. `None` if it has none.
fn exported(inspection: &Inspection, site: usize) -> Option<ExportedKernel> {
    let norm = &inspection.report.norms[site];
    let scale = inspection.scales[site].as_ref()?;
    let shift = inspection.shifts[site].as_deref().filter(|shift| shift.len() == scale.width());
    let unreadable = norm.shift.is_some() && shift.is_none();
    let (direction, coordinates, constant) = match norm.kernel.form {
        KernelForm::InverseScale => {
            let Kernel::InverseScale(direction) = Kernel::of(scale, true) else { return None };
            let along = direction.components.iter().zip(shift.unwrap_or_default());
            // An empty `sum` is −0.
            let constant = along.fold(0.0, |sum, (component, shift)| sum + component * shift);
            (Some(direction.components), Vec::new(), vec![constant])
        }
        KernelForm::Coordinates => {
            let at = |&index: &u32| shift.map_or(0.0, |shift| shift[index as usize]);
            let constant = norm.kernel.coordinates.iter().map(at).collect();
            (None, norm.kernel.coordinates.clone(), constant)
        }
        KernelForm::None | KernelForm::Unknown => return None,
    };
    Some(ExportedKernel {
        name: norm.name.clone(),
        width: norm.width,
        kind: norm.kind,
        confidence: norm.confidence,
        form: norm.kernel.form,
        direction,
        deepening: norm.kernel.deepening,
        coordinates,
        constant: (!unreadable).then_some(constant),
    })
}

/// The export as the bytes of a JSON file.
pub fn json(export: &KernelExport) -> Result<Vec<u8>, ExportError> {
    serde_json::to_vec_pretty(export).map_err(|error| ExportError::Json(error.to_string()))
}

/// The export as the bytes of a safetensors file; see the head of this module.
pub fn safetensors(export: &KernelExport) -> Result<Vec<u8>, ExportError> {
    let size = |site: &ExportedKernel| 8 * site.width * site.coordinates.len().max(1) as u64;
    let bytes = export.sites.iter().map(size).fold(0, u64::saturating_add);
    if bytes > MOST_BYTES {
        return Err(ExportError::TooLarge(bytes));
    }
    let refuse = |error: safetensors::SafeTensorError| ExportError::Safetensors(error.to_string());
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for site in &export.sites {
        let width = site.width as usize;
        let (shape, values) = match &site.direction {
            Some(direction) => (vec![width], direction.clone()),
            None => {
                let mut rows = vec![0.0; site.coordinates.len() * width];
                for (row, &channel) in site.coordinates.iter().enumerate() {
                    rows[row * width + channel as usize] = 1.0;
                }
                (vec![site.coordinates.len(), width], rows)
            }
        };
        tensors.push((format!("{}.kernel", site.name), shape, little_endian(&values)));
        if let Some(constant) = &site.constant {
            let name = format!("{}.constant", site.name);
            tensors.push((name, vec![constant.len()], little_endian(constant)));
        }
    }
    let metadata = HashMap::from(
        [
            ("schema", &export.schema),
            ("tool_version", &export.tool_version),
            ("checkpoint", &export.checkpoint),
            ("convention", &export.convention),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone())),
    );
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes).map_err(refuse)?))
        })
        .collect::<Result<_, ExportError>>()?;
    safetensors::serialize(views, Some(metadata)).map(in_order).map_err(refuse)
}

/// The same file with its header in alphabetical order: the crate keeps metadata in a map of random order, but equal exports should
/// be equal files.
fn in_order(mut file: Vec<u8>) -> Vec<u8> {
    let ordered = || {
        let length = u64::from_le_bytes(file.get(..8)?.try_into().ok()?) as usize;
        let header: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
            serde_json::from_slice(file.get(8..8 + length)?).ok()?;
        let mut json = serde_json::to_vec(&header).ok()?;
        (json.len() <= length).then(|| {
            json.resize(length, b' ');
            json
        })
    };
    if let Some(json) = ordered() {
        file[8..8 + json.len()].copy_from_slice(&json);
    }
    file
}

fn little_endian(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
