//! The list of all tensors, and the documents beside them.

use super::Opened;
use crate::checkpoint::config::Config;
use crate::checkpoint::{Tensor, TensorError};
use crate::order;
use crate::report::contents::{Contents, Document};
use crate::source::ByteSource;
use serde_json::{Map, Value};

/// Longer texts, such as a chat template or a training log, are cut to this many characters.
const LONGEST_TEXT: usize = 2_000;

impl<S: ByteSource> Opened<S> {
    /// Every tensor of the files and every document about them.
    pub fn contents(&self) -> Contents {
        let checkpoint = &self.checkpoint;
        let tensors = &checkpoint.tensors;
        let (dtypes, dtype) = indexed(tensors.iter().map(|tensor| tensor.dtype.to_string()));
        let (shapes, shape) = indexed(tensors.iter().map(|tensor| tensor.shape.clone()));
        Contents {
            names: tensors.iter().map(|tensor| checkpoint.stored_name(&tensor.name).to_owned()).collect(),
            dtypes,
            dtype,
            shapes,
            shape,
            bytes: tensors.iter().map(Tensor::stored_bytes).collect(),
            files: checkpoint.shards.iter().map(|shard| shard.path().to_owned()).collect(),
            file: tensors.iter().map(|tensor| tensor.shard as u32).collect(),
            offset: tensors.iter().map(|tensor| self.checkpoint.offset(tensor)).collect(),
            documents: self.documents(),
        }
    }

    /// The values of a tensor, by its name in the file.
    pub async fn values(&self, name: &str) -> Result<Vec<f64>, TensorError> {
        let mut tensors = self.checkpoint.tensors.iter();
        match tensors.position(|tensor| self.checkpoint.stored_name(&tensor.name) == name) {
            Some(index) => self.checkpoint.values(index).await,
            None => Err(TensorError::Missing(name.to_owned())),
        }
    }

    fn documents(&self) -> Vec<Document> {
        let mut documents: Vec<Document> = Vec::new();
        for config in &self.checkpoint.configs {
            // If one GGUF file holds several models, each part has a configuration from the same metadata.
            if documents.iter().all(|known| known.path != config.path) {
                documents.push(of_config(config));
            }
        }
        for (shard, source) in self.checkpoint.shards.iter().enumerate() {
            let pairs = self.checkpoint.metadata_of(shard).iter();
            let pairs = map(pairs.map(|(key, text)| (key.clone(), shortened(text))));
            let of_file = documents.iter_mut().find(|known| known.metadata && known.path == source.path());
            if let Some(Document { fields: Value::Object(fields), .. }) = of_file {
                fields.extend(pairs);
                continue;
            }
            let fields = Value::Object(pairs);
            // All shards of a model usually say the same.
            let said = documents.iter().any(|known| known.metadata && known.fields == fields);
            if !said && fields.as_object().is_some_and(|pairs| !pairs.is_empty()) {
                documents.push(Document { path: source.path().to_owned(), metadata: true, fields });
            }
        }
        documents
    }
}

fn of_config(config: &Config) -> Document {
    let metadata = config.scope("").is_gguf();
    // Keys of a GGUF file have a dot. Those without one are added for readers that know the names of config.json.
    let fields = config.fields().iter().filter(|(key, _)| !metadata || key.contains('.'));
    let fields = fields.map(|(key, value)| match value {
        Value::String(text) => (key.clone(), shortened(text)),
        _ => (key.clone(), value.clone()),
    });
    Document { path: config.path.clone(), metadata, fields: Value::Object(map(fields)) }
}

/// A map of these pairs. `collect` would compile another sort, and the page would have to load it.
fn map(pairs: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, value) in pairs {
        map.insert(key, value);
    }
    map
}

/// A text, or its beginning.
fn shortened(text: &str) -> Value {
    let cut = text.char_indices().nth(LONGEST_TEXT).map(|(at, _)| at);
    Value::String(cut.map_or_else(|| text.to_owned(), |at| format!("{}…", &text[..at])))
}

/// The distinct values, sorted, and for each value its index among them.
fn indexed<T: Ord + Clone>(values: impl Iterator<Item = T>) -> (Vec<T>, Vec<u32>) {
    let values: Vec<T> = values.collect();
    let distinct = order::distinct(values.iter().cloned());
    let places = values.iter().map(|value| distinct.partition_point(|known| known < value) as u32).collect();
    (distinct, places)
}

#[cfg(test)]
mod tests {
    use crate::source::memory::MemorySource;
    use futures_util::FutureExt;
    use serde_json::json;

    fn safetensors(header: &serde_json::Value, data: &[u8]) -> Vec<u8> {
        let json = header.to_string();
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn opened() -> super::Opened<MemorySource> {
        let header = json!({
            "__metadata__": {"format": "pt", "log": "x".repeat(5_000)},
            "h.0.ln.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "h.10.ln.weight": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
            "h.2.ln.weight": {"dtype": "F16", "shape": [2, 1], "data_offsets": [16, 20]},
        });
        let mut data = [1.0_f32, f32::NAN, 3.0, 0.1].map(f32::to_le_bytes).concat();
        data.extend([0; 4]);
        let files = vec![
            MemorySource::new("m/model.safetensors", safetensors(&header, &data)),
            MemorySource::new("m/config.json", br#"{"model_type": "gpt2", "n_embd": 2}"#.to_vec()),
        ];
        crate::inspect::open(files, |_| {}).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn every_tensor_is_listed_with_its_type_shape_and_bytes() {
        let contents = opened().contents();
        assert_eq!(contents.names, ["h.0.ln.weight", "h.2.ln.weight", "h.10.ln.weight"]);
        let dtypes: Vec<&str> =
            contents.dtype.iter().map(|&at| contents.dtypes[at as usize].as_str()).collect();
        assert_eq!(dtypes, ["F32", "F16", "F32"]);
        assert_eq!(contents.shapes[contents.shape[1] as usize], [2, 1]);
        assert_eq!((contents.bytes, contents.file), (vec![8, 4, 8], vec![0, 0, 0]));
        assert_eq!(contents.offset[1] - contents.offset[0], 16);
    }

    #[test]
    fn documents_are_the_configuration_and_the_metadata_with_long_texts_cut() {
        let documents = opened().contents().documents;
        assert_eq!(documents.iter().map(|one| one.metadata).collect::<Vec<_>>(), [false, true]);
        assert_eq!(documents[0].fields["n_embd"], 2);
        assert_eq!(documents[1].fields["format"], "pt");
        assert_eq!(documents[1].fields["log"].as_str().map(|text| text.chars().count()), Some(2_001));
    }

    #[test]
    fn values_are_read_by_name_and_count_as_no_bytes_of_the_report() {
        let opened = opened();
        let before = opened.checkpoint().bytes_read();
        let values = opened.values("h.10.ln.weight").now_or_never().unwrap().unwrap();
        assert_eq!(values, [3.0, f64::from(0.1_f32)]);
        assert_eq!(opened.checkpoint().bytes_read(), before);
        let missing = opened.values("h.3.ln.weight").now_or_never().unwrap().unwrap_err();
        assert!(missing.to_string().contains("no tensor `h.3.ln.weight`"));
    }
}
