//! `cargo run --example inspect CHECKPOINT [FOLDER]`: the crate as a library. Describes the norms of a checkpoint. If a folder is given,
//! draws the final norm's kernel direction to `kernel.svg` in it. CI runs it on a sample.

use gammascope::figures::figure;
use gammascope::inspect::inspect;
use gammascope::plot::{FigureKind, Size};
use gammascope::source::disk::DiskSource;
use std::error::Error;
use std::path::PathBuf;

#[allow(clippy::print_stdout, reason = "what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("give the folder of a checkpoint")?;
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.is_file() {
            sources.push(DiskSource::open(&path, path.to_string_lossy())?);
        }
    }
    // This reads only headers and norm tensors, whatever the size of the files.
    let inspection = pollster::block_on(inspect(sources, |_| {}))?;
    let report = &inspection.report;
    println!("{}", report.model.sentence);
    for norm in &report.norms {
        println!("{}: {:?}, {:?}", norm.name, norm.kind, norm.kernel.form);
    }
    if let (Some(out), Some(site)) = (arguments.next(), &report.model.final_norm) {
        let size = Size { width: 720, height: 0 };
        let drawn = figure(&inspection, FigureKind::KernelDirection, Some(site), size)?;
        std::fs::write(out.join("kernel.svg"), drawn.svg)?;
    }
    Ok(())
}
