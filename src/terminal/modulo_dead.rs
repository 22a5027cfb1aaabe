//! `gammascope compare --modulo-dead`: how far the readers of two checkpoints are apart without their dead parts.

use super::files::File;
use super::grid::{Grid, number};
use super::screen::Screen;
use super::summary::{QUIET, STRONG, printable};
use super::{like, progress};
use gammascope::checkpoint::Format;
use gammascope::fold::modulo_dead;
use gammascope::inspect::Opened;
use gammascope::report::modulo_dead::{ModuloDead, ModuloDeadDifference, ReaderDifference};
use gammascope::source::ByteSource;
use std::io::{self, Write};

/// How many unpaired tensors are named.
const NAMED: usize = 4;

/// Compares the readers of two checkpoints on this machine.
pub(crate) fn found(
    before: &Opened<File>,
    after: &Opened<File>,
    line: &mut progress::Line,
) -> Result<ModuloDead, String> {
    for checkpoint in [before.checkpoint(), after.checkpoint()] {
        let name = &checkpoint.name;
        if checkpoint.shards.iter().any(|shard| shard.transfer().is_some()) {
            return Err(format!(
                "--modulo-dead reads all weights, and `{name}` is behind an address; download it first"
            ));
        }
        if checkpoint.format != Format::Safetensors {
            return Err(format!(
                "`{name}` is not safetensors, and --modulo-dead compares only those; convert it first, for example with `save_pretrained` of transformers"
            ));
        }
        if let Some(missing) = checkpoint.missing_shards.first() {
            return Err(format!(
                "`{missing}` of `{name}` is missing or damaged, so its readers cannot be compared; download it again"
            ));
        }
    }
    let comparing = modulo_dead(before, after, |done, total| line.show_readers(done, total));
    pollster::block_on(comparing).map_err(|error| error.to_string())
}

/// Writes what all readers have in common, and a row for each reader, or readers of like name.
pub(crate) fn write(out: &mut Screen<impl Write>, found: &ModuloDead, all: bool) -> io::Result<()> {
    let together = |what: &str, difference: &ModuloDeadDifference| {
        format!(
            "{what} of readers: {} as stored, {} modulo dead directions (rounding {})",
            one(difference.stored),
            one(difference.modulo_dead),
            one(difference.rounding)
        )
    };
    writeln!(out)?;
    writeln!(out, "{STRONG}{}{STRONG:#}", together("weights", &found.weights))?;
    if let Some(biases) = &found.biases {
        writeln!(out, "{}", together("biases", biases))?;
    }
    if let Some(others) = found.others {
        let said = if others == 0.0 { "the same".to_owned() } else { format!("{others:.1e} as stored") };
        writeln!(out, "all other tensors: {said}")?;
    }
    table(out, &found.readers, all)?;
    left(out, &found.readers)?;
    if let Some((some, more)) = found.unpaired.split_at_checked(found.unpaired.len().min(NAMED))
        && !some.is_empty()
    {
        let named: Vec<String> = some.iter().map(|name| printable(name)).collect();
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        writeln!(out, "{QUIET}only in one of the two: {}{more}{QUIET:#}", named.join(", "))?;
    }
    Ok(())
}

fn table(out: &mut Screen<impl Write>, readers: &[ReaderDifference], all: bool) -> io::Result<()> {
    let names: Vec<String> = readers
        .iter()
        .map(|reader| match reader.name == reader.name_after {
            true => printable(&reader.name),
            false => format!("{} ↔ {}", printable(&reader.name), printable(&reader.name_after)),
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let has_bias = readers.iter().any(|reader| reader.bias.is_some());
    let mut columns = vec![number("as stored", 1), number("modulo dead", 0), number("rounding", 2)];
    if has_bias {
        columns.extend([number("bias as stored", 4), number("bias modulo dead", 3)]);
    }
    let mut grid = Grid::new("reader", &columns);
    for row in like::rows(&names, |_| (), all) {
        let of = |value: fn(&ReaderDifference) -> Option<f64>| {
            like::range(row.places.iter().map(|&at| value(&readers[at])), number_of)
        };
        let mut cells = vec![
            of(|reader| reader.weight.stored),
            of(|reader| reader.weight.modulo_dead),
            of(|reader| reader.weight.rounding),
        ];
        if has_bias {
            cells.push(of(|reader| reader.bias.and_then(|bias| bias.stored)));
            cells.push(of(|reader| reader.bias.and_then(|bias| bias.modulo_dead)));
        }
        grid.row(row.name, cells);
    }
    grid.write(out)
}

/// Writes why readers are compared as stored, each reason once with its readers.
fn left(out: &mut Screen<impl Write>, readers: &[ReaderDifference]) -> io::Result<()> {
    let mut why: Vec<(String, Vec<&str>)> = Vec::new();
    for reader in readers {
        let Some(reason) = reader.left.as_deref().map(like::without_numbers) else { continue };
        match why.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, names)) => names.push(&reader.name),
            None => why.push((reason, vec![&reader.name])),
        }
    }
    for (reason, names) in why {
        let rows = like::rows(&names, |_| (), false);
        let names: Vec<String> = rows.into_iter().map(|row| printable(&row.name)).collect();
        writeln!(out, "{QUIET}Compared as stored: {}: {}.{QUIET:#}", names.join(", "), printable(&reason))?;
    }
    Ok(())
}

fn number_of(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") }
}

fn one(value: Option<f64>) -> String {
    like::range([value], number_of)
}
