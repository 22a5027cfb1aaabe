//! The figures of one inspection: finds the site and its scale, and hands them to [`crate::plot`].

use crate::inspect::Inspection;
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::kernel::spectrum::IsotropicSpectrum;
use crate::plot::{self, Figure, FigureKind, PlotError, SiteMark, Size};
use crate::report::{NormKind, NormReport};
#[cfg(feature = "verify")]
use crate::report::{SiteVerification, adapter::AdapterReport, comparison::Comparison};

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The figure is of one site, and none, or one that does not exist, was named.
    #[error("there is no norm site {0:?} in this report")]
    NoSuchSite(String),
    /// The scale could not be read.
    #[error(
        "the scale of `{0}` could not be used, so there is nothing to draw; its row in the table says why"
    )]
    NoScale(String),
    /// The figure does not exist for this site.
    #[error("`{0}` has no {1}")]
    NotOffered(String, &'static str),
    /// Nothing was measured at the site, or anywhere.
    #[error("nothing was measured here yet: there is nothing to draw")]
    NotMeasured,
    /// The figure is of another report.
    #[cfg(feature = "verify")]
    #[error("there is no such figure of this report")]
    OfAnother,
    /// Drawing failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Draws one figure; `site` names the site for every kind but those of the whole model.
pub fn figure(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
    size: Size,
) -> Result<Figure, FigureError> {
    if kind == FigureKind::SiteMap {
        return Ok(plot::site_map(&marks(&inspection.report.norms), size)?);
    }
    if kind == FigureKind::WriterEnergy {
        return Ok(plot::writer_energy(&inspection.report.writers, size)?);
    }
    if matches!(
        kind,
        FigureKind::Measured
            | FigureKind::MeasuredDirection
            | FigureKind::PrincipalAngles
            | FigureKind::Residual
            | FigureKind::Preservation
            | FigureKind::RandomInit
    ) {
        return measured(inspection, kind, site, size);
    }
    #[cfg(feature = "verify")]
    if matches!(kind, FigureKind::KernelAngles | FigureKind::ScaleChanges | FigureKind::AdapterWaste) {
        return Err(FigureError::OfAnother);
    }
    let name = site.unwrap_or_default();
    let position = inspection
        .report
        .norms
        .iter()
        .position(|norm| norm.name == name)
        .ok_or_else(|| FigureError::NoSuchSite(name.to_owned()))?;
    let norm = &inspection.report.norms[position];
    if kind == FigureKind::Evidence {
        return Ok(plot::evidence(name, &norm.evidence, size)?);
    }
    let scale = inspection.scales[position].as_ref().ok_or_else(|| FigureError::NoScale(name.to_owned()))?;
    let sketched = inspection.report.shared.is_some();
    let figure = match kind {
        FigureKind::ScaleDistribution => plot::scale_distribution(name, scale, size)?,
        FigureKind::KernelDirection => match Kernel::of(scale, norm.kind == NormKind::LayerNorm) {
            Kernel::InverseScale(direction) => plot::kernel_direction(name, &direction, !sketched, size)?,
            _ => return Err(FigureError::NotOffered(name.to_owned(), "kernel direction")),
        },
        _ => {
            let verification = inspection.report.verification.as_ref();
            let measured = verification.and_then(|all| all.sites.iter().find(|site| site.name == name));
            plot::soft_spectrum(name, &spectrum(norm, scale)?, measured, size)?
        }
    };
    #[cfg(feature = "share")]
    let figure = if sketched { figure.of_sketch() } else { figure };
    Ok(figure)
}

/// Figures of what was measured, which only the verifier draws.
fn measured(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
    size: Size,
) -> Result<Figure, FigureError> {
    #[cfg(feature = "verify")]
    if let Some(verification) = &inspection.report.verification {
        let sites = verification.sites.as_slice();
        return Ok(match kind {
            FigureKind::Measured => plot::measured(sites, size)?,
            FigureKind::PrincipalAngles => plot::principal_angles(sites, size)?,
            FigureKind::Residual => plot::residual(&verification.residual, &verification.falls, size)?,
            FigureKind::Preservation => {
                let mut rows = verification.preservation.clone();
                rows.retain(|row| site.is_none_or(|name| row.site == name));
                plot::preservation(&rows, size)?
            }
            FigureKind::RandomInit => {
                let initial = verification.random_init.as_ref().ok_or(FigureError::NotMeasured)?;
                plot::random_init(sites, initial, size)?
            }
            _ => {
                let named = |measured: &&SiteVerification| site.is_some_and(|name| measured.name == name);
                plot::measured_direction(sites.iter().find(named).ok_or(FigureError::NotMeasured)?, size)?
            }
        });
    }
    let _ = (inspection, kind, site, size);
    Err(FigureError::NotMeasured)
}

/// Draws one figure of a comparison.
#[cfg(feature = "verify")]
pub fn of_comparison(comparison: &Comparison, kind: FigureKind, size: Size) -> Result<Figure, FigureError> {
    match kind {
        FigureKind::KernelAngles => Ok(plot::kernel_angles(&comparison.sites, size)?),
        FigureKind::ScaleChanges => Ok(plot::scale_changes(&comparison.sites, size)?),
        _ => Err(FigureError::OfAnother),
    }
}

/// Draws the figure of an adapter.
#[cfg(feature = "verify")]
pub fn of_adapter(report: &AdapterReport, kind: FigureKind, size: Size) -> Result<Figure, FigureError> {
    match kind {
        FigureKind::AdapterWaste => Ok(plot::adapter_waste(&report.modules, size)?),
        _ => Err(FigureError::OfAnother),
    }
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
