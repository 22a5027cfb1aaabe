//! `cargo run --example registry -- FOLDER… --out src/norm/registry`: makes the tables of layouts, counts and vocabularies from measured
//! documents.
//!
//! Existing lines stay and are merged with the documents, because documents of an earlier measurement may be gone. Counts come from the
//! given documents alone. `src/norm/registry` and `src/norm/habits.rs` read the tables, and describe their content.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers that writes tables")]

#[path = "../tests/it/support/architecture.rs"]
#[allow(dead_code, reason = "shared with the tests, which score")]
mod architecture;

use architecture::{Architecture, Module, provide_tables, read_folder};
use clap::Parser;
use gammascope::norm::habits::name_class;
use gammascope::norm::library::components;
use gammascope::norm::{Knowledge, layout};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folders of documents.
    folders: Vec<PathBuf>,
    /// The registry's folder.
    #[arg(long)]
    out: PathBuf,
}

/// One layout: the measured behaviours of each of its norms, and the families that have it.
#[derive(Default)]
struct Layout {
    module: bool,
    sites: Vec<BTreeSet<String>>,
    types: BTreeSet<String>,
    libraries: BTreeSet<String>,
}

/// Lines of counts.tsv: shift, surroundings, name, library → norms of each behaviour.
type Counts = BTreeMap<(&'static str, String, &'static str, &'static str), [u32; 4]>;

fn main() {
    let arguments = Arguments::parse();
    provide_tables(&arguments.out);
    let layouts_file = arguments.out.join("layouts.tsv");
    let mut layouts: BTreeMap<String, Layout> =
        fs::read_to_string(&layouts_file).unwrap().lines().map(kept).collect();
    let mut counts = Counts::new();
    let (mut documents, mut seen) = (0, HashSet::new());
    let mut words: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for folder in &arguments.folders {
        for architecture in read_folder(folder).unwrap() {
            // The repository's own documents are in larger folders too.
            if !seen.insert(architecture.name.clone()) {
                continue;
            }
            documents += 1;
            words.entry(architecture.library()).or_default().extend(components(architecture.names_stored()));
            learn(&architecture, &mut layouts, &mut counts);
        }
    }
    let fame = fame(&layouts);
    let lines = layouts.iter().filter(|(_, layout)| layout.sites.iter().any(|site| said(site) != "?"));
    let lines: Vec<String> = lines.map(|(fingerprint, layout)| line(fingerprint, layout, &fame)).collect();
    fs::write(&layouts_file, lines.join("\n") + "\n").unwrap();
    let mut above = None;
    let lines = counts.iter().map(|((shift, around, name, library), norms)| {
        let norms = norms.map(|count| count.to_string()).join("\t");
        let same = above.replace((shift, around)) == Some((shift, around));
        let (shift, around) = if same { ("", "") } else { (*shift, around.as_str()) };
        format!("{shift}\t{around}\t{name}\t{library}\t{norms}\n")
    });
    let head = "# shift\twhat stands around (both empty: as in the line above)\tname\tlibrary\tLayerNorm\tRMSNorm\tspanning\tplain: distinct sites an architecture\n";
    fs::write(arguments.out.join("counts.tsv"), head.to_owned() + &lines.collect::<String>()).unwrap();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (library, words) in &words {
        // Families of transformers are known individually. The other two are not libraries.
        let elsewhere = ["transformers", "manual", "other"].contains(library);
        let library = if elsewhere { "elsewhere" } else { library };
        words.iter().for_each(|word| _ = users.entry(word).or_default().insert(library));
    }
    let mut shared: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for (word, mut libraries) in users {
        if libraries.len() > 2 {
            libraries.remove("elsewhere");
        }
        if libraries.iter().any(|library| *library != "elsewhere") {
            shared.entry(libraries.into_iter().collect()).or_default().push(word);
        }
    }
    let lines =
        shared.iter().map(|(libraries, words)| format!("{}\t{}\n", libraries.join(" "), words.join(" ")));
    let head = "# libraries\tcomponents of names that just these use, digits as 0; elsewhere: code that is no library, or one known family by family\n";
    fs::write(arguments.out.join("vocabulary.tsv"), head.to_owned() + &lines.collect::<String>()).unwrap();
    println!("{documents} documents, {} layouts, {} lines of counts", layouts.len(), counts.len());
    for module in [false, true] {
        let shared =
            || layouts.values().filter(|layout| layout.module == module && layout.libraries.len() > 1);
        let split = shared().filter(|layout| layout.sites.iter().any(|site| said(site) == "?"));
        println!(
            "{} shared by two libraries or more: {}, of these doing different things: {}",
            if module { "modules" } else { "blocks" },
            shared().count(),
            split.count()
        );
    }
}

/// Parses a line of the existing table.
fn kept(line: &str) -> (String, Layout) {
    let cells: Vec<&str> = line.split('\t').collect();
    let words = |cell: usize| cells[cell].split(' ').map(str::to_owned);
    let sites = words(1).map(|site| match site.strip_suffix('*') {
        Some(kind) => BTreeSet::from([kind.to_owned(), format!("{kind}+1")]),
        None if site == "?" => BTreeSet::from(["layer".to_owned(), "rms".to_owned()]),
        None => BTreeSet::from([site]),
    });
    let layout = Layout {
        module: false,
        sites: sites.collect(),
        types: words(2).collect(),
        libraries: words(3).collect(),
    };
    (cells[0].to_owned(), layout)
}

/// Writes the verdict on a norm with all these behaviours.
fn said(seen: &BTreeSet<String>) -> String {
    let kinds: BTreeSet<&str> = seen.iter().map(|kind| kind.trim_end_matches("+1")).collect();
    match (kinds.len(), seen.len()) {
        (1, 1) => seen.first().unwrap().clone(),
        (1, _) => format!("{}*", kinds.first().unwrap()),
        _ => "?".to_owned(),
    }
}

fn line(fingerprint: &str, layout: &Layout, fame: &HashMap<String, usize>) -> String {
    let sites = layout.sites.iter().map(said).collect::<Vec<_>>().join(" ");
    let mut types: Vec<&String> = layout.types.iter().collect();
    // A name that begins many other names is well known, so llama comes before blt.
    types.sort_by_key(|name| (std::cmp::Reverse(fame[*name]), *name));
    let types = types.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let libraries = layout.libraries.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    format!("{fingerprint}\t{sites}\t{types}\t{libraries}")
}

fn fame(layouts: &BTreeMap<String, Layout>) -> HashMap<String, usize> {
    let names: BTreeSet<&String> = layouts.values().flat_map(|layout| &layout.types).collect();
    let count = |name: &str| names.iter().filter(|other| other.starts_with(name)).count();
    names.iter().map(|name| ((*name).clone(), count(name))).collect()
}

/// Adds one architecture.
fn learn(architecture: &Architecture, layouts: &mut BTreeMap<String, Layout>, counts: &mut Counts) {
    let library = architecture.library();
    let opened = architecture.open(Knowledge::default());
    let (tensors, sites) = (opened.tensors(), opened.sites());
    let truth: HashMap<&str, &Module> =
        architecture.norms.iter().filter_map(|norm| Some((norm.weight.as_deref()?, norm))).collect();
    let module_of = |site: usize| truth.get(tensors[sites[site].scale?].name.as_str()).copied();
    for group in layout::groups(tensors, sites) {
        let layout = layouts.entry(group.fingerprint.clone()).or_default();
        layout.module |= group.module;
        if layout.sites.is_empty() {
            layout.sites = vec![BTreeSet::new(); group.norms];
        }
        if layout.sites.len() != group.norms {
            println!("{}: {} norms where {} were", architecture.name, group.norms, layout.sites.len());
            continue;
        }
        for &(site, place) in &group.members {
            let Some(module) = module_of(site).filter(|module| module.kind != "unknown") else { continue };
            let plus =
                if module.kind != "other" && module.convention.as_deref() == Some("1+w") { "+1" } else { "" };
            layout.sites[place].insert(format!("{}{plus}", module.kind));
        }
        let class = architecture.config.as_ref().and_then(|config| config.get("_class_name")?.as_str());
        let name = architecture.model_type.as_deref().or(class).unwrap_or(architecture.name_without_option());
        layout.types.insert(name.replace(' ', "_"));
        layout.libraries.insert(library.to_owned());
    }
    // An option that was set to see its effect shows what is possible (layouts), not what is usual.
    if architecture.is_option() {
        return;
    }
    let mut seen = HashSet::new();
    for (index, site) in sites.iter().enumerate() {
        let Some(module) = module_of(index) else { continue };
        let like: Vec<&str> = site.name.split('.').filter(|part| part.parse::<u32>().is_err()).collect();
        let Some(behaviour) = behaviour(module) else { continue };
        if site.other.is_some() || !seen.insert((like.join("."), behaviour)) {
            continue;
        }
        let shift = if site.shift.is_some() { "shift" } else { "none" };
        let key = (shift, site.surroundings.finest(), name_class(&site.name), library);
        counts.entry(key).or_default()[behaviour] += 1;
    }
}

/// Its index among the columns of the counts.
fn behaviour(module: &Module) -> Option<usize> {
    let class = module.cls.as_deref().unwrap_or_default();
    let plain = ["Affine", "NoNorm", "DynamicTanh", "DyT", "LayerScale", "Dyt"]
        .iter()
        .any(|mark| class.contains(mark));
    match module.kind.as_str() {
        "layer" => Some(0),
        "rms" => Some(1),
        "other" => Some(if plain { 3 } else { 2 }),
        _ => None,
    }
}
