//! Compares the table in ARCHITECTURE.md, which says what each room may use, with the imports, in both directions. Also fails if
//! two modules import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module, by its path from the crate: `norm::evidence`.
type Module = Vec<String>;

/// The modules of `src/` and the imports of each, without the command line and without tests.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = root().join("src");
    let sources: BTreeMap<Module, String> = rust_files(&root)
        .into_iter()
        .filter_map(|file| {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module[0].as_str(), "bin" | "lib" | "terminal" | "typescript")
                || module.last().unwrap() == "tests"
            {
                return None;
            }
            module.pop_if(|last| last == "mod");
            Some((module, code(&std::fs::read_to_string(&file).unwrap())))
        })
        .collect();
    let known: BTreeSet<&Module> = sources.keys().collect();
    let imported = |module: &Module, text: &str| -> BTreeSet<Module> {
        let paths = paths(text).into_iter().filter_map(|path| absolute(module, &path));
        let resolved = paths.filter_map(|mut path| {
            while !path.is_empty() && !known.contains(&path) {
                path.pop();
            }
            Some(path).filter(|path| !path.is_empty())
        });
        resolved.filter(|other| other != module).collect()
    };
    sources.iter().map(|(module, text)| (module.clone(), imported(module, text))).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// The code without comments and unit tests.
fn code(text: &str) -> String {
    let own = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    own.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate` or `super`. The groups of a `use` are split.
fn paths(code: &str) -> Vec<Vec<String>> {
    let starts = ["crate::", "super::"].into_iter().flat_map(|start| code.match_indices(start));
    let own = starts.filter(|(at, _)| !code[..*at].ends_with("::") && !code[..*at].ends_with(is_name));
    own.flat_map(|(at, _)| of_tree(&code[at..]).0).collect()
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The paths of `a::b::{c, d::{e}}` at the beginning of `text`, and its length.
fn of_tree(text: &str) -> (Vec<Vec<String>>, usize) {
    let mut at = 0;
    let mut path = Vec::new();
    loop {
        let name: String = text[at..].chars().take_while(|&character| is_name(character)).collect();
        at += name.len();
        if !name.is_empty() {
            path.push(name);
        }
        if !text[at..].starts_with("::") {
            return (vec![path], at);
        }
        at += 2;
        if !text[at..].starts_with('{') {
            continue;
        }
        let mut all = Vec::new();
        at += 1;
        loop {
            at += text[at..].len() - text[at..].trim_start_matches([',', ' ', '\n']).len();
            if at >= text.len() || text[at..].starts_with('}') {
                return (all, at + 1);
            }
            let (inside, length) = of_tree(&text[at..]);
            all.extend(inside.into_iter().map(|inside| [path.clone(), inside].concat()));
            at += length;
            // `as name`, `*` and anything else that ends an item.
            at += text[at..].find([',', '}']).unwrap_or(text[at..].len());
        }
    }
}

/// The path from the crate. In the file of `norm::find`, `super` is `norm`.
fn absolute(module: &Module, path: &[String]) -> Option<Module> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let base = if path[0] == "crate" { &[][..] } else { module.get(..module.len().checked_sub(ups)?)? };
    let rest = path[ups.max(usize::from(path[0] == "crate"))..].iter().filter(|part| *part != "self");
    Some(base.iter().chain(rest).cloned().collect())
}

/// What each room may use, from the table in ARCHITECTURE.md. Rooms that may use everything are left out.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = document.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `src/")?.split('|').map(str::trim);
        let room = cells.next()?.split('`').next()?.trim_end_matches('/').trim_end_matches(".rs").to_owned();
        let may_use = cells.next_back().filter(|cell| !cell.is_empty()).or(cells.next_back())?;
        (may_use != "everything").then(|| {
            let names = may_use.split(", ").filter(|name| *name != "nothing");
            (room, names.map(str::to_owned).collect())
        })
    });
    rows.collect()
}

#[test]
fn every_room_uses_what_architecture_md_says_and_nothing_else() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, others) in imports() {
        let rooms = used.entry(module[0].clone()).or_default();
        rooms.extend(others.into_iter().map(|mut other| other.remove(0)).filter(|other| *other != module[0]));
    }
    let allowed = allowed();
    assert!(used.len() > 20, "the sources were found: {used:?}");
    for (room, used) in &used {
        let allowed =
            allowed.get(room).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for src/{room}"));
        assert_eq!(used, allowed, "src/{room} uses the left, and ARCHITECTURE.md says the right");
    }
    let rooms: Vec<&String> = allowed.keys().filter(|room| !used.contains_key(*room)).collect();
    assert!(rooms.is_empty(), "ARCHITECTURE.md has rows for rooms that are not there: {rooms:?}");
}

#[test]
fn no_module_imports_what_imports_it() {
    let mut imports = imports();
    for (module, others) in &mut imports {
        // The mod.rs of a folder and the files in it are one room.
        others.retain(|other| !module.starts_with(other) && !other.starts_with(module));
    }
    let mut done = BTreeSet::new();
    for module in imports.keys() {
        if let Some(cycle) = cycle(module, &imports, &mut Vec::new(), &mut done) {
            let names: Vec<String> = cycle.iter().map(|module| module.join("::")).collect();
            panic!("these import each other: {}", names.join(" → "));
        }
    }
}

fn cycle<'a>(
    module: &'a Module,
    imports: &'a BTreeMap<Module, BTreeSet<Module>>,
    path: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<&'a Module>> {
    if let Some(from) = path.iter().position(|earlier| *earlier == module) {
        return Some([&path[from..], &[module]].concat());
    }
    if done.contains(module) {
        return None;
    }
    path.push(module);
    let found = imports[module].iter().find_map(|other| cycle(other, imports, path, done));
    path.pop();
    done.insert(module);
    found
}

#[test]
fn wasm_bindgen_is_known_to_web_only() {
    for file in rust_files(&root().join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!code(&text).contains("wasm_bindgen"), "{} imports wasm_bindgen", file.display());
    }
}

#[test]
fn paths_of_a_use_are_taken_apart() {
    let found =
        paths("use crate::a::{self, b as c, d::{e, f}};\nlet x = super::g::h(crate::i);\nnot_crate::j;");
    let joined: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        joined,
        ["crate::a::self", "crate::a::b", "crate::a::d::e", "crate::a::d::f", "crate::i", "super::g::h"]
    );
    let module = vec!["norm".to_owned(), "find".to_owned()];
    assert_eq!(
        absolute(&module, &["super".to_owned(), "place".to_owned()]).unwrap().join("::"),
        "norm::place"
    );
}
