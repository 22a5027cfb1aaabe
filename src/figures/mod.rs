//! The figures of one report: finds the site and its scale, and hands them to [`crate::plot`].
//!
//! The page's inspector gives the data of what it has read ([`data`]), and another module draws them ([`FigureData::draw`]), so that
//! no code that draws is loaded before the verdict. Code that measures or compares draws the rest as well ([`figure`],
//! [`of_comparison`], [`of_adapter`]).

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
    #[error("nothing is measured yet, so there is nothing to draw")]
    NotMeasured,
    /// The figure is of another report.
    #[error("this report has no such figure")]
    OfAnother,
    /// Drawing failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Draws one figure of an inspection; `site` names the site for every kind but those of the whole model.
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
