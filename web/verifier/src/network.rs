//! Remote checkpoints, and files that another worker has opened. The verifier opens these in addition to dropped files.

use crate::inspection::Inspection;
use gammascope::checkpoint::address::PUBLIC_HUB;
use gammascope::checkpoint::remote::{Access, LocateError, locate};
use gammascope::inspect::{self, Progress, Stage};
use gammascope::source::http::{
    Body, Chunk, Head, HttpSource, Method, Pin, Place, Problem, Request, Session, Token, Transport,
};
use gammascope::source::memory::MemorySource;
use gammascope::source::url::Url;
use gammascope::source::{AnySource, ByteSource, Transfer};
use gammascope_web::{BlobSource, dropped, get, not_opened, sentence, text, to_progress};
use js_sys::{Array, Error, Function, Object, Promise, Reflect, Uint8Array};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// A file of a checkpoint, local or remote.
pub(crate) type File = AnySource<BlobSource, Network>;

#[wasm_bindgen]
extern "C" {
    /// The worker's access to the network, `Network` in TypeScript. It calls fetch on behalf of this module.
    #[derive(Clone)]
    pub type Network;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Network, method: &str, url: &str, headers: Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method)]
    fn wait(this: &Network, milliseconds: f64) -> Promise;

    /// A response whose body has not been read.
    #[derive(Debug)]
    type Answer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;

    /// Returns names in lower case, and values.
    #[wasm_bindgen(method, getter)]
    fn headers(this: &Answer) -> Array;

    #[wasm_bindgen(method)]
    fn body(this: &Answer, most: f64) -> Promise;

    #[wasm_bindgen(method)]
    fn cancel(this: &Answer);
}

impl Transport for Network {
    type Body = Unread;

    async fn send(&self, request: Request<'_>) -> Result<(Head, Unread), Problem> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
        };
        let headers = Array::new();
        let add = |name: &str, value: &str| headers.push(&Array::of2(&name.into(), &value.into()).into());
        request.range.map(|range| add("Range", range));
        request.token.map(|token| add("Authorization", &format!("Bearer {token}")));
        let answer = Network::send(self, method, request.url, headers).map_err(problem)?;
        let answer: Answer = JsFuture::from(answer).await.map_err(problem)?.unchecked_into();
        let text = |value: JsValue| value.as_string().unwrap_or_default();
        let pair = |pair: JsValue| {
            let pair: Array = pair.unchecked_into();
            (text(pair.get(0)), text(pair.get(1)))
        };
        let head = Head { status: answer.status(), headers: answer.headers().iter().map(pair).collect() };
        Ok((head, Unread(answer)))
    }

    async fn wait(&self, time: Duration) {
        let _ = JsFuture::from(Network::wait(self, time.as_millis() as f64)).await;
    }
}

/// The body of a response. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Unread(Answer);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Body for Unread {
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem> {
        let bytes = JsFuture::from(self.0.body(most as f64)).await.map_err(problem)?;
        Ok(Uint8Array::new(&bytes).to_vec())
    }
}

/// Reads the worker's description of a failed request: `{ kind, reason }`.
fn problem(error: JsValue) -> Problem {
    let field =
        |name| Reflect::get(&error, &JsValue::from_str(name)).ok().and_then(|field| field.as_string());
    let reason = field("reason").or_else(|| field("message")).unwrap_or_default();
    match field("kind").as_deref() {
        Some("offline") => Problem::Offline,
        Some("blocked") => Problem::Blocked,
        Some("insecure") => Problem::Insecure,
        Some("cut") => Problem::Cut { reason },
        Some("slow") => {
            let number = |name| {
                let field = Reflect::get(&error, &JsValue::from_str(name)).ok();
                field.and_then(|field| field.as_f64()).unwrap_or_default() as u64
            };
            Problem::Slow { got: number("got"), seconds: number("seconds") }
        }
        _ => Problem::Unreachable { reason },
    }
}

#[wasm_bindgen]
impl Inspection {
    /// Inspects `entries` and calls `progress` while it reads. `entries` is a list of `{ path, file }`, or one `{ address, hub?, token?
    /// }`, or the result of [`Inspection::entries`]. If files have a `seed`, it inspects the model of their configuration with weights
    /// drawn from the seed. Remote files come through `network`.
    pub async fn open(entries: Array, network: Network, progress: Function) -> Result<Inspection, Error> {
        let report = to_progress(progress);
        let sources = match entries.iter().find_map(|entry| text(&entry, "address")) {
            Some(address) => {
                let hub = entries.iter().find_map(|entry| text(&entry, "hub"));
                let hub = hub.unwrap_or_else(|| PUBLIC_HUB.to_owned());
                let token = entries.iter().find_map(|entry| token(&entry));
                let access = Access { hub, token, hub_token: None };
                let found = |done: usize, total: usize| {
                    let (done, total) = (done as u32, total as u32);
                    report(Progress { stage: Stage::Headers, done, total, bytes_read: 0 });
                };
                let located = locate(network, &address, &access, found).await;
                located.map_err(|error| not_located(&error))?
            }
            None => drawn(&entries, sources(&entries, network)?).await?,
        };
        let opening = inspect::open(sources.clone(), report).await;
        let inner = opening.map_err(|error| not_opened(&error))?;
        Ok(Inspection { inner, sources })
    }

    /// Returns the open files with what was read of remote ones, so that another worker can open them without new requests. Empty if all
    /// files were dropped.
    pub fn entries(&self) -> Array {
        let remote = self.sources.iter().any(|source| matches!(source, AnySource::Remote(_)));
        let mut kept: Vec<JsValue> = Vec::new();
        if remote {
            kept.extend(self.sources.iter().filter_map(entry));
        }
        kept.into_iter().collect()
    }
}

/// Returns the files themselves, or if `entries` have a seed, the random model of their configuration.
async fn drawn(entries: &Array, sources: Vec<File>) -> Result<Vec<File>, Error> {
    if let Some(seed) = entries.iter().find_map(|entry| get(&entry, "seed").as_f64()) {
        let drawn = gammascope::model::random::twin(sources, seed as u64).await.map_err(sentence)?;
        return Ok(drawn.into_iter().map(AnySource::Generated).collect());
    }
    Ok(sources)
}

/// Returns the files of `entries`, dropped or from an earlier opening.
pub(crate) fn sources(entries: &Array, network: Network) -> Result<Vec<File>, Error> {
    let first = entries.get(0);
    let session = Session::new(network, text(&first, "opened").unwrap_or_default());
    let number = |entry: &JsValue, name| get(entry, name).as_f64().unwrap_or_default();
    let (requests, bytes) = (number(&first, "requests") as u32, number(&first, "bytes") as u64);
    session.resume(&Transfer { address: String::new(), requests, bytes });
    let bytes_of = |value: &JsValue| Uint8Array::new(value).to_vec();
    let of_entry = |entry: JsValue| {
        let path = text(&entry, "path").unwrap_or_default();
        if let Some(url) = text(&entry, "url") {
            let place = Place { url: Url::parse(&url).map_err(sentence)?, token: token(&entry) };
            let pin = match (text(&entry, "etag"), text(&entry, "modified")) {
                (Some(value), _) => Some(Pin { what: "ETag", value }),
                (None, modified) => modified.map(|value| Pin { what: "Last-Modified", value }),
            };
            let chunk = |pair: JsValue| {
                let pair: Array = pair.unchecked_into();
                let start = pair.get(0).as_f64().unwrap_or_default() as u64;
                Chunk { start, bytes: Rc::new(bytes_of(&pair.get(1))) }
            };
            let chunks = Array::from(&get(&entry, "chunks")).iter().map(chunk).collect();
            let length = number(&entry, "length") as u64;
            return Ok(AnySource::Remote(HttpSource::known(
                session.clone(),
                place,
                path,
                length,
                pin,
                chunks,
            )));
        }
        let whole = get(&entry, "whole");
        if whole.is_object() {
            return Ok(AnySource::Whole(MemorySource::new(path, bytes_of(&whole))));
        }
        dropped(&entry).map(AnySource::Local)
    };
    entries.iter().map(of_entry).collect()
}

/// Makes the entry from which [`sources`] makes the same file. `None` for a file that failed.
fn entry(source: &File) -> Option<JsValue> {
    let entry = Object::new();
    let set = |name: &str, value: &JsValue| {
        // Setting a field of a plain object always works.
        let _ = Reflect::set(&entry, &JsValue::from_str(name), value);
    };
    set("path", &source.path().into());
    match source {
        AnySource::Local(blob) => set("file", blob.file()),
        AnySource::Whole(memory) => set("whole", &Uint8Array::from(memory.bytes()).into()),
        AnySource::Remote(remote) => {
            let Transfer { address, requests, bytes } = remote.session().transfer();
            set("opened", &address.into());
            set("requests", &requests.into());
            set("bytes", &(bytes as f64).into());
            set("url", &remote.place().url.to_request().into());
            set("length", &(remote.length() as f64).into());
            if let Some(Pin { what, value }) = remote.pin() {
                set(if *what == "ETag" { "etag" } else { "modified" }, &value.as_str().into());
            }
            if let Some(token) = &remote.place().token {
                set("token", &token.reveal().into());
            }
            let chunk = |chunk: Chunk| {
                let bytes = Uint8Array::from(chunk.bytes.as_slice());
                JsValue::from(Array::of2(&(chunk.start as f64).into(), &bytes.into()))
            };
            set("chunks", &remote.chunks().into_iter().map(chunk).collect::<Array>().into());
        }
        AnySource::Generated(_) | AnySource::Unreadable(_) => return None,
    }
    Some(entry.into())
}

fn token(entry: &JsValue) -> Option<Token> {
    text(entry, "token").as_deref().and_then(Token::new)
}

/// Makes the error for an address without a checkpoint. Its name is `TokenWanted` if a token would help.
fn not_located(error: &LocateError) -> Error {
    let refused = sentence(error);
    if error.wants_token() {
        refused.set_name("TokenWanted");
    }
    refused
}
