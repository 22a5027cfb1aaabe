//! What the arrays of Keras and TensorFlow are called in PyTorch's code, and how they lie there: the rule of transformers
//! (`convert_tf_weight_name_to_pt_weight_name` in its `modeling_tf_pytorch_utils.py`).
//!
//! Keras puts the variables of a layer into the group of that layer, under their whole names. The whole name begins with that of the
//! model if the model is a class: `bert/tf_bert_model/bert/pooler/dense/kernel:0`.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::{Hdf5Problem, MODEL};
use crate::checkpoint::Strides;
use crate::checkpoint::flax;
use crate::checkpoint::header::Entry;
use crate::order;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

/// The group of variables that belong to no layer.
const NO_LAYER: &str = "top_level_model_weights";

/// Renames arrays, whose names are paths. Returns them, and the names that were changed with the paths. A variable that several layers
/// share lies in the group of each; the first is kept.
#[allow(clippy::type_complexity, reason = "names here, each with that in the file")]
pub(super) fn in_pytorch(arrays: Vec<Entry>) -> Result<(Vec<Entry>, Vec<(String, String)>), Hdf5Problem> {
    let scopes = scopes(&arrays);
    let mut known: HashMap<String, (String, Vec<u64>)> = HashMap::with_capacity(arrays.len());
    let (mut entries, mut stored) = (Vec::with_capacity(arrays.len()), Vec::new());
    for mut array in arrays {
        let path = array.name.clone();
        let variable = variable(of_layer(&path), &scopes);
        let (mut name, shape, strides) = converted(variable, &array.shape);
        if let Some((first, same)) = known.get(&name) {
            if first == variable && *same == shape {
                continue;
            }
            name = path.replace('/', ".");
        } else {
            (array.shape, array.strides) = (shape, strides);
        }
        match known.entry(name.clone()) {
            Slot::Occupied(_) => return Err(Hdf5Problem::Twice { array: path }),
            Slot::Vacant(slot) => slot.insert((variable.to_owned(), array.shape.clone())),
        };
        if name != path {
            stored.push((name.clone(), path));
        }
        array.name = name;
        entries.push(array);
    }
    Ok((entries, stored))
}

/// A path from the group of its layer.
fn of_layer(path: &str) -> &str {
    path.strip_prefix(MODEL).unwrap_or(path)
}

/// The names of models with which variables begin: a layer comes again behind them. Sorted.
fn scopes(arrays: &[Entry]) -> Vec<String> {
    order::distinct(arrays.iter().filter_map(|array| {
        let mut parts = of_layer(&array.name).split('/');
        let (layer, scope, again) = (parts.next()?, parts.next()?, parts.next()?);
        (layer == again && layer != scope).then(|| scope.to_owned())
    }))
}

/// The name of a variable: its path without the group of its layer and without the name of the model.
fn variable<'a>(path: &'a str, scopes: &[String]) -> &'a str {
    let mut path = path;
    while let Some((layer, rest)) = path.split_once('/') {
        match rest.split_once('/') {
            Some((scope, inside)) if order::has(scopes, scope) => return inside,
            Some((again, _)) if again == layer => path = rest,
            _ if layer == NO_LAYER => return rest,
            _ => break,
        }
    }
    path
}

/// The name and layout of a variable in PyTorch's code.
fn converted<'a>(variable: &'a str, shape: &[u64]) -> (String, Vec<u64>, Option<Strides>) {
    let number =
        variable.rsplit_once(':').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let variable = number.map_or(variable, |(name, _)| name);
    let (modules, own) = variable.rsplit_once('/').unwrap_or(("", variable));
    let plain = || (shape.to_vec(), None);
    let (own, (shape, strides)) = match (own, shape) {
        ("kernel", _) => match flax::kernel(shape) {
            Some(turned) => ("weight", turned),
            // Keras' attention has a kernel of three dimensions.
            None => (own, plain()),
        },
        ("gamma", _) | ("embeddings", [_, _]) => ("weight", plain()),
        ("beta", _) => ("bias", plain()),
        // The bias of a Conv1D is a row.
        ("bias", &[1, outputs]) => ("bias", (vec![outputs], None)),
        ("moving_mean", _) => ("running_mean", plain()),
        ("moving_variance", _) => ("running_var", plain()),
        _ => (own, plain()),
    };
    // `___` ends what only TensorFlow's name has, and `_._` is between a list and the number of a member.
    let shown = |part: &'a str| part.rsplit_once("___").map_or(part, |(_, shown)| shown);
    let parts = modules.split('/').flat_map(|part| shown(part).split("_._"));
    let mut name = String::new();
    for part in parts.chain([own]).filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(part);
    }
    (name, shape, strides)
}
