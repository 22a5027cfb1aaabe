//! Norms of the graph as sites: one for each stored scale, however many nodes use it.

use super::norms::{self, Norm, Scale};
use super::{Flow, readers};
use crate::checkpoint::onnx::graph::{Graph, ValueId};
use crate::checkpoint::{MAX_VALUES, Tensor};
use crate::norm::NormSite;
use crate::norm::behaviour::Behaviour;
use crate::norm::site::{Stated, StatedReader};
use crate::order;
use crate::report::NOT_COUNTED;
use std::collections::{HashMap, HashSet};

/// What the graph shows.
#[derive(Debug, Default)]
pub struct Sites {
    /// The sites, in the order in which the network runs them.
    pub sites: Vec<NormSite>,
    /// Norms with a scale that is computed, rather than stored, by the names of their nodes.
    pub unreadable: Vec<String>,
}

/// The norm sites of a graph. `named` are those that names and shapes show: they know roles and blocks, and the graph knows what is
/// done. A site of `named` without a norm in the graph stays, without a kind. The names of the graph's tensors have `prefix` before them
/// in the catalogue.
pub fn sites(graph: &Graph, tensors: &[Tensor], prefix: &str, named: &[NormSite]) -> Sites {
    let flow = Flow::new(graph, tensors, prefix);
    let mut made = Sites::default();
    let (readable, unreadable): (Vec<Norm>, Vec<Norm>) =
        norms::find(&flow).into_iter().partition(|norm| norm.scale != Scale::Unreadable);
    made.unreadable = unreadable.iter().map(|norm| name_of(&flow, norm)).collect();
    let known: HashMap<usize, &NormSite> =
        named.iter().filter_map(|site| Some((site.scale?, site))).collect();
    for norms in together(readable) {
        made.sites.extend(site(&flow, prefix, &norms, &known));
    }
    let found: HashSet<Option<usize>> = made.sites.iter().map(|site| site.scale).collect();
    let open = named.iter().filter(|site| !found.contains(&site.scale));
    made.sites.extend(open.filter_map(|site| not_understood(&flow, site)));
    order::sort_by_key(&mut made.sites, |site| site.stated.as_ref().map(|stated| stated.order));
    distinguish(&mut made.sites);
    made
}

/// Norms with the same scale and shift, in the order of the first of each. Norms without a scale are each alone.
fn together(norms: Vec<Norm>) -> Vec<Vec<Norm>> {
    let key = |norm: &Norm| match (norm.scale, norm.shift) {
        (Scale::None, _) => (None, None, norm.node),
        (scale, shift) => (scale.vector().map(|it| it.tensor), shift.map(|it| it.tensor), usize::MAX),
    };
    let mut groups: Vec<Vec<Norm>> = order::groups(norms.into_iter().map(|norm| (key(&norm), norm)))
        .into_iter()
        .map(|(_, all)| all)
        .collect();
    order::sort_by_key(&mut groups, |norms| norms.first().map(|norm| norm.node));
    groups
}

fn name_of(flow: &Flow<'_>, norm: &Norm) -> String {
    let node = flow.node(norm.node);
    match node.name.as_str() {
        "" => flow.graph.values[norm.output].name.clone(),
        name => name.to_owned(),
    }
}

fn site(
    flow: &Flow<'_>,
    prefix: &str,
    norms: &[Norm],
    known: &HashMap<usize, &NormSite>,
) -> Option<NormSite> {
    let first = norms.first()?;
    let scale = first.scale.vector();
    let alike = |norm: &Norm| {
        norm.behaviour == first.behaviour && norm.axis == first.axis && norm.scale == first.scale
    };
    // The same scale in two kinds of norms has no kind.
    let behaviour = first.behaviour.filter(|_| norms.iter().all(alike));
    let is_kernel = matches!(behaviour, Some(Behaviour::LayerNorm | Behaviour::RmsNorm));
    let outputs: Vec<(ValueId, usize)> =
        norms.iter().filter(|_| is_kernel).map(|norm| (norm.output, norm.axis)).collect();
    let width = scale.map(|scale| scale.width).or_else(|| width_of(flow, first));
    let found = readers::readers(flow, &outputs, width);
    let inputs = |reader: &StatedReader| {
        flow.catalogue[reader.weight].elements().checked_div(reader.rows).unwrap_or_default()
    };
    // A norm without a scale has the width of what reads it.
    let width = width.or_else(|| found.readers.first().map(inputs))?;
    if scale.is_none() && (!is_kernel || found.readers.is_empty() || width > MAX_VALUES) {
        return None;
    }
    if found.readers.iter().any(|reader| inputs(reader) != width) {
        return None;
    }
    let known = scale.and_then(|scale| known.get(&scale.tensor).copied());
    let own = scale.map_or_else(
        || format!("{prefix}{}", name_of(flow, first)),
        |scale| flow.catalogue[scale.tensor].name.clone(),
    );
    let mut site = known.cloned().unwrap_or_else(|| NormSite::of_graph(own, width));
    site.width = width;
    site.scale = scale.map(|scale| scale.tensor);
    site.shift = first.shift.map(|shift| shift.tensor);
    site.per_head = false;
    site.other = None;
    let note = note(flow, &found, is_kernel);
    site.stated = Some(Box::new(Stated {
        behaviour,
        how: how(flow, norms, behaviour),
        plus_one: matches!(first.scale, Scale::PlusOne(_)),
        order: first.node,
        readers: found.readers,
        note,
    }));
    Some(site)
}

/// The width of a norm without a scale, if a shift or the file states it.
fn width_of(flow: &Flow<'_>, norm: &Norm) -> Option<u64> {
    let stated = || {
        let value = norm.output;
        flow.graph.values[value].shape.as_ref()?.last().copied().flatten()
    };
    norm.shift.map(|shift| shift.width).or_else(stated)
}

/// A site that names and shapes show and whose norm the graph does not. `None` if no node reads its scale.
fn not_understood(flow: &Flow<'_>, site: &NormSite) -> Option<NormSite> {
    let &(at, _) = flow.readers_of(flow.value_of(site.scale?)?).first()?;
    let node = flow.node(at);
    let stated = Stated {
        behaviour: None,
        how: format!("the graph uses the scale in a way that is not known: {} `{}`", node.op, node.name),
        plus_one: false,
        order: at,
        readers: Vec::new(),
        note: Some(format!("{NOT_COUNTED}the graph does not show a norm here")),
    };
    Some(NormSite { stated: Some(Box::new(stated)), ..site.clone() })
}

/// What the graph does, as a sentence.
fn how(flow: &Flow<'_>, norms: &[Norm], behaviour: Option<Behaviour>) -> String {
    let does = match behaviour {
        Some(Behaviour::LayerNorm) => "the graph subtracts the mean",
        Some(Behaviour::RmsNorm) => "the graph divides by the root mean square and subtracts no mean",
        Some(Behaviour::Spanning | Behaviour::Plain) => {
            "the graph normalises over positions, groups or a batch, or over another axis than that of the scale"
        }
        None => "the graph normalises, but does not show over which axis or in one way",
    };
    let first = &norms[0];
    let op = if first.split { "its steps end" } else { flow.node(first.node).op.as_str() };
    let times = match norms.len() {
        1 => String::new(),
        times => format!(", the first of {times}"),
    };
    format!("{does}: {op} at the node `{}`{times}", name_of(flow, first))
}

/// Why there are no readers, or which are not counted.
fn note(flow: &Flow<'_>, found: &readers::Found, is_kernel: bool) -> Option<String> {
    if !is_kernel {
        return found.readers.is_empty().then(|| format!("{NOT_COUNTED}what the norm does is not known"));
    }
    if let Some(&weight) = found.shared.first() {
        let more = match found.shared.len() {
            1 => String::new(),
            several => format!(" and {} more", several - 1),
        };
        let name = &flow.catalogue[weight].name;
        return Some(format!(
            "`{name}`{more} read it, but also something else in the graph, so nothing is dead in them"
        ));
    }
    if !found.readers.is_empty() {
        return None;
    }
    let residual = found.others.iter().all(|op| op == "Add" || op.starts_with("Skip"));
    Some(match found.others.as_slice() {
        [] => "no node reads its output: it is a result of the network".to_owned(),
        _ if residual => "the graph only adds its output to something: no linear map reads it".to_owned(),
        others => format!(
            "{NOT_COUNTED}the graph gives its output to {}, which is not followed",
            others.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Gives sites of one name the names of their nodes too: two norms may share a scale but no shift.
fn distinguish(sites: &mut [NormSite]) {
    let mut seen = HashSet::new();
    for site in sites {
        if !seen.insert(site.name.clone()) {
            let order = site.stated.as_ref().map_or(0, |stated| stated.order);
            site.name = format!("{}#{order}", site.name);
        }
    }
}
