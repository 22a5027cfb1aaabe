//! The least singular value of the residual stream, block by block: does it fall?

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint};
use super::number::counted;
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::{ResidualBlock, ResidualFall, StackName};

/// Draws σ_min after each block with its range on both halves of the tokens, and highlights falls.
pub fn residual(blocks: &[ResidualBlock], falls: &[ResidualFall], size: Size) -> Result<Figure, PlotError> {
    if blocks.is_empty() {
        return Err(PlotError::Empty("the residual stream was not measured"));
    }
    let size = size.legible(1, false);
    let title = "Least singular value of the residual stream".to_owned();
    let caption = caption(blocks, falls);
    let source = format!("{} measured · Gammascope", counted(blocks.len(), "block"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, blocks, falls)?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::Residual, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(blocks, falls) })
}

fn fall_at<'a>(falls: &'a [ResidualFall], block: &ResidualBlock) -> Option<&'a ResidualFall> {
    falls.iter().find(|fall| (fall.stack, fall.block) == (block.stack, block.block))
}

/// The blocks of each stack, with the index of the first.
fn stacks(blocks: &[ResidualBlock]) -> impl Iterator<Item = (usize, &[ResidualBlock])> {
    let mut first = 0;
    blocks.chunk_by(|a, b| a.stack == b.stack).map(move |stack| {
        first += stack.len();
        (first - stack.len(), stack)
    })
}

fn caption(blocks: &[ResidualBlock], falls: &[ResidualFall]) -> String {
    let changes: Vec<String> = stacks(blocks)
        .map(|(_, stack)| {
            let (first, last) = (stack[0], stack[stack.len() - 1]);
            let of = first.stack.map_or(String::new(), |name| format!(" in the {}", name.text()));
            format!("from {:.3e} to {:.3e}{of}", first.sigma_min, last.sigma_min)
        })
        .collect();
    let change = format!("From the first block to the last it goes {}", changes.join(" and "));
    let surely = falls.iter().filter(|fall| fall.on_both_halves).count();
    let told = match falls.len() {
        0 => "it never falls by more than a hundredth".to_owned(),
        all => {
            format!("it falls after {}, {surely} of them on both halves of the tokens", counted(all, "block"))
        }
    };
    format!("σ_min of the centred stream after each block, before the final norm. {change}; {told}.")
}

/// One row for each block.
fn table(blocks: &[ResidualBlock], falls: &[ResidualFall]) -> Table {
    let columns = [
        ("block", ""),
        ("σ_min", ""),
        ("least on a half", ""),
        ("greatest on a half", ""),
        ("falls to", ""),
        ("attention", ""),
        ("feed-forward", ""),
        ("same direction", ""),
    ];
    let mut table = Table::new(&columns);
    table.rows = blocks
        .iter()
        .map(|block| {
            let fall = fall_at(falls, block);
            let place = fall.and_then(|fall| fall.place);
            vec![
                match block.stack {
                    None => Cell::from(block.block as usize),
                    stack => Cell::Text(StackName::of_block(stack, block.block)),
                },
                Cell::from(block.sigma_min),
                Cell::from(block.low),
                Cell::from(block.high),
                Cell::from(fall.map(|fall| fall.ratio.value)),
                Cell::from(place.map(|place| place.attention)),
                Cell::from(place.map(|place| place.feed_forward)),
                Cell::from(place.map(|place| place.same_direction)),
            ]
        })
        .collect();
    table
}

fn draw(
    canvas: &Canvas<'_>,
    blocks: &[ResidualBlock],
    falls: &[ResidualFall],
) -> Result<Vec<Mark>, PlotError> {
    let ends = || blocks.iter().flat_map(|block| [block.low, block.sigma_min, block.high]);
    let shown = || ends().filter(|sigma| *sigma > 0.0);
    let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max));
    let (low, high) = if low < high { (low, high) } else { (1e-3, 1.0) };
    let off = ends().any(|sigma| sigma < low);
    let entry = |ink, text: &str| Entry { glyph: Glyph::Circle, ink, text: text.to_owned() };
    let mut legend = vec![entry(Ink::A, "σ_min")];
    if !falls.is_empty() {
        legend.push(entry(Ink::Danger, "less than before"));
    }
    let plan = Plan {
        frame: canvas.frame(),
        heading: "σ_min and its range on both halves, log scale",
        legend,
        x_title: if blocks[0].stack.is_some() {
            "block, the encoder’s before the decoder’s"
        } else {
            "block"
        },
        x: Axis::whole(-0.5, blocks.len() as f64 - 0.5),
        y: Axis::logarithmic(low, high).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    let radius = (0.28 * panel.width() / blocks.len() as f64).clamp(1.5, 3.25);
    let place = |at: usize, sigma: f64| panel.place(at as f64, sigma);
    for (first, stack) in stacks(blocks) {
        let line = (first..).zip(stack).map(|(at, block)| place(at, block.sigma_min)).collect();
        canvas.line(line, 1.0, Ink::Grid.solid())?;
    }
    let mut marks = Vec::new();
    for (row, block) in blocks.iter().enumerate() {
        canvas.line(vec![place(row, block.low), place(row, block.high)], 1.0, Ink::Axis.solid())?;
        let at = place(row, block.sigma_min);
        let ink = if fall_at(falls, block).is_some() { Ink::Danger } else { Ink::A };
        canvas.glyph(Glyph::Circle, at, radius, ink.solid())?;
        if marks.len() < MOST_MARKS {
            marks.push(mark(at, row));
        }
    }
    Ok(marks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::Interval;

    /// Blocks whose stream grows, except for one fall.
    pub(in crate::plot) fn blocks(count: u32) -> (Vec<ResidualBlock>, Vec<ResidualFall>) {
        let sigma =
            |block: u32| 1e-3 * 1.3_f64.powi(block.min(60) as i32) * if block == 1 { 0.5 } else { 1.0 };
        let block = |block| {
            let sigma_min = sigma(block);
            ResidualBlock { block, stack: None, sigma_min, low: 0.9 * sigma_min, high: 1.2 * sigma_min }
        };
        let fall = ResidualFall {
            block: 1,
            stack: None,
            ratio: Interval { value: 0.65, low: 0.6, high: 0.7 },
            on_both_halves: true,
            place: None,
        };
        ((0..count).map(block).collect(), if count > 1 { vec![fall] } else { Vec::new() })
    }

    #[test]
    fn falls_are_counted_and_stand_in_the_table() {
        let (blocks, falls) = blocks(30);
        let figure = residual(&blocks, &falls, Size { width: 720, height: 0 }).unwrap();
        assert!(figure.caption.contains("after 1 block, 1 of them on both halves"), "{}", figure.caption);
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (30, 30));
        assert_eq!(figure.table.rows[1][4], Cell::from(0.65));
        assert_eq!(figure.table.rows[2][4], Cell::Empty);
    }

    #[test]
    fn two_stacks_are_two_lines_and_a_fall_is_of_its_own() {
        let (of_encoder, falls) = blocks(3);
        let falls: Vec<_> =
            falls.into_iter().map(|fall| ResidualFall { stack: Some(StackName::Decoder), ..fall }).collect();
        let of = |stack| of_encoder.iter().map(move |block| ResidualBlock { stack: Some(stack), ..*block });
        let both: Vec<_> = of(StackName::Encoder).chain(of(StackName::Decoder)).collect();
        let figure = residual(&both, &falls, Size { width: 720, height: 0 }).unwrap();
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (6, 6));
        assert_eq!(figure.table.rows[4][0], Cell::from("block 1 of the decoder"));
        assert_eq!((&figure.table.rows[1][4], &figure.table.rows[4][4]), (&Cell::Empty, &Cell::from(0.65)));
        assert!(figure.caption.contains(" in the encoder and from "), "{}", figure.caption);
        assert!(figure.marks[3].x > figure.marks[2].x, "the decoder comes after the encoder");
    }

    #[test]
    fn nothing_measured_is_an_error() {
        assert!(residual(&[], &[], Size { width: 720, height: 0 }).is_err());
    }
}
