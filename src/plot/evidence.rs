//! Evidence for each kind at one site, as bars to both sides of a middle line: LayerNorm to the left, any other norm to the right.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint, readable};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, Mark, PlotError, Size};
use crate::report::{EvidenceReport, NormKind};

/// The axis reaches at least this many nats to either side, so that weak evidence also looks weak.
const LEAST_REACH: f64 = 5.0;

/// Half the height of a bar. Rows are 1 apart.
const HALF: f64 = 0.3;

/// Draws one bar for each piece of evidence, whose length is its strength: to the left for LayerNorm, to the right for RMSNorm or another
/// norm. Evidence that abstains has no bar.
pub fn evidence(site: &str, evidence: &[EvidenceReport], size: Size) -> Result<Figure, PlotError> {
    if evidence.is_empty() {
        return Err(PlotError::Empty("there is no evidence about this site"));
    }
    let bars = Bars { evidence };
    let size = size.legible(1, false);
    let name = readable(site);
    let title = format!("Evidence about {name}");
    let caption = "Each bar shows how many nats one piece of evidence gives its kind over the next likely one: 3 nats multiply the odds by 20. Evidence that abstains has no bar. Evidence about the code is not independent, so of the pieces that agree only the strongest counts.".to_owned();
    let source = format!("{name} · Gammascope");
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = bars.draw(canvas)?;
        Ok(())
    })?;
    let (width, height, table) = (size.width, size.height, bars.table());
    Ok(Figure { kind: FigureKind::Evidence, title, caption, width, height, svg, marks, table })
}

struct Bars<'e> {
    evidence: &'e [EvidenceReport],
}

/// Nats for RMSNorm or another norm, which is the right side.
fn nats(evidence: &EvidenceReport) -> f64 {
    match evidence.says {
        NormKind::LayerNorm => -evidence.strength,
        NormKind::RmsNorm | NormKind::Other => evidence.strength,
        NormKind::Unknown => 0.0,
    }
}

fn ink(evidence: &EvidenceReport) -> Ink {
    match evidence.says {
        NormKind::LayerNorm => Ink::A,
        NormKind::Other => Ink::C,
        NormKind::RmsNorm | NormKind::Unknown => Ink::B,
    }
}

fn kind_name(kind: NormKind) -> &'static str {
    match kind {
        NormKind::LayerNorm => "LayerNorm",
        NormKind::RmsNorm => "RMSNorm",
        NormKind::Other => "another norm",
        NormKind::Unknown => "nothing",
    }
}

impl Bars<'_> {
    /// One row for each piece of evidence.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("evidence", ""),
            ("speaks for", ""),
            ("away from LayerNorm", "nats"),
            ("what was seen", ""),
        ]);
        let rows = self.evidence.iter();
        table.rows = rows
            .map(|piece| {
                vec![
                    Cell::from(piece.source.as_str()),
                    Cell::from(kind_name(piece.says)),
                    Cell::from(nats(piece)),
                    Cell::from(piece.detail.as_str()),
                ]
            })
            .collect();
        table
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let count = self.evidence.len() as f64;
        let reach = self.evidence.iter().map(|piece| piece.strength).fold(LEAST_REACH, f64::max).ceil();
        let entry = |glyph, ink, text: &str| Entry { glyph, ink, text: text.to_owned() };
        let plan = Plan {
            frame: canvas.frame(),
            heading: "evidence",
            legend: vec![
                entry(Glyph::Square, Ink::A, "LayerNorm"),
                entry(Glyph::Square, Ink::B, "RMSNorm"),
                entry(Glyph::Square, Ink::C, "another norm"),
            ],
            x_title: "nats: ← LayerNorm · RMSNorm or another norm →",
            x: Axis::linear(-reach, reach),
            y: Axis::named(0.4, count + 0.6, Vec::new()),
            left: None,
        };
        let panel = Panel::new(canvas, plan)?;
        panel.upright(0.0, Ink::Axis.solid())?;
        let mut marks = Vec::new();
        for (index, piece) in self.evidence.iter().enumerate() {
            let (row, value) = (count - index as f64, nats(piece));
            let (left, right) =
                (panel.place(value.min(0.0), row + HALF), panel.place(value.max(0.0), row - HALF));
            if value == 0.0 {
                canvas.glyph(Glyph::Ring, panel.place(0.0, row), 2.5, Ink::Muted.solid())?;
            } else {
                canvas.block(left, right, ink(piece).solid())?;
            }
            let said = if value == 0.0 {
                format!("{}: abstains", piece.source)
            } else {
                format!("{}: {:.1}", piece.source, piece.strength)
            };
            // On the side without the bar.
            let side = if value > 0.0 { Side::BesideEnding } else { Side::Beside };
            panel.note(&said, panel.place(0.0, row), side, Ink::Text)?;
            marks.push(mark(panel.place(value, row), index));
        }
        Ok(marks)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::plot) fn pieces() -> Vec<EvidenceReport> {
        [
            ("configuration", NormKind::RmsNorm, 6.0),
            ("shift", NormKind::LayerNorm, 7.4),
            ("names", NormKind::Unknown, 0.0),
            ("structure", NormKind::Other, 2.5),
        ]
        .map(|(source, says, strength)| EvidenceReport {
            source: source.to_owned(),
            says,
            strength,
            detail: format!("what <{source}> says"),
            under: Vec::new(),
        })
        .to_vec()
    }

    #[test]
    fn each_piece_has_its_side_and_what_abstains_says_so() {
        let figure = evidence("norm", &pieces(), Size { width: 720, height: 0 }).unwrap();
        for text in ["configuration: 6.0\n", "shift: 7.4\n", "names: abstains\n"] {
            assert!(figure.svg.contains(text), "{text}");
        }
        let (right, left) = (figure.marks[0].x, figure.marks[1].x);
        assert!(left < figure.marks[2].x && figure.marks[2].x < right);
        assert!(figure.marks[3].x > figure.marks[2].x, "another norm is no LayerNorm");
        assert_eq!(figure.table.rows[1][2], Cell::from(-7.4));
    }

    #[test]
    fn no_evidence_is_an_error() {
        assert!(matches!(evidence("norm", &[], Size { width: 1, height: 1 }), Err(PlotError::Empty(_))));
    }
}
