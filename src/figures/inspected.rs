//! Figures of what was read from a checkpoint, in two steps. [`data`] takes the content of a figure out of an inspection, and
//! [`FigureData::draw`] draws it. The page does the second step in a separate module, after the verdict is on the screen.

use super::FigureError;
use crate::inspect::Inspection;
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::kernel::spectrum::IsotropicSpectrum;
use crate::plot::{self, Figure, FigureKind, SiteMark, Size};
use crate::report::{Eigenvalue, EvidenceReport, NormKind, NormReport, WriterReport};
use serde::{Deserialize, Serialize};

/// All the data of one figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureData {
    /// [`plot::site_map`], with the sites whose scale was read, in network order.
    SiteMap(Vec<SiteMark>),
    /// [`plot::writer_energy`].
    WriterEnergy(Vec<WriterReport>),
    /// [`plot::evidence`] of one site.
    Evidence {
        /// Name of the site.
        site: String,
        /// Evidence for either kind.
        evidence: Vec<EvidenceReport>,
    },
    /// [`plot::scale_distribution`].
    ScaleDistribution(ScaleData),
    /// [`plot::kernel_direction`].
    KernelDirection(ScaleData),
    /// [`plot::soft_spectrum`].
    SoftSpectrum {
        /// The scale.
        of: ScaleData,
        /// Whether its norm subtracts the mean.
        subtracts_mean: bool,
        /// Measured eigenvalues. Empty if nothing was measured at the site.
        measured: Vec<Eigenvalue>,
    },
    /// [`plot::tensor_values`].
    TensorValues {
        /// Name of the tensor.
        name: String,
        /// Its values. `None` replaces numbers that are not finite, because JSON has no others.
        values: Vec<Option<f64>>,
    },
}

/// One site's effective scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleData {
    /// Name of the site.
    pub site: String,
    /// γ, d finite values.
    pub values: Vec<f64>,
    /// Whether the values come from the sketch in a link.
    pub sketch: bool,
}

/// Collects the data of a figure. `site` names the site, except for figures of the whole model.
pub fn data(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
) -> Result<FigureData, FigureError> {
    let report = &inspection.report;
    match kind {
        FigureKind::SiteMap => Ok(FigureData::SiteMap(marks(&report.norms))),
        FigureKind::WriterEnergy => Ok(FigureData::WriterEnergy(report.writers.clone())),
        FigureKind::Evidence => {
            let norm = &report.norms[position(inspection, site)?];
            Ok(FigureData::Evidence { site: norm.name.clone(), evidence: norm.evidence.clone() })
        }
        FigureKind::ScaleDistribution => Ok(FigureData::ScaleDistribution(scaled(inspection, site)?.1)),
        FigureKind::KernelDirection => {
            let (norm, of) = scaled(inspection, site)?;
            offered(of, norm.kind == NormKind::LayerNorm, "kernel direction").map(FigureData::KernelDirection)
        }
        FigureKind::SoftSpectrum => {
            let (norm, of) = scaled(inspection, site)?;
            let known = matches!(norm.kind, NormKind::LayerNorm | NormKind::RmsNorm);
            let of = offered(of, known, "predicted spectrum while its kind is not known")?;
            let verification = report.measured();
            let measured = verification.and_then(|all| all.sites.iter().find(|site| site.name == norm.name));
            Ok(FigureData::SoftSpectrum {
                of,
                subtracts_mean: norm.kind == NormKind::LayerNorm,
                measured: measured.map(|site| site.spectrum.clone()).unwrap_or_default(),
            })
        }
        FigureKind::Measured
        | FigureKind::MeasuredDirection
        | FigureKind::PrincipalAngles
        | FigureKind::Residual
        | FigureKind::Preservation
        | FigureKind::RandomInit => Err(FigureError::NotMeasured),
        FigureKind::KernelAngles
        | FigureKind::ScaleChanges
        | FigureKind::AdapterWaste
        | FigureKind::TensorValues => Err(FigureError::OfAnother),
    }
}

impl FigureData {
    /// Makes the figure of a tensor whose values the user wants to see.
    pub fn of_tensor(name: &str, values: &[f64]) -> Self {
        let finite = |value: &f64| Some(*value).filter(|value| value.is_finite());
        Self::TensorValues { name: name.to_owned(), values: values.iter().map(finite).collect() }
    }

    /// Draws the figure.
    pub fn draw(&self, size: Size) -> Result<Figure, FigureError> {
        match self {
            Self::SiteMap(marks) => Ok(plot::site_map(marks, size)?),
            Self::WriterEnergy(writers) => Ok(plot::writer_energy(writers, size)?),
            Self::Evidence { site, evidence } => Ok(plot::evidence(site, evidence, size)?),
            Self::ScaleDistribution(of) => of.marked(plot::scale_distribution(&of.site, &of.scale()?, size)?),
            Self::KernelDirection(of) => match Kernel::of(&of.scale()?, true) {
                Kernel::InverseScale(direction) => {
                    of.marked(plot::kernel_direction(&of.site, &direction, !of.sketch, size)?)
                }
                Kernel::Coordinates(_) | Kernel::None => {
                    Err(FigureError::NotOffered(of.site.clone(), "kernel direction"))
                }
            },
            Self::TensorValues { name, values } => Ok(plot::tensor_values(name, values, size)?),
            Self::SoftSpectrum { of, subtracts_mean, measured } => {
                let spectrum = IsotropicSpectrum::new(&of.scale()?, *subtracts_mean);
                of.marked(plot::soft_spectrum(&of.site, &spectrum, measured, size)?)
            }
        }
    }
}

impl ScaleData {
    fn scale(&self) -> Result<Scale, FigureError> {
        match self.values.is_empty() {
            true => Err(FigureError::NoScale(self.site.clone())),
            false => Scale::new(self.values.clone()).map_err(|_| FigureError::NoScale(self.site.clone())),
        }
    }

    /// Marks figures of a report from a link, which has only a sketch of each scale.
    fn marked(&self, figure: Figure) -> Result<Figure, FigureError> {
        Ok(if self.sketch { figure.of_sketch() } else { figure })
    }
}

fn position(inspection: &Inspection, site: Option<&str>) -> Result<usize, FigureError> {
    let name = site.unwrap_or_default();
    let found = inspection.report.norms.iter().position(|norm| norm.name == name);
    found.ok_or_else(|| FigureError::NoSuchSite(name.to_owned()))
}

/// Returns the site and its effective scale.
fn scaled<'a>(
    inspection: &'a Inspection,
    site: Option<&str>,
) -> Result<(&'a NormReport, ScaleData), FigureError> {
    let at = position(inspection, site)?;
    let norm = &inspection.report.norms[at];
    let scale = inspection.scales[at].as_ref().ok_or_else(|| FigureError::NoScale(norm.name.clone()))?;
    let sketch = inspection.report.shared.is_some();
    Ok((norm, ScaleData { site: norm.name.clone(), values: scale.values().to_vec(), sketch }))
}

fn offered(of: ScaleData, is: bool, what: &'static str) -> Result<ScaleData, FigureError> {
    if is { Ok(of) } else { Err(FigureError::NotOffered(of.site, what)) }
}

/// Marks the sites whose scale was read, in network order.
fn marks(norms: &[NormReport]) -> Vec<SiteMark> {
    let readable = |norm: &NormReport| {
        Some((norm.kernel.scale_min_abs?, norm.kernel.scale_median_abs?, norm.kernel.scale_max_abs?))
    };
    norms
        .iter()
        .filter_map(|norm| {
            let (min, median, max) = readable(norm)?;
            Some(SiteMark {
                name: norm.name.clone(),
                block: norm.block,
                kind: norm.kind,
                width: norm.width,
                min,
                median,
                max,
                participation: norm.kernel.participation,
            })
        })
        .collect()
}
