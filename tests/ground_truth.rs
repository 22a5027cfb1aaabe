//! Sites and the first verdict against what real modules do, with and without their configuration, on documents that
//! are kept beside the checkout (`../shared/architectures`); skipped where they are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use flate2::read::GzDecoder;
use gammascope::inspect::inspect;
use gammascope::report::{NormKind, Report};
use gammascope::source::memory::MemorySource;
use gammascope::source::{ByteSource, SourceError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// A checkpoint whose every value is 1.0 (in F32) and which is only as large as its header.
enum Source {
    Ones { header: Vec<u8>, length: u64 },
    Config(MemorySource),
}

impl ByteSource for Source {
    fn path(&self) -> &str {
        match self {
            Self::Ones { .. } => "model.safetensors",
            Self::Config(config) => config.path(),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Ones { length, .. } => *length,
            Self::Config(config) => config.length(),
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Ones { header, .. } => {
                let byte =
                    |at: u64| header.get(at as usize).copied().unwrap_or([0, 0, 0x80, 0x3f][at as usize % 4]);
                Ok(range.map(byte).collect())
            }
            Self::Config(config) => config.read(range).await,
        }
    }
}

fn source(tensors: &[Value]) -> Source {
    let mut at = 0u64;
    let mut entries = serde_json::Map::new();
    for tensor in tensors {
        let size = match tensor[1].as_str().unwrap() {
            "F64" | "I64" => 8,
            "F32" | "I32" => 4,
            "BF16" | "F16" | "I16" => 2,
            _ => 1,
        };
        let bytes =
            size * tensor[2].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product::<u64>();
        entries.insert(
            tensor[0].as_str().unwrap().to_owned(),
            json!({"dtype": tensor[1], "shape": tensor[2], "data_offsets": [at, at + bytes]}),
        );
        at += bytes;
    }
    let mut text = serde_json::to_string(&entries).unwrap().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    let length = header.len() as u64 + at;
    Source::Ones { header, length }
}

fn open(document: &Value, with_config: bool) -> Result<Report, String> {
    let mut sources = vec![source(document["tensors"].as_array().unwrap())];
    if with_config && document["config"].is_object() {
        sources.push(Source::Config(MemorySource::new("config.json", document["config"].to_string())));
    }
    pollster::block_on(inspect(sources, |_| {}))
        .map(|inspection| inspection.report)
        .map_err(|error| error.to_string())
}

/// Counts of norm sites.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    right: u32,
    unknown: u32,
    wrong: u32,
    missing: u32,
    invented: u32,
}

impl Score {
    fn of(document: &Value, report: &Report) -> Self {
        let mut found: HashMap<&str, NormKind> =
            report.norms.iter().map(|norm| (norm.scale.as_deref().unwrap(), norm.kind)).collect();
        let saved: HashMap<&str, ()> = document["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tensor| (tensor[0].as_str().unwrap(), ()))
            .collect();
        let mut score = Self::default();
        let mut seen = HashMap::new();
        for norm in document["norms"].as_array().unwrap() {
            // Catalogues of very large models are trimmed, and one tensor may serve several modules.
            let Some(weight) = norm["weight"].as_str().filter(|weight| saved.contains_key(weight)) else {
                continue;
            };
            if seen.insert(weight, ()).is_some() {
                continue;
            }
            let expected = match norm["kind"].as_str() {
                Some("layer") => NormKind::LayerNorm,
                Some("rms") => NormKind::RmsNorm,
                Some("other") => NormKind::Other,
                _ => {
                    found.remove(weight);
                    continue;
                }
            };
            match found.remove(weight) {
                None => score.missing += 1,
                Some(NormKind::Unknown) => score.unknown += 1,
                Some(kind) if kind == expected => score.right += 1,
                Some(_) => score.wrong += 1,
            }
        }
        score.invented = found.len() as u32;
        score
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.unknown += other.unknown;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.invented += other.invented;
    }
}

/// Every document with its faults, the worst first, and the sum.
fn score(documents: &[(String, Value)], with_config: bool) -> (Score, Vec<(u32, &str, Score)>) {
    let mut total = Score::default();
    let mut worst = Vec::new();
    for (name, document) in documents {
        let report = open(document, with_config).unwrap_or_else(|error| panic!("{name}: {error}"));
        let score = Score::of(document, &report);
        worst.push((score.wrong + score.missing + score.invented, name.as_str(), score));
        total.add(score);
    }
    worst.sort_by_key(|(faults, ..)| std::cmp::Reverse(*faults));
    (total, worst)
}

#[test]
fn the_first_verdict_is_seldom_wrong_on_real_architectures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/architectures");
    let Ok(entries) = folder.read_dir() else {
        support::skipped("no ground truth beside this checkout");
        return;
    };
    let documents: Vec<(String, Value)> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .map(|path| {
            let document = serde_json::from_reader(GzDecoder::new(File::open(&path).unwrap())).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), document)
        })
        .collect();
    for (with_config, most_wrong, least_right) in [(true, 0.012, 0.9), (false, 0.015, 0.75)] {
        let (total, worst) = score(&documents, with_config);
        println!("{} documents, configuration {with_config}: {total:?}", documents.len());
        for (_, name, score) in worst.iter().take(10) {
            println!("  {name} {score:?}");
        }
        let sites = f64::from(total.right + total.unknown + total.wrong + total.missing);
        assert!(f64::from(total.wrong) < most_wrong * sites, "{total:?}");
        assert!(f64::from(total.missing + total.invented) < 0.01 * sites, "{total:?}");
        assert!(f64::from(total.right) > least_right * sites, "{total:?}");
    }
}
