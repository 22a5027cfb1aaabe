//! The energies of a stream's writers over the blocks, compared with weights without a preferred mean direction.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint, units};
use super::number::counted;
use super::palette::Ink;
use super::panel::{Entry, Notes, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, Mark, PlotError, Size};
use crate::report::{WriterPart, WriterReport};

/// The null band reaches this many of its standard deviations to either side.
const BAND: f64 = 2.0;

/// Draws e(U) of every sampled writer in network order, with the null band 1 ± 2√(2/k) behind it. Energies of RMSNorm models and of
/// untrained weights are within the band. Writers of a LayerNorm model are below it.
pub fn writer_energy(writers: &[WriterReport], size: Size) -> Result<Figure, PlotError> {
    if writers.is_empty() {
        return Err(PlotError::Empty("no writer of a residual stream was sampled"));
    }
    let map = Map { writers };
    let size = size.legible(1, false);
    let title = "Writer energy along the stream's mean".to_owned();
    let caption = map.caption();
    let source = format!("{} · Gammascope", counted(writers.len(), "writer"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = map.draw(canvas)?;
        Ok(())
    })?;
    let (width, height, table) = (size.width, size.height, map.table());
    Ok(Figure { kind: FigureKind::WriterEnergy, title, caption, width, height, svg, marks, table })
}

struct Map<'w> {
    writers: &'w [WriterReport],
}

impl Map<'_> {
    /// Lower end of one writer's null band.
    fn null_foot(writer: &WriterReport) -> f64 {
        1.0 - BAND * writer.null_deviation
    }

    fn caption(&self) -> String {
        let below = self.writers.iter().filter(|writer| writer.energy < Self::null_foot(writer)).count();
        format!(
            "How much of each sampled writer's output lies along the mean of the residual stream. Weights without a preferred mean direction have energy 1, within the band (1 ± 2√(2/k) for k columns); under LayerNorm no gradient reaches that direction, so it stays behind in training. {below} of {} below the band.",
            counted(self.writers.len(), "writer"),
        )
    }

    /// One row for each writer.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("writer", ""),
            ("block", ""),
            ("part", ""),
            ("energy", ""),
            ("null deviation", ""),
            ("columns", ""),
            ("row dispersion", ""),
        ]);
        let rows = self.writers.iter();
        table.rows = rows
            .map(|writer| {
                vec![
                    Cell::from(writer.name.as_str()),
                    Cell::from(f64::from(writer.block)),
                    Cell::from(part_name(writer.part)),
                    Cell::from(writer.energy),
                    Cell::from(writer.null_deviation),
                    Cell::from(f64::from(writer.columns)),
                    Cell::from(writer.row_dispersion),
                ]
            })
            .collect();
        table
    }

    /// The horizontal axis: blocks if they are consecutive in one stack, otherwise the position in the list.
    fn x_axis(&self) -> (Axis, &'static str) {
        let end = self.writers.len() as f64 + 0.5;
        let one_stack = self.writers.iter().all(|writer| writer.stack == self.writers[0].stack);
        let mut starts: Vec<(u32, f64)> = Vec::new();
        for (index, writer) in self.writers.iter().enumerate() {
            if starts.last().is_none_or(|&(block, _)| block != writer.block) {
                starts.push((writer.block, index as f64 + 1.0));
            }
        }
        let named = self.writers[0].part != WriterPart::Unknown && one_stack && starts.len() > 1;
        if named {
            (Axis::named(0.5, end, starts), "block")
        } else {
            (Axis::whole(0.5, end), "writer, in the order of the network")
        }
    }

    /// Ends of the energy axis. It starts at 0, unless energies and bands would then fill less than half of it.
    fn range(&self) -> (f64, f64) {
        let energies = || self.writers.iter().map(|writer| writer.energy);
        let feet = self.writers.iter().map(Self::null_foot);
        let heads = self.writers.iter().map(|writer| 1.0 + BAND * writer.null_deviation);
        let least = energies().chain(feet).fold(1.0, f64::min);
        let most = energies().chain(heads).fold(1.0, f64::max);
        let margin = 0.1 * (most - least);
        if least > most / 2.0 {
            (least - margin, most + margin)
        } else {
            (0.0, energies().fold(1.4, f64::max))
        }
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let (x, x_title) = self.x_axis();
        let (least, most) = self.range();
        let mut legend: Vec<Entry> = Vec::new();
        for writer in self.writers {
            let (glyph, ink) = look(writer.part);
            let text = part_name(writer.part);
            if !legend.iter().any(|entry| entry.text == text) {
                legend.push(Entry { glyph, ink, text: text.to_owned() });
            }
        }
        let plan = Plan {
            frame: canvas.frame(),
            heading: "energy e(U)",
            legend,
            x_title,
            x,
            y: Axis::linear(least, most).with_head(6.0),
            left: None,
        };
        let panel = Panel::new(canvas, plan)?;
        let half = panel.width() / self.writers.len() as f64 / 2.0;
        for (index, writer) in self.writers.iter().enumerate() {
            let deviation = BAND * writer.null_deviation;
            let (middle, top) = panel.place(index as f64 + 1.0, (1.0 + deviation).min(most));
            let foot = panel.place(index as f64 + 1.0, (1.0 - deviation).max(least)).1;
            let half = units(half);
            canvas.block((middle - half, top), (middle + half, foot), Ink::B.at(0.16))?;
        }
        panel.level(1.0, Ink::Muted.solid())?;
        let mut notes = Notes::new(&panel);
        let end = panel.lower_right().0;
        notes.add(
            "1: no preferred mean direction",
            &[((end, panel.place(1.0, 1.0).1), Side::AboveEnding)],
            Ink::Muted,
        )?;
        let room = panel.width() / self.writers.len() as f64;
        let radius = (0.3 * room).clamp(1.75, 3.5);
        let mut marks = Vec::new();
        for (index, writer) in self.writers.iter().enumerate() {
            let at = panel.place(index as f64 + 1.0, writer.energy);
            let (glyph, ink) = look(writer.part);
            canvas.glyph(glyph, at, radius, ink.solid())?;
            marks.push(mark(at, index));
        }
        Ok(marks)
    }
}

fn look(part: WriterPart) -> (Glyph, Ink) {
    match part {
        WriterPart::Attention => (Glyph::Circle, Ink::A),
        WriterPart::FeedForward => (Glyph::Square, Ink::C),
        WriterPart::Embedding => (Glyph::Up, Ink::Muted),
        WriterPart::Unknown => (Glyph::Circle, Ink::Text),
    }
}

fn part_name(part: WriterPart) -> &'static str {
    match part {
        WriterPart::Attention => "attention",
        WriterPart::FeedForward => "feed-forward",
        WriterPart::Embedding => "embedding",
        WriterPart::Unknown => "writer",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SIZE: Size = Size { width: 720, height: 0 };

    pub(in crate::plot) fn writers(count: u32, energy: f64) -> Vec<WriterReport> {
        (0..count)
            .map(|index| WriterReport {
                name: format!("layers.{}.writer{}.weight", index / 2, index % 2),
                stack: "layers".to_owned(),
                block: index / 2,
                part: if index % 2 == 0 { WriterPart::Attention } else { WriterPart::FeedForward },
                rows: 384,
                columns: 384,
                energy: energy + 0.01 * f64::from(index % 5),
                null_deviation: 0.07,
                row_dispersion: 20.0,
            })
            .collect()
    }

    #[test]
    fn writers_below_the_band_are_counted() {
        let figure = writer_energy(&writers(12, 0.2), SIZE).unwrap();
        assert!(figure.caption.ends_with("12 of 12 writers below the band."), "{}", figure.caption);
        assert!(figure.svg.contains(">\nblock\n<"));
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (12, 12));
    }

    #[test]
    fn writers_within_the_band_are_not() {
        let figure = writer_energy(&writers(12, 0.98), SIZE).unwrap();
        assert!(figure.caption.contains("0 of 12"));
    }

    #[test]
    fn no_writer_is_an_error() {
        assert!(matches!(writer_energy(&[], SIZE), Err(PlotError::Empty(_))));
    }
}
