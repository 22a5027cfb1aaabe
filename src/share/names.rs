//! A report without the names of its files and tensors: sites, readers and writers are numbered.
//!
//! Sentences put names of tensors, files and families only in backticks or quotes, so everything inside these is replaced too.

use super::ShareError;
use crate::reader::NOT_COUNTED;
use crate::report::Report;
use std::collections::HashMap;

/// Replaces an unknown name.
const LEFT_OUT: &str = "…";

/// Returns the same report with every name replaced.
pub(super) fn without(mut report: Report) -> Result<Report, ShareError> {
    let names = Names::of(&report);
    let Report { checkpoint, model, norms, dead_parameters, writers, verification, warnings, .. } =
        &mut report;
    checkpoint.name = "checkpoint".to_owned();
    checkpoint.remote = None;
    for (shard, number) in checkpoint.missing_shards.iter_mut().zip(1..) {
        *shard = format!("shard {number}");
    }
    model.family = None;
    names.prose(&mut model.sentence);
    model.reasons.iter_mut().for_each(|reason| names.prose(reason));
    names.option(&mut model.final_norm);
    for part in &mut model.parts {
        names.name(&mut part.name);
        names.option(&mut part.final_norm);
        names.prose(&mut part.sentence);
    }
    for norm in norms {
        names.name(&mut norm.name);
        for name in [&mut norm.scale, &mut norm.shift, &mut norm.part] {
            names.option(name);
        }
        names.prose(&mut norm.convention_reason);
        norm.evidence.iter_mut().for_each(|evidence| names.prose(&mut evidence.detail));
        for text in [&mut norm.settle, &mut norm.reader_note, &mut norm.problem].into_iter().flatten() {
            names.prose(text);
        }
        // The note on a block that is not understood has paths inside the block, which are names.
        if let Some(note) = norm.reader_note.as_mut().filter(|note| note.starts_with(NOT_COUNTED)) {
            *note = format!("{NOT_COUNTED}the reason names tensors, and names were left out");
        }
        for reader in &mut norm.readers {
            names.name(&mut reader.name);
            names.option(&mut reader.bias);
            reader.assumed.iter_mut().for_each(|text| names.prose(text));
        }
    }
    dead_parameters.assumptions.iter_mut().for_each(|text| names.prose(text));
    for writer in writers {
        names.name(&mut writer.name);
        names.name(&mut writer.stack);
    }
    if let Some(verification) = verification {
        verification.input = "activations".to_owned();
        if verification.device != "cpu" {
            verification.device = "a GPU".to_owned();
        }
        for site in &mut verification.sites {
            names.name(&mut site.name);
            site.notes.iter_mut().for_each(|note| names.prose(note));
        }
        for preservation in &mut verification.preservation {
            names.name(&mut preservation.site);
            names.name(&mut preservation.reader);
        }
        for site in verification.random_init.iter_mut().flat_map(|initial| &mut initial.sites) {
            names.name(&mut site.name);
        }
    }
    for warning in warnings {
        names.prose(&mut warning.message);
        names.name(&mut warning.r#where);
    }
    report.find();
    Ok(report)
}

/// The replacement of each name.
struct Names(HashMap<String, String>);

impl Names {
    fn of(report: &Report) -> Self {
        let mut names = Self(HashMap::new());
        for (norm, number) in report.norms.iter().zip(1..) {
            names.call(&norm.name, format!("norm {number}"));
            for (tensor, what) in [(&norm.scale, "scale"), (&norm.shift, "shift")] {
                tensor.iter().for_each(|tensor| names.call(tensor, format!("{what} of norm {number}")));
            }
        }
        let readers = report.norms.iter().flat_map(|norm| &norm.readers);
        for (reader, number) in readers.zip(1..) {
            names.call(&reader.name, format!("reader {number}"));
            reader.bias.iter().for_each(|bias| names.call(bias, format!("bias of reader {number}")));
        }
        for (writer, number) in report.writers.iter().zip(1..) {
            names.call(&writer.name, format!("writer {number}"));
        }
        let of_norms = report.norms.iter().filter_map(|norm| norm.part.as_ref());
        let of_writers = report.writers.iter().map(|writer| &writer.stack);
        let parts = report.model.parts.iter().map(|part| &part.name).chain(of_norms).chain(of_writers);
        let mut number = 0;
        for part in parts.filter(|part| !part.is_empty()) {
            if !names.0.contains_key(part) {
                number += 1;
                names.call(part, format!("part {number}"));
            }
        }
        names
    }

    /// The first use of a name keeps it: a tied unembedding is both a reader and a writer.
    fn call(&mut self, name: &str, new: String) {
        self.0.entry(name.to_owned()).or_insert(new);
    }

    fn name(&self, name: &mut String) {
        if !name.is_empty() {
            *name = self.0.get(name).cloned().unwrap_or_else(|| LEFT_OUT.to_owned());
        }
    }

    fn option(&self, name: &mut Option<String>) {
        name.iter_mut().for_each(|name| self.name(name));
    }

    /// Replaces text in backticks or quotes, which is every second piece.
    fn prose(&self, text: &mut String) {
        for quote in ["`", "\""] {
            let mut pieces: Vec<String> = text.split(quote).map(str::to_owned).collect();
            // After an unpaired mark the text has no end, so all of it is replaced.
            pieces.iter_mut().skip(1).step_by(2).for_each(|piece| self.name(piece));
            *text = pieces.join(quote);
        }
    }
}
