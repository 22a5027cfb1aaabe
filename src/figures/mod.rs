//! The figures of one report. This module finds the site and its scale, and hands them to [`crate::plot`].
//!
//! The page's inspector makes the data of a figure ([`data`]), and another module draws it ([`FigureData::draw`]), so that no drawing
//! code loads before the verdict. Code that measures or compares also draws the other figures ([`figure`], [`of_comparison`],
//! [`of_adapter`]).

mod inspected;
mod measured;
mod together;

use crate::inspect::Inspection;
use crate::plot::{Figure, FigureKind, PlotError, Size};

pub use inspected::{FigureData, ScaleData, data};
pub use together::{of_adapter, of_comparison};

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The figure is of one site, but no site was named, or it does not exist.
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
    /// Nothing was measured at the site, or at any.
    #[error("nothing is measured yet, so there is nothing to draw")]
    NotMeasured,
    /// The figure belongs to another kind of report.
    #[error("this report has no such figure")]
    OfAnother,
    /// Drawing failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Draws one figure of an inspection. `site` names the site, except for figures of the whole model.
pub fn figure(
    inspection: &Inspection,
    kind: FigureKind,
    site: Option<&str>,
    size: Size,
) -> Result<Figure, FigureError> {
    match measured::measured(inspection, kind, site, size) {
        Err(FigureError::OfAnother) => data(inspection, kind, site)?.draw(size),
        drawn => drawn,
    }
}
