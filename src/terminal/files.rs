//! From the paths and addresses on the command line to open files.

use super::args::Remote;
use super::progress;
use gammascope::checkpoint::Format;
use gammascope::checkpoint::address::Address;
use gammascope::checkpoint::formats::{CONFIG, FOR_RUNS, LAYOUT, index_format, is_chunks, is_onnx_data};
use gammascope::checkpoint::gather::{Gathered, checkpoints};
use gammascope::checkpoint::remote::{Access, locate};
use gammascope::inspect::{Progress, Stage};
use gammascope::source::AnySource;
use gammascope::source::disk::DiskSource;
use gammascope::source::http::Token;
use gammascope::source::http::native::Native;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders deeper than this under a given folder are not looked into.
const DEPTH: usize = 4;

/// A file of a checkpoint, on this machine or behind an address.
pub(crate) type File = AnySource<DiskSource, Native>;

/// Opens the files behind `paths`, or behind the one address that is given instead.
pub(crate) fn sources(
    paths: &[PathBuf],
    remote: &Remote,
    line: &mut progress::Line,
) -> Result<Vec<File>, String> {
    if let [only] = paths
        && let Some(address) = address(only)
    {
        return fetch(address, remote, line);
    }
    if let Some(address) = paths.iter().filter(|path| !path.exists()).find_map(|path| url(path)) {
        return Err(format!("{:?} is one of several paths; give an address alone", without_query(address)));
    }
    let found = found(paths)?;
    if let [folder] = paths
        && folder.is_dir()
    {
        one_checkpoint(folder, &found)?;
    }
    Ok(local(found, paths)?.into_iter().map(AnySource::Local).collect())
}

/// Opens files that need not be one model, such as those of an adapter.
pub(crate) fn any_sources(
    paths: &[PathBuf],
    remote: &Remote,
    line: &mut progress::Line,
) -> Result<Vec<File>, String> {
    match paths {
        [only] if address(only).is_none() => {
            Ok(local(found(paths)?, paths)?.into_iter().map(AnySource::Local).collect())
        }
        _ => sources(paths, remote, line),
    }
}

/// How many checkpoints of a folder a message names.
const NAMED: usize = 3;

/// Fails if a folder holds several checkpoints, before any of its files is opened.
fn one_checkpoint(folder: &Path, found: &Found) -> Result<(), String> {
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    let checkpoints = checkpoints(&names).checkpoints;
    if checkpoints.len() < 2 {
        return Ok(());
    }
    let path = |gathered: &Gathered| match gathered.name.split_once('/') {
        Some((_, below)) => folder.join(below).display().to_string(),
        None => folder.display().to_string(),
    };
    let some: Vec<String> = checkpoints.iter().take(NAMED).map(|one| format!("`{}`", path(one))).collect();
    let more = match checkpoints.len() - some.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(format!(
        "`{0}` holds {1} checkpoints: {2}{more}; give one of them, or run `gammascope scan {0}` to inspect them all",
        folder.display(),
        checkpoints.len(),
        some.join(", "),
    ))
}

fn url(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://"))
}

fn without_query(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}

/// Returns the address if this is not a path. A model's name that is also a path here counts as a path.
fn address(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    (url(path).is_some() || !path.exists() && Address::is_model_name(text)).then_some(text)
}

fn fetch(address: &str, remote: &Remote, line: &mut progress::Line) -> Result<Vec<File>, String> {
    let token = |given: &str| {
        Token::new(given).ok_or("the token is empty or has characters that no token has; check it".to_owned())
    };
    let hub_token = std::env::var("HF_TOKEN").ok().filter(|given| !given.trim().is_empty());
    let access = Access {
        hub: remote.hub.trim_end_matches('/').to_owned(),
        token: remote.token.as_deref().map(token).transpose()?,
        hub_token: hub_token.as_deref().map(token).transpose()?,
    };
    let line = RefCell::new(line);
    let found = |done: usize, total: usize| {
        let (stage, done, total) = (Stage::Headers, done as u32, total as u32);
        line.borrow_mut().show(Progress { stage, done, total, bytes_read: 0 });
    };
    pollster::block_on(locate(Native::new(), address, &access, found)).map_err(|error| {
        match url(Path::new(address)) {
            Some(_) => error.to_string(),
            None => {
                format!("{error} (there is no path `{address}` here, so it was looked up on {})", access.hub)
            }
        }
    })
}

/// Location of each file, and its name in the checkpoint.
type Found = BTreeSet<(PathBuf, String)>;

/// Finds the files behind `paths`. A folder stands for the checkpoint files in and below it. An index brings its shards, and an index or
/// a lone file brings the configuration and tokenizer beside it.
fn found(paths: &[PathBuf]) -> Result<Found, String> {
    let mut found = Found::new();
    for path in paths {
        let metadata = std::fs::metadata(path)
            .map_err(|error| format!("`{}` cannot be opened: {error}; check the path", path.display()))?;
        if metadata.is_dir() {
            let top = path
                .canonicalize()
                .ok()
                .and_then(|full| full.file_name().map(|name| name.to_string_lossy().into_owned()));
            let top = top.unwrap_or_else(|| "checkpoint".to_owned());
            walk(path, &top, DEPTH, &mut found)?;
        } else {
            add_file(path, &mut found);
        }
    }
    Ok(found)
}

/// Opens files.
fn local(found: Found, paths: &[PathBuf]) -> Result<Vec<DiskSource>, String> {
    let open = |(location, name): (PathBuf, String)| match DiskSource::open(&location, name) {
        // A folder may hold anything, such as dangling links. Only shards and files that the user named must open.
        Err(_) if !paths.contains(&location) && !is_shard(&location) => None,
        opened => Some(opened.map_err(|error| error.to_string())),
    };
    found.into_iter().filter_map(open).collect()
}

/// Adds a file and what belongs to it in the same folder.
fn add_file(path: &Path, found: &mut Found) {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = name(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shards = index_format(&file);
    let format = Format::of_path(&file).filter(|format| *format != Format::Gguf);
    if format.is_some() || shards.is_some() {
        for companion in FOR_RUNS.into_iter().chain([CONFIG]) {
            let path = folder.join(companion);
            if path.is_file() {
                found.insert((path, companion.to_owned()));
            }
        }
    }
    // The chunks of a checkpoint of torch.distributed belong together.
    let is_of_chunks = |file: &str| is_chunks(file) || file == LAYOUT;
    if is_of_chunks(&file) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if is_of_chunks(&name(&entry.path())) {
                found.insert((entry.path(), name(&entry.path())));
            }
        }
    }
    if format == Some(Format::Onnx) {
        let beside = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(beside.filter(|path| is_onnx_data(&name(path), &file)).map(|path| {
            let name = name(&path);
            (path, name)
        }));
    }
    if shards.is_some() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if Format::of_path(&name(&entry.path())) == shards {
                found.insert((entry.path(), name(&entry.path())));
            }
        }
    }
    found.insert((path.to_owned(), file));
}

fn is_shard(path: &Path) -> bool {
    path.to_str().is_some_and(|path| Format::of_path(path).is_some())
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Found) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        format!("folder `{}` cannot be listed: {error}; check that it may be read", folder.display())
    })?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            if depth > 0 && !name.starts_with('.') {
                walk(&path, &format!("{prefix}/{name}"), depth - 1, found)?;
            }
        } else if !name.starts_with('.') || name == LAYOUT || name == ".zarray" {
            found.insert((path, format!("{prefix}/{name}")));
        }
    }
    Ok(())
}
