//! Measures how much of an adapter reads dead directions: finds each module's place and site there, and how much of it lies along the site's kernel.

use super::own_norms::OwnScales;
use super::parts::Module;
use super::place::{Demand, Missing, Places, Renaming, Wanted, is_packed, place};
use super::update::{Shape, Weighing, shape};
use super::{Adapter, AdapterError, why_not};
use crate::checkpoint::Tensor;
use crate::checkpoint::adapter_names::Method;
use crate::inspect::{Opened, kernel_of};
use crate::kernel::adapter::Waste;
use crate::kernel::direction::Kernel;
use crate::report::adapter::{
    AdapterMethod, AdapterModule, AdapterRenaming, AdapterReport, SCHEMA, SkippedModule,
};
use crate::report::{KernelForm, NormReport, ReaderReport};
use crate::source::ByteSource;
use std::collections::HashMap;

/// Measures the waste of `adapter` on `base`: reads the factors of every module that reads a norm site, one after the other.
pub async fn weigh<S: ByteSource, T: ByteSource>(
    base: &Opened<S>,
    adapter: &Adapter<T>,
) -> Result<AdapterReport, AdapterError> {
    let own = &adapter.checkpoint.tensors;
    let modules = &adapter.parts.modules;
    let inspection = &base.inspection;
    let report = &inspection.report;
    let shapes: Vec<Result<Shape, String>> = modules.iter().map(|module| shape_of(adapter, module)).collect();
    if shapes.iter().all(|shape| shape.as_ref().is_ok_and(|shape| shape.rank == 0)) {
        return Err(AdapterError::RankZero { adapter: adapter.name().to_owned() });
    }

    let Places { found, renamings } = places(base, adapter, &shapes);
    let (of_modules, of_norms) = found.split_at(modules.len());
    refuse_without_a_place(base, adapter, of_modules, &shapes)?;
    let site_of_scale: HashMap<usize, usize> =
        base.sites().iter().enumerate().filter_map(|(site, norm)| Some((norm.scale?, site))).collect();
    let mut norms = Vec::new();
    for (norm, place) in adapter.parts.norms.iter().zip(of_norms) {
        let site = place.as_ref().ok().and_then(|tensor| site_of_scale.get(tensor).copied());
        if let Some(site) = site {
            fits_scale(&own[norm.tensor], &report.norms[site])?;
        }
        norms.push((norm, site));
    }
    let own_scales = OwnScales::read(adapter, inspection, norms.into_iter()).await;

    let sites = readers(&report.norms);
    let mut weighed = Vec::new();
    let mut skipped = Vec::new();
    let mut weighing = Weighing::new(adapter);
    for ((module, place), shape) in modules.iter().zip(of_modules).zip(shapes) {
        let found = of_module(base, adapter, module, place, shape, &sites, &own_scales)?;
        let ready = match found {
            Ok(ready) => ready,
            Err(why) => {
                skipped.push(SkippedModule { module: module.path.clone(), why });
                continue;
            }
        };
        let Ready { weight, site, reader, method, kernel, transposed, rank, own_scale } = ready;
        let norm = &report.norms[site];
        match weighing.waste(module, method.0, &kernel, norm.width as usize, transposed).await {
            Ok(Waste { share, energy, null, null_deviation }) => weighed.push(AdapterModule {
                module: module.path.clone(),
                weight: weight.name.clone(),
                used_as: reader.used_as,
                method: method.1,
                site: norm.name.clone(),
                own_scale,
                rank: u32::try_from(rank).unwrap_or(u32::MAX),
                width: norm.width,
                form: form_of(&kernel),
                kernel_dimension: kernel.dimension() as u32,
                energy,
                wasted: share,
                null,
                null_deviation,
            }),
            Err(why) => skipped.push(SkippedModule { module: module.path.clone(), why }),
        }
    }
    // The sort is stable: equal shares stay in the order of names.
    weighed.sort_by(|a, b| b.wasted.total_cmp(&a.wasted));
    let mut replaced: Vec<usize> = own_scales.scales.keys().copied().collect();
    replaced.sort_unstable();
    let shares = shares(&weighed);
    Ok(AdapterReport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        base: report.checkpoint.name.clone(),
        base_sentence: report.model.sentence.clone(),
        adapter: adapter.name().to_owned(),
        sentence: sentence(&weighed, shares, modules.len(), replaced.len()),
        wasted: shares.map(|(wasted, _)| wasted),
        null: shares.map(|(_, null)| null),
        modules: weighed,
        skipped,
        renamings: renamings
            .into_iter()
            .map(|Renaming { from, to, found }| AdapterRenaming { from, to, found: found as u32 })
            .collect(),
        own_scales: replaced.into_iter().map(|site| report.norms[site].name.clone()).collect(),
        warnings: adapter.warnings.clone(),
    })
}

/// The shape of a module's ΔW, or why it is not measured.
fn shape_of<T: ByteSource>(adapter: &Adapter<T>, module: &Module) -> Result<Shape, String> {
    if module.is_embedding() {
        return Err("it adapts an embedding, which reads tokens and no norm".to_owned());
    }
    let method = adapter.method(module).ok_or("its tensors are not understood")?;
    match why_not(method) {
        Some(why) => Err(format!("it is adapted by {}: {why}", method.name())),
        None => shape(&adapter.checkpoint.tensors, module, method),
    }
}

/// Finds where the modules, then the norms of the adapter are in the base.
fn places<S: ByteSource, T: ByteSource>(
    base: &Opened<S>,
    adapter: &Adapter<T>,
    shapes: &[Result<Shape, String>],
) -> Places {
    let demand = |shape: &Result<Shape, String>| match shape {
        Ok(Shape { inputs, outputs, .. }) => Demand::Map { inputs: *inputs, outputs: *outputs },
        Err(_) => Demand::Nothing,
    };
    let modules = adapter.parts.modules.iter().zip(shapes);
    let modules = modules.map(|(module, shape)| Wanted { path: &module.path, shape: demand(shape) });
    let norms = adapter.parts.norms.iter().map(|norm| {
        let width = adapter.checkpoint.tensors[norm.tensor].elements();
        Wanted { path: &norm.path, shape: Demand::Scale(width) }
    });
    let wanted: Vec<Wanted<'_>> = modules.chain(norms).collect();
    let scales: Vec<(&str, usize)> =
        base.sites().iter().filter_map(|site| Some((site.name.as_str(), site.scale?))).collect();
    place(base.tensors(), &scales, &wanted)
}

/// Refuses an adapter if nothing in it has a place. Shapes that contradict show that it is of another base; names do not.
fn refuse_without_a_place<S: ByteSource, T: ByteSource>(
    base: &Opened<S>,
    adapter: &Adapter<T>,
    places: &[Result<usize, Missing>],
    shapes: &[Result<Shape, String>],
) -> Result<(), AdapterError> {
    if places.iter().any(Result::is_ok) {
        return Ok(());
    }
    let modules = &adapter.parts.modules;
    let (name, report) = (adapter.name().to_owned(), &base.inspection.report);
    for (place, shape) in places.iter().zip(shapes) {
        if let (Err(Missing::Misfit { tensor, own: true }), Ok(shape)) = (place, shape) {
            let weight = &base.tensors()[*tensor];
            let own = &adapter.checkpoint.tensors;
            let reads = shape.inputs.filter(|inputs| !weight.shape.contains(inputs));
            let (tensor, verb) = match (reads, shape.writes) {
                (None, Some(writes)) => (writes, "gives"),
                _ => (shape.reads, "reads"),
            };
            let at = if verb == "gives" { 0 } else { 1 };
            return Err(another_size(
                &own[tensor],
                weight,
                verb,
                weight.shape.get(at).copied().unwrap_or_default(),
            ));
        }
    }
    for (place, module) in places.iter().zip(modules) {
        if let Err(Missing::Ambiguous(places)) = place {
            let (base, module) = (report.checkpoint.name.clone(), module.path.clone());
            return Err(AdapterError::Ambiguous { adapter: name, base, module, places: places.clone() });
        }
    }
    let in_block =
        report.norms.iter().filter(|norm| norm.block.is_some()).flat_map(|norm| &norm.readers).next();
    let matrix =
        || base.tensors().iter().find(|tensor| tensor.shape.len() == 2).map(|tensor| tensor.name.as_str());
    let example = in_block.map(|reader| reader.name.as_str()).or_else(matrix).unwrap_or("no matrix");
    let example = example.strip_suffix(".weight").unwrap_or(example);
    Err(AdapterError::NoPlace {
        adapter: name,
        base: report.checkpoint.name.clone(),
        module: modules[0].path.clone(),
        modules: modules.len(),
        example: example.to_owned(),
        gguf: report.checkpoint.format == "gguf",
    })
}

/// A module with everything that its measurement needs.
struct Ready<'a> {
    weight: &'a Tensor,
    site: usize,
    reader: &'a ReaderReport,
    method: (Method, AdapterMethod),
    kernel: Kernel,
    transposed: bool,
    rank: u64,
    own_scale: bool,
}

/// What a module reads, or why it is left out. An error if the adapter is of another base.
fn of_module<'a, S: ByteSource, T: ByteSource>(
    base: &'a Opened<S>,
    adapter: &Adapter<T>,
    module: &Module,
    place: &Result<usize, Missing>,
    shape: Result<Shape, String>,
    sites: &HashMap<&str, (usize, &'a ReaderReport)>,
    own_scales: &OwnScales,
) -> Result<Result<Ready<'a>, String>, AdapterError> {
    let report = &base.inspection.report;
    let weight = match place {
        Ok(tensor) => &base.tensors()[*tensor],
        Err(Missing::Nowhere) => return Ok(Err("the base has no weight of this name".to_owned())),
        Err(Missing::Ambiguous(places)) => {
            return Ok(Err(format!("it fits more than one place of the base in name and shape: {places}")));
        }
        Err(Missing::Misfit { tensor, .. }) => {
            let name = &base.tensors()[*tensor].name;
            return Ok(Err(format!(
                "the one place for its stack in the base has other shapes, such as `{name}`"
            )));
        }
    };
    let shape = match shape {
        Ok(Shape { rank: 0, .. }) => return Ok(Err("rank 0: its A has no row".to_owned())),
        Ok(shape) => shape,
        Err(why) => return Ok(Err(why)),
    };
    // The report has the names of the file.
    let Some(&(site, reader)) = sites.get(base.checkpoint().stored_name(&weight.name)) else {
        return Ok(Err("it is not known to read a norm's output (attention outputs and the second map of a feed-forward part do not)".to_owned()));
    };
    let Some(method) = adapter.method(module).and_then(|method| Some((method, as_reported(method)?))) else {
        return Ok(Err("its tensors are not understood".to_owned()));
    };
    let norm = &report.norms[site];
    let transposed = match method.0 {
        Method::Difference => match transposed(weight, norm, reader) {
            Some(transposed) => transposed,
            None => {
                return Ok(Err(
                    "whether its ΔW is stored as outputs × inputs or the other way round is not known"
                        .to_owned(),
                ));
            }
        },
        _ => false,
    };
    fits(&adapter.checkpoint.tensors, &shape, weight, norm, reader, transposed)?;
    if let Some(unplaced) = own_scales.unplaced_beside(&module.path) {
        return Ok(Err(format!(
            "the adapter has a norm `{unplaced}`, which is not in the base, and this module may read it"
        )));
    }
    let own = own_scales.scales.get(&site);
    let scale = match own {
        Some(Err(why)) => return Ok(Err(why.clone())),
        Some(Ok(scale)) => Some(scale),
        None => base.inspection.scales[site].as_ref(),
    };
    let Some(kernel) = scale.and_then(|scale| kernel_of(scale, norm.kind)) else {
        return Ok(Err(format!("whether its site `{}` has a kernel is not known", norm.name)));
    };
    let own_scale = own.is_some();
    Ok(Ok(Ready { weight, site, reader, method, kernel, transposed, rank: shape.rank, own_scale }))
}

fn as_reported(method: Method) -> Option<AdapterMethod> {
    Some(match method {
        Method::Lora => AdapterMethod::Lora,
        Method::AdaLora => AdapterMethod::AdaLora,
        Method::Loha => AdapterMethod::Loha,
        Method::Lokr => AdapterMethod::Lokr,
        Method::Vera => AdapterMethod::Vera,
        Method::Difference => AdapterMethod::Difference,
        _ => return None,
    })
}

fn form_of(kernel: &Kernel) -> KernelForm {
    match kernel {
        Kernel::InverseScale(_) => KernelForm::InverseScale,
        Kernel::Coordinates(_) => KernelForm::Coordinates,
        Kernel::None => KernelForm::None,
    }
}

/// The site that each weight reads, by the weight's name. For a weight that reads several, the first that has a kernel.
fn readers(norms: &[NormReport]) -> HashMap<&str, (usize, &ReaderReport)> {
    let mut sites: HashMap<&str, (usize, &ReaderReport)> = HashMap::new();
    let has_kernel =
        |site: usize| matches!(norms[site].kernel.form, KernelForm::InverseScale | KernelForm::Coordinates);
    for (site, norm) in norms.iter().enumerate() {
        for reader in &norm.readers {
            let known = sites.entry(reader.name.as_str()).or_insert((site, reader));
            if !has_kernel(known.0) && has_kernel(site) {
                *known = (site, reader);
            }
        }
    }
    sites
}

/// Whether a weight is stored as inputs × outputs, as GPT-2's are. `None` if its shape does not show it.
fn transposed(weight: &Tensor, norm: &NormReport, reader: &ReaderReport) -> Option<bool> {
    match weight.shape[..] {
        // The shape of a square does not show it, so the name must.
        [rows, columns] if rows == columns => (!is_of_conv1d(&weight.name)).then_some(false),
        [rows, columns] if (rows, columns) == (reader.rows, norm.width) => Some(false),
        [rows, columns] if (columns, rows) == (reader.rows, norm.width) => Some(true),
        _ => None,
    }
}

/// Names of GPT-2's `Conv1D`, which stores inputs × outputs.
fn is_of_conv1d(name: &str) -> bool {
    ["c_attn", "q_attn", "c_fc", "c_proj"].iter().any(|part| name.contains(part))
}

/// Checks the sizes: an adapter whose matrices have other sizes than the base's is of another base.
fn fits(
    own: &[Tensor],
    shape: &Shape,
    weight: &Tensor,
    norm: &NormReport,
    reader: &ReaderReport,
    transposed: bool,
) -> Result<(), AdapterError> {
    let (inputs, outputs) =
        if transposed { (shape.outputs, shape.inputs) } else { (shape.inputs, shape.outputs) };
    if inputs.is_some_and(|inputs| inputs != norm.width) {
        return Err(another_size(&own[shape.reads], weight, "reads", norm.width));
    }
    match (outputs, shape.writes) {
        (Some(outputs), Some(writes))
            if weight.shape.len() == 2 && !is_packed(weight) && outputs != reader.rows =>
        {
            Err(another_size(&own[writes], weight, "gives", reader.rows))
        }
        _ => Ok(()),
    }
}

fn fits_scale(scale: &Tensor, norm: &NormReport) -> Result<(), AdapterError> {
    if scale.elements() == norm.width {
        return Ok(());
    }
    Err(AdapterError::AnotherSize {
        tensor: scale.name.clone(),
        shape: format!("of {} values", scale.elements()),
        weight: norm.scale.clone().unwrap_or_default(),
        verb: "has",
        expected: norm.width,
    })
}

fn another_size(tensor: &Tensor, weight: &Tensor, verb: &'static str, expected: u64) -> AdapterError {
    let sizes: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    let shape = sizes.join(" × ");
    AdapterError::AnotherSize {
        tensor: tensor.name.clone(),
        shape,
        weight: weight.name.clone(),
        verb,
        expected,
    }
}

/// Wasted and expected share of all modules that read a site with a kernel. `None` if there is none, or if A is measured in some modules
/// and ΔW in others.
fn shares(modules: &[AdapterModule]) -> Option<(f64, f64)> {
    let with_kernel = || modules.iter().filter(|module| module.kernel_dimension > 0);
    let of_a = |module: &AdapterModule| module.method == AdapterMethod::Lora;
    if with_kernel().any(of_a) && !with_kernel().all(of_a) {
        return None;
    }
    let energy: f64 = with_kernel().map(|module| module.energy).sum();
    let mean = |of: fn(&AdapterModule) -> f64| {
        let sum: f64 = with_kernel().map(|module| module.energy * of(module)).sum();
        Some(sum / energy).filter(|mean| mean.is_finite())
    };
    mean(|module| module.wasted).zip(mean(|module| module.null))
}

fn sentence(modules: &[AdapterModule], shares: Option<(f64, f64)>, all: usize, own_scales: usize) -> String {
    let with_kernel = modules.iter().filter(|module| module.kernel_dimension > 0).count();
    let without = modules.len() - with_kernel;
    let read = |count: usize| if count == 1 { "reads a norm site" } else { "read norm sites" };
    let mut parts = Vec::new();
    match shares {
        Some((wasted, null)) => parts.push(format!(
            "{with_kernel} of {all} adapted modules {} with a kernel, and {:.4} % of their energy lies along it: {:.2} times the share by chance ({:.4} %, k/d).",
            read(with_kernel),
            100.0 * wasted,
            wasted / null,
            100.0 * null
        )),
        None if modules.is_empty() => {
            parts.push(format!("None of the {all} adapted modules is known to read a norm site."));
        }
        None if with_kernel > 0 => parts.push(format!(
            "{with_kernel} of {all} adapted modules {} with a kernel; some are measured in A and others in ΔW, so there is no share for all.",
            read(with_kernel)
        )),
        None => {}
    }
    if without > 0 {
        parts.push(format!(
            "{without} {} without a kernel (RMSNorm without zero scales): nothing is wasted there.",
            read(without)
        ));
    }
    if own_scales > 0 {
        let sites = if own_scales == 1 { "site" } else { "sites" };
        let then = if modules.iter().any(|module| module.own_scale) {
            ": the share there is along the kernel of that scale, not of the base's"
        } else {
            ", which no module in the table reads"
        };
        parts.push(format!("The adapter has its own scale for {own_scales} norm {sites}{then}."));
    }
    parts.join(" ")
}
