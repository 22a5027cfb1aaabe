//! All norm sites in network order.

use super::axis::{Axis, decades};
use super::backend::UNIT;
use super::canvas::{Canvas, Glyph, Point, Words, columns, paint, readable, shortened, thinned};
use super::number::{counted, grouped, power_of_ten, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::order;
use crate::report::NormKind;
use serde::{Deserialize, Serialize};

/// Sizes below a gap this wide, or below this × the middle median, are drawn at the foot. They would squeeze all other sites.
const GAP: f64 = 1e-3;
const SHOWN_FROM: f64 = 1e-8;

/// Up to this many sites have a mark each. More sites are drawn as ranges, one for each column of pixels.
const MARKED_UP_TO: usize = 800;

/// A kernel direction spread over less than this share of the channels is concentrated. The most concentrated one is labelled.
const CONCENTRATED: f64 = 0.25;

/// The data of one site on the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteMark {
    /// Module path.
    pub name: String,
    /// Index of its block, if it is in one.
    pub block: Option<u32>,
    /// Kind of the norm.
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

/// Draws min, median and max |γ| of every site in the given order, and below it how concentrated each kernel direction is. Without any
/// direction there is no second panel.
pub fn site_map(sites: &[SiteMark], size: Size) -> Result<Figure, PlotError> {
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

impl SiteMark {
    /// The share of channels that make up the kernel direction: 1 if flat, 1/d for a single channel.
    fn share(&self) -> Option<f64> {
        self.participation.map(|participation| participation / self.width as f64)
    }

    fn look(&self) -> (Glyph, Ink) {
        match self.kind {
            NormKind::LayerNorm => (Glyph::Circle, Ink::A),
            NormKind::RmsNorm => (Glyph::Square, Ink::B),
            NormKind::Other => (Glyph::Up, Ink::C),
            NormKind::Unknown => (Glyph::Ring, Ink::Muted),
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
    sites: &'s [SiteMark],
    has_directions: bool,
}

impl Map<'_> {
    fn caption(&self) -> String {
        let zeros = self.sites.iter().filter(|site| site.min == 0.0).count();
        let zeros = match zeros {
            0 => String::new(),
            some => {
                let hold = if some == 1 { "holds" } else { "hold" };
                format!(" {} {hold} a scale that is exactly zero.", counted(some, "site"))
            }
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

    /// One row for each site, in the given order.
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
                    Cell::from(site.name.as_str()),
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

    /// The horizontal axis and its title: blocks if they are consecutive, otherwise the position in the list.
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

    /// The vertical axis of scales, whether any size is below it, and whether any is zero.
    fn y_axis(&self) -> (Axis, bool, bool) {
        let mut sizes: Vec<f64> =
            self.sites.iter().flat_map(|site| [site.min, site.median, site.max]).collect();
        let zero = sizes.contains(&0.0);
        sizes.retain(|&size| size > 0.0);
        order::sort_by(&mut sizes, f64::total_cmp);
        let (Some(&smallest), Some(&high)) = (sizes.first(), sizes.last()) else {
            return (Axis::logarithmic(0.5, 2.0).with_foot(Some("0".to_owned())), false, true);
        };
        // Goes down to the first gap from above.
        let floor = SHOWN_FROM * sizes[sizes.len() / 2];
        let below_gap = sizes.windows(2).rposition(|pair| pair[0] < GAP * pair[1] || pair[0] < floor);
        let low = below_gap.map_or(smallest, |index| sizes[index + 1]);
        let axis = Axis::logarithmic(low, high);
        let off_scale = low > smallest;
        let axis = if off_scale {
            let (low, high) = (power_of_ten(decades(low).floor() as i32), axis.high());
            axis.tight(low, high).with_foot(Some(format!("<{}", short(low))))
        } else {
            axis.with_foot(zero.then(|| "0".to_owned()))
        };
        (axis.with_head(4.0), off_scale, zero)
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
        let bound = short(y.low());
        if zero {
            legend.push(Entry { glyph: Glyph::Cross, ink: Ink::Danger, text: "min is 0".to_owned() });
        }
        if off_scale {
            legend.push(Entry { glyph: Glyph::Down, ink: Ink::Danger, text: format!("min < {bound}") });
        }
        let mut scales = Plan {
            frame: if self.has_directions { upper } else { canvas.frame() },
            heading: "|γ| min, median, max, log scale",
            legend,
            x_title: if self.has_directions { "" } else { x_title },
            x: x.clone(),
            y,
            left: None,
        };
        let mut shares = Plan {
            frame: lower,
            heading: "share of channels carrying γ⁻¹",
            legend: Vec::new(),
            x_title,
            x,
            y: Axis::linear(0.0, 1.0).with_head(6.0),
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

    fn is_marked_singly(&self) -> bool {
        self.sites.len() <= MARKED_UP_TO
    }

    /// Radius of a mark and thickness of a bar, in pixels, if this many sites share the width.
    fn weight(&self, panel: &Panel<'_, '_>) -> (f64, f64) {
        let room = panel.width() / self.sites.len() as f64;
        ((0.28 * room).clamp(1.5, 3.25), (0.2 * room).clamp(1.0, 2.0).round())
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
        let runs = if self.is_marked_singly() {
            (0..self.sites.len()).map(|index| index..index + 1).collect()
        } else {
            columns(&medians, UNIT)
        };
        let (mut bars, mut middles) = (Vec::new(), Vec::new());
        let mut feet = Vec::new();
        for run in runs {
            let sites = &self.sites[run.clone()];
            let lowest = sites.iter().map(|site| site.min).fold(f64::INFINITY, f64::min);
            let highest = sites.iter().map(|site| site.max).fold(0.0, f64::max);
            let (top, foot) = (place(run.start, highest), place(run.start, lowest));
            let ink = common_ink(sites.iter());
            if lowest == 0.0 {
                feet.push((foot, Glyph::Cross));
            } else if panel.y().is_below(lowest) {
                feet.push((foot, Glyph::Down));
            }
            if highest > 0.0 {
                bars.push((ink, (top.0, top.1, foot.1)));
                middles.push((ink, range(&medians[run])));
            }
        }
        if self.is_marked_singly() {
            for &(ink, (x, top, foot)) in &bars {
                canvas.line(vec![(x, top), (x, foot)], thickness, ink.at(0.5))?;
            }
            for (site, &median) in self.sites.iter().zip(&medians).filter(|(site, _)| site.max > 0.0) {
                let (glyph, ink) = site.look();
                canvas.glyph(glyph, median, radius, ink.solid())?;
            }
        } else {
            draw_ranges(canvas, &bars, 0.4)?;
            draw_ranges(canvas, &middles, 0.8)?;
        }
        for (at, glyph) in feet {
            canvas.glyph(glyph, at, radius.max(2.75), Ink::Danger.solid())?;
        }
        self.draw_off_scale_note(panel)?;
        Ok(thinned(&medians, most_marks).into_iter().map(|index| mark(medians[index], index)).collect())
    }

    /// Writes the value of the minimum below the axis, if there is only one.
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
        if self.is_marked_singly() {
            for (&point, &(index, _)) in points.iter().zip(&shares) {
                let (glyph, ink) = self.sites[index].look();
                canvas.glyph(glyph, point, radius, ink.solid())?;
            }
        } else {
            let ranges: Vec<(Ink, (i32, i32, i32))> = columns(&points, UNIT)
                .into_iter()
                .map(|run| {
                    let sites = shares[run.clone()].iter().map(|&(index, _)| &self.sites[index]);
                    (common_ink(sites), range(&points[run]))
                })
                .collect();
            draw_ranges(canvas, &ranges, 0.8)?;
        }
        let most_concentrated = (0..shares.len()).min_by(|&a, &b| shares[a].1.total_cmp(&shares[b].1));
        if let Some(lowest) = most_concentrated.filter(|&lowest| shares[lowest].1 < CONCENTRATED) {
            let site = &self.sites[shares[lowest].0];
            let name = shortened(&readable(&site.name), panel.width() * 0.5, 11.0);
            let text = format!(
                "{name}: {} of {} channels",
                short(site.participation.unwrap_or(0.0)),
                grouped(site.width as f64)
            );
            panel.note_on_plate(&text, points[lowest], Side::Above, Ink::Text)?;
        }
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|index| mark(points[index], shares[index].0)).collect())
    }
}

/// The colour of sites if all are of one kind, otherwise neutral.
fn common_ink<'s>(mut sites: impl Iterator<Item = &'s SiteMark>) -> Ink {
    let common = sites.next().filter(|first| sites.all(|site| site.kind == first.kind));
    common.map_or(Ink::Muted, |site| site.look().1)
}

/// The place and vertical extent of the points in one column of pixels: x, top, foot.
fn range(points: &[Point]) -> (i32, i32, i32) {
    let extent = points.iter().fold((i32::MAX, i32::MIN), |(top, foot), &(_, y)| (top.min(y), foot.max(y)));
    (points[0].0, extent.0, extent.1)
}

/// Draws ranges in their colours.
fn draw_ranges(
    canvas: &Canvas<'_>,
    ranges: &[(Ink, (i32, i32, i32))],
    opacity: f64,
) -> Result<(), PlotError> {
    for run in ranges.chunk_by(|a, b| a.0 == b.0) {
        let extents: Vec<(i32, i32, i32)> = run.iter().map(|&(_, extent)| extent).collect();
        canvas.ranges(&extents, run[0].0.at(opacity))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lognormal, site, with_one_off};
    use super::*;

    const SIZE: Size = Size { width: 720, height: 0 };

    #[test]
    fn sites_without_directions_have_one_panel() {
        let sites: Vec<_> = (0..61_u32)
            .map(|index| site("norm", Some(index / 2), NormKind::RmsNorm, &lognormal(32, 0.4)))
            .collect();
        let figure = site_map(&sites, SIZE).unwrap();
        assert!(figure.caption.ends_with("No site has a kernel direction γ⁻¹."), "{}", figure.caption);
        assert!(!figure.svg.contains("share of channels"));
        assert_eq!(figure.marks.len(), 61);
        assert!(figure.svg.contains("RMSNorm\n") && !figure.svg.contains("LayerNorm\n"));
        assert!(figure.svg.contains(">\nblock\n<"));
    }

    #[test]
    fn a_single_site_is_a_map() {
        let figure = site_map(&[site("norm", None, NormKind::LayerNorm, &lognormal(32, 0.4))], SIZE).unwrap();
        assert_eq!(figure.marks.len(), 2, "one in each panel");
        assert!(figure.svg.contains("site, in the order of the network\n"));
    }

    #[test]
    fn a_tiny_minimum_is_off_the_scale_and_a_zero_has_its_own_mark() {
        let sites = [
            site("a", Some(0), NormKind::LayerNorm, &lognormal(64, 0.2)),
            site("b", Some(1), NormKind::LayerNorm, &with_one_off()),
            site("c", Some(2), NormKind::LayerNorm, &[1.0, 0.0, 2.0]),
        ];
        let figure = site_map(&sites, SIZE).unwrap();
        assert!(figure.svg.contains("4.8e-33\n") && figure.svg.contains("min is 0\n"));
        assert!(figure.svg.contains("min &lt; 0.1\n"), "the scale stays that of the others");
        assert!(figure.svg.contains("b: 1 of 384 channels\n"), "the concentrated site is named");
        assert_eq!(figure.table.rows[2][8], Cell::Empty, "a coordinate kernel has no participation");
    }

    #[test]
    fn minima_that_follow_without_a_gap_stay_on_the_scale() {
        let sites: Vec<_> =
            (0..6).map(|index| site("a", None, NormKind::RmsNorm, &[10f64.powi(-index), 1.0, 1.0])).collect();
        let (axis, off_scale, _) = Map { sites: &sites, has_directions: false }.y_axis();
        assert!(!off_scale && axis.low() < 1e-5);
    }

    #[test]
    fn blocks_out_of_order_are_numbered_by_site() {
        let block = |block| site("a", Some(block), NormKind::LayerNorm, &[1.0, 2.0]);
        let sites = [block(0), block(1), block(0), block(1)];
        let figure = site_map(&sites, SIZE).unwrap();
        assert!(figure.svg.contains("site, in the order of the network\n"));
    }

    #[test]
    fn no_site_is_an_error() {
        assert!(matches!(site_map(&[], SIZE), Err(PlotError::Empty(_))));
    }
}
