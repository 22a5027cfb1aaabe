//! The messages of `onnx.proto`, as far as they are needed: which fields to read, and what they say.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::OnnxProblem;
use super::raw::{FEW, Numbers, RawAttribute, RawFunction, RawInfo, RawNode, RawTensor};
use super::varint::packed;
use std::ops::Range;

/// The messages that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Graph,
    Function,
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

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 64;

impl Kind {
    pub(super) fn action(self, field: u64) -> Action {
        use Action::{Enter, Keep, Skip};
        match (self, field) {
            (Self::Model, 7) => Enter(Self::Graph),
            (Self::Model, 25) => Enter(Self::Function),
            (Self::Function, 1 | 4 | 5 | 10 | 13) => Keep(NAME),
            (Self::Function, 7) => Enter(Self::Node),
            (Self::Function, 11) => Enter(Self::Attribute),
            (Self::Graph, 1) => Enter(Self::Node),
            (Self::Graph, 5) => Enter(Self::Tensor),
            (Self::Graph, 11..=13) => Enter(Self::Info),
            (Self::Node, 1..=4 | 7 | 8) => Keep(NAME),
            (Self::Node, 5) => Enter(Self::Attribute),
            (Self::Attribute, 1 | 21) => Keep(NAME),
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

/// The parts of a model, while its fields come in.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// The graph around each graph, and `None` for a function. The network itself may be any of those without.
    pub(super) scopes: Vec<Option<usize>>,
    /// The network.
    pub(super) network: Option<usize>,
    /// Functions by their names.
    pub(super) functions: Vec<RawFunction>,
    /// The graphs that are being read.
    within: Vec<usize>,
    pub(super) nodes: Vec<RawNode>,
    /// Stored tensors by their graph.
    pub(super) tensors: Vec<(usize, RawTensor)>,
    pub(super) infos: Vec<RawInfo>,
    open_nodes: Vec<RawNode>,
    open_attributes: Vec<RawAttribute>,
    tensor: Option<RawTensor>,
    pair: (String, String),
    info: RawInfo,
    dimension: Option<u64>,
    /// Bytes of memory that may still be taken, roughly.
    pub(super) left: u64,
}

/// Bytes of memory that a message takes until the model is made, roughly.
fn cost(kind: Kind) -> u64 {
    match kind {
        Kind::Graph | Kind::Function | Kind::Info | Kind::Attribute => 256,
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

    pub(super) fn take(&mut self, bytes: u64) -> Result<(), OnnxProblem> {
        self.left = self.left.checked_sub(bytes).ok_or(OnnxProblem::TooMany)?;
        Ok(())
    }

    /// A message begins, as a field of another.
    pub(super) fn enter(&mut self, outer: Kind, kind: Kind, field: u64) -> Result<(), OnnxProblem> {
        self.take(cost(kind))?;
        let scope = self.within.last().copied();
        match kind {
            Kind::Graph => {
                if outer == Kind::Model {
                    self.network.get_or_insert(self.scopes.len());
                }
                self.within.push(self.scopes.len());
                self.scopes.push(scope);
            }
            Kind::Function => {
                let scope = self.scopes.len();
                self.functions.push(RawFunction { scope, ..RawFunction::default() });
                self.within.push(scope);
                self.scopes.push(None);
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
                    7 => node.domain = text,
                    _ => node.overload = text,
                }
            }
            (Kind::Function, _) => {
                let text = text(bytes)?;
                let Some(function) = self.functions.last_mut() else { return Ok(()) };
                match field {
                    1 => function.name = text,
                    4 => function.inputs.push(text),
                    5 => function.outputs.push(text),
                    10 => function.domain = text,
                    _ => function.overload = text,
                }
            }
            (Kind::Attribute, 1 | 21) => {
                let text = text(bytes)?;
                match (self.open_attributes.last_mut(), field) {
                    (Some(attribute), 1) => attribute.name = text,
                    (Some(attribute), _) => attribute.refers_to = Some(text),
                    (None, _) => {}
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
            Kind::Graph | Kind::Function => {
                self.within.pop();
            }
            Kind::Node => self.nodes.extend(self.open_nodes.pop()),
            Kind::Attribute => {
                let attribute = self.open_attributes.pop().filter(RawAttribute::is_kept);
                match (self.open_nodes.last_mut(), self.functions.last_mut()) {
                    (Some(node), _) => node.attributes.extend(attribute),
                    (None, Some(function)) => function.defaults.extend(attribute),
                    (None, None) => {}
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
