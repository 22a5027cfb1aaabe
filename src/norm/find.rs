//! Finds every norm site of a catalogue from names and shapes alone (`catalogue.rs`). Norms that store nothing come from
//! [`super::parameterless`] and are placed among the others.

use super::around;
use super::build;
use super::catalogue::Catalogue;
use super::execution;
use super::habits::{self, Habits};
use super::layout;
use super::library;
use super::parameterless::Parameterless;
use super::place;
use super::registry::Knowledge;
use super::site::{NormSite, Place};
use crate::checkpoint::Tensor;
use crate::report::NormRole;

/// Finds every norm site, in the order of the network. `parameterless` are norms that store nothing.
pub fn find(tensors: &[Tensor], parameterless: Vec<Parameterless>, knowledge: Knowledge) -> Vec<NormSite> {
    let mut sites = locate(tensors, parameterless);
    recognise(tensors, &mut sites, knowledge);
    sites
}

/// Finds every norm site and its surroundings, without knowledge of other models.
pub fn locate(tensors: &[Tensor], parameterless: Vec<Parameterless>) -> Vec<NormSite> {
    let catalogue = Catalogue::new(tensors);
    let mut sites: Vec<NormSite> = (0..tensors.len()).filter_map(|index| catalogue.site(index)).collect();
    let stores = |sites: &[NormSite], name: &str| sites.iter().any(|site| site.name == name);
    for Parameterless { name, width } in parameterless {
        if !stores(&sites, &name) {
            sites.push(NormSite::new(name, width));
        }
    }
    let builds = build::stacks(tensors);
    place::place(&catalogue, &mut sites, &builds);
    for site in sites.iter_mut().filter(|site| site.scale.is_some()) {
        site.surroundings = around::around(tensors, site);
        if site.surroundings.entry {
            // A `norm` beside `proj_in` and the blocks comes before the blocks and ends nothing.
            (site.role, site.place) = (NormRole::Other, Place::Unknown);
        }
    }
    sites
}

/// Adds knowledge of other models to located sites, and sorts them into the order of the network.
pub fn recognise(tensors: &[Tensor], sites: &mut [NormSite], knowledge: Knowledge) {
    layout::recognise(tensors, sites, knowledge);
    let mut counted = Counted { known: Vec::new(), library: library::recognise(tensors, knowledge) };
    for site in sites.iter_mut().filter(|site| site.scale.is_some()) {
        site.habits = counted.of(site, knowledge);
    }
    // The nodes of a graph are in the order in which they run.
    if sites.iter().all(|site| site.stated().is_none()) {
        execution::sort(sites);
    }
}

/// Habits by what they depend on, computed once: the blocks of a stack are alike.
struct Counted {
    known: Vec<((bool, String, &'static str), Habits)>,
    library: Option<&'static str>,
}

impl Counted {
    fn of(&mut self, site: &NormSite, knowledge: Knowledge) -> Habits {
        let name = habits::name_class(&site.name);
        let key = (site.shift.is_some(), site.surroundings.finest(), name);
        let found = self.known.iter().find(|(other, _)| *other == key).map(|(_, habits)| habits.clone());
        let mut habits = found.unwrap_or_else(|| {
            let habits = Habits::of(key.0, &site.surroundings, name, self.library, knowledge);
            self.known.push((key, habits.clone()));
            habits
        });
        if site.build.bottleneck && site.role != NormRole::Other {
            habits.allow_plain();
        }
        habits
    }
}
