//! The messages of `onnx.proto`, as far as they are needed: which fields to read, and the model made of them.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::graph::{Attribute, Constant, Graph, Node, Value, ValueId};
use super::varint::packed;
use super::{Beside, Model, OnnxProblem};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::Entry;
use std::collections::HashMap;
use std::ops::Range;

/// The messages that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// A pair of texts: where a tensor lies outside the file.
    Pair,
    Info,
    Type,
    TensorType,
    Shape,
    Dimension,
}

/// What is done with a field of bytes.
pub(super) enum Action {
    /// It is a message, to be read.
    Enter(Kind),
    /// It is read if it has at most this many bytes. In any case its place is noted.
    Keep(u64),
    Skip,
}

/// Longest name, in bytes.
const NAME: u64 = 65_535;

/// Longest list of dimensions, axes or other small numbers, in bytes.
const LIST: u64 = 1024;

/// Most numbers of a constant that are kept: axes, exponents, target shapes.
const FEW: usize = 64;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 64;

impl Kind {
    pub(super) fn action(self, field: u64) -> Action {
        use Action::{Enter, Keep, Skip};
        match (self, field) {
            (Self::Model, 7) => Enter(Self::Graph),
            (Self::Graph, 1) => Enter(Self::Node),
            (Self::Graph, 5) => Enter(Self::Tensor),
            (Self::Graph, 11..=13) => Enter(Self::Info),
            (Self::Node, 1..=4 | 7) => Keep(NAME),
            (Self::Node, 5) => Enter(Self::Attribute),
            (Self::Attribute, 1) => Keep(NAME),
            (Self::Attribute, 5) => Enter(Self::Tensor),
            (Self::Attribute, 6 | 11) => Enter(Self::Graph),
            (Self::Attribute, 7 | 8) => Keep(LIST),
            (Self::Tensor, 1) => Keep(LIST),
            (Self::Tensor, 4 | 5 | 7 | 9 | 10 | 11) => Keep(LIST),
            (Self::Tensor, 8) => Keep(NAME),
            (Self::Tensor, 13) => Enter(Self::Pair),
            (Self::Pair, 1 | 2) => Keep(NAME),
            (Self::Info, 1) => Keep(NAME),
            (Self::Info, 2) => Enter(Self::Type),
            (Self::Type, 1) => Enter(Self::TensorType),
            (Self::TensorType, 2) => Enter(Self::Shape),
            (Self::Shape, 1) => Enter(Self::Dimension),
            _ => Skip,
        }
    }
}

/// Where the numbers of a tensor lie: the field of `TensorProto`, and its bytes in the file.
#[derive(Debug, Clone, PartialEq)]
struct Numbers {
    field: u64,
    range: Range<u64>,
    /// The bytes, if they are few.
    few: Option<Vec<u8>>,
}

/// A tensor as the file describes it.
#[derive(Debug, Default)]
struct RawTensor {
    name: String,
    shape: Vec<u64>,
    kind: u64,
    numbers: Option<Numbers>,
    /// Numbers each with a tag of its own, which no range of bytes holds.
    scattered: Vec<f64>,
    is_scattered: bool,
    pairs: Vec<(String, String)>,
    is_external: bool,
    /// Whether it is the value of an attribute, rather than an initialiser.
    of_attribute: bool,
}

#[derive(Debug, Default)]
struct RawAttribute {
    name: String,
    wholes: Vec<i64>,
    real: Option<f64>,
    reals: Option<Numbers>,
    real_list: Vec<f64>,
    tensor: Option<RawTensor>,
}

#[derive(Debug, Default)]
struct RawNode {
    scope: usize,
    op: String,
    domain: String,
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<RawAttribute>,
}

#[derive(Debug, Default)]
struct RawInfo {
    scope: usize,
    is_output: bool,
    name: String,
    shape: Option<Vec<Option<u64>>>,
}

/// Attributes that are kept: the others say nothing about norms and what reads them.
const ATTRIBUTES: [&str; 15] = [
    "axis",
    "axes",
    "keepdims",
    "perm",
    "transA",
    "transB",
    "group",
    "pads",
    "K",
    "N",
    "value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
];

/// The model, while its fields come in.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// The graph around each graph. The first is the network itself.
    scopes: Vec<Option<usize>>,
    /// The graphs that are being read.
    within: Vec<usize>,
    nodes: Vec<RawNode>,
    /// Stored tensors by their graph.
    tensors: Vec<(usize, RawTensor)>,
    infos: Vec<RawInfo>,
    open_nodes: Vec<RawNode>,
    open_attributes: Vec<RawAttribute>,
    tensor: Option<RawTensor>,
    pair: (String, String),
    info: RawInfo,
    dimension: Option<u64>,
    /// Bytes of memory that may still be taken, roughly.
    left: u64,
}

/// Bytes of memory that a message takes until the model is made, roughly.
fn cost(kind: Kind) -> u64 {
    match kind {
        Kind::Graph | Kind::Info | Kind::Attribute => 256,
        Kind::Node | Kind::Tensor => 512,
        Kind::Model | Kind::Pair | Kind::Type | Kind::TensorType | Kind::Shape | Kind::Dimension => 32,
    }
}

/// The same of a text beside its bytes, and how often these are kept.
const OF_TEXT: u64 = 128;
const COPIES: u64 = 3;

impl Builder {
    /// A model that may take `most` bytes of memory, roughly.
    pub(super) fn new(most: u64) -> Self {
        Self { left: most, ..Self::default() }
    }

    fn take(&mut self, bytes: u64) -> Result<(), OnnxProblem> {
        self.left = self.left.checked_sub(bytes).ok_or(OnnxProblem::TooMany)?;
        Ok(())
    }

    /// A message begins, as a field of another.
    pub(super) fn enter(&mut self, outer: Kind, kind: Kind, field: u64) -> Result<(), OnnxProblem> {
        self.take(cost(kind))?;
        let scope = self.within.last().copied();
        match kind {
            Kind::Graph => {
                self.within.push(self.scopes.len());
                self.scopes.push(scope);
            }
            Kind::Node => {
                self.open_nodes.push(RawNode { scope: scope.unwrap_or_default(), ..RawNode::default() })
            }
            Kind::Attribute => self.open_attributes.push(RawAttribute::default()),
            Kind::Tensor => {
                self.tensor = Some(RawTensor { of_attribute: outer == Kind::Attribute, ..Default::default() })
            }
            Kind::Pair => self.pair = Default::default(),
            Kind::Info => {
                self.info =
                    RawInfo { scope: scope.unwrap_or_default(), is_output: field == 12, ..RawInfo::default() }
            }
            Kind::Shape => self.info.shape = Some(Vec::new()),
            Kind::Dimension => self.dimension = None,
            Kind::Model | Kind::Type | Kind::TensorType => {}
        }
        Ok(())
    }

    /// A whole number.
    pub(super) fn number(&mut self, kind: Kind, field: u64, value: u64) -> Result<(), OnnxProblem> {
        match (kind, field) {
            (Kind::Tensor, _) => {
                let Some(tensor) = &mut self.tensor else { return Ok(()) };
                match field {
                    1 if tensor.shape.len() < MAX_DIMENSIONS => tensor.shape.push(value),
                    1 => return Err(OnnxProblem::TooMany),
                    2 => tensor.kind = value,
                    5 | 7 | 11 => tensor.scatter(value as i64 as f64),
                    14 => tensor.is_external = value == 1,
                    _ => {}
                }
            }
            (Kind::Attribute, 3 | 8) => {
                if let Some(attribute) = self.open_attributes.last_mut()
                    && attribute.wholes.len() < FEW
                {
                    attribute.wholes.push(value as i64);
                }
            }
            (Kind::Dimension, 1) => self.dimension = i64::try_from(value).ok().map(|value| value as u64),
            _ => {}
        }
        Ok(())
    }

    /// A number of four or eight bytes.
    pub(super) fn fixed(&mut self, kind: Kind, field: u64, value: f64) {
        match (kind, field) {
            (Kind::Tensor, 4 | 10) => {
                if let Some(tensor) = &mut self.tensor {
                    tensor.scatter(value);
                }
            }
            (Kind::Attribute, 2 | 7) => {
                if let Some(attribute) = self.open_attributes.last_mut() {
                    attribute.real = Some(value);
                    if field == 7 && attribute.real_list.len() < FEW {
                        attribute.real_list.push(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// A text, a list of numbers or raw bytes. `bytes` is `None` if there are too many.
    pub(super) fn bytes(
        &mut self,
        kind: Kind,
        field: u64,
        range: Range<u64>,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), OnnxProblem> {
        let length = bytes.as_ref().map_or(0, Vec::len) as u64;
        self.take(length.saturating_mul(COPIES).saturating_add(OF_TEXT))?;
        let damaged = OnnxProblem::Damaged { byte: range.start };
        let text = |bytes: Option<Vec<u8>>| {
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| damaged.clone())
        };
        match (kind, field) {
            (Kind::Node, _) => {
                let text = text(bytes)?;
                let Some(node) = self.open_nodes.last_mut() else { return Ok(()) };
                match field {
                    1 => node.inputs.push(text),
                    2 => node.outputs.push(text),
                    3 => node.name = text,
                    4 => node.op = text,
                    _ => node.domain = text,
                }
            }
            (Kind::Attribute, 1) => {
                let text = text(bytes)?;
                if let Some(attribute) = self.open_attributes.last_mut() {
                    attribute.name = text;
                }
            }
            (Kind::Attribute, 7) => {
                if let Some(attribute) = self.open_attributes.last_mut() {
                    attribute.reals = Some(Numbers { field: 4, range, few: bytes });
                }
            }
            (Kind::Attribute, _) => {
                let wholes = bytes.as_deref().map(packed).unwrap_or_default().unwrap_or_default();
                if let Some(attribute) = self.open_attributes.last_mut() {
                    attribute.wholes.extend(wholes.into_iter().take(FEW).map(|value| value as i64));
                }
            }
            (Kind::Tensor, 1) => {
                let sizes = bytes.as_deref().and_then(packed).ok_or_else(|| damaged.clone())?;
                if let Some(tensor) = &mut self.tensor {
                    tensor.shape.extend(sizes);
                    if tensor.shape.len() > MAX_DIMENSIONS {
                        return Err(OnnxProblem::TooMany);
                    }
                }
            }
            (Kind::Tensor, 8) => {
                let text = text(bytes)?;
                if let Some(tensor) = &mut self.tensor {
                    tensor.name = text;
                }
            }
            (Kind::Tensor, _) => {
                if let Some(tensor) = self.tensor.as_mut().filter(|_| !range.is_empty()) {
                    // A list may be cut into several fields. No writer does so, and no single range holds them.
                    tensor.is_scattered |= tensor.numbers.is_some();
                    tensor.numbers = Some(Numbers { field, range, few: bytes });
                }
            }
            (Kind::Pair, 1) => self.pair.0 = text(bytes)?,
            (Kind::Pair, _) => self.pair.1 = text(bytes)?,
            (Kind::Info, _) => self.info.name = text(bytes)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, kind: Kind) -> Result<(), OnnxProblem> {
        match kind {
            Kind::Graph => {
                self.within.pop();
            }
            Kind::Node => self.nodes.extend(self.open_nodes.pop()),
            Kind::Attribute => {
                let attribute = self.open_attributes.pop();
                if let (Some(node), Some(attribute)) = (self.open_nodes.last_mut(), attribute)
                    && ATTRIBUTES.contains(&attribute.name.as_str())
                {
                    node.attributes.push(attribute);
                }
            }
            Kind::Tensor => {
                let Some(tensor) = self.tensor.take() else { return Ok(()) };
                match (tensor.of_attribute, self.open_attributes.last_mut(), self.within.last()) {
                    (true, Some(attribute), _) => attribute.tensor = Some(tensor),
                    (false, _, Some(&scope)) => self.tensors.push((scope, tensor)),
                    _ => {}
                }
            }
            Kind::Pair => {
                let pair = std::mem::take(&mut self.pair);
                if let Some(tensor) = &mut self.tensor {
                    tensor.pairs.push(pair);
                }
            }
            Kind::Info => self.infos.push(std::mem::take(&mut self.info)),
            Kind::Dimension => {
                if let Some(shape) = &mut self.info.shape {
                    if shape.len() >= MAX_DIMENSIONS {
                        return Err(OnnxProblem::TooMany);
                    }
                    shape.push(self.dimension.take());
                }
            }
            Kind::Model | Kind::Type | Kind::TensorType | Kind::Shape => {}
        }
        Ok(())
    }
}

impl Builder {
    /// The model, after all fields have come in.
    pub(super) fn model(self) -> Result<Model, OnnxProblem> {
        if self.scopes.is_empty() {
            return Err(OnnxProblem::NoGraph);
        }
        let mut made = Made { scopes: self.scopes, ..Made::default() };
        for (scope, tensor) in self.tensors {
            let value = made.define(scope, &tensor.name);
            let name = tensor.name.clone();
            made.store(value, name, tensor)?;
        }
        for info in self.infos {
            let value = made.define(info.scope, &info.name);
            let is_output = info.is_output && info.scope == 0;
            if let Some(value) = made.graph.values.get_mut(value) {
                value.is_output |= is_output;
                value.shape = info.shape.or(value.shape.take());
            }
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for mut node in self.nodes {
            let outputs: Vec<Option<ValueId>> = node
                .outputs
                .iter()
                .map(|name| (!name.is_empty()).then(|| made.define(node.scope, name)))
                .collect();
            match outputs.first() {
                Some(&Some(value)) if node.op == "Constant" && node.domain.is_empty() => {
                    if let Some(attribute) = node.attributes.pop() {
                        made.state(value, attribute)?;
                    }
                }
                _ => nodes.push((node, outputs)),
            }
        }
        for (node, outputs) in nodes {
            let inputs = node.inputs.iter();
            let inputs = inputs.map(|name| (!name.is_empty()).then(|| made.find(node.scope, name))).collect();
            let op = match node.domain.as_str() {
                "" | "ai.onnx" | "com.microsoft" => node.op,
                domain => format!("{domain}::{}", node.op),
            };
            let attributes = node.attributes.into_iter().filter_map(RawAttribute::kept).collect();
            made.graph.nodes.push(Node { op, name: node.name, inputs, outputs, attributes });
        }
        made.unpack();
        let beside = Beside { graph: made.graph, external: made.external };
        Ok(Model { entries: made.entries, beside })
    }
}

impl RawAttribute {
    fn kept(self) -> Option<(String, Attribute)> {
        let value = match self.real.filter(|_| self.wholes.is_empty()) {
            Some(real) => Attribute::Real(real),
            None => Attribute::Whole(self.wholes),
        };
        Some((self.name, value))
    }
}

/// The model in the making.
#[derive(Default)]
struct Made {
    scopes: Vec<Option<usize>>,
    graph: Graph,
    /// Values by their graph and name.
    by_name: HashMap<(usize, String), ValueId>,
    entries: Vec<Entry>,
    external: Vec<(String, Vec<Entry>)>,
    /// How often each name is in the catalogue.
    names: HashMap<String, usize>,
}

impl Made {
    /// The value of this name in this graph.
    fn define(&mut self, scope: usize, name: &str) -> ValueId {
        let Self { graph, by_name, .. } = self;
        *by_name.entry((scope, name.to_owned())).or_insert_with(|| {
            graph.values.push(Value { name: name.to_owned(), ..Value::default() });
            graph.values.len().saturating_sub(1)
        })
    }

    /// The value that a name stands for in this graph: its own, or one of a graph around it.
    fn find(&mut self, scope: usize, name: &str) -> ValueId {
        let mut at = Some(scope);
        while let Some(inside) = at {
            if let Some(&value) = self.by_name.get(&(inside, name.to_owned())) {
                return value;
            }
            at = self.scopes.get(inside).copied().flatten().filter(|&outer| outer < inside);
        }
        self.define(scope, name)
    }

    /// A name that no other tensor of the catalogue has: branches may use one name each.
    fn unique(&mut self, name: String) -> String {
        let times = self.names.entry(name.clone()).or_default();
        *times = times.saturating_add(1);
        if *times > 1 { format!("{name}#{times}") } else { name }
    }

    /// Takes what a `Constant` node states.
    fn state(&mut self, value: ValueId, attribute: RawAttribute) -> Result<(), OnnxProblem> {
        let RawAttribute { name, wholes, real, reals, real_list, tensor } = attribute;
        let single = |numbers: Vec<f64>| Constant { tensor: None, shape: Vec::new(), numbers: Some(numbers) };
        let wholes: Vec<f64> = wholes.into_iter().map(|whole| whole as f64).collect();
        let constant = match (name.as_str(), tensor, reals) {
            ("value", Some(tensor), _) => {
                let name = self.graph.values.get(value).map(|value| value.name.clone()).unwrap_or_default();
                return self.store(value, name, tensor);
            }
            ("value_floats", _, Some(reals)) => {
                let length = reals.range.end.saturating_sub(reals.range.start);
                let name = self.graph.values.get(value).map(|value| value.name.clone()).unwrap_or_default();
                let shape = vec![length.checked_div(4).unwrap_or_default()];
                let tensor = RawTensor { shape, kind: 1, numbers: Some(reals), ..RawTensor::default() };
                return self.store(value, name, tensor);
            }
            ("value_floats", _, None) => {
                Constant { tensor: None, shape: vec![real_list.len() as u64], numbers: Some(real_list) }
            }
            ("value_ints", ..) => {
                Constant { tensor: None, shape: vec![wholes.len() as u64], numbers: Some(wholes) }
            }
            ("value_float", ..) => single(real.into_iter().collect()),
            _ => single(wholes),
        };
        if let Some(value) = self.graph.values.get_mut(value) {
            value.constant = Some(constant);
        }
        Ok(())
    }

    /// Takes a stored tensor, and adds it to the catalogue.
    fn store(&mut self, value: ValueId, name: String, tensor: RawTensor) -> Result<(), OnnxProblem> {
        let numbers = tensor.few();
        let shape = tensor.shape.clone();
        let name = match tensor.is_of_catalogue()? {
            true => {
                let name = self.unique(name);
                match tensor.location() {
                    Some(location) => {
                        let entry = tensor.elsewhere(name.clone())?;
                        match self.external.iter_mut().find(|(known, _)| *known == location) {
                            Some((_, entries)) => entries.push(entry),
                            None => self.external.push((location, vec![entry])),
                        }
                    }
                    None => self.entries.push(tensor.entry(name.clone())?),
                }
                Some(name)
            }
            false => None,
        };
        if let Some(value) = self.graph.values.get_mut(value) {
            value.constant = Some(Constant { tensor: name, shape, numbers });
        }
        Ok(())
    }

    /// Gives matrices of packed 4-bit codes the shape of the matrix that they stand for.
    fn unpack(&mut self) {
        for node in self.graph.nodes.iter().filter(|node| node.op == "MatMulNBits") {
            let size = |name| node.whole(name).and_then(|size| u64::try_from(size).ok());
            let (Some(outputs), Some(inputs)) = (size("N"), size("K")) else { continue };
            let codes = node.input(1).and_then(|codes| self.graph.values.get_mut(codes)?.constant.as_mut());
            let Some(codes) = codes.filter(|_| outputs.checked_mul(inputs).is_some()) else { continue };
            let own = |entry: &&mut Entry| Some(&entry.name) == codes.tensor.as_ref();
            let external = self.external.iter_mut().flat_map(|(_, entries)| entries);
            if let Some(entry) = self.entries.iter_mut().chain(external).find(own) {
                codes.shape = vec![outputs, inputs];
                entry.shape = vec![outputs, inputs];
                entry.dtype = TensorType::Packed("MatMulNBits");
            }
        }
    }
}

/// The element type with this number in `TensorProto.DataType`, and bits of one element.
fn element(kind: u64) -> (TensorType, Option<u64>) {
    let name = match kind {
        1 => "F32",
        2 => "U8",
        3 => "I8",
        4 => "U16",
        5 => "I16",
        6 => "I32",
        7 => "I64",
        9 => "BOOL",
        10 => "F16",
        11 => "F64",
        12 => "U32",
        13 => "U64",
        14 => "C64",
        15 => return (TensorType::Unknown("COMPLEX128".to_owned()), Some(128)),
        16 => "BF16",
        17 => "F8_E4M3",
        18 => "F8_E4M3FNUZ",
        19 => "F8_E5M2",
        20 => "F8_E5M2FNUZ",
        21 => return (TensorType::Packed("UINT4"), Some(4)),
        22 => return (TensorType::Packed("INT4"), Some(4)),
        23 => return (TensorType::Packed("FLOAT4E2M1"), Some(4)),
        24 => "F8_E8M0",
        25 => return (TensorType::Packed("UINT2"), Some(2)),
        26 => return (TensorType::Packed("INT2"), Some(2)),
        other => return (TensorType::Unknown(format!("ONNX type {other}")), None),
    };
    let kind = TensorType::parse(name);
    let bits = kind.bits();
    (kind, bits)
}

/// Types of whole numbers in which shapes, axes and conditions are computed.
const OF_SHAPES: [u64; 5] = [6, 7, 9, 12, 13];

/// The type of texts.
const TEXT: u64 = 8;

impl RawTensor {
    fn scatter(&mut self, value: f64) {
        self.is_scattered = true;
        if self.scattered.len() < FEW {
            self.scattered.push(value);
        }
    }

    fn elements(&self) -> Result<u64, OnnxProblem> {
        let product = self.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        product.ok_or_else(|| self.overflow(&self.name))
    }

    fn overflow(&self, name: &str) -> OnnxProblem {
        OnnxProblem::SizeOverflow { tensor: name.to_owned(), shape: self.shape.clone() }
    }

    /// Whether it is a tensor of the model: no single number, no text, and no few whole numbers of a shape.
    fn is_of_catalogue(&self) -> Result<bool, OnnxProblem> {
        let elements = self.elements()?;
        let of_shape = OF_SHAPES.contains(&self.kind) && elements <= FEW as u64;
        Ok(elements > 1 && !of_shape && self.kind != TEXT)
    }

    /// The file that has its numbers, from the folder of this one.
    fn location(&self) -> Option<String> {
        let location = self.pairs.iter().find(|(key, _)| key == "location");
        let location = location.map(|(_, value)| value.trim_start_matches("./").to_owned());
        self.is_external.then(|| location.unwrap_or_default())
    }

    /// Bytes that its numbers take, if its type shows it.
    fn size(&self, name: &str) -> Result<Option<u64>, OnnxProblem> {
        let (_, Some(bits)) = element(self.kind) else { return Ok(None) };
        let bits = self.elements()?.checked_mul(bits).ok_or_else(|| self.overflow(name))?;
        Ok(Some(bits.div_ceil(8)))
    }

    fn elsewhere(&self, name: String) -> Result<Entry, OnnxProblem> {
        let place = |key: &str| {
            let Some((_, value)) = self.pairs.iter().find(|(known, _)| known == key) else { return Ok(None) };
            let wrong = |_| OnnxProblem::ExternalPlace {
                tensor: name.clone(),
                key: key.to_owned(),
                value: value.clone(),
            };
            value.trim().parse::<u64>().map(Some).map_err(wrong)
        };
        let (begin, length) = (place("offset")?.unwrap_or_default(), place("length")?);
        let (dtype, _) = element(self.kind);
        let size = self.size(&name)?;
        if let (Some(expected), Some(got)) = (size, length)
            && expected != got
        {
            let (shape, dtype) = (self.shape.clone(), dtype.to_string());
            return Err(OnnxProblem::SizeMismatch { tensor: name, shape, dtype, begin, expected, got });
        }
        let bytes = size.or(length).unwrap_or_default();
        let end = begin.checked_add(bytes).ok_or_else(|| self.overflow(&name))?;
        Ok(Entry { name, dtype, shape: self.shape.clone(), begin, end, strides: None })
    }

    fn entry(self, name: String) -> Result<Entry, OnnxProblem> {
        let (mut dtype, bits) = element(self.kind);
        let (field, range) = match &self.numbers {
            Some(numbers) => (numbers.field, numbers.range.clone()),
            None => (0, 0..0),
        };
        // Only these fields hold the numbers byte for byte.
        let plain = match field {
            9 => true,
            4 => matches!(self.kind, 1 | 14),
            10 => matches!(self.kind, 11 | 15),
            _ => self.numbers.is_none(),
        };
        if self.is_scattered || !plain {
            dtype = TensorType::Unknown(format!("{dtype} number by number"));
        } else if bits.is_some() {
            let expected = self.size(&name)?.unwrap_or_default();
            let got = range.end.saturating_sub(range.start);
            if expected != got {
                let (shape, dtype, begin) = (self.shape, dtype.to_string(), range.start);
                return Err(OnnxProblem::SizeMismatch { tensor: name, shape, dtype, begin, expected, got });
            }
        }
        Ok(Entry { name, dtype, shape: self.shape, begin: range.start, end: range.end, strides: None })
    }

    /// Its numbers, if they are few and stored in a way that is decoded.
    fn few(&self) -> Option<Vec<f64>> {
        let elements = self.elements().ok().filter(|&elements| elements <= FEW as u64)? as usize;
        let is_half = matches!(self.kind, 10 | 16);
        let numbers = match &self.numbers {
            None if self.is_scattered && !is_half => self.scattered.clone(),
            None => return (elements == 0).then(Vec::new),
            Some(_) if self.is_scattered => return None,
            Some(Numbers { field, few, .. }) => {
                let bytes = few.as_deref()?;
                match field {
                    9 => element(self.kind).0.decode(bytes).ok()?,
                    4 => TensorType::parse("F32").decode(bytes).ok()?,
                    10 => TensorType::parse("F64").decode(bytes).ok()?,
                    _ if is_half => {
                        let halves = packed(bytes)?;
                        let bytes: Vec<u8> =
                            halves.into_iter().flat_map(|half| (half as u16).to_le_bytes()).collect();
                        element(self.kind).0.decode(&bytes).ok()?
                    }
                    _ => packed(bytes)?.into_iter().map(|value| value as i64 as f64).collect(),
                }
            }
        };
        (numbers.len() == elements).then_some(numbers)
    }
}
