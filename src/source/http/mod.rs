//! Files behind an address, read by HTTP ranges: a few kilobytes of a file of any size. Every answer is checked.
//!
//! Every answer must be a 206 with the range that was asked for, uncompressed, of a file that has not changed since its first byte
//! was read (ETag, or else Last-Modified, and the length). If a server ignores Range, the connection is closed before the body
//! arrives. Faults of a weak network are retried with growing pauses.
//!
//! Nothing here depends on a browser or a socket: a [`Transport`] sends requests. There is a native one and one in the page.

mod answer;
mod fault;
#[cfg(feature = "cli")]
pub mod native;

use super::url::Url;
use super::{ByteSource, SourceError, Transfer, at_once};
use answer::{ContentRange, parts};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

pub use answer::{Head, Pin};
pub use fault::{ATTEMPTS, Fault, Problem, SILENCE, SLOWEST, is_too_slow};

/// Ranges of one file that are requested at the same time. Browsers keep six connections to a host.
const AT_ONCE: usize = 6;

/// Up to this many reads of one file are made one by one. More are merged if the gaps between them are small, or requested
/// together if the server answers several ranges at once.
const FEW_READS: usize = 4;

/// Most bytes in gaps that are read so that few reads remain.
const CHEAP: u64 = 256 * 1024;

/// The same if the server answers only one range at a time: a few round trips cost as much.
const DEAR: u64 = 1024 * 1024;

/// A gap of this many bytes is always read.
const SMALL_GAP: u64 = 16 * 1024;

/// Ranges in one request: servers limit the number (Apache 200) and the length of a header.
const RANGES_A_REQUEST: usize = 100;

/// Bytes that the head of each part of an answer may take.
const PART_HEAD: u64 = 1024;

/// Most bytes to read ahead after what was read from the start of a file.
const LARGEST_AHEAD: u64 = 8 << 20;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The body, or a range of it.
    Get,
    /// Its headers alone.
    Head,
}

/// A request on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// How.
    pub method: Method,
    /// The address. Its query may be a secret.
    pub url: &'a str,
    /// The Range header.
    pub range: Option<&'a str>,
    /// The token of an Authorization header.
    pub token: Option<&'a str>,
}

/// Sends requests: the network as the protocol sees it.
#[allow(async_fn_in_trait, reason = "the futures are deliberately not Send: the browser's are not")]
pub trait Transport {
    /// A body that has not been read.
    type Body: Body;

    /// Sends a request and waits for the headers of its answer. Follows redirects, but sends no token to another host.
    async fn send(&self, request: Request<'_>) -> Result<(Head, Self::Body), Problem>;

    /// Waits for this time.
    async fn wait(&self, time: Duration);
}

/// The body of an answer. Dropping it ends the transfer.
#[allow(async_fn_in_trait, reason = "the futures are deliberately not Send: the browser's are not")]
pub trait Body {
    /// Reads the body to its end, but at most `most` bytes. One that [comes too slowly](is_too_slow) is a problem.
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem>;
}

/// What all requests of one opening share: the transport, what is known about servers, and the counts.
#[derive(Debug)]
pub struct Session<T> {
    transport: T,
    opened: String,
    requests: Cell<u32>,
    bytes: Cell<u64>,
    /// Origins that have answered.
    met: RefCell<Vec<String>>,
    /// Origins that do not answer several ranges at once.
    single: RefCell<Vec<String>>,
}

impl<T: Transport> Session<T> {
    /// Starts a session. `opened` is what the user opened, as it may be shown.
    pub fn new(transport: T, opened: String) -> Rc<Self> {
        Rc::new(Self {
            transport,
            opened,
            requests: Cell::new(0),
            bytes: Cell::new(0),
            met: RefCell::default(),
            single: RefCell::default(),
        })
    }

    /// What has been transferred so far.
    pub fn transfer(&self) -> Transfer {
        Transfer { address: self.opened.clone(), requests: self.requests.get(), bytes: self.bytes.get() }
    }

    /// Continues the counts of an earlier session of the same files.
    pub fn resume(&self, earlier: &Transfer) {
        self.requests.set(self.requests.get().max(earlier.requests));
        self.bytes.set(self.bytes.get().max(earlier.bytes));
    }

    /// Reads a whole small file of at most `most` bytes: an index, a configuration, a listing.
    pub async fn whole(&self, place: &Place, most: u64) -> Result<Vec<u8>, Fault> {
        let judge = |head: &Head| {
            let length = head.header("content-length").and_then(|length| length.parse::<u64>().ok());
            match length.is_some_and(|length| length > most) {
                true => Err(Problem::TooLong { most }),
                false => Ok(Expected::AtMost(most)),
            }
        };
        let ask = Ask { place, method: Method::Get, range: None, offset: 0 };
        Ok(self.ask(ask, &judge).await?.1)
    }

    /// Repeats a request until its answer is sound or its fault final. `judge` checks the headers and returns how many bytes must
    /// follow, before any of the body is read.
    fn ask<'a>(
        &'a self,
        ask: Ask<'a>,
        judge: &'a Judge<'a>,
    ) -> LocalBoxFuture<'a, Result<(Head, Vec<u8>), Fault>> {
        let url = &ask.place.url;
        let asking = async move {
            let mut attempt = 1;
            loop {
                let problem = match self.once(ask, judge).await {
                    Ok(answer) => return Ok(answer),
                    Err(problem) => problem,
                };
                let met = self.met.borrow().iter().any(|origin| origin == url.origin());
                match problem.pause(attempt, met) {
                    Some(time) => self.transport.wait(time).await,
                    None => return Err(Fault::new(url, problem, attempt)),
                }
                attempt += 1;
            }
        };
        asking.boxed_local()
    }

    async fn once(&self, ask: Ask<'_>, judge: &Judge<'_>) -> Result<(Head, Vec<u8>), Problem> {
        let Ask { place, method, range, offset } = ask;
        let (url, token) = (place.url.to_request(), place.token.as_deref());
        self.requests.set(self.requests.get() + 1);
        let (head, body) = self.transport.send(Request { method, url: &url, range, token }).await?;
        remember(&self.met, &place.url);
        if let Some(problem) = head.refusal(offset, token.is_some()) {
            // Checked first, so that a proxy's error page is not taken for a web page at the address.
            return Err(problem);
        }
        let expected = judge(&head)?;
        if method == Method::Head {
            return Ok((head, Vec::new()));
        }
        let most = match expected {
            Expected::Exactly(length) | Expected::AtMost(length) => length,
        };
        // One more byte than expected, to notice a body that is too long.
        let bytes = body.read(most.saturating_add(1)).await?;
        let got = bytes.len() as u64;
        self.bytes.set(self.bytes.get() + got.min(most));
        match expected {
            Expected::Exactly(wanted) if got < wanted => Err(Problem::Short { offset, wanted, got }),
            Expected::Exactly(wanted) if got > wanted => Err(Problem::Long { offset, wanted }),
            Expected::AtMost(most) if got > most => Err(Problem::TooLong { most }),
            _ => Ok((head, bytes)),
        }
    }
}

/// Adds the origin of `url` to a list, once.
fn remember(origins: &RefCell<Vec<String>>, url: &Url) {
    let mut origins = origins.borrow_mut();
    if !origins.iter().any(|origin| origin == url.origin()) {
        origins.push(url.origin().to_owned());
    }
}

/// A request, which may be repeated.
#[derive(Clone, Copy)]
struct Ask<'a> {
    place: &'a Place,
    method: Method,
    range: Option<&'a str>,
    /// The first byte of the range.
    offset: u64,
}

/// Checks the headers of an answer and returns how long its body must be.
type Judge<'a> = dyn Fn(&Head) -> Result<Expected, Problem> + 'a;

/// How long a body must be.
enum Expected {
    Exactly(u64),
    AtMost(u64),
}

/// An address, and the token that opens it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where.
    pub url: Url,
    /// Kept in memory only: no message, link or report shows it.
    pub token: Option<Token>,
}

/// A token, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Rc<str>);

impl Token {
    /// Takes a token. `None` if it is empty or has characters that a header may not have.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| Self(text.into()))
    }

    /// The token itself, for the request.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Token {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// A file behind an address. Clones share what has been read.
#[derive(Debug)]
pub struct HttpSource<T> {
    session: Rc<Session<T>>,
    file: Rc<Remote>,
}

impl<T> Clone for HttpSource<T> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), file: self.file.clone() }
    }
}

/// What is known about a file, and what has been read of it.
#[derive(Debug)]
struct Remote {
    place: Place,
    path: String,
    length: u64,
    pin: Option<Pin>,
    chunks: RefCell<Vec<Chunk>>,
}

/// Bytes that have been read, kept for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Place of the first one in the file.
    pub start: u64,
    /// The bytes.
    pub bytes: Rc<Vec<u8>>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn part(&self, range: &Range<u64>) -> Option<&[u8]> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..to)
    }
}

impl<T: Transport> HttpSource<T> {
    /// Reads the first `guess` bytes of `place`. Most headers fit in them, and the answer gives the length and the pin of the
    /// file. `path` is what messages call it.
    pub async fn open(
        session: Rc<Session<T>>,
        place: Place,
        path: String,
        guess: u64,
    ) -> Result<Self, Fault> {
        let asked = 0..guess;
        let judge = |head: &Head| {
            check_is_range(head)?;
            let Some(told) = head.content_range() else {
                // A browser may hide it from the page. Then the length of the body counts.
                let length = head.header("content-length").and_then(|length| length.parse().ok());
                return Ok(length
                    .filter(|&length| length <= guess)
                    .map_or(Expected::AtMost(guess), Expected::Exactly));
            };
            let ContentRange { range, total } = told?;
            let end = total.map_or(range.end, |total| total.min(guess));
            if range.start != 0 || range.end > guess || total.is_none() {
                return Err(wrong_range(&asked, head));
            }
            if range.end < end {
                return Err(Problem::Short { offset: 0, wanted: end, got: range.end });
            }
            Ok(Expected::Exactly(range.end))
        };
        let asked_for = range_header(std::slice::from_ref(&asked));
        let ask = Ask { place: &place, method: Method::Get, range: Some(&asked_for), offset: 0 };
        let answer = session.ask(ask, &judge).await;
        let (head, bytes) = match answer {
            // An empty file has no first byte; the server says so with its length.
            Err(fault) if fault.problem == (Problem::PastEnd { offset: 0 }) => (None, Vec::new()),
            answer => answer.map(|(head, bytes)| (Some(head), bytes))?,
        };
        let told =
            head.as_ref().and_then(Head::content_range).and_then(Result::ok).and_then(|told| told.total);
        let length = match (&head, told) {
            (None, _) => 0,
            (_, Some(total)) => total,
            (_, None) if (bytes.len() as u64) < guess => bytes.len() as u64,
            (_, None) => length_by_head(&session, &place).await?,
        };
        let chunks = RefCell::new(vec![Chunk { start: 0, bytes: Rc::new(bytes) }]);
        let pin = head.as_ref().and_then(Head::pin);
        Ok(Self { session, file: Rc::new(Remote { place, path, length, pin, chunks }) })
    }

    /// Opens a file that an earlier session has opened, with what it has read.
    pub fn known(
        session: Rc<Session<T>>,
        place: Place,
        path: String,
        length: u64,
        pin: Option<Pin>,
        chunks: Vec<Chunk>,
    ) -> Self {
        let chunks = RefCell::new(chunks);
        Self { session, file: Rc::new(Remote { place, path, length, pin, chunks }) }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.file.place
    }

    /// What pins it.
    pub fn pin(&self) -> Option<&Pin> {
        self.file.pin.as_ref()
    }

    /// What has been read of it.
    pub fn chunks(&self) -> Vec<Chunk> {
        self.file.chunks.borrow().clone()
    }

    /// What its session has transferred.
    pub fn session(&self) -> &Session<T> {
        &self.session
    }

    /// The kept bytes from the start of `range`, as far as they go.
    fn kept(&self, range: &Range<u64>) -> Option<Chunk> {
        let chunks = self.file.chunks.borrow();
        let holds = |chunk: &&Chunk| chunk.start <= range.start && range.start <= chunk.end();
        chunks.iter().filter(holds).max_by_key(|chunk| chunk.end()).cloned()
    }

    fn keep(&self, start: u64, bytes: Rc<Vec<u8>>) {
        let chunk = Chunk { start, bytes };
        let mut chunks = self.file.chunks.borrow_mut();
        // A chunk that continues an earlier one replaces it.
        chunks.retain(|old| old.start < chunk.start || old.end() > chunk.end());
        chunks.push(chunk);
    }

    /// Whether an answer is of the file that was opened.
    fn check_pin(&self, head: &Head) -> Result<(), Problem> {
        let Some(Pin { what, value }) = &self.file.pin else { return Ok(()) };
        match head.header(&what.to_ascii_lowercase()) {
            Some(now) if now != value => {
                Err(Problem::Changed { what, before: value.clone(), now: now.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn check_total(&self, total: Option<u64>) -> Result<(), Problem> {
        let before = self.file.length;
        match total {
            Some(now) if now != before => {
                Err(Problem::Changed { what: "length", before: before.to_string(), now: now.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Fetches one range from the network.
    async fn fetch(&self, range: Range<u64>) -> Result<Vec<u8>, Fault> {
        let judge = |head: &Head| {
            check_is_range(head)?;
            self.check_pin(head)?;
            if let Some(told) = head.content_range() {
                let told = told?;
                self.check_total(told.total)?;
                let got = told.range.end.saturating_sub(range.start);
                if told.range.start == range.start && told.range.end < range.end {
                    return Err(Problem::Short { offset: range.start, wanted: range.end - range.start, got });
                }
                if told.range != range {
                    return Err(wrong_range(&range, head));
                }
            }
            Ok(Expected::Exactly(range.end - range.start))
        };
        let asked = range_header(std::slice::from_ref(&range));
        let place = &self.file.place;
        let ask = Ask { place, method: Method::Get, range: Some(&asked), offset: range.start };
        Ok(self.session.ask(ask, &judge).await?.1)
    }

    /// Fetches several ranges with one request. `None` if the server does not answer that way.
    async fn fetch_together(&self, ranges: &[Range<u64>]) -> Result<Option<Vec<(u64, Vec<u8>)>>, Fault> {
        let (url, token) = (self.file.place.url.to_request(), self.file.place.token.as_deref());
        let asked = range_header(ranges);
        let session = &self.session;
        session.requests.set(session.requests.get() + 1);
        let request = Request { method: Method::Get, url: &url, range: Some(&asked), token };
        // If anything is wrong with the answer, the ranges are requested one by one, and their faults explain it.
        let Ok((head, body)) = session.transport.send(request).await else { return Ok(None) };
        let Some(boundary) = head.boundary().filter(|_| head.status == 206) else { return Ok(None) };
        self.check_pin(&head).map_err(|problem| Fault::new(&self.file.place.url, problem, 1))?;
        let wanted: u64 = ranges.iter().map(|range| range.end - range.start + PART_HEAD).sum();
        let Ok(bytes) = body.read(wanted).await else { return Ok(None) };
        session.bytes.set(session.bytes.get() + bytes.len() as u64);
        let found = parts(&bytes, boundary, self.file.length);
        Ok(found.map(|parts| parts.into_iter().map(|(start, bytes)| (start, bytes.to_vec())).collect()))
    }

    /// Reads the missing ones of `ranges` into the kept chunks: few of them one by one, many together if the server allows it.
    async fn gather(&self, ranges: &[Range<u64>]) -> Vec<Fault> {
        let missing = || ranges.iter().filter(|range| !self.has(range)).cloned().collect::<Vec<_>>();
        let joined = bridge(missing(), CHEAP);
        let single = self.session.single.borrow().iter().any(|known| known == self.file.place.url.origin());
        if joined.len() > FEW_READS && !single {
            for together in bridge(missing(), 0).chunks(RANGES_A_REQUEST) {
                match self.fetch_together(together).await {
                    Ok(Some(found)) => {
                        found.into_iter().for_each(|(start, bytes)| self.keep(start, Rc::new(bytes)))
                    }
                    Ok(None) => {
                        remember(&self.session.single, &self.file.place.url);
                        break;
                    }
                    Err(fault) => return vec![fault],
                }
            }
        }
        let rest = if joined.len() > FEW_READS { bridge(missing(), DEAR) } else { joined };
        let faults = RefCell::new(Vec::new());
        let fetch = |range: Range<u64>| {
            let faults = &faults;
            let fetching = async move {
                let start = range.start;
                match self.fetch(range).await {
                    Ok(bytes) => self.keep(start, Rc::new(bytes)),
                    Err(fault) => faults.borrow_mut().push(fault),
                }
            };
            fetching.boxed_local()
        };
        at_once(AT_ONCE, rest.into_iter().map(fetch).collect()).await;
        faults.into_inner()
    }

    fn has(&self, range: &Range<u64>) -> bool {
        self.file.chunks.borrow().iter().any(|chunk| chunk.part(range).is_some())
    }
}

impl<T: Transport> ByteSource for HttpSource<T> {
    fn path(&self) -> &str {
        &self.file.path
    }

    fn length(&self) -> u64 {
        self.file.length
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let Some(before) = self.kept(&range) else {
            let bytes = self.fetch(range.clone()).await.map_err(Box::new)?;
            self.keep(range.start, Rc::new(bytes.clone()));
            return Ok(bytes);
        };
        if let Some(part) = before.part(&range) {
            return Ok(part.to_vec());
        }
        // A read that continues from the start walks a header, which does not say how long it is.
        let ahead = if before.start == 0 { (2 * before.end()).min(LARGEST_AHEAD) } else { 0 };
        let end = range.end.max(before.end().saturating_add(ahead)).min(self.file.length.max(range.end));
        let more = self.fetch(before.end()..end).await.map_err(Box::new)?;
        let mut bytes = before.bytes.to_vec();
        bytes.extend(more);
        let chunk = Chunk { start: before.start, bytes: Rc::new(bytes) };
        self.keep(chunk.start, chunk.bytes.clone());
        Ok(chunk.part(&range).unwrap_or_default().to_vec())
    }

    async fn read_many(
        &self,
        ranges: &[Range<u64>],
        mut each: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        let faults = self.gather(ranges).await;
        for (index, range) in ranges.iter().enumerate() {
            let chunks = self.file.chunks.borrow();
            let part = chunks.iter().find_map(|chunk| chunk.part(range));
            each(
                index,
                match (part, faults.first()) {
                    (Some(part), _) => Ok(part.to_vec()),
                    (None, Some(fault)) => Err(SourceError::Remote(Box::new(fault.clone()))),
                    // Cannot happen: every range was either kept or has a fault.
                    (None, None) => Err(SourceError::Short {
                        file: self.file.path.clone(),
                        offset: range.start,
                        wanted: range.end - range.start,
                        got: 0,
                    }),
                },
            );
        }
    }

    fn transfer(&self) -> Option<Transfer> {
        Some(self.session.transfer())
    }
}

/// Checks that an answer to a Range request is a range. The body of any other answer is not read.
fn check_is_range(head: &Head) -> Result<(), Problem> {
    if head.is_page() {
        return Err(Problem::Page);
    }
    if head.status != 206 {
        return Err(Problem::NoRange);
    }
    match head.encoding() {
        Some(encoding) => Err(Problem::Compressed { encoding: encoding.to_owned() }),
        None => Ok(()),
    }
}

/// The length of a file whose Content-Range a browser hides. Browsers do not hide Content-Length.
async fn length_by_head<T: Transport>(session: &Session<T>, place: &Place) -> Result<u64, Fault> {
    let length = |head: &Head| head.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let judge = |head: &Head| match length(head) {
        Some(_) if head.encoding().is_none() => Ok(Expected::AtMost(0)),
        _ => Err(Problem::Hidden),
    };
    let ask = Ask { place, method: Method::Head, range: None, offset: 0 };
    let (head, _) = session.ask(ask, &judge).await?;
    length(&head).ok_or_else(|| Fault::new(&place.url, Problem::Hidden, 1))
}

fn wrong_range(asked: &Range<u64>, head: &Head) -> Problem {
    let asked = range_header(std::slice::from_ref(asked));
    Problem::WrongRange { asked, got: head.header("content-range").unwrap_or("none").to_owned() }
}

/// `bytes=0-65535,70000-70007`; ends are inclusive there.
fn range_header(ranges: &[Range<u64>]) -> String {
    let each: Vec<String> =
        ranges.iter().map(|range| format!("{}-{}", range.start, range.end.saturating_sub(1))).collect();
    format!("bytes={}", each.join(","))
}

/// Merges reads into a few, narrowest gaps first, if the gaps together have at most `budget` bytes. Otherwise merges only reads
/// that nearly touch.
fn bridge(mut ranges: Vec<Range<u64>>, budget: u64) -> Vec<Range<u64>> {
    crate::order::sort_by_key(&mut ranges, |range| range.start);
    let mut gaps: Vec<u64> =
        ranges.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].end)).collect();
    gaps.sort_unstable();
    let too_many = &gaps[..ranges.len().saturating_sub(FEW_READS).min(gaps.len())];
    let affordable = too_many.iter().sum::<u64>() <= budget;
    let widest = too_many.last().copied().filter(|_| affordable).unwrap_or(0).max(SMALL_GAP);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(widest) => {
                last.end = last.end.max(range.end)
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
