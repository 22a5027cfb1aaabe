//! Functions: a model may define operators of its own by nodes, and call them by name. Here the nodes of a function take the place of
//! each call, so that nothing after this needs to know of functions.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::OnnxProblem;
use super::proto::Builder;
use super::raw::{RawAttribute, RawFunction, RawNode};
use std::collections::HashMap;

/// Most calls inside each other. No exporter nests deeper, and a function must not call itself.
const MAX_DEPTH: usize = 32;

/// Bytes of memory that a node takes, beside its texts.
const OF_NODE: u64 = 512;

/// The domain, name and overload of a function.
type Key = [String; 3];

/// Functions with their nodes.
struct Calls {
    bodies: HashMap<Key, (RawFunction, Vec<RawNode>)>,
    made: Vec<RawNode>,
}

impl Builder {
    /// Returns the nodes of the network, without calls of functions.
    pub(super) fn inlined(&mut self) -> Result<Vec<RawNode>, OnnxProblem> {
        let nodes = std::mem::take(&mut self.nodes);
        let functions = std::mem::take(&mut self.functions);
        if functions.is_empty() {
            return Ok(nodes);
        }
        // Nodes of graphs inside a function's nodes are its own, too.
        let function_of = |mut scope: usize| {
            while let Some(outer) = self.scopes.get(scope).copied().flatten().filter(|&outer| outer < scope) {
                scope = outer;
            }
            functions.iter().position(|function| function.scope == scope)
        };
        let mut bodies = vec![Vec::new(); functions.len()];
        let mut own = Vec::new();
        for node in nodes {
            match function_of(node.scope).and_then(|function| bodies.get_mut(function)) {
                Some(body) => body.push(node),
                None => own.push(node),
            }
        }
        let keyed = functions.into_iter().zip(bodies).map(|(function, body)| {
            let key = [&function.domain, &function.name, &function.overload].map(String::clone);
            (key, (function, body))
        });
        let mut calls = Calls { bodies: keyed.collect(), made: Vec::new() };
        for node in own {
            calls.put(node, 0, self)?;
        }
        Ok(calls.made)
    }
}

impl Calls {
    /// Adds a node, or those of the function that it calls. Values inside the function get the name of what the call makes before
    /// theirs, and lie in the graph of the call.
    fn put(&mut self, call: RawNode, depth: usize, builder: &mut Builder) -> Result<(), OnnxProblem> {
        let key = [&call.domain, &call.op, &call.overload].map(String::clone);
        let Some((function, body)) = self.bodies.get(&key) else {
            self.made.push(call);
            return Ok(());
        };
        if depth >= MAX_DEPTH {
            return Err(OnnxProblem::TooMany);
        }
        let inputs =
            function.inputs.iter().zip(call.inputs.iter().map(String::as_str).chain(std::iter::repeat("")));
        let outputs = function.outputs.iter().zip(call.outputs.iter().map(String::as_str));
        let given: HashMap<&str, &str> =
            inputs.chain(outputs).map(|(own, given)| (own.as_str(), given)).collect();
        // No two nodes make the same value.
        let prefix = call.outputs.iter().find(|name| !name.is_empty()).unwrap_or(&call.name);
        let named = |name: &str| match given.get(name) {
            Some(given) => (*given).to_owned(),
            None if name.is_empty() => String::new(),
            None => format!("{prefix}/{name}"),
        };
        let inner: Vec<RawNode> = body
            .iter()
            .map(|node| RawNode {
                scope: call.scope,
                op: node.op.clone(),
                domain: node.domain.clone(),
                overload: node.overload.clone(),
                name: named(&node.name),
                inputs: node.inputs.iter().map(|name| named(name)).collect(),
                outputs: node.outputs.iter().map(|name| named(name)).collect(),
                attributes: node
                    .attributes
                    .iter()
                    .filter_map(|own| attribute(own, &call, function))
                    .collect(),
            })
            .collect();
        for node in inner {
            let texts = node.inputs.iter().chain(&node.outputs).map(|name| name.len() as u64);
            builder.take(texts.fold(OF_NODE, u64::saturating_add))?;
            self.put(node, depth.saturating_add(1), builder)?;
        }
        Ok(())
    }
}

/// An attribute inside a function: its own, or the one that the call gives it.
fn attribute(own: &RawAttribute, call: &RawNode, function: &RawFunction) -> Option<RawAttribute> {
    let Some(wanted) = &own.refers_to else { return Some(own.clone()) };
    let given = call.attributes.iter().chain(&function.defaults).find(|given| given.name == *wanted)?;
    Some(RawAttribute { name: own.name.clone(), ..given.clone() })
}
