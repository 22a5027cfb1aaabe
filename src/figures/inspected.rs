//! Figures of what was read of a checkpoint.

use super::FigureError;
use crate::inspect::Inspection;
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::kernel::spectrum::IsotropicSpectrum;
use crate::plot::{self, Figure, FigureKind, SiteMark, Size};
use crate::report::{NormKind, NormReport};

/// Draws one figure of what was read; `site` names the site for every kind but those of the whole model.
pub fn inspected(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
    size: Size,
) -> Result<Figure, FigureError> {
    let report = &inspection.report;
    match kind {
        FigureKind::SiteMap => Ok(plot::site_map(&marks(&report.norms), size)?),
        FigureKind::WriterEnergy => Ok(plot::writer_energy(&report.writers, size)?),
        FigureKind::Evidence => {
            let norm = &report.norms[position(inspection, site)?];
            Ok(plot::evidence(&norm.name, &norm.evidence, size)?)
        }
        FigureKind::ScaleDistribution => {
            let (norm, scale) = scaled(inspection, site)?;
            of_sketch(inspection, plot::scale_distribution(&norm.name, scale, size)?)
        }
        FigureKind::KernelDirection => {
            let (norm, scale) = scaled(inspection, site)?;
            match Kernel::of(scale, norm.kind == NormKind::LayerNorm) {
                Kernel::InverseScale(direction) => {
                    let whole = report.shared.is_none();
                    of_sketch(inspection, plot::kernel_direction(&norm.name, &direction, whole, size)?)
                }
                Kernel::Coordinates(_) | Kernel::None => {
                    Err(FigureError::NotOffered(norm.name.clone(), "kernel direction"))
                }
            }
        }
        FigureKind::SoftSpectrum => {
            let (norm, scale) = scaled(inspection, site)?;
            let verification = report.verification.as_ref();
            let measured = verification.and_then(|all| all.sites.iter().find(|site| site.name == norm.name));
            of_sketch(inspection, plot::soft_spectrum(&norm.name, &spectrum(norm, scale)?, measured, size)?)
        }
        FigureKind::Measured
        | FigureKind::MeasuredDirection
        | FigureKind::PrincipalAngles
        | FigureKind::Residual
        | FigureKind::Preservation
        | FigureKind::RandomInit => Err(FigureError::NotMeasured),
        FigureKind::KernelAngles | FigureKind::ScaleChanges | FigureKind::AdapterWaste => {
            Err(FigureError::OfAnother)
        }
    }
}

/// A report from a link has a sketch of each scale, and figures of it say so.
fn of_sketch(inspection: &Inspection, figure: Figure) -> Result<Figure, FigureError> {
    Ok(if inspection.report.shared.is_some() { figure.of_sketch() } else { figure })
}

fn position(inspection: &Inspection, site: Option<&str>) -> Result<usize, FigureError> {
    let name = site.unwrap_or_default();
    let found = inspection.report.norms.iter().position(|norm| norm.name == name);
    found.ok_or_else(|| FigureError::NoSuchSite(name.to_owned()))
}

/// The site and its effective scale.
fn scaled<'a>(
    inspection: &'a Inspection,
    site: Option<&str>,
) -> Result<(&'a NormReport, &'a Scale), FigureError> {
    let at = position(inspection, site)?;
    let norm = &inspection.report.norms[at];
    let scale = inspection.scales[at].as_ref().ok_or_else(|| FigureError::NoScale(norm.name.clone()))?;
    Ok((norm, scale))
}

fn spectrum(norm: &NormReport, scale: &Scale) -> Result<IsotropicSpectrum, FigureError> {
    match norm.kind {
        NormKind::LayerNorm => Ok(IsotropicSpectrum::new(scale, true)),
        NormKind::RmsNorm => Ok(IsotropicSpectrum::new(scale, false)),
        NormKind::Other | NormKind::Unknown => {
            Err(FigureError::NotOffered(norm.name.clone(), "predicted spectrum while its kind is not known"))
        }
    }
}

/// Sites whose scale was read, in the order of the network.
fn marks(norms: &[NormReport]) -> Vec<SiteMark<'_>> {
    let readable = |norm: &NormReport| {
        Some((norm.kernel.scale_min_abs?, norm.kernel.scale_median_abs?, norm.kernel.scale_max_abs?))
    };
    norms
        .iter()
        .filter_map(|norm| {
            let (min, median, max) = readable(norm)?;
            Some(SiteMark {
                name: &norm.name,
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
