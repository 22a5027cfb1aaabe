//! Finds the modules of an adapter in its base. Libraries move whole stacks of blocks (`model.language_model.layers` is
//! `language_model.model.layers` in older files), wrap them, or write their paths with underscores. So the modules are placed stack
//! by stack. The part of a path before its first number is its stem, and one stem of the adapter matches one stem of the base.

use crate::checkpoint::Tensor;
use crate::checkpoint::adapter_names::FLAT_PREFIXES;
use crate::checkpoint::dtype::TensorType;
use std::collections::HashMap;

/// A part of the adapter that has a place in the base.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted<'a> {
    /// Its path, as the adapter has it.
    pub(super) path: &'a str,
    /// The shape that its place must have.
    pub(super) shape: Demand,
}

/// What an adapted tensor of the base must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// A linear map with this many inputs and outputs, as far as they are known.
    Map { inputs: Option<u64>, outputs: Option<u64> },
    /// A scale of this many values.
    Scale(u64),
    /// Anything.
    Nothing,
}

impl Demand {
    fn allows(self, tensor: &Tensor) -> bool {
        match (self, &tensor.shape[..]) {
            (Self::Map { .. }, _) if is_packed(tensor) => true,
            (Self::Map { inputs, outputs }, &[rows, columns]) => {
                let is = |wanted: Option<u64>, size: u64| wanted.is_none_or(|wanted| wanted == size);
                // GPT-2 stores its maps as inputs × outputs.
                is(inputs, columns) && is(outputs, rows) || is(inputs, rows) && is(outputs, columns)
            }
            (Self::Scale(width), &[size]) => width == size,
            (Self::Scale(_), _) => false,
            (Self::Map { .. } | Self::Nothing, _) => true,
        }
    }
}

/// Whether a tensor may be packed in an unknown way: integers. Then its shape differs from that of the map it stands for.
pub(super) fn is_packed(tensor: &Tensor) -> bool {
    !tensor.dtype.is_floating()
        && !matches!(tensor.dtype, TensorType::Block(_) | TensorType::Packed(_) | TensorType::Unpacked(_))
}

/// One stem of the adapter under its name in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Renaming {
    pub(super) from: String,
    pub(super) to: String,
    /// Number of modules and norms that were found this way.
    pub(super) found: usize,
}

/// Why a part of the adapter has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// The base has no such module.
    Nowhere,
    /// It fits in several places: stems of the base, or of the adapter for one of the base.
    Ambiguous(String),
    /// Its stack has one place, but the base's tensor there has another shape.
    Misfit {
        /// Index of the tensor.
        tensor: usize,
        /// Whether the tensor would be this module's own, not another's of the stack.
        own: bool,
    },
}

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    /// The base's tensor for each wanted part.
    pub(super) found: Vec<Result<usize, Missing>>,
    pub(super) renamings: Vec<Renaming>,
}

/// How paths are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Spelling {
    /// `model.layers.0.q_proj`
    Dotted,
    /// `model_layers_0_q_proj`
    Flat,
}

impl Spelling {
    fn separator(self) -> char {
        match self {
            Self::Dotted => '.',
            Self::Flat => '_',
        }
    }

    fn of(path: &str) -> Self {
        let is_flat = || bare(path) != path || numbers(path, Self::Flat).next().is_some();
        if !path.contains('.') && is_flat() { Self::Flat } else { Self::Dotted }
    }
}

/// The paths of the base in one spelling.
struct Paths {
    spelling: Spelling,
    /// `None` if two modules are written alike.
    by_path: HashMap<String, Option<usize>>,
    /// The end of a path, from a number on → what comes before it, and the tensor.
    by_rest: HashMap<String, Vec<(String, usize)>>,
}

impl Paths {
    fn new(modules: &[(&str, usize)], spelling: Spelling) -> Self {
        let (mut by_path, mut by_rest) = (HashMap::new(), HashMap::<String, Vec<(String, usize)>>::new());
        for &(module, tensor) in modules {
            let path = match spelling {
                Spelling::Dotted => module.replace('/', "."),
                Spelling::Flat => module.replace(['.', '/'], "_"),
            };
            for at in numbers(&path, spelling) {
                let stem = path[..at].trim_end_matches(spelling.separator()).to_owned();
                by_rest.entry(path[at..].to_owned()).or_default().push((stem, tensor));
            }
            by_path
                .entry(path)
                .and_modify(|known: &mut Option<usize>| *known = known.filter(|known| *known == tensor))
                .or_insert(Some(tensor));
        }
        Self { spelling, by_path, by_rest }
    }

    fn exact(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied().flatten()
    }

    fn below(&self, stem: &str, rest: &str) -> Option<usize> {
        if stem.is_empty() {
            self.exact(rest)
        } else {
            self.exact(&format!("{stem}{}{rest}", self.spelling.separator()))
        }
    }
}

/// Where the components of a path that are numbers begin.
fn numbers(path: &str, spelling: Spelling) -> impl Iterator<Item = usize> {
    let separator = spelling.separator();
    let mut start = 0;
    path.split(separator).filter_map(move |component| {
        let at = start;
        start += component.len() + separator.len_utf8();
        let is_number = !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(at)
    })
}

/// The modules of the adapter whose paths begin alike, up to a number.
struct Stack<'a> {
    spelling: Spelling,
    /// As the adapter has it, with kohya's prefix.
    stem: &'a str,
    /// Without that prefix.
    bare: &'a str,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    wanted: usize,
    rest: &'a str,
}

impl<'a> Member<'a> {
    /// What the blocks have in common: the path after the number.
    fn kind(&self, separator: char) -> &'a str {
        self.rest.split_once(separator).map_or("", |(_, kind)| kind)
    }
}

/// A stem of the base that may match a stack.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    stem: String,
    /// Number of kinds of modules that are complete there.
    kinds: usize,
    /// A module of the stack, and the tensor below the stem that has another shape.
    misfit: Option<(usize, usize)>,
    likeness: Likeness,
}

/// How alike two stems are, the strongest sign first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Likeness {
    /// The folder is the one that the adapter's prefix names (1), and the rest matches too (2).
    folder: u8,
    /// Whether one ends with the other: a wrapper was added or removed.
    wrapped: bool,
    /// Words in common.
    words: usize,
}

enum Decision {
    Placed(Candidate),
    Failed(Failure),
}

/// Why a stack has no place: the [`Missing`] of all its modules.
enum Failure {
    Nowhere,
    Ambiguous(String),
    /// A module of the stack, and the tensor in its place.
    Misfit(usize, usize),
}

/// llama.cpp's names of linear maps in a block, and their names in transformers' code of Llama and GPT-2.
const OF_LLAMA_CPP: [(&str, &str); 11] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

/// The names that a map in a block of a GGUF file (`blk.3.attn_q`) may have had before its conversion.
fn before_conversion(module: &str) -> impl Iterator<Item = String> {
    let block = module.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    block.into_iter().flat_map(|(number, map)| {
        let names = OF_LLAMA_CPP.iter().filter(move |(converted, _)| *converted == map);
        names.map(move |(_, name)| format!("blk.{number}.{name}"))
    })
}

/// Finds the places of all `wanted` parts among `tensors`. `scales` are names of norm sites, each with the index of its scale.
pub(super) fn place(tensors: &[Tensor], scales: &[(&str, usize)], wanted: &[Wanted<'_>]) -> Places {
    let maps = tensors.iter().enumerate().filter_map(|(index, tensor)| {
        let module = tensor.name.strip_suffix(".weight");
        module.or((tensor.shape.len() > 1).then_some(tensor.name.as_str())).map(|module| (module, index))
    });
    let named: Vec<(&str, usize)> = maps.chain(scales.iter().copied()).collect();
    let converted: Vec<(String, usize)> = named
        .iter()
        .flat_map(|&(module, index)| before_conversion(module).map(move |name| (name, index)))
        .collect();
    let converted = converted.iter().map(|(module, index)| (module.as_str(), *index));
    let modules: Vec<(&str, usize)> = named.iter().copied().chain(converted).collect();
    let paths = [Spelling::Dotted, Spelling::Flat].map(|spelling| Paths::new(&modules, spelling));
    let of = |spelling: Spelling| &paths[spelling as usize];

    let mut found: Vec<Result<usize, Missing>> = vec![Err(Missing::Nowhere); wanted.len()];
    let (mut stacks, loose) = stacks(wanted);
    let mut renamings = Vec::new();
    // Stems of the base that are taken, each with its stem of the adapter.
    let mut taken: Vec<(Spelling, &str, &str, String)> = Vec::new();

    // Stacks with the same paths are placed directly.
    stacks.retain(|stack| {
        let paths = of(stack.spelling);
        let same = |member: &Member<'_>| paths.below(stack.bare, member.rest);
        if stack.members.iter().all(|member| same(member).is_none()) {
            return true;
        }
        for member in &stack.members {
            found[member.wanted] = same(member).ok_or(Missing::Nowhere);
        }
        taken.push((stack.spelling, stack.stem, stack.bare, stack.bare.to_owned()));
        false
    });
    let plain = taken.len();

    // Then stacks with only one place left are placed. This repeats as long as it takes places from others.
    let mut failures: Vec<(usize, Failure)> = Vec::new();
    let mut open: Vec<(usize, Vec<Candidate>)> = stacks
        .iter()
        .enumerate()
        .map(|(at, stack)| (at, candidates(of(stack.spelling), stack, tensors, wanted)))
        .collect();
    loop {
        for (at, candidates) in &mut open {
            let spelling = stacks[*at].spelling;
            candidates.retain(|candidate| {
                taken.iter().all(|(other, .., stem)| *other != spelling || *stem != candidate.stem)
            });
        }
        failures.clear();
        let mut placed: Vec<(usize, Candidate)> = Vec::new();
        for (at, candidates) in &open {
            match decide(candidates, &stacks[*at]) {
                Decision::Placed(candidate) => placed.push((*at, candidate)),
                Decision::Failed(failure) => failures.push((*at, failure)),
            }
        }
        let rivals = |at: usize, candidate: &Candidate| {
            let mut stems = vec![stacks[at].stem];
            stems.extend(placed.iter().filter_map(|(other, of_other)| {
                let rival = *other != at
                    && of_other.stem == candidate.stem
                    && stacks[*other].spelling == stacks[at].spelling
                    && of_other.likeness >= candidate.likeness;
                rival.then_some(stacks[*other].stem)
            }));
            stems
        };
        let mut won = Vec::new();
        for (at, candidate) in &placed {
            match &rivals(*at, candidate)[..] {
                [_] => won.push((*at, candidate.clone())),
                stems => {
                    let stems: Vec<String> = stems.iter().map(|stem| format!("`{stem}`")).collect();
                    let message = format!("{} both fit `{}`", stems.join(" and "), candidate.stem);
                    failures.push((*at, Failure::Ambiguous(message)));
                }
            }
        }
        if won.is_empty() {
            break;
        }
        open.retain(|(at, _)| won.iter().all(|(other, _)| other != at));
        for (at, candidate) in won {
            let stack = &stacks[at];
            let paths = of(stack.spelling);
            let mut original = None;
            for member in &stack.members {
                let tensor = paths.below(&candidate.stem, member.rest);
                original = original.or_else(|| tensor.map(|tensor| tensors[tensor].name.as_str()));
                found[member.wanted] = tensor.ok_or(Missing::Nowhere);
            }
            renamings.push(Renaming {
                from: stack.stem.to_owned(),
                // In the base's own spelling, which has the same length.
                to: original.and_then(|name| name.get(..candidate.stem.len())).unwrap_or_default().to_owned(),
                found: stack.members.iter().filter(|member| found[member.wanted].is_ok()).count(),
            });
            taken.push((stack.spelling, stack.stem, stack.bare, candidate.stem));
        }
    }
    for (at, failure) in failures {
        for member in &stacks[at].members {
            found[member.wanted] = Err(match &failure {
                Failure::Nowhere => Missing::Nowhere,
                Failure::Ambiguous(places) => Missing::Ambiguous(places.clone()),
                Failure::Misfit(module, tensor) => {
                    Missing::Misfit { tensor: *tensor, own: *module == member.wanted }
                }
            });
        }
    }

    for index in loose {
        let path = wanted[index].path;
        let spelling = Spelling::of(path);
        let (paths, bare) = (of(spelling), bare(path));
        let tensor = of(Spelling::Dotted).exact(path).or_else(|| paths.exact(bare));
        let moved = || {
            let mut moved: Option<usize> = None;
            for (_, _, from, to) in taken.iter().skip(plain).filter(|(other, ..)| *other == spelling) {
                let there = renamed(bare, from, to, spelling).and_then(|path| paths.exact(&path));
                if let Some(there) = there {
                    if moved.is_some_and(|moved| moved != there) {
                        return None;
                    }
                    moved = Some(there);
                }
            }
            moved
        };
        let tensor = tensor.or_else(moved).or_else(|| {
            let tensor = by_end(paths, bare)?;
            let name = &tensors[tensor].name;
            let to = name.strip_suffix(".weight").unwrap_or(name).to_owned();
            renamings.push(Renaming { from: path.to_owned(), to, found: 1 });
            Some(tensor)
        });
        if let Some(tensor) = tensor {
            found[index] = Ok(tensor);
        }
    }
    Places { found, renamings }
}

/// A path without the prefix of kohya's scripts.
fn bare(path: &str) -> &str {
    FLAT_PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path)
}

/// The wanted parts by their stems, and those whose paths have no number.
fn stacks<'a>(wanted: &[Wanted<'a>]) -> (Vec<Stack<'a>>, Vec<usize>) {
    let (mut stacks, mut loose): (Vec<Stack<'a>>, Vec<usize>) = Default::default();
    let mut by_stem: HashMap<(Spelling, &str), usize> = HashMap::new();
    for (index, Wanted { path, .. }) in wanted.iter().enumerate() {
        let spelling = Spelling::of(path);
        let bare = bare(path);
        let Some(at) = numbers(bare, spelling).next() else {
            loose.push(index);
            continue;
        };
        let before = path.len() - bare.len();
        let stem = path[..before + at].trim_end_matches(spelling.separator());
        let bare_stem = bare[..at].trim_end_matches(spelling.separator());
        let place = *by_stem.entry((spelling, stem)).or_insert_with(|| {
            stacks.push(Stack { spelling, stem, bare: bare_stem, members: Vec::new() });
            stacks.len() - 1
        });
        stacks[place].members.push(Member { wanted: index, rest: &bare[at..] });
    }
    (stacks, loose)
}

/// The stems of the base that have the modules of a stack below them: all of them or, if the stems end alike, most kinds of them.
fn candidates(paths: &Paths, stack: &Stack<'_>, tensors: &[Tensor], wanted: &[Wanted<'_>]) -> Vec<Candidate> {
    let separator = stack.spelling.separator();
    // A kind of module → whether all of it is below a stem.
    let mut kinds: Vec<&str> = Vec::new();
    for member in &stack.members {
        let kind = member.kind(separator);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut stems: Vec<&str> = Vec::new();
    for member in &stack.members {
        for (stem, _) in paths.by_rest.get(member.rest).into_iter().flatten() {
            if !stems.contains(&stem.as_str()) {
                stems.push(stem);
            }
        }
    }
    let candidate = |stem: &str| {
        let likeness = likeness(stack, stem)?;
        let mut missing: Vec<&str> = Vec::new();
        let mut misfit = None;
        for member in &stack.members {
            match paths.below(stem, member.rest) {
                Some(tensor) if !wanted[member.wanted].shape.allows(&tensors[tensor]) => {
                    misfit = misfit.or(Some((member.wanted, tensor)))
                }
                Some(_) => {}
                None => missing.push(member.kind(separator)),
            }
        }
        let there = kinds.iter().filter(|kind| !missing.contains(kind)).count();
        let last = |stem: &str| stem.rsplit(separator).next().unwrap_or_default().to_owned();
        let most = 2 * there >= kinds.len() && last(stem) == last(stack.bare);
        (there == kinds.len() || most).then(|| Candidate {
            stem: stem.to_owned(),
            kinds: there,
            misfit,
            likeness,
        })
    };
    stems.into_iter().filter_map(candidate).collect()
}

/// Chooses the one place that is left by number of modules and shapes or, if several are left, by names.
fn decide(candidates: &[Candidate], stack: &Stack<'_>) -> Decision {
    let kinds = candidates.iter().map(|candidate| candidate.kinds).max();
    let fullest: Vec<&Candidate> =
        candidates.iter().filter(|candidate| Some(candidate.kinds) == kinds).collect();
    let likest = |of: &[&Candidate]| -> Vec<Candidate> {
        let most = of.iter().map(|candidate| candidate.likeness).max();
        of.iter().filter(|candidate| Some(candidate.likeness) == most).map(|found| (*found).clone()).collect()
    };
    // If names point to one place and its shapes contradict, do not use another place that happens to fit.
    if let [Candidate { misfit: Some((module, tensor)), .. }] = likest(&fullest)[..] {
        return Decision::Failed(Failure::Misfit(module, tensor));
    }
    let fitting: Vec<&Candidate> =
        fullest.iter().copied().filter(|candidate| candidate.misfit.is_none()).collect();
    match &likest(&fitting)[..] {
        [] => {
            let misfit = fullest.first().and_then(|candidate| candidate.misfit);
            Decision::Failed(
                misfit.map_or(Failure::Nowhere, |(module, tensor)| Failure::Misfit(module, tensor)),
            )
        }
        [only] => Decision::Placed(only.clone()),
        _ => {
            let stems: Vec<String> =
                fitting.iter().map(|candidate| format!("`{}`", candidate.stem)).collect();
            Decision::Failed(Failure::Ambiguous(format!("`{}` may be {}", stack.stem, stems.join(" or "))))
        }
    }
}

/// Words that name a part of a model. Two stems with different parts of one list are not the same.
const PARTS: [&[&[&str]]; 2] = [
    &[
        &["language", "text", "llm", "lm", "te", "te1", "te2", "te3"],
        &["vision", "visual", "image", "vit", "img"],
        &["audio", "speech", "sound"],
    ],
    &[&["encoder"], &["decoder"]],
];

/// How alike the stem of a stack and one of the base are. `None` if they name different parts.
fn likeness(stack: &Stack<'_>, stem: &str) -> Option<Likeness> {
    let separator = stack.spelling.separator();
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short)
            .is_some_and(|before| before.is_empty() || before.ends_with(separator) || short.is_empty())
    };
    let wrapped = ends(stack.bare, stem) || ends(stem, stack.bare);
    let (own, other) = (words(stack.stem), words(stem));
    for (list, parts) in PARTS.iter().enumerate() {
        let of = |words: &[&str], part: &[&str]| words.iter().any(|word| part.contains(word));
        let said = |words: &[&str]| parts.iter().map(|part| of(words, part)).collect::<Vec<bool>>();
        let (own, other) = (said(&own), said(&other));
        let speaks = |said: &[bool]| said.contains(&true);
        let common = own.iter().zip(&other).any(|(own, other)| *own && *other);
        if speaks(&own) && speaks(&other) && !common {
            return None;
        }
        // A tower for images or sound does not match a stem that names no part.
        let senses = |said: &[bool]| list == 0 && said[1..].contains(&true);
        if senses(&own) && !senses(&other) && !wrapped {
            return None;
        }
    }
    let folder = match stack.stem.strip_suffix(stack.bare) {
        Some("lora_te_" | "lora_te1_") => "text_encoder_",
        Some("lora_te2_") => "text_encoder_2_",
        Some("lora_te3_") => "text_encoder_3_",
        Some("lora_unet_") => "unet_",
        Some("lora_transformer_") => "transformer_",
        _ => "",
    };
    let below = stem.strip_prefix(folder).filter(|_| !folder.is_empty());
    let folder = match below {
        Some(below) if below == stack.bare => 2,
        Some(below) if !below.starts_with(|next: char| next.is_ascii_digit()) => 1,
        _ => 0,
    };
    let mut common = 0;
    let mut counted: Vec<&str> = Vec::new();
    for word in &own {
        let synonym = PARTS[0].iter().find(|part| part.contains(word));
        let same = |other: &&str| other == word || synonym.is_some_and(|part| part.contains(other));
        if !counted.iter().any(same) && other.iter().any(same) {
            counted.push(word);
            common += 1;
        }
    }
    Some(Likeness { folder, wrapped, words: common })
}

fn words(stem: &str) -> Vec<&str> {
    stem.split(['.', '_']).filter(|word| !word.is_empty()).collect()
}

/// A path after the renaming of a stack. The common end of the two stems stays as it is.
fn renamed(path: &str, from: &str, to: &str, spelling: Spelling) -> Option<String> {
    let separator = spelling.separator();
    let (mut from, mut to) = (from, to);
    let last = |stem: &str| stem.rsplit(separator).next().unwrap_or_default().to_owned();
    while !from.is_empty() && !to.is_empty() && last(from) == last(to) {
        let without = |stem: &mut &str| *stem = stem.rfind(separator).map_or("", |at| &stem[..at]);
        without(&mut from);
        without(&mut to);
    }
    let rest = match from {
        "" => path,
        _ => path.strip_prefix(from)?.strip_prefix(separator)?,
    };
    Some(if to.is_empty() { rest.to_owned() } else { format!("{to}{separator}{rest}") })
}

/// The one module whose path ends with this one, or that this one ends with. A last component alone is not a path.
fn by_end(paths: &Paths, path: &str) -> Option<usize> {
    let separator = paths.spelling.separator();
    let mut longer = paths.by_path.iter().filter_map(|(known, tensor)| {
        known.strip_suffix(path).filter(|before| before.ends_with(separator)).and(*tensor)
    });
    if let Some(first) = longer.next() {
        return longer.all(|other| other == first).then_some(first);
    }
    let mut end = path;
    while let Some((_, rest)) = end.split_once(separator).filter(|_| paths.spelling == Spelling::Dotted) {
        end = rest;
        if end.contains(separator)
            && let Some(tensor) = paths.exact(end)
        {
            return Some(tensor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[u64]) -> Tensor {
        let bytes = 4 * shape.iter().product::<u64>();
        let dtype = TensorType::parse("F32");
        Tensor {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            shard: 0,
            range: 0..bytes,
            strides: None,
        }
    }

    /// Two blocks of a stack of `width`, with attention and a feed-forward part as Llama has them.
    fn stack(stem: &str, width: u64) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        for block in 0..2 {
            let mut add = |part: &str, shape: &[u64]| {
                tensors.push(tensor(&format!("{stem}.{block}.{part}.weight"), shape))
            };
            add("norm1", &[width]);
            for map in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                add(&format!("attn.{map}"), &[width, width]);
            }
            add("mlp.up_proj", &[2 * width, width]);
            add("mlp.down_proj", &[width, 2 * width]);
        }
        tensors
    }

    const MAPS: [(&str, u64, u64); 3] = [("attn.q_proj", 1, 1), ("attn.v_proj", 1, 1), ("mlp.up_proj", 1, 2)];

    /// The modules of an adapter of such a stack.
    fn modules(stem: &str, separator: char, width: u64) -> Vec<(String, Demand)> {
        let blocks =
            (0..2).flat_map(|block| MAPS.map(|(map, inputs, outputs)| (block, map, inputs, outputs)));
        blocks
            .map(|(block, map, inputs, outputs)| {
                let map = if separator == '_' { map.replace('.', "_") } else { map.to_owned() };
                let shape = Demand::Map { inputs: Some(inputs * width), outputs: Some(outputs * width) };
                (format!("{stem}{separator}{block}{separator}{map}"), shape)
            })
            .collect()
    }

    fn placed(base: &[Vec<Tensor>], modules: &[(String, Demand)]) -> (Vec<Tensor>, Places) {
        let tensors = base.concat();
        let wanted: Vec<Wanted<'_>> =
            modules.iter().map(|(path, shape)| Wanted { path, shape: *shape }).collect();
        let places = place(&tensors, &[], &wanted);
        (tensors, places)
    }

    /// Every module is below `to` in the base, and the report says what of its name was changed.
    fn is_renamed(base: &[Vec<Tensor>], modules: &[(String, Demand)], from: &str, to: &str) {
        let (tensors, places) = placed(base, modules);
        for ((path, _), found) in modules.iter().zip(&places.found) {
            let tensor =
                &tensors[*found.as_ref().unwrap_or_else(|missing| panic!("{path}: {missing:?}"))].name;
            let rest = tensor.strip_prefix(to).unwrap_or_else(|| panic!("{tensor} is not below {to}"));
            let own = path[from.len()..].replace('_', ".");
            assert_eq!(own, rest.strip_suffix(".weight").unwrap().replace('_', "."));
        }
        let expected = Renaming { from: from.to_owned(), to: to.to_owned(), found: modules.len() };
        let same = from == to || from.replace(['.', '/'], "_") == to.replace(['.', '/'], "_");
        assert_eq!(places.renamings, Vec::from_iter((!same).then_some(expected)));
    }

    #[test]
    fn a_stack_is_found_where_it_was_moved() {
        let (text, vision) = ("language_model.model.layers", "vision_tower.vision_model.encoder.layers");
        let base = [stack(text, 6), stack(vision, 4)];
        for stem in ["model.language_model.layers", "model.text_model.layers", text, "model.layers", "layers"]
        {
            is_renamed(&base, &modules(stem, '.', 6), stem, text);
        }
        is_renamed(
            &base,
            &modules("model.vision_tower.vision_model.encoder.layers", '.', 4),
            "model.vision_tower.vision_model.encoder.layers",
            vision,
        );
        is_renamed(&base, &modules("model.visual.blocks", '.', 4), "model.visual.blocks", vision);
        // For equal widths, the names decide.
        let base = [stack(text, 6), stack(vision, 6)];
        for stem in ["model.language_model.layers", "model.text.layers", "model.layers"] {
            is_renamed(&base, &modules(stem, '.', 6), stem, text);
        }
    }

    #[test]
    fn several_stacks_are_placed_in_one_renaming() {
        let base = [stack("language_model.model.layers", 6), stack("vision_tower.encoder.layers", 6)];
        let both =
            [modules("model.language_model.layers", '.', 6), modules("model.visual.layers", '.', 6)].concat();
        let (tensors, places) = placed(&base, &both);
        let stems: Vec<&str> =
            places.found.iter().map(|found| &tensors[*found.as_ref().unwrap()].name[..8]).collect();
        assert_eq!(stems, [["language"; 6], ["vision_t"; 6]].concat());
        assert_eq!(places.renamings.len(), 2);
        // The first stack leaves a place for the second.
        let base = [stack("m.first", 6), stack("m.second", 6)];
        let both = [modules("m.first", '.', 6), modules("m.other", '.', 6)].concat();
        let (tensors, places) = placed(&base, &both);
        assert!(tensors[*places.found[6].as_ref().unwrap()].name.starts_with("m.second."));
    }

    #[test]
    fn paths_of_kohya_and_lycoris_are_read_with_underscores() {
        let base = [
            stack("text_encoder/text_model.encoder.layers", 6),
            stack("text_encoder_2/text_model.encoder.layers", 6),
            stack("unet/down_blocks", 6),
        ];
        for (from, to) in [
            ("lora_te1_text_model_encoder_layers", "text_encoder/text_model.encoder.layers"),
            ("lora_te2_text_model_encoder_layers", "text_encoder_2/text_model.encoder.layers"),
            ("lora_unet_down_blocks", "unet/down_blocks"),
        ] {
            is_renamed(&base, &modules(from, '_', 6), from, to);
        }
        let base = [stack("model.decoder.layers", 6)];
        let (_, places) = placed(&base, &modules("lycoris_model_decoder_layers", '_', 6));
        assert!(places.found.iter().all(Result::is_ok) && places.renamings.is_empty());
        // Another part of a model is not its place, even if its maps have the same names.
        let (_, places) = placed(&base, &modules("lycoris_text_model_encoder_layers", '_', 6));
        assert!(places.found.iter().all(|found| *found == Err(Missing::Nowhere)));
        // A stem that ends like another one.
        let base =
            [stack("transformer/transformer_blocks", 6), stack("transformer/single_transformer_blocks", 6)];
        let from = "lora_transformer_transformer_blocks";
        is_renamed(&base, &modules(from, '_', 6), from, "transformer/transformer_blocks");
    }

    #[test]
    fn what_fits_twice_and_what_contradicts_is_not_placed() {
        let twice = [stack("first.model.layers", 6), stack("second.model.layers", 6)];
        let (_, places) = placed(&twice, &modules("model.layers", '.', 6));
        let Err(Missing::Ambiguous(message)) = &places.found[0] else { panic!("{:?}", places.found[0]) };
        assert!(message.contains("`first.model.layers` or `second.model.layers`"), "{message}");
        // Shapes decide.
        let sized = [stack("first.model.layers", 6), stack("second.model.layers", 8)];
        is_renamed(&sized, &modules("model.layers", '.', 8), "model.layers", "second.model.layers");
        let (_, places) = placed(&sized, &modules("model.layers", '.', 10));
        assert!(places.found.iter().all(|found| matches!(found, Err(Missing::Misfit { .. }))));
        // A place that happens to fit does not replace the one that the names point to.
        let near = [stack("language_model.model.layers", 8), stack("draft.blocks", 6)];
        let (_, places) = placed(&near, &modules("model.language_model.layers", '.', 6));
        assert!(places.found.iter().all(|found| matches!(found, Err(Missing::Misfit { .. }))));
        // Only the module whose shape contradicts is named.
        let mut odd = modules("model.layers", '.', 6);
        odd[1].1 = Demand::Map { inputs: Some(5), outputs: Some(6) };
        let (tensors, places) = placed(&[stack("m.layers", 6)], &odd);
        for (index, found) in places.found.iter().enumerate() {
            let Err(Missing::Misfit { tensor, own }) = found else { panic!("{found:?}") };
            assert_eq!((tensors[*tensor].name.as_str(), *own), ("m.layers.0.attn.v_proj.weight", index == 1));
        }
        // Names that do not say text or images.
        let towers = [stack("text.encoder.layers", 6), stack("vision.encoder.layers", 6)];
        let (_, places) = placed(&towers, &modules("model.layers", '.', 6));
        assert!(places.found.iter().all(|found| matches!(found, Err(Missing::Ambiguous(_)))));
        // Two stacks of the adapter for one of the base.
        let (_, places) = placed(
            &[stack("m.layers", 6)],
            &[modules("a.layers", '.', 6), modules("b.layers", '.', 6)].concat(),
        );
        assert!(places.found.iter().all(|found| matches!(found, Err(Missing::Ambiguous(_)))), "{places:?}");
        // An image tower is no language model.
        let (_, places) =
            placed(&[stack("model.layers", 6)], &modules("vision_tower.encoder.layers", '.', 6));
        assert!(places.found.iter().all(|found| *found == Err(Missing::Nowhere)));
    }

    #[test]
    fn modules_outside_of_stacks_follow_their_stack_or_their_ends() {
        let mut base = [stack("language_model.model.layers", 6), stack("vision.model.layers", 4)].concat();
        base.extend(
            [
                "language_model.model.embed",
                "language_model.model.out.norm",
                "vision.model.out.norm",
                "language_model.lm_head",
                "projector.linear_1",
            ]
            .map(|name| tensor(&format!("{name}.weight"), &[6, 6])),
        );
        let mut wanted = modules("model.language_model.layers", '.', 6);
        let loose = [
            "model.language_model.embed",
            "model.language_model.out.norm",
            "lm_head",
            "model.projector.linear_1",
            "elsewhere.map",
        ];
        wanted.extend(loose.map(|path| (path.to_owned(), Demand::Nothing)));
        let (tensors, places) = placed(&[base], &wanted);
        let names: Vec<Option<&str>> = places.found[6..]
            .iter()
            .map(|found| Some(tensors[*found.as_ref().ok()?].name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                Some("language_model.model.embed.weight"),
                Some("language_model.model.out.norm.weight"),
                Some("language_model.lm_head.weight"),
                Some("projector.linear_1.weight"),
                None
            ]
        );
    }

    #[test]
    fn wrappers_on_either_side_do_not_matter() {
        let base = [stack("bert.encoder.layer", 6)];
        for stem in ["bert.encoder.layer", "encoder.layer", "model.bert.encoder.layer"] {
            is_renamed(&base, &modules(stem, '.', 6), stem, "bert.encoder.layer");
        }
        // A block that the base does not have is left out. The others are found.
        let mut more = modules("bert.encoder.layer", '.', 6);
        more.push(("bert.encoder.layer.7.attn.q_proj".to_owned(), Demand::Nothing));
        let (_, places) = placed(&base, &more);
        assert_eq!(places.found.iter().filter(|found| found.is_ok()).count(), 6);
        assert_eq!(places.found[6], Err(Missing::Nowhere));
    }

    #[test]
    fn packed_weights_have_no_shape_and_gguf_files_other_names() {
        let mut packed = stack("model.layers", 64);
        for tensor in packed.iter_mut().filter(|tensor| tensor.shape.len() > 1) {
            tensor.shape = vec![tensor.elements() / 2, 1];
            tensor.dtype = TensorType::parse("U8");
        }
        is_renamed(
            &[packed],
            &modules("model.language_model.layers", '.', 64),
            "model.language_model.layers",
            "model.layers",
        );
        let gguf = [("attn_q", 6, 6), ("attn_v", 6, 6), ("ffn_up", 12, 6)];
        let base: Vec<Tensor> = (0..2)
            .flat_map(|block| {
                gguf.map(|(map, rows, columns)| {
                    tensor(&format!("blk.{block}.{map}.weight"), &[rows, columns])
                })
            })
            .collect();
        let wanted: Vec<(String, Demand)> = modules("model.layers", '.', 6)
            .into_iter()
            .map(|(path, shape)| (path.replace(".attn.", ".self_attn."), shape))
            .collect();
        let (tensors, places) = placed(&[base], &wanted);
        let names: Vec<&str> =
            places.found.iter().map(|found| tensors[*found.as_ref().unwrap()].name.as_str()).collect();
        assert_eq!(names[..3], ["blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.0.ffn_up.weight"]);
        assert_eq!(places.renamings, [Renaming { from: "model.layers".into(), to: "blk".into(), found: 6 }]);
    }
}
