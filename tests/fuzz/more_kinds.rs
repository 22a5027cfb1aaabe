//! More kinds of input: folders of torch.distributed.checkpoint, archives of NumPy, and parameters of Flax.

use crate::kinds::{Maker, file, inspected, open, source};
use crate::mutate::{bytes, pick};
use rand::RngExt;

/// The chunks of the folder whose `.metadata` is damaged.
const CHUNKS: [&str; 2] = ["__0_0.distcp", "__1_0.distcp"];

pub(crate) fn distributed() -> Maker {
    let metadata =
        ["two", "two-2.7"].map(|name| file(&format!("tests/pytorch/distributed/{name}/.metadata")));
    Box::new(move |random| {
        let damaged = pick(random, &metadata).clone();
        let end = damaged.len();
        bytes(random, damaged, end)
    })
}

pub(crate) fn read_distributed(bytes: &[u8]) {
    let chunks = CHUNKS.map(|name| (name, file(&format!("tests/pytorch/distributed/two/{name}"))));
    let mut sources = vec![source("m/.metadata", bytes)];
    sources.extend(chunks.iter().map(|(name, bytes)| source(&format!("m/{name}"), bytes)));
    inspected(sources);
}

pub(crate) fn chunks() -> Maker {
    let whole = file(&format!("tests/pytorch/distributed/one/{}", CHUNKS[0]));
    Box::new(move |random| {
        let end = whole.len();
        bytes(random, whole.clone(), end)
    })
}

pub(crate) fn read_chunks(bytes: &[u8]) {
    let metadata = file("tests/pytorch/distributed/one/.metadata");
    inspected(vec![source("m/.metadata", &metadata), source(&format!("m/{}", CHUNKS[0]), bytes)]);
}

pub(crate) fn npz() -> Maker {
    let files =
        ["weights.npz", "mlx.npz", "compressed.npz"].map(|name| file(&format!("tests/arrays/{name}")));
    Box::new(move |random| {
        let mut archive = pick(random, &files).clone();
        // The directory is at the end, and headers of arrays are everywhere.
        if random.random() {
            archive.reverse();
            let mut damaged = bytes(random, archive, 600);
            damaged.reverse();
            return damaged;
        }
        let end = archive.len();
        bytes(random, archive, end)
    })
}

pub(crate) fn read_npz(bytes: &[u8]) {
    open("weights.npz", bytes);
}

pub(crate) fn flax() -> Maker {
    let files = ["flax_model.msgpack", "state.msgpack"].map(|name| file(&format!("tests/arrays/{name}")));
    Box::new(move |random| {
        let whole = pick(random, &files).clone();
        bytes(random, whole, 200)
    })
}

pub(crate) fn read_flax(bytes: &[u8]) {
    open("flax_model.msgpack", bytes);
}
