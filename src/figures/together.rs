//! Figures of a comparison: with another checkpoint, or with an adapter.

use super::FigureError;
use crate::plot::{self, Figure, FigureKind, Size};
use crate::report::adapter::AdapterReport;
use crate::report::comparison::Comparison;

/// Draws one figure of a comparison. [`FigureError::OfAnother`] if `kind` is not such a figure.
pub fn of_comparison(comparison: &Comparison, kind: FigureKind, size: Size) -> Result<Figure, FigureError> {
    match kind {
        FigureKind::KernelAngles => Ok(plot::kernel_angles(&comparison.sites, size)?),
        FigureKind::ScaleChanges => Ok(plot::scale_changes(&comparison.sites, size)?),
        _ => Err(FigureError::OfAnother),
    }
}

/// Draws the figure of an adapter. [`FigureError::OfAnother`] if `kind` is not such a figure.
pub fn of_adapter(report: &AdapterReport, kind: FigureKind, size: Size) -> Result<Figure, FigureError> {
    match kind {
        FigureKind::AdapterWaste => Ok(plot::adapter_waste(&report.modules, size)?),
        _ => Err(FigureError::OfAnother),
    }
}
