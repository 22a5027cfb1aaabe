//! Figures of measurements.

use super::FigureError;
use crate::inspect::Inspection;
use crate::plot::{self, Figure, FigureKind, Size};
use crate::report::SiteVerification;

/// Draws one figure of a measurement. [`FigureError::OfAnother`] if `kind` is not such a figure.
pub(super) fn measured(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
    size: Size,
) -> Result<Figure, FigureError> {
    let verification = || inspection.report.measured().ok_or(FigureError::NotMeasured);
    Ok(match kind {
        FigureKind::Measured => plot::measured(&verification()?.sites, size)?,
        FigureKind::MeasuredDirection => {
            let named = |measured: &&SiteVerification| site.is_some_and(|name| measured.name == name);
            let found = verification()?.sites.iter().find(named);
            plot::measured_direction(found.ok_or(FigureError::NotMeasured)?, size)?
        }
        FigureKind::PrincipalAngles => plot::principal_angles(&verification()?.sites, size)?,
        FigureKind::Residual => {
            let verification = verification()?;
            plot::residual(&verification.residual, &verification.falls, size)?
        }
        FigureKind::Preservation => {
            let mut rows = verification()?.preservation.clone();
            rows.retain(|row| site.is_none_or(|name| row.site == name));
            plot::preservation(&rows, size)?
        }
        FigureKind::RandomInit => {
            let verification = verification()?;
            let initial = verification.random_init.as_ref().ok_or(FigureError::NotMeasured)?;
            plot::random_init(&verification.sites, initial, size)?
        }
        FigureKind::KernelDirection
        | FigureKind::ScaleDistribution
        | FigureKind::SiteMap
        | FigureKind::SoftSpectrum
        | FigureKind::Evidence
        | FigureKind::WriterEnergy
        | FigureKind::KernelAngles
        | FigureKind::ScaleChanges
        | FigureKind::TensorValues
        | FigureKind::AdapterWaste => return Err(FigureError::OfAnother),
    })
}
