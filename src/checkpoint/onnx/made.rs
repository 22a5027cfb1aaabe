//! The model that the parts of a file make: the graph, and the catalogue of its tensors.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::graph::{Constant, Graph, Node, Value, ValueId};
use super::proto::Builder;
use super::raw::{RawAttribute, RawTensor};
use super::{Beside, Model, OnnxProblem};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::Entry;
use std::collections::HashMap;

impl Builder {
    /// The model, after all fields have come in.
    pub(super) fn model(mut self) -> Result<Model, OnnxProblem> {
        let network = self.network.ok_or(OnnxProblem::NoGraph)?;
        let all = self.inlined()?;
        let mut made = Made { scopes: self.scopes, ..Made::default() };
        for (scope, tensor) in self.tensors {
            let value = made.define(scope, &tensor.name);
            let name = tensor.name.clone();
            made.store(value, name, tensor)?;
        }
        for info in self.infos {
            let value = made.define(info.scope, &info.name);
            let is_output = info.is_output && info.scope == network;
            if let Some(value) = made.graph.values.get_mut(value) {
                value.is_output |= is_output;
                value.shape = info.shape.or(value.shape.take());
            }
        }
        let mut nodes = Vec::with_capacity(all.len());
        for mut node in all {
            node.attributes.retain(RawAttribute::is_known);
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
        let RawAttribute { name, wholes, real, reals, real_list, tensor, .. } = attribute;
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
