//! Finds which files belong together: from the names of files that were dropped, named or found in a folder to a list of
//! checkpoints. Reads no file.
//!
//! Folders are one checkpoint if the upper one says so (a pipeline, modules), if the lower one has the name of a part, or if the
//! upper one has weights itself. A training step and a hub's snapshot are always separate checkpoints. In one folder, files that
//! share a stem are one checkpoint, whatever their shard numbers and the words that distinguish copies (`fp16`, `Q4_K_M`, `ema`).
//! If a file has the usual name, such as `model.safetensors`, other files are left out. Each ONNX file is a checkpoint, with the files
//! in which it may have its numbers.

use super::compare_names;
use super::formats::{
    CONFIG, FOR_RUNS, Format, LAYOUT, MODULES, PIPELINE, index_format, is_beside_weights, is_chunks,
    is_file_name, is_index, is_onnx_data,
};
use crate::order;

/// The files of one checkpoint among those given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Gathered {
    /// Its folder, or its first file if it shares the folder with others.
    pub name: String,
    /// Indices of its files among those given.
    pub files: Vec<usize>,
}

/// The result of [`checkpoints`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// The checkpoints, in the order of their names with numbers in their numeric order.
    pub checkpoints: Vec<Gathered>,
    /// Weights beside a checkpoint of the usual name that are not its shards.
    pub left_out: Vec<Gathered>,
}

/// First words of the names that libraries give to the weights of a folder's one model. If a folder has several of them, they are
/// copies that name their tensors differently, and the first is used.
const USUAL: [&str; 4] = ["model", "pytorch_model", "diffusion_pytorch_model", "consolidated"];

/// Folders that are parts of the model of the folder above.
const PARTS: [&str; 16] = [
    "unet",
    "transformer",
    "prior",
    "decoder",
    "encoder",
    "vae",
    "vqvae",
    "movq",
    "text_encoder",
    "image_encoder",
    "vision_encoder",
    "audio_encoder",
    "text_model",
    "vision_model",
    "safety_checker",
    "controlnet",
];

/// Words that mark a step of a training run: at the start of a folder's name, or before a number in a file's name.
const STEPS: [&str; 8] = ["checkpoint", "ckpt", "step", "global_step", "epoch", "iter", "iteration", "round"];

/// Words in a name that tell copies of one model apart.
const VARIANTS: [&str; 18] = [
    "f16", "f32", "bf16", "fp16", "fp32", "fp8", "mxfp4", "nvfp4", "int4", "int8", "4bit", "8bit", "ema",
    "non", "nonema", "ud", "imat", "i1",
];

/// Finds the checkpoints among files, by their paths.
pub fn checkpoints(paths: &[&str]) -> Gathering {
    let weights = weights(paths);
    let folders = Folders::of(paths, &weights);
    let of_root =
        order::groups(weights.iter().map(|&file| (folders.root(folder_of(paths[file])).0.to_owned(), file)));
    let roots: Vec<&str> = of_root.iter().map(|(root, _)| root.as_str()).collect();
    let companions_of = nearest_roots(paths, &roots);
    let mut gathering = Gathering { checkpoints: Vec::new(), left_out: Vec::new() };
    for (root, files) in &of_root {
        let root = root.as_str();
        let mut companions = companions(paths, root, &companions_of);
        // An index without its shards says nothing about a GGUF file beside it.
        let all_gguf = files.iter().all(|&file| is_gguf(paths[file]));
        companions.retain(|&file| is_of_weights(paths, file, files) && !(all_gguf && is_index(paths[file])));
        let has_index = |folder: &str| {
            let indexes = companions.iter().filter(|&&file| is_index(paths[file]));
            indexes.into_iter().any(|&file| folder_of(paths[file]) == folder)
        };
        let usual_files =
            files.iter().filter_map(|&file| Some((folder_of(paths[file]).to_owned(), usual(paths[file])?)));
        let usual_names = order::groups(usual_files);
        let usual_of = |folder: &str| order::value_of(&usual_names, folder)?.iter().min().copied();
        let has_usual = |folder: &str| usual_of(folder).is_some();
        let (own, beside): (Vec<usize>, Vec<usize>) = files.iter().partition(|&&file| {
            let folder = folder_of(paths[file]);
            // Shards of an index may have any name; reading the index sorts them out.
            let fits = has_index(folder) || usual(paths[file]) == usual_of(folder);
            let is_copy = folders.root(folder).1;
            !is_copy && fits && (!stands_alone(paths[file]) || !has_usual(root) && !has_index(root))
        });
        let in_parts = files
            .iter()
            .any(|&file| folder_of(paths[file]) != root && !folders.root(folder_of(paths[file])).1);
        if has_usual(root) || has_index(root) || in_parts {
            let name = if root.is_empty() { paths[own[0]] } else { root };
            gathering.checkpoints.push(Gathered { name: name.to_owned(), files: [own, companions].concat() });
        } else {
            let series = series(paths, own);
            // It is unknown which of several models a configuration beside them belongs to.
            let companions = if series.len() > 1 { Vec::new() } else { companions };
            for files in series {
                let mut gathered = named(paths, files);
                gathered.files.extend(&companions);
                gathering.checkpoints.push(gathered);
            }
        }
        gathering.left_out.extend(series(paths, beside).into_iter().map(|files| named(paths, files)));
    }
    add_data(paths, &mut gathering.checkpoints);
    order::sort_by(&mut gathering.checkpoints, |a, b| compare_names(&a.name, &b.name));
    gathering
}

/// Adds the files in which ONNX files may have their numbers: by their names, or any other file beside the only ONNX file of a
/// folder.
fn add_data(paths: &[&str], checkpoints: &mut [Gathered]) {
    for gathered in checkpoints {
        let own: Vec<usize> = gathered.files.iter().copied().filter(|&file| is_onnx(paths[file])).collect();
        for model in own {
            let folder = folder_of(paths[model]);
            let beside = || (0..paths.len()).filter(|&file| folder_of(paths[file]) == folder);
            let alone = beside().filter(|&file| is_onnx(paths[file])).count() == 1;
            let is_data = |path: &str| !is_file_name(path) && (alone || is_onnx_data(path, paths[model]));
            for file in beside().filter(|&file| is_data(paths[file])) {
                if !gathered.files.contains(&file) {
                    gathered.files.push(file);
                }
            }
        }
    }
}

/// The files with weights, by their paths. A PyTorch or ONNX file counts only if no safetensors file in its folder is the same
/// model. Files that libraries put beside the weights count only if there is nothing else.
pub(super) fn weights(paths: &[&str]) -> Vec<usize> {
    let all: Vec<usize> = (0..paths.len()).filter(|&file| Format::of_path(paths[file]).is_some()).collect();
    // Trainers save the optimizer to a folder beside the weights.
    let is_beside = |path: &str| {
        let own = if is_chunks(path) { folder_of(path) } else { path };
        is_beside_weights(file_name(own))
    };
    let others = all.iter().any(|&file| !is_beside(paths[file]));
    let safetensors = all.iter().filter(|&&file| is(paths[file], Format::Safetensors));
    let of_folder = order::groups(safetensors.map(|&file| (folder_of(paths[file]).to_owned(), file)));
    let is_copy = |path: &str| {
        let beside = order::value_of(&of_folder, folder_of(path)).map(Vec::as_slice).unwrap_or_default();
        let stem = stem_of_copies(path);
        beside.iter().any(|&other| {
            usual(path).is_some() && usual(paths[other]).is_some() || stem_of_copies(paths[other]) == stem
        })
    };
    let counts = |path: &str| {
        !(is(path, Format::PyTorch) || is_onnx(path)) || !(is_copy(path) || others && is_beside(path))
    };
    // Flax, MLX and Keras files count if there is nothing else: beside other weights, they are copies. Most archives of arrays, and
    // most HDF5 files, hold data.
    let may_be_data = |path: &str| is(path, Format::Npz) || is(path, Format::Hdf5);
    let is_last = |path: &str| may_be_data(path) || is(path, Format::Flax);
    let with_others =
        order::distinct(all.iter().map(|&file| paths[file]).filter(|path| !is_last(path)).map(folder_of));
    let alone = with_others.is_empty() && all.len() == 1;
    let is_copy_or_data = |path: &str| {
        is_last(path)
            && (order::has(&with_others, folder_of(path))
                || may_be_data(path) && !alone && !is_parameters(path))
    };
    let mut kept: Vec<usize> =
        all.into_iter().filter(|&file| counts(paths[file]) && !is_copy_or_data(paths[file])).collect();
    // The same model once more, in TensorFlow.
    let of_flax = kept.iter().map(|&file| paths[file]).filter(|path| is(path, Format::Flax));
    let with_flax = order::distinct(of_flax.map(folder_of));
    kept.retain(|&file| !is(paths[file], Format::Hdf5) || !order::has(&with_flax, folder_of(paths[file])));
    kept
}

/// Whether a file that may hold data has the parameters of a model, by its name.
fn is_parameters(path: &str) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    ["weights", "model", "params", "tf_model"].iter().any(|word| name.starts_with(word))
}

fn named(paths: &[&str], files: Vec<usize>) -> Gathered {
    Gathered { name: files.first().map_or(String::new(), |&first| paths[first].to_owned()), files }
}

/// Groups the files of each folder by stem. A projector (llama.cpp's `mmproj`) belongs to the models beside it.
fn series(paths: &[&str], files: Vec<usize>) -> Vec<Vec<usize>> {
    let (mut projectors, mut models): (Vec<usize>, Vec<usize>) =
        files.into_iter().partition(|&file| is_projector(paths[file]));
    let alone = models.is_empty();
    if alone {
        std::mem::swap(&mut projectors, &mut models);
    }
    // A folder comes before those below it.
    let key = |file: usize| match is_onnx(paths[file]) {
        true => paths[file].to_owned(),
        false => format!("{}\n{}", folder_of(paths[file]), stem_of_copies(paths[file])),
    };
    let by_stem = order::groups(models.into_iter().map(|file| (key(file), file)));
    let mut all: Vec<Vec<usize>> = by_stem.into_iter().map(|(_, files)| files).collect();
    for files in &mut all {
        order::sort_by(files, |&a, &b| compare_names(paths[a], paths[b]));
        let folder = folder_of(paths[files[0]]);
        projectors.retain(|&file| is_gguf(paths[file]));
        files.extend(projectors.iter().filter(|&&file| folder_of(paths[file]) == folder));
    }
    all
}

/// Whether an index has the format of the weights in its folder. True for a file that is no index.
fn is_of_weights(paths: &[&str], index: usize, weights: &[usize]) -> bool {
    let Some(format) = index_format(paths[index]) else { return true };
    let beside = weights.iter().filter(|&&file| folder_of(paths[file]) == folder_of(paths[index]));
    let mut formats =
        beside.map(|&file| Format::of_path(paths[file])).filter(|format| *format != Some(Format::Gguf));
    formats.next().is_none_or(|first| first == Some(format) || formats.any(|other| other == Some(format)))
}

/// Configurations, indexes and files for runs, each with the nearest root at or above its folder. `roots` are sorted.
fn nearest_roots<'a>(paths: &[&'a str], roots: &[&str]) -> Vec<(usize, Option<&'a str>)> {
    let is_companion = |path: &str| {
        let file = file_name(path);
        let mut names = FOR_RUNS.iter().chain([&CONFIG]);
        names.any(|name| file.eq_ignore_ascii_case(name)) || is_index(file) || file == LAYOUT
    };
    let nearest = |path: &'a str| {
        let mut at = folder_of(path);
        while !order::has(roots, at) {
            if at.is_empty() {
                return None;
            }
            at = folder_of(at);
        }
        Some(at)
    };
    let companions = (0..paths.len()).filter(|&file| is_companion(paths[file]));
    companions.map(|file| (file, nearest(paths[file]))).collect()
}

/// The companions of a root. If it has no configuration, also the companions above it.
fn companions(paths: &[&str], root: &str, all: &[(usize, Option<&str>)]) -> Vec<usize> {
    let mut own: Vec<usize> =
        all.iter().filter(|(_, nearest)| *nearest == Some(root)).map(|(file, _)| *file).collect();
    if !own.iter().any(|&file| file_name(paths[file]).eq_ignore_ascii_case(CONFIG)) {
        let above = all.iter().map(|(file, _)| *file).filter(|&file| {
            let folder = folder_of(paths[file]);
            let is_of_folder = is_index(paths[file]) || file_name(paths[file]) == LAYOUT;
            folder != root && is_below(root, folder) && !is_of_folder
        });
        own.extend(above);
    }
    own
}

/// What the paths say about folders.
struct Folders<'a> {
    /// Folders with weights in them, sorted.
    with_weights: Vec<&'a str>,
    /// Folders whose parts lie in the folders below, sorted.
    of_parts: Vec<&'a str>,
}

impl<'a> Folders<'a> {
    fn of(paths: &[&'a str], weights: &[usize]) -> Self {
        let says = |path: &&&str| {
            let file = file_name(path);
            [PIPELINE, MODULES].iter().any(|name| file.eq_ignore_ascii_case(name))
        };
        Self {
            with_weights: order::distinct(weights.iter().map(|&file| folder_of(paths[file]))),
            of_parts: order::distinct(paths.iter().filter(says).map(|path| folder_of(path))),
        }
    }

    /// The uppermost folder whose model a folder's weights belong to, and whether they are copies in a folder below it
    /// (`original/`, `gguf/`) rather than a part of the model.
    fn root(&self, folder: &'a str) -> (&'a str, bool) {
        let (mut root, mut is_copy) = (folder, false);
        let mut at = folder;
        while !at.is_empty() && !is_own(at) {
            let above = folder_of(at);
            if order::has(&self.of_parts, above) || is_part(at) {
                root = above;
            } else if !above.is_empty() && order::has(&self.with_weights, above) {
                (root, is_copy) = (above, true);
            }
            at = above;
        }
        (root, is_copy)
    }
}

/// Whether a folder is a step of a training run, or a snapshot in a hub's cache.
fn is_own(folder: &str) -> bool {
    let name = file_name(folder).to_ascii_lowercase();
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '=' | 'k'));
    let is_step =
        word.len() < name.len() && STEPS.contains(&word) && name.contains(|c: char| c.is_ascii_digit());
    is_step || file_name(folder_of(folder)) == "snapshots"
}

/// Whether a folder has the name of a part: `text_encoder_2`, `2_Dense`.
fn is_part(folder: &str) -> bool {
    let name = file_name(folder);
    let numbered = name.split_once('_').is_some_and(|(number, rest)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty()
    });
    numbered || PARTS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_'))
}

fn is_below(folder: &str, root: &str) -> bool {
    root.is_empty() || folder.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is(path: &str, format: Format) -> bool {
    Format::of_path(path) == Some(format)
}

fn is_gguf(path: &str) -> bool {
    is(path, Format::Gguf)
}

fn is_onnx(path: &str) -> bool {
    is(path, Format::Onnx)
}

/// Whether a file is a whole model, whatever other weights lie beside it.
fn stands_alone(path: &str) -> bool {
    is_gguf(path) || is_onnx(path)
}

fn is_projector(path: &str) -> bool {
    file_name(path).to_ascii_lowercase().contains("mmproj")
}

/// Which of the usual names a file has. `None` for a GGUF or ONNX file.
fn usual(path: &str) -> Option<usize> {
    // The files of one folder are one checkpoint, whatever their numbers are.
    if is_chunks(path) {
        return Some(USUAL.len());
    }
    let stem = file_name(Format::stem(path)).to_ascii_lowercase();
    let begins = |usual: &str| {
        let rest = stem.strip_prefix(usual);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    USUAL.iter().position(|usual| begins(usual)).filter(|_| !stands_alone(path))
}

/// What the names of copies and of numbered parts share, in lower case.
fn stem_of_copies(path: &str) -> String {
    let stem =
        numbered(path).map_or(file_name(Format::stem(path)), |numbered| numbered.stem).to_ascii_lowercase();
    let is_separator = |c: char| matches!(c, '-' | '_' | '.');
    let mut words = Vec::new();
    let mut in_quantisation = false;
    for word in stem.split(is_separator) {
        // Q4_K_M, IQ3_XXS: what follows is a word of at most three letters or a digit.
        let number = word.strip_prefix(['i', 't']).unwrap_or(word).strip_prefix('q');
        let begins =
            number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()) && number.len() < 3);
        let goes_on = in_quantisation && (matches!(word, "k" | "nl") || is_digit(word) || is_size(word));
        in_quantisation = begins || goes_on;
        if !in_quantisation && !VARIANTS.contains(&word) {
            words.push(word);
        }
    }
    // Files that differ by one number at the end are parts, unless it counts steps of a run; GGUF files are not.
    if let [.., before, last] = words[..]
        && !is_gguf(path)
        && last.parse::<u64>().is_ok()
        && !STEPS.contains(&before)
    {
        words.pop();
    }
    words.join("-")
}

fn is_digit(word: &str) -> bool {
    word.len() == 1 && word.as_bytes()[0].is_ascii_digit()
}

fn is_size(word: &str) -> bool {
    word.len() <= 3 && word.trim_start_matches('x').len() == 1 && word.ends_with(['s', 'm', 'l'])
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What the name of a shard says: `model-00002-of-00030.safetensors`.
pub(super) struct Numbered<'a> {
    pub(super) stem: &'a str,
    pub(super) number: u64,
    pub(super) of: u64,
    /// Digits of each number.
    pub(super) digits: usize,
    /// With its dot.
    pub(super) extension: &'a str,
}

pub(super) fn numbered(path: &str) -> Option<Numbered<'_>> {
    let extension = Format::ending_of(path);
    Format::of_path(path)?;
    let (rest, of) = file_name(Format::stem(path)).rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = (number.len() + of.len()) / 2;
    Some(Numbered { stem, number: number.parse().ok()?, of: of.parse().ok()?, digits, extension })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the checkpoints, and the names of what is left out.
    fn gathered<'a>(paths: &'a [&'a str]) -> (Vec<(String, usize)>, Vec<String>) {
        let Gathering { checkpoints, left_out } = checkpoints(paths);
        (
            checkpoints.into_iter().map(|one| (one.name, one.files.len())).collect(),
            left_out.into_iter().map(|one| one.name).collect(),
        )
    }

    fn names(paths: &[&str]) -> Vec<String> {
        gathered(paths).0.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn shards_with_their_index_and_configuration_are_one() {
        let paths = [
            "m/a-1-of-2.safetensors",
            "m/a-2-of-2.safetensors",
            "m/config.json",
            "m/x.safetensors.index.json",
        ];
        assert_eq!(gathered(&paths), (vec![("m".to_owned(), 4)], vec![]));
    }

    #[test]
    fn an_index_without_shards_does_not_hide_a_gguf_file() {
        assert_eq!(
            gathered(&["m.gguf", "model.safetensors.index.json"]),
            (vec![("m.gguf".to_owned(), 1)], vec![])
        );
        assert_eq!(names(&["m/m.gguf", "m/model.safetensors.index.json", "m/config.json"]), ["m/m.gguf"]);
    }

    #[test]
    fn two_gguf_files_are_two_models_and_two_quantisations_are_one() {
        assert_eq!(names(&["llama.gguf", "bert.gguf"]), ["bert.gguf", "llama.gguf"]);
        assert_eq!(names(&["m-7b-v0.1.gguf", "m-7b-v0.2.gguf"]).len(), 2);
        let copies = [
            "m-7b.Q4_K_M.gguf",
            "m-7b.IQ3_XXS.gguf",
            "m-7b-f16.gguf",
            "m-7b.gguf",
            "m-7b-UD-Q8_0.gguf",
            "m-7b-TQ1_0.gguf",
        ];
        assert_eq!(gathered(&copies).0.len(), 1, "{:?}", gathered(&copies));
    }

    #[test]
    fn each_onnx_file_is_a_checkpoint_with_its_data() {
        let paths = ["d/model.onnx", "d/model.onnx_data", "d/model.onnx_data_1", "d/config.json"];
        assert_eq!(gathered(&paths), (vec![("d/model.onnx".to_owned(), 4)], vec![]));
        let paths = ["model.onnx", "model_fp16.onnx", "model.onnx.data", "model_fp16.onnx_data"];
        let expected = vec![("model.onnx".to_owned(), 2), ("model_fp16.onnx".to_owned(), 2)];
        assert_eq!(gathered(&paths), (expected, vec![]));
        assert_eq!(gathered(&["net.onnx", "weights", "README.json"]).0, [("net.onnx".to_owned(), 2)]);
        let paths = ["m/model.safetensors", "m/model.onnx", "m/onnx/model_q4.onnx"];
        assert_eq!(gathered(&paths), (vec![("m".to_owned(), 1)], vec!["m/onnx/model_q4.onnx".to_owned()]));
    }

    #[test]
    fn a_series_of_gguf_files_is_one_and_takes_its_projector_along() {
        let paths = ["d/m-00001-of-00002.gguf", "d/m-00002-of-00002.gguf", "d/mmproj-f16.gguf"];
        assert_eq!(gathered(&paths), (vec![("d/m-00001-of-00002.gguf".to_owned(), 3)], vec![]));
        assert_eq!(names(&["mmproj-f16.gguf"]), ["mmproj-f16.gguf"]);
        assert_eq!(names(&["model.gguf"]), ["model.gguf"]);
    }

    #[test]
    fn steps_of_a_training_run_are_each_their_own() {
        let paths = [
            "run/config.json",
            "run/checkpoint-900/model.safetensors",
            "run/checkpoint-1000/model.safetensors",
            "run/model.safetensors",
        ];
        assert_eq!(names(&paths), ["run", "run/checkpoint-900", "run/checkpoint-1000"]);
        let of_run = &checkpoints(&paths).checkpoints[0];
        assert_eq!(of_run.files, [3, 0]);
        let steps = ["run/config.json", "run/step_1/model.safetensors", "run/step_2/model.safetensors"];
        assert!(checkpoints(&steps).checkpoints.iter().all(|step| step.files.contains(&0)));
        let files = ["run/step-900.safetensors", "run/step-1000.safetensors", "run/step-2000.safetensors"];
        assert_eq!(names(&files).len(), 3);
        assert_eq!(names(&["d/model-1.safetensors", "d/model-2.safetensors"]).len(), 1, "parts of one");
    }

    #[test]
    fn snapshots_in_a_hubs_cache_are_each_their_own() {
        let paths = [
            "models--a--b/blobs/0123",
            "models--a--b/snapshots/aa/model.safetensors",
            "models--a--b/snapshots/aa/config.json",
            "models--a--b/snapshots/bb/model.safetensors",
        ];
        let (found, _) = gathered(&paths);
        assert_eq!(
            found,
            [("models--a--b/snapshots/aa".to_owned(), 2), ("models--a--b/snapshots/bb".to_owned(), 1)]
        );
    }

    #[test]
    fn the_parts_of_a_pipeline_are_one() {
        let paths =
            ["sd/unet/a.safetensors", "sd/text_encoder_2/b.safetensors", "sd/text_encoder_2/config.json"];
        assert_eq!(gathered(&paths), (vec![("sd".to_owned(), 3)], vec![]));
        let odd = ["sd/model_index.json", "sd/thing/a.safetensors", "sd/other/b.safetensors"];
        assert_eq!(names(&odd), ["sd"]);
        let modules = ["st/model.safetensors", "st/2_Dense/model.safetensors", "st/2_Dense/config.json"];
        assert_eq!(gathered(&modules), (vec![("st".to_owned(), 3)], vec![]));
    }

    #[test]
    fn folders_that_say_nothing_of_each_other_are_each_their_own() {
        assert_eq!(names(&["x/a/model.safetensors", "x/b/model.safetensors", "x/c/d.gguf"]).len(), 3);
    }

    #[test]
    fn what_lies_beside_the_usual_name_is_left_out() {
        let paths = [
            "d/model.safetensors",
            "d/consolidated.safetensors",
            "d/m.Q4_0.gguf",
            "d/lora.safetensors",
            "d/gguf/m.F16.gguf",
        ];
        let (found, left_out) = gathered(&paths);
        assert_eq!(found[0].0, "d");
        assert_eq!(found.len(), 1);
        assert_eq!(
            left_out,
            ["d/consolidated.safetensors", "d/lora.safetensors", "d/m.Q4_0.gguf", "d/gguf/m.F16.gguf"]
        );
        assert_eq!(gathered(&["d/consolidated.00.safetensors", "d/consolidated.01.safetensors"]).0.len(), 1);
        let paths = ["model.safetensors", "lora.safetensors", "m.gguf"];
        assert_eq!(gathered(&paths).1, ["lora.safetensors", "m.gguf"]);
    }

    #[test]
    fn a_configuration_beside_several_models_is_nobodys() {
        let found = checkpoints(&["a.safetensors", "b.safetensors", "config.json"]).checkpoints;
        assert_eq!(found.iter().map(|one| one.files.clone()).collect::<Vec<_>>(), [[0], [1]]);
    }

    #[test]
    fn thousands_of_shards_and_of_checkpoints_take_no_time_for_each_pair() {
        let shards: Vec<String> =
            (1..=20_000).map(|number| format!("m/model-{number:05}-of-20000.safetensors")).collect();
        let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
        assert_eq!(checkpoints(&shards).checkpoints[0].files.len(), 20_000);
        let many: Vec<String> = (0..3000)
            .flat_map(|at| [format!("x/{at}/model.safetensors"), format!("x/{at}/config.json")])
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = checkpoints(&many).checkpoints;
        assert!(found.len() == 3000 && found.iter().all(|one| one.files.len() == 2));
    }

    #[test]
    fn flax_mlx_and_keras_files_count_if_there_is_nothing_else() {
        let all = ["m/flax_model.msgpack", "m/pytorch_model.bin", "m/config.json", "m/tf_model.h5"];
        let found = checkpoints(&all).checkpoints;
        assert_eq!(found.iter().map(|one| one.files.clone()).collect::<Vec<_>>(), [[1, 2]]);
        assert_eq!(names(&["m/flax_model.msgpack", "m/config.json"]), ["m/flax_model.msgpack"]);
        assert_eq!(names(&["m/weights.npz", "m/config.json", "m/data.npz"]), ["m/weights.npz"]);
        assert_eq!(names(&["anything.npz"]), ["anything.npz"]);
        assert_eq!(names(&["d/1.npz", "d/2.npz"]), [""; 0]);
        assert_eq!(names(&["m/tf_model.h5", "m/config.json", "m/data.h5"]), ["m/tf_model.h5"]);
        assert_eq!(names(&["m/tf_model.h5", "m/flax_model.msgpack"]), ["m/flax_model.msgpack"]);
        assert_eq!(names(&["anything.hdf5"]), ["anything.hdf5"]);
        assert_eq!(names(&["d/1.h5", "d/2.h5"]), [""; 0]);
    }

    #[test]
    fn without_weights_there_is_no_checkpoint() {
        assert_eq!(checkpoints(&["config.json", "notes.txt"]).checkpoints, []);
    }
}
