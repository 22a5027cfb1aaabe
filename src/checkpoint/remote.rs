//! Finds the files of a checkpoint behind an address: which names to try, what an index promises, what lies beside.

use super::address::{Address, Model, PUBLIC_HUB};
use super::formats::{Format, is_beside_weights, is_index};
#[cfg(feature = "more-formats")]
use super::formats::{LAYOUT, is_chunks};
use super::index::{Index, IndexError};
use super::open::{MAX_CONFIG_BYTES, MAX_JSON_BYTES};
use crate::source::http::{Fault, HttpSource, Place, Problem, Session, Token, Transport};
use crate::source::memory::MemorySource;
use crate::source::url::{AddressError, Url};
use crate::source::{AnySource, Unreadable, at_once};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::future::{join, join3};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes to read first of a file without an index. Most headers fit, and a second request costs more than these bytes.
const FILE_GUESS: u64 = 64 * 1024;
/// Most bytes to read first of a shard, however many names its index has.
const SHARD_GUESS: u64 = 1024 * 1024;

/// Bytes to read first of a GGUF file: its header holds the vocabulary.
const GGUF_GUESS: u64 = 1024 * 1024;

/// Shards opened at the same time.
const SHARDS_AT_ONCE: usize = 6;

/// An index of more shards than this is not opened over a network: each takes a request.
const MOST_SHARDS: usize = 2000;

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// Names to try in a folder that has neither of the usual two and no list of files.
const OTHER_NAMES: [&str; 9] = [
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "consolidated.safetensors",
    "adapter_model.safetensors",
    PYTORCH_INDEX,
    PYTORCH_SINGLE,
    "flax_model.msgpack",
    "tf_model.h5",
    "weights.npz",
];

const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";
/// What follows the name of an ONNX file in that of the file with its numbers.
const ONNX_DATA: [&str; 2] = ["_data", ".data"];
const PYTORCH_SINGLE: &str = "pytorch_model.bin";

/// Why an address led to no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// It is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It could not be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Its index is damaged.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// There is no checkpoint at the address.
    #[error(
        "no checkpoint at `{place}`: {tried}; give the address of a .safetensors, .gguf, .onnx or PyTorch file"
    )]
    Nothing {
        /// Where.
        place: String,
        /// What was looked for, or what is there instead.
        tried: String,
    },
    /// A hub's model with several checkpoints.
    #[error("`{place}` has several checkpoint files: {files}; give the address of one of them")]
    Several {
        /// Where.
        place: String,
        /// Some of their addresses.
        files: String,
    },
    /// An index names more shards than anyone wants to open.
    #[error(
        "`{index}` names {count} shards, more than the {MOST_SHARDS} that are opened over a network; download it"
    )]
    TooMany {
        /// The index.
        index: String,
        /// Shards it names.
        count: usize,
    },
    /// An index names a shard that does not lie below it.
    #[error(
        "`{index}` names the shard {shard:?}, which does not lie below it, and was not followed; give the address of a shard"
    )]
    Elsewhere {
        /// The index.
        index: String,
        /// The name.
        shard: String,
    },
}

impl LocateError {
    /// Whether a token, or a different one, would open it.
    pub fn wants_token(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.problem.wants_token())
    }
}

/// Which hub to use, and with which tokens.
#[derive(Debug, Clone)]
pub struct Access {
    /// The hub that short names are looked up on.
    pub hub: String,
    /// A token for this address. It goes to the host of the address, whichever that is.
    pub token: Option<Token>,
    /// A token for the hub. It goes nowhere else.
    pub hub_token: Option<Token>,
}

impl Default for Access {
    fn default() -> Self {
        Self { hub: PUBLIC_HUB.to_owned(), token: None, hub_token: None }
    }
}

impl Access {
    fn place(&self, url: Url) -> Place {
        let own = Url::parse(&self.hub).is_ok_and(|hub| hub.origin() == url.origin());
        let token = self.token.clone().or_else(|| self.hub_token.clone().filter(|_| own));
        Place { url, token }
    }
}

/// Finds the files behind `address` and opens them, with one request each and several at once. A missing shard is left out, and
/// the index then reports it. A shard that fails for another reason gives that error when it is read. `progress` gets the number
/// of opened shards and of all shards.
pub async fn locate<L, T: Transport>(
    transport: T,
    address: &str,
    access: &Access,
    progress: impl Fn(usize, usize),
) -> Result<Vec<AnySource<L, T>>, LocateError> {
    let address = Address::parse(address, &access.hub)?;
    let shown = match &address {
        Address::File(url) | Address::Index(url) | Address::Folder(url) => url.to_string(),
        Address::Model(model) => model.files().to_string(),
    };
    let finder = Finder { session: Session::new(transport, shown), access, progress: &progress };
    match address {
        Address::File(url) => finder.file(url).await,
        Address::Index(url) => finder.index(url, "").await,
        Address::Folder(url) => finder.folder(url).await,
        Address::Model(model) => finder.model(&model).await,
    }
}

struct Finder<'a, T> {
    session: Rc<Session<T>>,
    access: &'a Access,
    progress: &'a dyn Fn(usize, usize),
}

impl<T: Transport> Finder<'_, T> {
    /// One file and, unless it is a GGUF file, the configuration beside it.
    async fn file<L>(&self, url: Url) -> Result<Vec<AnySource<L, T>>, LocateError> {
        let name = url.file_name().to_owned();
        let config = match Format::of_path(&name) {
            Some(Format::Gguf) | None => std::future::ready(Ok(None)).boxed_local(),
            Some(_) => self.config(&url.folder(), ""),
        };
        let data = self.onnx_data(&url, &name);
        let (shard, config) = join(self.shard(url, name, FILE_GUESS), config).await;
        // The error of the file says more than that of the configuration.
        let shard = shard?;
        let files = std::iter::once(AnySource::Remote(shard)).chain(config?);
        Ok(files.chain(data.await).collect())
    }

    /// The file with the numbers of an ONNX file, under the usual names.
    fn onnx_data<L>(&self, url: &Url, name: &str) -> LocalBoxFuture<'_, Vec<AnySource<L, T>>> {
        let is_onnx = Format::of_path(name) == Some(Format::Onnx);
        let ends = ONNX_DATA.into_iter().filter(|_| is_onnx);
        let places: Vec<(String, Url)> = ends
            .filter_map(|end| {
                let path = format!("{name}{end}");
                Some((path.clone(), url.folder().join(&path)?))
            })
            .collect();
        async move {
            let mut found = Vec::new();
            for (path, url) in places {
                found.extend(self.shard(url, path, FILE_GUESS).await.ok().map(AnySource::Remote));
            }
            found
        }
        .boxed_local()
    }

    /// An index, its shards and the configuration beside it.
    async fn index<L>(&self, url: Url, prefix: &str) -> Result<Vec<AnySource<L, T>>, LocateError> {
        let path = format!("{prefix}{}", url.file_name());
        let (bytes, config) =
            join(self.whole(url.clone(), MAX_JSON_BYTES), self.config(&url.folder(), prefix)).await;
        self.shards(&url, path, bytes?, config?, prefix).await
    }

    async fn shards<L>(
        &self,
        url: &Url,
        path: String,
        bytes: Vec<u8>,
        config: Option<AnySource<L, T>>,
        prefix: &str,
    ) -> Result<Vec<AnySource<L, T>>, LocateError> {
        if looks_like_a_page(&bytes) {
            return Err(Fault { url: url.to_string(), problem: Problem::Page, attempts: 1 }.into());
        }
        let index = Index::parse(&url.to_string(), &bytes)?;
        let names = index.shards();
        if names.len() > MOST_SHARDS {
            return Err(LocateError::TooMany { index: url.to_string(), count: names.len() });
        }
        let mut places = Vec::with_capacity(names.len());
        for (name, header) in names.into_iter().zip(index.headers()) {
            let elsewhere = || LocateError::Elsewhere { index: url.to_string(), shard: name.to_owned() };
            places.push((
                format!("{prefix}{name}"),
                url.join(name).ok_or_else(elsewhere)?,
                header.min(SHARD_GUESS),
            ));
        }
        let mut sources = self.all(places).await?;
        sources.push(AnySource::Whole(MemorySource::new(path, bytes)));
        sources.extend(config);
        Ok(sources)
    }

    /// Opens shards: their paths, their addresses, and the bytes to read first of each. Missing ones are left out, unless all are.
    async fn all<L>(&self, places: Vec<(String, Url, u64)>) -> Result<Vec<AnySource<L, T>>, LocateError> {
        let total = places.len();
        let done = Cell::new(0);
        let opened: Vec<_> = places.iter().map(|_| RefCell::new(None)).collect();
        let opening = places.iter().zip(&opened).map(|((path, url, header), slot)| {
            let done = &done;
            let opening = async move {
                let opened = self.shard(url.clone(), path.clone(), *header).await;
                done.set(done.get() + 1);
                (self.progress)(done.get(), total);
                slot.replace(Some(opened));
            };
            opening.boxed_local()
        });
        at_once(SHARDS_AT_ONCE, opening.collect()).await;
        let (mut sources, mut first, mut sound) = (Vec::new(), None, 0);
        for (slot, (path, ..)) in opened.into_iter().zip(places) {
            match slot.into_inner() {
                Some(Ok(source)) => {
                    sound += 1;
                    sources.push(AnySource::Remote(source));
                }
                Some(Err(fault)) => {
                    first = first.or_else(|| Some(fault.clone()));
                    if !fault.problem.is_absence() {
                        sources.push(AnySource::Unreadable(Unreadable { path, fault }));
                    }
                }
                None => {}
            }
        }
        match first {
            Some(fault) if sound == 0 => Err(fault.into()),
            _ => Ok(sources),
        }
    }

    /// The files of a folder of torch.distributed.checkpoint, if it is one.
    #[cfg(feature = "more-formats")]
    async fn chunks<L>(
        &self,
        folder: &Url,
        prefix: &str,
    ) -> Result<Option<Vec<AnySource<L, T>>>, LocateError> {
        use super::pytorch::distributed::Layout;
        let Some(url) = folder.join(LAYOUT) else { return Ok(None) };
        let bytes = match self.whole(url.clone(), MAX_JSON_BYTES).await {
            Ok(bytes) => bytes,
            Err(fault) if fault.problem.is_absence() || fault.problem.wants_token() => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        let path = format!("{prefix}{LAYOUT}");
        // Other programs have files of this name too.
        let Ok(layout) = Layout::parse(&path, &bytes) else { return Ok(None) };
        let names = layout.files();
        if names.len() > MOST_SHARDS {
            return Err(LocateError::TooMany { index: url.to_string(), count: names.len() });
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let elsewhere = || LocateError::Elsewhere { index: url.to_string(), shard: name.to_owned() };
            let at = url.join(name).ok_or_else(elsewhere)?;
            places.push((format!("{prefix}{name}"), at, FILE_GUESS));
        }
        let config = self.config(folder, prefix).await?;
        let mut sources = self.all(places).await?;
        sources.push(AnySource::Whole(MemorySource::new(path, bytes)));
        sources.extend(config);
        Ok(Some(sources))
    }

    /// Finds the files of a folder, or of the hub's model of that name. If the name shows no format, also tries the address as a
    /// file.
    async fn folder<L>(&self, url: Url) -> Result<Vec<AnySource<L, T>>, LocateError> {
        let as_file = (!url.to_request().ends_with('/')).then(|| url.clone());
        if let Some(url) = as_file.clone().filter(Url::has_query) {
            return self.file(url).await;
        }
        let folder = url.as_folder();
        let prefix = format!("{}/", folder.last_part());
        if let Some(found) = self.usual(&folder, &prefix).await? {
            return Ok(found);
        }
        if let Some(model) = Address::as_model(&folder)
            && let Some(found) = self.usual(&model.files(), &prefix).await?
        {
            return Ok(found);
        }
        if let Some(found) = self.others(&folder, &prefix).await? {
            return Ok(found);
        }
        if let Some(url) = as_file {
            match self.file(url).await {
                Err(LocateError::Fault(fault)) if fault.problem.is_absence() => {}
                found => return found,
            }
        }
        let tried = format!("neither {INDEX} nor {SINGLE} is there");
        Err(LocateError::Nothing { place: folder.to_string(), tried })
    }

    /// The files of a model on a hub: those with the usual names, or the only one in its list.
    async fn model<L>(&self, model: &Model) -> Result<Vec<AnySource<L, T>>, LocateError> {
        let (folder, prefix) = (model.files(), format!("{}/", model.name()));
        if let Some(found) = self.usual(&folder, &prefix).await? {
            return Ok(found);
        }
        let listed = match self.whole(model.listing(), MAX_JSON_BYTES).await {
            Ok(bytes) => serde_json::from_slice::<Listing>(&bytes).ok(),
            Err(fault) if fault.problem.wants_token() => return Err(fault.into()),
            Err(_) => None,
        };
        let Some(listed) = listed else {
            let tried = format!("neither {INDEX} nor {SINGLE} is there");
            return Err(LocateError::Nothing { place: folder.to_string(), tried });
        };
        // The list has all files of the model, relative to its top.
        let below = |name: &str| name.strip_prefix(model.folder()).map(str::to_owned);
        let mut names: Vec<String> =
            listed.siblings.iter().filter_map(|file| below(&file.rfilename)).collect();
        let usual =
            [PYTORCH_INDEX, PYTORCH_SINGLE].into_iter().find(|usual| names.iter().any(|name| name == usual));
        names.retain(|name| Format::of_path(name).is_some() && !is_beside_weights(last_part(name)));
        #[cfg(feature = "more-formats")]
        if !names.is_empty()
            && names.iter().all(|name| is_chunks(name))
            && let Some(found) = self.chunks(&folder, &prefix).await?
        {
            return Ok(found);
        }
        let is_last = |name: &String| matches!(Format::of_path(name), Some(Format::Npz | Format::Flax));
        if names.iter().any(|name| !is_last(name)) {
            names.retain(|name| !is_last(name));
        }
        // PyTorch files count only if there is nothing else, ONNX files only then, and Keras files last: beside other files, most of them
        // are copies.
        let is = |name: &String, format| Format::of_path(name) == Some(format);
        for copies in [Format::Hdf5, Format::Onnx, Format::PyTorch] {
            if names.iter().any(|name| !is(name, copies)) {
                names.retain(|name| !is(name, copies));
            }
        }
        if names.iter().all(|name| is(name, Format::PyTorch))
            && let Some(url) = usual.and_then(|usual| folder.join(usual))
        {
            return match is_index(url.file_name()) {
                true => self.index(url, &prefix).await,
                false => self.file(url).await,
            };
        }
        let urls: Vec<Url> = names.iter().filter_map(|name| folder.join(name)).collect();
        match urls.as_slice() {
            [] => {
                let tried = "it has no safetensors, GGUF, ONNX or PyTorch file".to_owned();
                Err(LocateError::Nothing { place: folder.to_string(), tried })
            }
            [one] => self.file(one.clone()).await,
            [..] => {
                let files: Vec<String> = urls.iter().take(6).map(|url| format!("`{url}`")).collect();
                let more =
                    if urls.len() > 6 { format!(" and {} more", urls.len() - 6) } else { String::new() };
                let files = format!("{}{more}", files.join(", "));
                Err(LocateError::Several { place: folder.to_string(), files })
            }
        }
    }

    /// Finds `model.safetensors`, or the shards of its index, and the configuration. Requests all three at once.
    async fn usual<L>(
        &self,
        folder: &Url,
        prefix: &str,
    ) -> Result<Option<Vec<AnySource<L, T>>>, LocateError> {
        let (Some(index), Some(single)) = (folder.join(INDEX), folder.join(SINGLE)) else { return Ok(None) };
        let (listed, shard, config) = join3(
            self.whole(index.clone(), MAX_JSON_BYTES),
            self.shard(single, format!("{prefix}{SINGLE}"), FILE_GUESS),
            self.config(folder, prefix),
        )
        .await;
        match listed {
            Ok(bytes) if !looks_like_a_page(&bytes) => {
                let path = format!("{prefix}{INDEX}");
                return self.shards(&index, path, bytes, config?, prefix).await.map(Some);
            }
            // Some hosts answer every name with a page. Then the answer for the model itself counts.
            Ok(_) => {}
            Err(fault) if fault.problem.is_absence() => {}
            // A store that does not list its files answers "forbidden" for missing ones.
            Err(fault) if fault.problem.wants_token() && shard.is_ok() => {}
            Err(fault) => return Err(fault.into()),
        }
        match shard {
            Ok(shard) => Ok(Some(std::iter::once(AnySource::Remote(shard)).chain(config?).collect())),
            Err(fault) if fault.problem.is_absence() => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Tries less usual names, one after the other.
    async fn others<L>(
        &self,
        folder: &Url,
        prefix: &str,
    ) -> Result<Option<Vec<AnySource<L, T>>>, LocateError> {
        #[cfg(feature = "more-formats")]
        if let Some(found) = self.chunks(folder, prefix).await? {
            return Ok(Some(found));
        }
        for name in OTHER_NAMES {
            let Some(url) = folder.join(name) else { continue };
            let found = match name.ends_with(".json") {
                true => self.index(url, prefix).await,
                false => self.file(url).await,
            };
            match found {
                Ok(found) => return Ok(Some(found)),
                Err(LocateError::Fault(fault)) if fault.problem.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Opens a file whose header takes about `guess` bytes.
    fn shard(&self, url: Url, path: String, guess: u64) -> LocalBoxFuture<'_, Result<HttpSource<T>, Fault>> {
        let guess = if path.to_ascii_lowercase().ends_with(".gguf") { GGUF_GUESS } else { guess };
        HttpSource::open(self.session.clone(), self.access.place(url), path, guess).boxed_local()
    }

    /// Reads a small file of at most `most` bytes.
    fn whole(&self, url: Url, most: u64) -> LocalBoxFuture<'_, Result<Vec<u8>, Fault>> {
        async move { self.session.whole(&self.access.place(url), most).await }.boxed_local()
    }

    /// Reads the configuration in a folder. It may be missing or forbidden.
    fn config<L>(
        &self,
        folder: &Url,
        prefix: &str,
    ) -> LocalBoxFuture<'_, Result<Option<AnySource<L, T>>, Fault>> {
        let (url, path) = (folder.join(CONFIG), format!("{prefix}{CONFIG}"));
        async move {
            match url {
                Some(url) => Self::companion(self.whole(url, MAX_CONFIG_BYTES).await, path),
                None => Ok(None),
            }
        }
        .boxed_local()
    }

    fn companion<L>(read: Result<Vec<u8>, Fault>, path: String) -> Result<Option<AnySource<L, T>>, Fault> {
        match read {
            Ok(bytes) if looks_like_a_page(&bytes) => Ok(None),
            Ok(bytes) => Ok(Some(AnySource::Whole(MemorySource::new(path, bytes)))),
            Err(fault) if fault.problem.is_absence() || fault.problem.wants_token() => Ok(None),
            Err(Fault { problem: Problem::Blocked | Problem::Status { .. }, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A hub's list of a model's files.
#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

fn looks_like_a_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}
