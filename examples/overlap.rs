//! How much of its reading a forward pass hides behind its computing, on the CPU.
//!
//! `cargo run --release --example overlap -- CHECKPOINT [SEQUENCES]` runs the model on sequences of 128 tokens in three ways. The first
//! run reads a cached file, so it only computes. The second only reads the same bytes, from a disk that is slowed down to take as long as
//! the computing. The third run computes from that disk. Prints the seconds as JSON, and (reading + computing − both)/reading.

use futures_channel::oneshot;
use gammascope::forward::{Input, Pass, Unwatched};
use gammascope::model;
use gammascope::source::disk::DiskSource;
use gammascope::source::{ByteSource, SourceError};
use gammascope::text::ids::uniform;
use pollster::block_on;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

const LENGTH: usize = 128;

/// A disk that delivers this many bytes per second, one read after the other.
struct Slow {
    disk: DiskSource,
    bytes_per_second: Cell<f64>,
    free: Cell<Instant>,
    read: RefCell<Vec<Range<u64>>>,
}

impl ByteSource for Slow {
    fn path(&self) -> &str {
        self.disk.path()
    }

    fn length(&self) -> u64 {
        self.disk.length()
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.read.borrow_mut().push(range.clone());
        let takes = (range.end - range.start) as f64 / self.bytes_per_second.get();
        let done = self.free.get().max(Instant::now()) + Duration::from_secs_f64(takes);
        self.free.set(done);
        let (sender, receiver) = oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(done.saturating_duration_since(Instant::now()));
            let _ = sender.send(());
        });
        let bytes = self.disk.read(range).await;
        let _ = receiver.await;
        bytes
    }

    fn bridged(&self) -> u64 {
        self.disk.bridged()
    }
}

#[allow(clippy::print_stdout, reason = "what this program is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which checkpoint? give its folder")?;
    let sources = ["model.safetensors", "config.json"].map(|name| {
        let disk = DiskSource::open(&Path::new(&folder).join(name), name)?;
        let (bytes_per_second, free) = (Cell::new(f64::INFINITY), Cell::new(Instant::now()));
        Ok::<_, SourceError>(Slow { disk, bytes_per_second, free, read: RefCell::default() })
    });
    let sources = sources.into_iter().collect::<Result<Vec<_>, _>>()?;
    let checkpoint = block_on(gammascope::checkpoint::open(sources, |_| {}))?;
    let architecture = model::resolve(&checkpoint)?;
    let sequences: usize = std::env::args().nth(2).map_or(Ok(1), |count| count.parse())?;
    let ids = uniform(sequences * LENGTH, architecture.vocabulary);
    let pass = Pass::new(&checkpoint, &architecture, Input::token_ids(&ids, LENGTH)?)?;
    let timed = |what: &dyn Fn() -> Result<(), Box<dyn std::error::Error>>| {
        let began = Instant::now();
        what().map(|()| began.elapsed().as_secs_f64())
    };
    let run = || Ok(block_on(pass.run(&mut Unwatched)).map(drop)?);
    run()?; // fills the cache
    let shard = &checkpoint.shards[0];
    shard.read.take();
    let computing = timed(&run)?;
    let read = shard.read.take();
    let bytes: u64 = read.iter().map(|range| range.end - range.start).sum();
    shard.bytes_per_second.set(bytes as f64 / computing);
    let reading =
        timed(&|| Ok(read.iter().try_for_each(|range| block_on(shard.read(range.clone())).map(drop))?))?;
    let both = timed(&run)?;
    let hidden = (reading + computing - both) / reading;
    println!(r#"{{"reading":{reading},"computing":{computing},"both":{both},"hidden":{hidden}}}"#);
    Ok(())
}
