//! Finds the tensors of a model in what a pickle describes: a plain dictionary of names, one inside another dictionary, or a
//! whole module. The contents decide, not the keys: the mapping with the most numbers is the model, and an optimizer's state
//! never is.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::super::copies::is_average;
use super::PyTorchProblem;
use super::pickle::{Id, Machine, Value};
use crate::order;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// How deep containers inside containers are searched.
const MAX_DEPTH: usize = 64;

/// Most tensors of one model, and most bytes of their names.
const MAX_TENSORS: usize = 1 << 20;
const MAX_NAME_BYTES: usize = 64 << 20;
/// The same limits at the beginning of a pickle, and how many bytes of it allow one more. A module that is used in many places has a
/// name for each.
const FEW_TENSORS: usize = 8192;
const BYTES_A_TENSOR: usize = 32;
const FEW_NAME_BYTES: usize = 1 << 20;

/// Most entries to look at for each value of the pickle: objects may share one long dictionary.
const LOOKS_A_VALUE: u64 = 512;

/// Letters of a key that a sentence shows.
const SHOWN: usize = 60;

/// Keys of a dictionary that hold a whole model, or one of several. They are not part of the names in it.
const WRAPPERS: [&str; 30] = [
    "averaged_model",
    "best_model",
    "critic",
    "d",
    "discriminator",
    "ema",
    "ema_model",
    "ema_state",
    "ema_weights",
    "g",
    "g_ema",
    "gen",
    "generator",
    "model",
    "model_ema",
    "model_state",
    "module",
    "net",
    "net_d",
    "net_g",
    "netd",
    "netg",
    "network",
    "params",
    "params_ema",
    "state",
    "student",
    "teacher",
    "weights",
    "weights_ema",
];

/// Words in the keys of training state.
pub(in crate::checkpoint) const TRAINING: [&str; 8] =
    ["optim", "scheduler", "exp_avg", "scaler", "rng_state", "param_groups", "momentum_buffer", "grad_acc"];

/// The tensors of a model.
pub(super) struct Model {
    /// Names and tensors.
    pub(super) tensors: Vec<(String, Id)>,
    /// Where it was found and what else there is, if something else has tensors.
    pub(super) chosen: Option<String>,
}

/// A value on the way from the object to the tensors.
struct Node {
    id: Id,
    parent: Option<usize>,
    key: Key,
    depth: usize,
    /// Whether the way to it goes through training state.
    training: bool,
}

/// The key of a value in its container.
#[derive(Debug, Clone, Copy)]
enum Key {
    Text(Id),
    Number(i64),
}

/// How much is below a value.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    tensors: u64,
    elements: u64,
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.tensors = self.tensors.saturating_add(other.tensors);
        self.elements = self.elements.saturating_add(other.elements);
    }
}

/// Looks through one object.
struct Search<'a> {
    machine: &'a Machine,
    /// What is below each value, if it was counted already.
    weights: Vec<Option<Weight>>,
    /// Whether a dictionary is the state of an optimizer, for those seen so far.
    optimizers: HashMap<Id, bool>,
    /// The containers seen so far.
    containers: HashMap<Id, Rc<Container>>,
    nodes: Vec<Node>,
    /// Entries looked at.
    looks: Cell<u64>,
}

/// The members of a container that have tensors below them. Kept, because many ways may lead to one container.
struct Container {
    children: Vec<(Key, Id)>,
    /// Whether it is a dictionary, whose keys may be those of a whole model, rather than a module.
    is_dict: bool,
}

/// Finds the model in `object`.
pub(super) fn model(machine: &Machine, object: Id) -> Result<Model, PyTorchProblem> {
    let mut search = Search {
        machine,
        weights: vec![None; machine.len()],
        optimizers: HashMap::new(),
        containers: HashMap::new(),
        nodes: Vec::new(),
        looks: Cell::new(0),
    };
    if search.weight(object, 0).tensors == 0 {
        return Err(PyTorchProblem::NoTensors { what: what(machine, object), runs: Vec::new() });
    }
    search.walk(object);
    // A file without a mapping, or with the state of training alone, is shown as it is.
    let best = search.best();
    let chosen = best.map_or(0, |best| search.climbed(best));
    let id = search.nodes[chosen].id;
    let mut flat = Flat {
        search: &mut search,
        whole: best.is_none(),
        way: Vec::new(),
        tensors: Vec::new(),
        places: HashMap::new(),
        bytes: 0,
    };
    flat.add(id, "")?;
    let tensors = flat.tensors;
    if search.is_too_much(0) {
        return Err(PyTorchProblem::TooManyTensors);
    }
    let chosen = if best.is_none() { None } else { search.said(chosen, tensors.len()) };
    Ok(Model { chosen, tensors })
}

/// Says what an object without a tensor is.
pub(super) fn what(machine: &Machine, object: Id) -> String {
    match machine.value(object) {
        Value::Object { class: Some(class), .. } => {
            let global = &machine.globals[*class as usize];
            format!("an object of class {}.{}", global.module, global.name)
        }
        Value::Dict(pairs) => format!("a dictionary of {} entries", pairs.len()),
        _ => "something else".to_owned(),
    }
}

impl Search<'_> {
    /// The members of a container, under their keys. For an object, those of its state; for a module, its parameters, buffers and
    /// modules.
    fn children(&self, id: Id) -> Vec<(Key, Id)> {
        match self.machine.value(id) {
            Value::Dict(pairs) if !self.is_too_much(pairs.len()) => {
                pairs.iter().filter_map(|(key, value)| Some((self.key(*key)?, *value))).collect()
            }
            Value::List(members) => numbered(members),
            Value::Tuple(members) => numbered(members),
            Value::Object { state: Some(state), .. } => match self.machine.value(*state) {
                Value::Dict(_) if self.is_module(id) => self.of_module(*state),
                Value::Dict(_) => self.children(*state),
                // State and slots.
                Value::Tuple(parts) => parts.iter().take(2).flat_map(|part| self.of_dict(*part)).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn of_dict(&self, id: Id) -> Vec<(Key, Id)> {
        match self.machine.value(id) {
            Value::Dict(_) => self.children(id),
            _ => Vec::new(),
        }
    }

    fn key(&self, id: Id) -> Option<Key> {
        match self.machine.value(id) {
            Value::Text(_) => Some(Key::Text(id)),
            Value::Int(number) => Some(Key::Number(*number)),
            _ => None,
        }
    }

    /// Counts entries that are looked at. Returns whether they are more than any model needs.
    fn is_too_much(&self, entries: usize) -> bool {
        self.looks.set(self.looks.get().saturating_add(entries as u64));
        self.looks.get() > LOOKS_A_VALUE.saturating_mul(self.machine.len() as u64)
    }

    /// The value under a key of a dictionary.
    fn under(&self, dict: Id, wanted: &str) -> Option<Id> {
        let Value::Dict(pairs) = self.machine.value(dict) else { return None };
        if self.is_too_much(pairs.len()) {
            return None;
        }
        pairs.iter().rev().find(|(key, _)| self.machine.text(*key) == Some(wanted)).map(|(_, value)| *value)
    }

    fn state(&self, id: Id) -> Option<Id> {
        match self.machine.value(id) {
            Value::Object { state, .. } => *state,
            _ => None,
        }
    }

    /// Whether an object is a module of PyTorch: one that was pickled whole, or one of a TorchScript archive.
    fn is_module(&self, id: Id) -> bool {
        let Some(state) = self.state(id) else { return false };
        self.under(state, "_parameters").is_some() && self.under(state, "_modules").is_some()
    }

    fn of_module(&self, state: Id) -> Vec<(Key, Id)> {
        let of = |name: &str| self.under(state, name).map(|part| self.of_dict(part)).unwrap_or_default();
        let unsaved = self.under(state, "_non_persistent_buffers_set");
        let unsaved: Vec<&str> = unsaved
            .and_then(|names| self.machine.members(names))
            .unwrap_or_default()
            .iter()
            .filter_map(|name| self.machine.text(*name))
            .collect();
        let is_saved = |(key, _): &(Key, Id)| match key {
            Key::Text(key) => self.machine.text(*key).is_none_or(|key| !unsaved.contains(&key)),
            Key::Number(_) => true,
        };
        let buffers = of("_buffers").into_iter().filter(is_saved);
        of("_parameters").into_iter().chain(buffers).chain(of("_modules")).collect()
    }

    /// Counts the tensors below a value, each as often as there is a way to it.
    fn weight(&mut self, id: Id, depth: usize) -> Weight {
        if let Some(known) = self.weights[id as usize] {
            return known;
        }
        if let Value::Tensor(view) = self.machine.value(id) {
            let elements = view.shape.iter().fold(1u64, |product, size| product.saturating_mul(*size));
            return Weight { tensors: 1, elements };
        }
        if depth >= MAX_DEPTH {
            return Weight::default();
        }
        // Zero, in case the way leads back here.
        self.weights[id as usize] = Some(Weight::default());
        let mut weight = Weight::default();
        for (_, child) in self.children(id) {
            weight.add(self.weight(child, depth.saturating_add(1)));
        }
        self.weights[id as usize] = Some(weight);
        weight
    }

    fn container(&mut self, id: Id) -> Rc<Container> {
        if let Some(known) = self.containers.get(&id) {
            return known.clone();
        }
        let mut children = self.children(id);
        children.retain(|(_, child)| self.weight(*child, 0).tensors > 0);
        let is_dict = !self.is_module(id) && !self.is_script(id);
        let container = Rc::new(Container { children, is_dict });
        self.containers.insert(id, container.clone());
        container
    }

    fn is_tensor(&self, id: Id) -> bool {
        matches!(self.machine.value(id), Value::Tensor(_))
    }

    fn text(&self, key: Key) -> Option<&str> {
        match key {
            Key::Text(id) => self.machine.text(id),
            Key::Number(_) => None,
        }
    }

    /// Whether a value under a key is the state of training.
    fn is_training(&mut self, key: Key, child: Id) -> bool {
        if self.is_tensor(child) {
            return false;
        }
        let key = self.text(key).unwrap_or_default().to_ascii_lowercase();
        TRAINING.iter().any(|word| key.contains(word)) || self.is_optimizer(child)
    }

    fn is_optimizer(&mut self, id: Id) -> bool {
        let (search, optimizers) = (self.machine, &mut self.optimizers);
        *optimizers.entry(id).or_insert_with(|| {
            let Value::Dict(pairs) = search.value(id) else { return false };
            let has = |wanted| pairs.iter().any(|(key, _)| search.text(*key) == Some(wanted));
            has("param_groups") && has("state")
        })
    }

    fn is_wrapper(&self, key: Key) -> bool {
        self.text(key).is_some_and(|key| {
            let key = key.to_ascii_lowercase();
            key.contains("state_dict") || WRAPPERS.contains(&key.as_str()) || is_average(&key)
        })
    }

    /// Lists every container with tensors below it, each once.
    fn walk(&mut self, object: Id) {
        let mut seen = vec![false; self.machine.len()];
        let training = self.is_training(Key::Number(0), object);
        let root = Node { id: object, parent: None, key: Key::Number(0), depth: 0, training };
        self.nodes.push(root);
        let mut at = 0;
        while at < self.nodes.len() {
            let Node { id, depth, training, .. } = self.nodes[at];
            // A module is taken whole.
            if depth < MAX_DEPTH && !self.is_module(id) {
                for (key, child) in self.children(id) {
                    let wanted =
                        !self.is_tensor(child) && self.weight(child, depth.saturating_add(1)).tensors > 0;
                    if wanted && !std::mem::replace(&mut seen[child as usize], true) {
                        let training = training || self.is_training(key, child);
                        self.nodes.push(Node {
                            id: child,
                            parent: Some(at),
                            key,
                            depth: depth.saturating_add(1),
                            training,
                        });
                    }
                }
            }
            at = at.saturating_add(1);
        }
    }

    /// The tensors that a container has itself. For a module, all tensors below it.
    fn own(&mut self, id: Id) -> Weight {
        if self.is_module(id) {
            return self.weight(id, 0);
        }
        let is_mapping = match self.machine.value(id) {
            Value::Dict(_) => true,
            Value::Object { .. } => self.is_script(id),
            _ => false,
        };
        let mut own = Weight::default();
        if !is_mapping {
            return own;
        }
        for &(key, child) in &self.container(id).children {
            if self.text(key).is_some() && self.is_tensor(child) {
                own.add(self.weight(child, 0));
            }
        }
        own
    }

    /// Whether an object is a module of a TorchScript archive.
    fn is_script(&self, id: Id) -> bool {
        match self.machine.value(id) {
            Value::Object { class: Some(class), .. } => {
                self.machine.globals[*class as usize].module.starts_with("__torch__")
            }
            _ => false,
        }
    }

    /// The mapping of names to tensors with the most numbers. Of two equal ones, the moving average: training scripts keep it as
    /// the model to use.
    fn best(&mut self) -> Option<usize> {
        let mut best: Option<(usize, u64, bool)> = None;
        for at in 0..self.nodes.len() {
            let Node { id, key, training, .. } = self.nodes[at];
            let own = self.own(id);
            if training || own.tensors == 0 {
                continue;
            }
            let average = self.text(key).is_some_and(is_average);
            let is_better = |&(_, elements, of_average): &(usize, u64, bool)| {
                own.elements > elements || own.elements == elements && average && !of_average
            };
            if best.as_ref().is_none_or(is_better) {
                best = Some((at, own.elements, average));
            }
        }
        best.map(|(at, ..)| at)
    }

    /// The dictionary that `best` is a part of: the uppermost whose entries are parts of one model rather than models.
    fn climbed(&mut self, best: usize) -> usize {
        let (mut chosen, mut at) = (best, best);
        while let Some(parent) = self.nodes[at].parent {
            let id = self.nodes[parent].id;
            let is_dict = matches!(self.machine.value(id), Value::Dict(_)) || self.is_script(id);
            let mut parts = 0_usize;
            let mut apart = false;
            for &(key, child) in &self.container(id).children {
                if !self.is_tensor(child) && !self.is_training(key, child) {
                    parts = parts.saturating_add(1);
                    apart |= self.is_wrapper(key);
                }
            }
            if apart || !is_dict {
                break;
            }
            at = parent;
            if parts > 1 {
                chosen = parent;
            }
        }
        chosen
    }

    /// The keys on the way to a node.
    fn path(&self, mut at: usize) -> String {
        let mut keys = Vec::new();
        while let Some(parent) = self.nodes[at].parent {
            keys.push(match self.nodes[at].key {
                Key::Text(id) => self.machine.text(id).unwrap_or_default().chars().take(SHOWN).collect(),
                Key::Number(number) => number.to_string(),
            });
            at = parent;
        }
        keys.reverse();
        keys.join(".")
    }

    /// Says which of several mappings was chosen. `None` if it is the only one.
    fn said(&mut self, chosen: usize, tensors: usize) -> Option<String> {
        let is_below = |search: &Self, mut at: usize, top: usize| loop {
            if at == top {
                return true;
            }
            match search.nodes[at].parent {
                Some(parent) => at = parent,
                None => return false,
            }
        };
        let mut others: Vec<usize> = Vec::new();
        for at in 0..self.nodes.len() {
            let Node { id, parent, training, .. } = self.nodes[at];
            let upper = training && parent.is_some_and(|parent| !self.nodes[parent].training);
            let other = upper || !training && self.own(id).tensors > 0;
            if other && !is_below(self, at, chosen) && !is_below(self, chosen, at) {
                others.push(at);
            }
        }
        if others.is_empty() {
            return None;
        }
        let mut sizes = Vec::with_capacity(others.len());
        for &at in &others {
            sizes.push((std::cmp::Reverse(self.weight(self.nodes[at].id, 0).elements), at));
        }
        order::sort_by_key(&mut sizes, |size| *size);
        let mut named = Vec::new();
        for (_, at) in sizes.into_iter().take(3) {
            let weight = self.weight(self.nodes[at].id, 0);
            let count = match weight.tensors {
                1 => "1 tensor".to_owned(),
                more => format!("{more} tensors"),
            };
            named.push(format!("`{}` ({count})", self.path(at)));
        }
        let more = match others.len().saturating_sub(3) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "the {tensors} tensors under `{}` are inspected as the model, and what lies beside them is left out: {}{more}",
            self.path(chosen),
            named.join(", ")
        ))
    }
}

fn numbered(members: &[Id]) -> Vec<(Key, Id)> {
    members.iter().enumerate().map(|(at, id)| (Key::Number(at as i64), *id)).collect()
}

/// Collects tensors under their whole names.
struct Flat<'a, 'b> {
    search: &'a mut Search<'b>,
    /// Whether nothing is left out.
    whole: bool,
    /// The containers on the way here.
    way: Vec<Id>,
    tensors: Vec<(String, Id)>,
    places: HashMap<String, usize>,
    bytes: usize,
}

impl Flat<'_, '_> {
    fn add(&mut self, id: Id, name: &str) -> Result<(), PyTorchProblem> {
        if self.search.is_tensor(id) {
            // A tensor that was saved alone has no name.
            return self.take(if name.is_empty() { "tensor" } else { name }, id);
        }
        if self.way.len() >= MAX_DEPTH {
            return Ok(());
        }
        // A container that holds itself is not entered again.
        if self.way.contains(&id) {
            return Ok(());
        }
        self.way.push(id);
        let container = self.search.container(id);
        for &(key, child) in &container.children {
            let apart = self.search.is_training(key, child) || self.search.is_wrapper(key);
            if container.is_dict && apart && !self.whole && !self.search.is_tensor(child) {
                continue;
            }
            let own = match key {
                Key::Text(key) => self.search.machine.text(key).unwrap_or_default().to_owned(),
                Key::Number(number) => number.to_string(),
            };
            let whole = if name.is_empty() { own } else { format!("{name}.{own}") };
            self.bytes = self.bytes.saturating_add(whole.len());
            if self.bytes > MAX_NAME_BYTES.min(FEW_NAME_BYTES.saturating_add(self.search.machine.bytes())) {
                return Err(PyTorchProblem::TooManyTensors);
            }
            self.add(child, &whole)?;
        }
        self.way.pop();
        Ok(())
    }

    /// Adds a tensor. If a key is set twice, the last value counts.
    fn take(&mut self, name: &str, id: Id) -> Result<(), PyTorchProblem> {
        if let Some(&at) = self.places.get(name) {
            self.tensors[at].1 = id;
            return Ok(());
        }
        let most = FEW_TENSORS.saturating_add(self.search.machine.bytes() / BYTES_A_TENSOR).min(MAX_TENSORS);
        if self.tensors.len() >= most {
            return Err(PyTorchProblem::TooManyTensors);
        }
        self.places.insert(name.to_owned(), self.tensors.len());
        self.tensors.push((name.to_owned(), id));
        Ok(())
    }
}
