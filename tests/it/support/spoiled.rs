//! Files of `tests/inputs/` with some bytes changed.

#[path = "../../inputs/files.rs"]
mod files;

pub(crate) use files::{IMAGES, SOUNDS};
use proptest::prelude::*;
use std::path::Path;

/// A file of `tests/inputs/`.
pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(name)).unwrap()
}

/// One of these files with changed bytes, mostly in its header, and possibly cut off; or random bytes.
pub(crate) fn spoiled(names: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let place = any::<prop::sample::Index>;
    let changes = prop::collection::vec((place(), any::<bool>(), any::<u8>()), 1..20);
    let changed = (prop::sample::select(names), changes, any::<bool>(), place());
    let changed = changed.prop_map(|(name, changes, cut, end)| {
        let mut bytes = file(name);
        for (place, header, value) in changes {
            let within = if header { bytes.len().min(100) } else { bytes.len() };
            bytes[place.index(within)] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()).max(1));
        }
        bytes
    });
    prop_oneof![9 => changed, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}
