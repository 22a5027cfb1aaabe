//! Figures of a report, one function for each. A function returns an SVG, the values under the pointer, and the table of the data.
//!
//! plotters draws them with its SVG backend. The same data and size give the same bytes on every target: text is measured by our own
//! table, and logarithms are rounded before they place anything. Colours are CSS variables (`--plot-ink`, `--plot-muted`, `--plot-axis`,
//! `--plot-grid`, `--plot-surface`, `--plot-a`, `--plot-b`, `--plot-c`, `--plot-danger`) with a light theme as fallback. There is no
//! style attribute, no script and no background.

mod adapter_waste;
mod axis;
mod backend;
mod canvas;
mod evidence;
mod kernel_direction;
mod measured;
mod measured_direction;
mod number;
mod palette;
mod panel;
mod preservation;
mod principal_angles;
mod random_init;
mod residual;
mod scale_distribution;
mod site_changes;
mod site_map;
mod soft_spectrum;
mod table;
mod tensor_values;
#[cfg(test)]
mod tests;
mod writer_energy;

use serde::{Deserialize, Serialize};

pub use adapter_waste::adapter_waste;
pub use evidence::evidence;
pub use kernel_direction::kernel_direction;
pub use measured::measured;
pub use measured_direction::measured_direction;
pub use preservation::preservation;
pub use principal_angles::principal_angles;
pub use random_init::random_init;
pub use residual::residual;
pub use scale_distribution::scale_distribution;
pub use site_changes::{kernel_angles, scale_changes};
pub use site_map::{SiteMark, site_map};
pub use soft_spectrum::soft_spectrum;
pub use table::{Cell, Column, Table};
pub use tensor_values::tensor_values;
pub use writer_energy::writer_energy;

/// Most places with a tooltip in one figure.
pub const MOST_MARKS: usize = 2_000;

/// Which figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FigureKind {
    /// The components |vᵢ| of one site's kernel direction: [`kernel_direction`].
    KernelDirection,
    /// The distribution of one site's effective scales γᵢ: [`scale_distribution`].
    ScaleDistribution,
    /// All sites over the depth of the network: [`site_map`].
    SiteMap,
    /// The eigenvalues that one site's scale predicts: [`soft_spectrum`].
    SoftSpectrum,
    /// Evidence for either kind at one site: [`evidence`].
    Evidence,
    /// The energies of the writers over the blocks: [`writer_energy`].
    WriterEnergy,
    /// Measured depths of all sites: [`measured`].
    Measured,
    /// One site's predicted direction compared with the measured one: [`measured_direction`].
    MeasuredDirection,
    /// Angles between the measured dead subspaces and the predicted ones: [`principal_angles`].
    PrincipalAngles,
    /// The angle between the kernel directions of two checkpoints, site by site: [`kernel_angles`].
    KernelAngles,
    /// The relative change of the scales between two checkpoints: [`scale_changes`].
    ScaleChanges,
    /// Waste of each module of an adapter: [`adapter_waste`].
    AdapterWaste,
    /// The least singular value of the residual stream over the blocks: [`residual`].
    Residual,
    /// The effect of moving readers on the function, at one site or at all that were tried: [`preservation`].
    Preservation,
    /// Depths of all sites, trained and at the initialisation: [`random_init`].
    RandomInit,
    /// The values of one tensor of the file: [`tensor_values`].
    TensorValues,
}

/// A drawn figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Figure {
    /// Which figure it is.
    pub kind: FigureKind,
    /// What the figure shows, and of which site.
    pub title: String,
    /// What the statistic means and what these data say, in a sentence or two.
    pub caption: String,
    /// Width of the SVG in CSS pixels.
    pub width: u32,
    /// Height of the SVG in CSS pixels.
    pub height: u32,
    /// A complete SVG document, colours as CSS variables with fallbacks.
    pub svg: String,
    /// Places with a tooltip, at most [`MOST_MARKS`].
    pub marks: Vec<Mark>,
    /// The data.
    pub table: Table,
}

impl Figure {
    /// Makes this a figure of a sketch of the scale: removes the channels, which a sketch does not know, and says so in the caption.
    pub(crate) fn of_sketch(mut self) -> Self {
        self.table.leave_out("channel");
        self.caption.push_str(
            " Drawn from the summary in a link: the smallest scales are exact to five digits, the others lie on a curve of 16 points.",
        );
        self
    }
}

/// A place in a figure that stands for a row of its table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Mark {
    /// CSS pixels from the left edge of the SVG.
    pub x: f32,
    /// CSS pixels from its top edge.
    pub y: f32,
    /// Index into the table's rows.
    pub row: u32,
}

/// The desired size in CSS pixels. It is clamped so that everything stays legible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height. 0 lets the figure choose.
    pub height: u32,
}

/// Why a figure or its table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There are no data.
    #[error("there is nothing to draw: {0}")]
    Empty(&'static str),
    /// plotters failed.
    #[error("the figure could not be drawn ({0}); its table can still be saved")]
    Drawing(String),
}

impl Size {
    /// From this width on, panels are side by side.
    const WIDE: u32 = 640;

    fn is_wide(self) -> bool {
        self.width >= Self::WIDE
    }

    /// Returns the size at which a figure is drawn. `panels` is how many it stacks if it is narrow, and `always_stacked` says whether it
    /// also stacks them if it is wide.
    fn legible(self, panels: u32, always_stacked: bool) -> Self {
        let width = self.width.clamp(280, 2400);
        let rows = if always_stacked || !(Self { width, ..self }).is_wide() { panels } else { 1 };
        let (least, natural) = match (rows, width) {
            (1, ..640) => (180, 250),
            (1, ..1100) => (200, 300),
            (1, _) => (200, 360),
            (_, ..640) => (340, 430),
            (_, ..1100) => (340, 460),
            _ => (340, 520),
        };
        let height = if self.height == 0 { natural } else { self.height.clamp(least, 1600) };
        Self { width, height }
    }
}
