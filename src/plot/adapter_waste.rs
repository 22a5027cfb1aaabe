//! What each module of an adapter wastes on the kernel of the site that it reads, compared with chance.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Point, Words, paint, thinned};
use super::number::counted;
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::adapter::AdapterModule;

/// Shares below this are drawn at the foot: rounding, or exactly zero.
const SHOWN_FROM: f64 = 1e-16;

/// A module counts if it is this many standard deviations of chance away.
const FAR: f64 = 2.0;

/// Draws ‖A K‖²_F ÷ ‖A‖²_F of every module whose site has a kernel, the most wasteful first, and k/d of each.
pub fn adapter_waste(modules: &[AdapterModule], size: Size) -> Result<Figure, PlotError> {
    let modules: Vec<&AdapterModule> = modules.iter().filter(|module| module.kernel_dimension > 0).collect();
    if modules.is_empty() {
        return Err(PlotError::Empty("no adapted module reads a site with a kernel"));
    }
    let size = size.legible(1, false);
    let title = "Wasted energy of every module".to_owned();
    let caption = caption(&modules);
    let source = format!("{} · Gammascope", counted(modules.len(), "module"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, &modules)?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::AdapterWaste, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(&modules) })
}

fn caption(modules: &[&AdapterModule]) -> String {
    let far = |module: &AdapterModule, sign: f64| {
        module.null_deviation > 0.0 && sign * (module.wasted - module.null) > FAR * module.null_deviation
    };
    let [above, below] = [1.0, -1.0].map(|sign| modules.iter().filter(|module| far(module, sign)).count());
    format!(
        "The share of each A (or ΔW) along the kernel of the site it reads, where it only changes a constant, and k/d, the share by chance. {above} of {} waste more than chance by over two of its standard deviations, {below} less.",
        counted(modules.len(), "module")
    )
}

/// One row for each module.
fn table(modules: &[&AdapterModule]) -> Table {
    let mut table = Table::new(&[("module", ""), ("wasted", ""), ("k/d", ""), ("ratio", ""), ("site", "")]);
    table.rows = modules
        .iter()
        .map(|module| {
            vec![
                Cell::from(module.module.as_str()),
                Cell::from(module.wasted),
                Cell::from(module.null),
                Cell::from(module.wasted / module.null),
                Cell::from(module.site.as_str()),
            ]
        })
        .collect();
    table
}

fn draw(canvas: &Canvas<'_>, modules: &[&AdapterModule]) -> Result<Vec<Mark>, PlotError> {
    let shares = || modules.iter().flat_map(|module| [module.wasted, module.null]);
    let shown = || shares().filter(|share| *share >= SHOWN_FROM);
    let low = shown().fold(1.0, f64::min);
    let high = shown().fold(low, f64::max);
    let off = shares().any(|share| share < low);
    let entry = |glyph, ink, text: &str| Entry { glyph, ink, text: text.to_owned() };
    let plan = Plan {
        frame: canvas.frame(),
        heading: "share of the energy, log scale",
        legend: vec![
            entry(Glyph::Circle, Ink::B, "wasted"),
            entry(Glyph::Ring, Ink::Muted, "by chance, k/d"),
        ],
        x_title: "module, the most wasteful first",
        x: Axis::whole(0.5, modules.len() as f64 + 0.5),
        y: Axis::logarithmic(low, high).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    let radius = (0.28 * panel.width() / modules.len() as f64).clamp(1.5, 3.5);
    let at = |index: usize, share: f64| panel.place(index as f64 + 1.0, share);
    let places: Vec<Point> =
        modules.iter().enumerate().map(|(index, module)| at(index, module.wasted)).collect();
    let mut marks = Vec::new();
    for index in thinned(&places, MOST_MARKS) {
        canvas.glyph(Glyph::Ring, at(index, modules[index].null), radius, Ink::Muted.solid())?;
        canvas.glyph(Glyph::Circle, places[index], radius, Ink::B.solid())?;
        marks.push(mark(places[index], index));
    }
    Ok(marks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::adapter::AdapterMethod;
    use crate::report::{KernelForm, ReaderUse};

    /// The last one reads a site without a kernel.
    pub(in crate::plot) fn modules(count: u32) -> Vec<AdapterModule> {
        let of = |index: u32| AdapterModule {
            module: format!("h.{index}.attn.c_attn"),
            weight: format!("h.{index}.attn.c_attn.weight"),
            method: AdapterMethod::Lora,
            own_scale: false,
            used_as: ReaderUse::FusedAttention,
            site: format!("h.{index}.ln_1"),
            rank: 8,
            width: 128,
            form: KernelForm::InverseScale,
            kernel_dimension: u32::from(index + 1 < count),
            energy: 2.0,
            wasted: 0.02 / f64::from(index + 1),
            null: 1.0 / 128.0,
            null_deviation: 5e-4,
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn modules_that_read_a_kernel_are_compared_with_chance() {
        let figure = adapter_waste(&modules(9), Size { width: 720, height: 0 }).unwrap();
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (8, 8));
        // 0.02 and 0.01 are more than 1e-3 above 1/128. 0.02/3 and all after it are below.
        assert!(
            figure.caption.ends_with(
                "2 of 8 modules waste more than chance by over two of its standard deviations, 6 less."
            ),
            "{}",
            figure.caption
        );
    }

    #[test]
    fn no_module_with_a_kernel_is_an_error() {
        assert!(matches!(adapter_waste(&modules(1), Size { width: 1, height: 1 }), Err(PlotError::Empty(_))));
    }
}
