//! All norm sites over the depth of the network.

use super::axis::Axis;
use super::backend::UNIT;
use super::canvas::{Canvas, Glyph, Point, Words, columns, paint, readable, shortened, thinned};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::NormKind;

/// A minimum below this × the middle median is drawn at the foot, or it would squeeze every other site.
const SHOWN_FROM: f64 = 1e-6;

/// Sites whose kernel direction is spread over less than this share of their channels are concentrated: the most
/// concentrated one is named.
const CONCENTRATED: f64 = 0.25;

/// What the map shows of one site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteMark<'a> {
    /// Module path.
    pub name: &'a str,
    /// Index of its block, if it is in one.
    pub block: Option<u32>,
    /// What it does.
    pub kind: NormKind,
    /// Number of scales, d.
    pub width: u64,
    /// min|γᵢ|.
    pub min: f64,
    /// Median |γᵢ|.
    pub median: f64,
    /// max|γᵢ|.
    pub max: f64,
    /// 1/Σvᵢ⁴ of the kernel direction, if there is one.
    pub participation: Option<f64>,
}

/// Draws min, median and max |γ| of every site in the order given, and below it how concentrated each kernel
/// direction is; without any direction the second panel is left out.
pub fn site_map(sites: &[SiteMark<'_>], size: Size) -> Result<Figure, PlotError> {
    if sites.is_empty() {
        return Err(PlotError::Empty("no site has a readable scale"));
    }
    let map = Map { sites, has_directions: sites.iter().any(|site| site.participation.is_some()) };
    let size = size.legible(if map.has_directions { 2 } else { 1 }, true);
    let title = "Norm sites over depth".to_owned();
    let caption = map.caption();
    let source = format!("{} · Gammascope", counted(sites.len(), "norm site"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = map.draw(canvas)?;
        Ok(())
    })?;
    let table = map.table();
    Ok(Figure {
        kind: FigureKind::SiteMap,
        title,
        caption,
        width: size.width,
        height: size.height,
        svg,
        marks,
        table,
    })
}

impl SiteMark<'_> {
    /// The share of channels that carry the kernel direction: 1 when flat, 1/d for a single one.
    fn share(&self) -> Option<f64> {
        self.participation.map(|participation| participation / self.width as f64)
    }

    fn look(&self) -> (Glyph, Ink) {
        match self.kind {
            NormKind::LayerNorm => (Glyph::Circle, Ink::A),
            NormKind::RmsNorm => (Glyph::Square, Ink::B),
            NormKind::Other => (Glyph::Up, Ink::C),
            NormKind::Unknown => (Glyph::Cross, Ink::Muted),
        }
    }
}

fn kind_name(kind: NormKind) -> &'static str {
    match kind {
        NormKind::LayerNorm => "LayerNorm",
        NormKind::RmsNorm => "RMSNorm",
        NormKind::Other => "other",
        NormKind::Unknown => "unknown",
    }
}

struct Map<'s> {
    sites: &'s [SiteMark<'s>],
    has_directions: bool,
}

impl Map<'_> {
    fn caption(&self) -> String {
        let zeros = self.sites.iter().filter(|site| site.min == 0.0).count();
        let zeros = match zeros {
            0 => String::new(),
            some => format!(" {} hold a scale that is exactly zero.", counted(some, "site")),
        };
        let lower = if self.has_directions {
            " Below: the share of channels that carry the kernel direction γ⁻¹; 1 is flat, near 0 one channel has it all."
        } else {
            " No site has a kernel direction γ⁻¹."
        };
        format!(
            "The effective scales |γ| of {}: a bar from the smallest to the largest, a mark at the median.{zeros}{lower}",
            counted(self.sites.len(), "norm site")
        )
    }

    /// One row a site, in the order given.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("site", ""),
            ("kind", ""),
            ("block", ""),
            ("width", "channels"),
            ("min |γ|", ""),
            ("median |γ|", ""),
            ("max |γ|", ""),
            ("participation", "channels"),
            ("participation / width", ""),
        ]);
        let rows = self.sites.iter();
        table.rows = rows
            .map(|site| {
                vec![
                    Cell::from(site.name),
                    Cell::from(kind_name(site.kind)),
                    Cell::from(site.block.map(f64::from)),
                    Cell::from(site.width as f64),
                    Cell::from(site.min),
                    Cell::from(site.median),
                    Cell::from(site.max),
                    Cell::from(site.participation),
                    Cell::from(site.share()),
                ]
            })
            .collect();
        table
    }

    /// The horizontal axis and its title: blocks where they follow one another, else the position in the list.
    fn x_axis(&self) -> (Axis, &'static str) {
        let n = self.sites.len() as f64;
        let mut starts: Vec<(u32, f64)> = Vec::new();
        for (index, site) in self.sites.iter().enumerate() {
            match (site.block, starts.last()) {
                (Some(block), Some(&(last, _))) if block < last => {
                    return (Axis::whole(0.5, n + 0.5), "site, in the order of the network");
                }
                (Some(block), Some(&(last, _))) if block == last => {}
                (Some(block), _) => starts.push((block, index as f64 + 1.0)),
                (None, _) => {}
            }
        }
        if starts.len() < 2 {
            (Axis::whole(0.5, n + 0.5), "site, in the order of the network")
        } else {
            (Axis::named(0.5, n + 0.5, starts), "block")
        }
    }

    /// The vertical axis of scales, and the size below which minima are drawn at its foot.
    fn y_axis(&self) -> (Axis, bool, bool) {
        let mut medians: Vec<f64> =
            self.sites.iter().map(|site| site.median).filter(|&median| median > 0.0).collect();
        medians.sort_by(f64::total_cmp);
        let sizes = || {
            self.sites.iter().flat_map(|site| [site.min, site.median, site.max]).filter(|&size| size > 0.0)
        };
        let high = sizes().fold(0.0, f64::max);
        let smallest = sizes().fold(f64::INFINITY, f64::min);
        let (low, high) = if high > 0.0 {
            let middle = medians.get(medians.len() / 2).copied().unwrap_or(high);
            (smallest.max(SHOWN_FROM * middle), high)
        } else {
            (1.0, 1.0)
        };
        let axis = Axis::logarithmic(low, high);
        let off_scale = smallest < axis.low();
        let zero = self.sites.iter().any(|site| site.min == 0.0);
        let foot = match (off_scale, zero) {
            (true, _) => Some(format!("<{}", short_bound(axis.low()))),
            (false, true) => Some("0".to_owned()),
            (false, false) => None,
        };
        (axis.with_foot(foot), off_scale, zero)
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let (x, x_title) = self.x_axis();
        let (y, off_scale, zero) = self.y_axis();
        let [upper, lower] = canvas.stack(0.58);
        let mut legend: Vec<Entry> = Vec::new();
        for site in self.sites {
            let ((glyph, ink), text) = (site.look(), kind_name(site.kind));
            if !legend.iter().any(|entry| entry.text == text) {
                legend.push(Entry { glyph, ink, text: text.to_owned() });
            }
            if legend.len() == 4 {
                break;
            }
        }
        let bound = short_bound(y.low());
        if zero {
            legend.push(Entry { glyph: Glyph::Cross, ink: Ink::Danger, text: "min is 0".to_owned() });
        }
        if off_scale {
            legend.push(Entry { glyph: Glyph::Down, ink: Ink::Danger, text: format!("min < {bound}") });
        }
        let mut scales = Plan {
            frame: if self.has_directions { upper } else { canvas.frame() },
            heading: "|γ|: min, median, max",
            legend,
            x_title: if self.has_directions { "" } else { x_title },
            x: x.clone(),
            y,
            left: None,
        };
        let mut shares = Plan {
            frame: lower,
            heading: "channels carrying γ⁻¹ ÷ d",
            legend: Vec::new(),
            x_title,
            x,
            y: Axis::linear(0.0, 1.05),
            left: None,
        };
        if !self.has_directions {
            return self.draw_scales(canvas, &Panel::new(canvas, scales)?, MOST_MARKS);
        }
        let left = scales.left_needed().max(shares.left_needed());
        (scales.left, shares.left) = (Some(left), Some(left));
        let mut marks = self.draw_scales(canvas, &Panel::new(canvas, scales)?, MOST_MARKS / 2)?;
        marks.extend(self.draw_shares(canvas, &Panel::new(canvas, shares)?)?);
        Ok(marks)
    }

    /// Radius of a mark and thickness of a bar, in pixels, where so many sites share the width.
    fn weight(&self, panel: &Panel<'_, '_>) -> (f64, f64) {
        let room = panel.width() / self.sites.len() as f64;
        ((0.35 * room).clamp(1.5, 3.5), (0.2 * room).clamp(1.0, 2.0).round())
    }

    fn draw_scales(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel<'_, '_>,
        most_marks: usize,
    ) -> Result<Vec<Mark>, PlotError> {
        let place = |index: usize, value: f64| panel.place(index as f64 + 1.0, value);
        let medians: Vec<Point> =
            self.sites.iter().enumerate().map(|(index, site)| place(index, site.median)).collect();
        let (radius, thickness) = self.weight(panel);
        // One bar a site, or one for all that share a pixel's column.
        for run in columns(&medians, UNIT) {
            let sites = &self.sites[run.clone()];
            let ink = if sites.iter().all(|site| site.kind == sites[0].kind) {
                sites[0].look().1
            } else {
                Ink::Muted
            };
            let lowest = sites.iter().map(|site| site.min).fold(f64::INFINITY, f64::min);
            let highest = sites.iter().map(|site| site.max).fold(0.0, f64::max);
            let (top, foot) = (place(run.start, highest), place(run.start, lowest));
            if !panel.y().is_below(highest) {
                canvas.line(vec![top, foot], thickness, ink.at(0.55))?;
            }
            let small = radius.max(2.5);
            if lowest == 0.0 {
                canvas.glyph(Glyph::Cross, foot, small, Ink::Danger.solid())?;
            } else if panel.y().is_below(lowest) {
                canvas.glyph(Glyph::Down, foot, small + 0.5, Ink::Danger.solid())?;
            }
        }
        for index in thinned(&medians, panel.width() as usize) {
            let (glyph, ink) = self.sites[index].look();
            if self.sites[index].max > 0.0 {
                canvas.glyph(glyph, medians[index], radius, ink.solid())?;
            }
        }
        self.draw_off_scale_note(panel)?;
        Ok(thinned(&medians, most_marks).into_iter().map(|index| mark(medians[index], index)).collect())
    }

    /// The value of the only minimum that is off the scale.
    fn draw_off_scale_note(&self, panel: &Panel<'_, '_>) -> Result<(), PlotError> {
        let mut off =
            self.sites.iter().enumerate().filter(|(_, site)| site.min > 0.0 && panel.y().is_below(site.min));
        match (off.next(), off.next()) {
            (Some((index, site)), None) => {
                let at = panel.place(index as f64 + 1.0, site.min);
                panel.note(&short(site.min), at, Side::Beside, Ink::Danger)
            }
            _ => Ok(()),
        }
    }

    fn draw_shares(&self, canvas: &Canvas<'_>, panel: &Panel<'_, '_>) -> Result<Vec<Mark>, PlotError> {
        let shares: Vec<(usize, f64)> =
            self.sites.iter().enumerate().filter_map(|(index, site)| Some((index, site.share()?))).collect();
        let points: Vec<Point> =
            shares.iter().map(|&(index, share)| panel.place(index as f64 + 1.0, share)).collect();
        let (radius, _) = self.weight(panel);
        for kept in thinned(&points, panel.width() as usize) {
            let (glyph, ink) = self.sites[shares[kept].0].look();
            canvas.glyph(glyph, points[kept], radius, ink.solid())?;
        }
        let most_concentrated = (0..shares.len()).min_by(|&a, &b| shares[a].1.total_cmp(&shares[b].1));
        if let Some(lowest) = most_concentrated.filter(|&lowest| shares[lowest].1 < CONCENTRATED) {
            let site = &self.sites[shares[lowest].0];
            let name = shortened(&readable(site.name), panel.width() * 0.5, 11.0);
            let text = format!(
                "{name}: {} of {}",
                short(site.participation.unwrap_or(0.0)),
                grouped(site.width as f64)
            );
            panel.note(&text, points[lowest], Side::Beside, Ink::Ink)?;
        }
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|index| mark(points[index], shares[index].0)).collect())
    }
}

/// A bound in one digit.
fn short_bound(bound: f64) -> String {
    format!("{bound:.0e}")
}
