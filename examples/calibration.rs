//! `cargo run --release --example calibration -- FOLDER… --out docs/calibration.svg`: how often the likeliest kind is right, by its
//! probability in the report. Everything learned from the document's own library is left out.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers that draws a figure")]

#[path = "../tests/it/support/architecture.rs"]
#[allow(dead_code, reason = "shared with the tests, which score")]
mod architecture;

use architecture::{Mode, Score, read_folder};
use clap::Parser;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folders of documents.
    folders: Vec<PathBuf>,
    /// The figure.
    #[arg(long)]
    out: PathBuf,
}

/// Edges of the bins, in hundredths.
const EDGES: [u32; 9] = [25, 50, 60, 70, 80, 90, 95, 97, 101];

/// Sites with a probability between two edges.
struct Bin {
    mean: f64,
    right: u32,
    all: u32,
}

fn main() {
    let arguments = Arguments::parse();
    let mut total = Score::default();
    for folder in &arguments.folders {
        for architecture in read_folder(folder).unwrap() {
            let (report, names) = architecture.inspect(Mode::UnknownLibrary).unwrap();
            total.add(&architecture.score(&report, &names));
        }
    }
    let bins: Vec<Bin> = EDGES.windows(2).filter_map(|edges| bin(&total, edges[0], edges[1])).collect();
    for Bin { mean, right, all } in &bins {
        println!("{mean:.3} → {right} of {all} ({:.3})", f64::from(*right) / f64::from(*all));
    }
    fs::write(&arguments.out, drawn(&bins)).unwrap();
}

fn bin(total: &Score, from: u32, to: u32) -> Option<Bin> {
    let mut bin = Bin { mean: 0.0, right: 0, all: 0 };
    for (hundredths, (right, all)) in total.calibration.range(from..to) {
        bin.right += right;
        bin.all += all;
        bin.mean += f64::from(*all) * (f64::from(*hundredths) + 0.5) / 100.0;
    }
    bin.mean /= f64::from(bin.all.max(1));
    (bin.all > 0).then_some(bin)
}

/// Side of the square from (0, 0) to (1, 1), and the margin around it.
const SIDE: f64 = 360.0;
const MARGIN: f64 = 56.0;

fn drawn(bins: &[Bin]) -> String {
    let x = |value: f64| MARGIN + SIDE * value;
    let y = |value: f64| MARGIN + SIDE * (1.0 - value);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" font-family="system-ui, sans-serif" font-size="13" fill="#333"><rect width="100%" height="100%" fill="#fff"/><line x1="{low}" y1="{high}" x2="{high}" y2="{low}" stroke="#999" stroke-dasharray="4 4"/>"##,
        size = SIDE + 2.0 * MARGIN,
        low = MARGIN,
        high = MARGIN + SIDE,
    );
    for value in [0.0, 0.25, 0.5, 0.75, 1.0] {
        write!(
            svg,
            r##"<line x1="{x0}" y1="{y}" x2="{x1}" y2="{y}" stroke="#eee"/><text x="{tick}" y="{text}" text-anchor="end">{value}</text><text x="{x}" y="{below}" text-anchor="middle">{value}</text>"##,
            x0 = MARGIN,
            x1 = MARGIN + SIDE,
            y = y(value),
            tick = MARGIN - 8.0,
            text = y(value) + 4.0,
            x = x(value),
            below = MARGIN + SIDE + 20.0,
        )
        .unwrap();
    }
    for Bin { mean, right, all } in bins {
        let share = f64::from(*right) / f64::from(*all);
        let radius = 3.0 + f64::from(*all).log10() * 2.0;
        write!(
            svg,
            r##"<circle cx="{:.1}" cy="{:.1}" r="{radius:.1}" fill="#3366aa" fill-opacity="0.7"><title>{mean:.2}: {right} of {all} right</title></circle>"##,
            x(*mean),
            y(share),
        )
        .unwrap();
    }
    writeln!(
        svg,
        r##"<text x="{middle}" y="{bottom}" text-anchor="middle">probability of the likeliest kind</text><text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">share of sites where it is right</text></svg>"##,
        middle = MARGIN + SIDE / 2.0,
        bottom = MARGIN + SIDE + 44.0,
    )
    .unwrap();
    svg
}
