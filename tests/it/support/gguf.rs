//! Writes GGUF files, valid ones and ones with one fault.

/// A file to build.
#[derive(Clone)]
pub(crate) struct Gguf {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    /// The counts of tensors and pairs to write in place of the true ones.
    pub(crate) counts: (Option<u64>, Option<u64>),
    pairs: Vec<Vec<u8>>,
    tensors: Vec<Tensor>,
}

#[derive(Clone)]
struct Tensor {
    name: Vec<u8>,
    shape: Vec<u64>,
    kind: u32,
    data: Vec<u8>,
    offset: Option<u64>,
}

pub(crate) const F32: u32 = 0;
pub(crate) const F16: u32 = 1;
pub(crate) const Q8_0: u32 = 8;
pub(crate) const Q4_K: u32 = 12;

/// A text in the encoding of the format.
pub(crate) fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

/// A list in the encoding of the format: type, count, members.
pub(crate) fn list(kind: u32, count: u64, members: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), members].concat()
}

pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl Gguf {
    pub(crate) fn new() -> Self {
        let (pairs, tensors) = (Vec::new(), Vec::new());
        Self { magic: *b"GGUF", version: 3, alignment: 32, counts: (None, None), pairs, tensors }
    }

    /// A model of this architecture.
    pub(crate) fn of(architecture: &str) -> Self {
        Self::new().text("general.architecture", architecture)
    }

    /// Adds a pair of metadata with an encoded value.
    pub(crate) fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push([&text(key.as_bytes())[..], &kind.to_le_bytes(), value].concat());
        self
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.pair(key, 8, &text(value.as_bytes()))
    }

    pub(crate) fn u16(self, key: &str, value: u16) -> Self {
        self.pair(key, 2, &value.to_le_bytes())
    }

    pub(crate) fn u32(self, key: &str, value: u32) -> Self {
        self.pair(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn f32(self, key: &str, value: f32) -> Self {
        self.pair(key, 6, &value.to_le_bytes())
    }

    /// Adds a tensor. The first dimension of `shape` is the outermost.
    pub(crate) fn tensor(mut self, name: &str, shape: &[u64], kind: u32, data: Vec<u8>) -> Self {
        let (name, shape) = (name.as_bytes().to_vec(), shape.to_vec());
        self.tensors.push(Tensor { name, shape, kind, data, offset: None });
        self
    }

    pub(crate) fn values(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<u64>(), values.len() as u64, "{name}");
        self.tensor(name, shape, F32, f32s(values))
    }

    /// Puts the last tensor at this offset of the data, even if that overlaps another tensor.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        if let Some(tensor) = self.tensors.last_mut() {
            tensor.offset = Some(offset);
        }
        self
    }

    /// Gives the last tensor a name that need not be text.
    pub(crate) fn named(mut self, name: &[u8]) -> Self {
        if let Some(tensor) = self.tensors.last_mut() {
            tensor.name = name.to_vec();
        }
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.counts.0.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        bytes.extend(self.counts.1.unwrap_or(self.pairs.len() as u64).to_le_bytes());
        self.pairs.iter().for_each(|pair| bytes.extend(pair));
        let mut data = Vec::new();
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(self.alignment as usize), 0);
        }
        bytes.resize(bytes.len().next_multiple_of(self.alignment as usize), 0);
        bytes.extend(data);
        bytes
    }
}
