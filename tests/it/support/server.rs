//! A small HTTP server that simulates every fault of a real one, with one thread per connection.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a path answers: well, or with a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Play {
    /// 206 for a range, 200 without one. For several ranges at once, it answers with the first.
    Well,
    /// The same, but it answers several ranges at once in parts.
    Parts,
    /// An endless whole file, whatever the range is.
    NoRange,
    /// A status, with a header.
    Status(u16, &'static str),
    /// 200 and a page.
    Page,
    /// A new ETag each time.
    NewTag,
    /// No ETag, and a new Last-Modified each time.
    NewDate,
    /// The file grows by a byte with each request.
    Grows,
    /// Half of the bytes, with headers that fit them.
    HalfRange,
    /// Half of the bytes, with headers for all of them, then the connection closes.
    Cut,
    /// The right bytes, a few per second.
    Trickle,
    /// The connection closes before any header.
    Slam,
    /// A range that begins one byte later.
    OtherRange,
    /// An invalid Content-Range.
    NonsenseRange,
    /// A body longer than the range.
    Long,
    /// Content-Encoding: gzip.
    Compressed,
    /// 302 to another path or address.
    Redirect(String),
    /// This fault for the first requests, then good answers.
    First(u64, Box<Play>),
    /// Good answers for the first requests, then this fault.
    After(u64, Box<Play>),
    /// 401 without this token.
    Token(&'static str),
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

type Files = BTreeMap<String, (Vec<u8>, Play)>;

/// A running server. It ends with the process.
pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    sent: Arc<AtomicU64>,
}

impl Server {
    /// Serves `files`: path, bytes, and how to answer.
    pub(crate) fn start(files: Vec<(&str, Vec<u8>, Play)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files: Files =
            files.into_iter().map(|(path, bytes, play)| (path.to_owned(), (bytes, play))).collect();
        let (files, counts) = (Arc::new(files), Arc::new(Mutex::new(HashMap::new())));
        let (seen, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (all_seen, all_sent) = (seen.clone(), sent.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, counts, seen, sent) =
                    (files.clone(), counts.clone(), all_seen.clone(), all_sent.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &files, &counts, &seen, &sent);
                });
            }
        });
        Self { address, seen, sent }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Bytes of bodies written so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    files: &Files,
    counts: &Mutex<HashMap<String, u64>>,
    seen: &Mutex<Vec<Seen>>,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = Counted { stream, sent };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let method = line.split(' ').next().unwrap_or_default().to_owned();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let range = headers.get("range").cloned();
        let authorization = headers.get("authorization").cloned();
        seen.lock().unwrap().push(Seen {
            path: path.clone(),
            range: range.clone(),
            authorization: authorization.clone(),
        });
        let count = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(path.clone()).or_insert(0);
            *count += 1;
            *count
        };
        let Some((bytes, play)) = files.get(path.split('?').next().unwrap_or_default()) else {
            out.head(404, &[("Content-Length", "0")])?;
            continue;
        };
        let mut play = play;
        loop {
            play = match play {
                Play::First(times, wrong) => {
                    if count <= *times {
                        wrong
                    } else {
                        &Play::Well
                    }
                }
                Play::After(times, wrong) => {
                    if count > *times {
                        wrong
                    } else {
                        &Play::Well
                    }
                }
                Play::Token(token) => {
                    let right = authorization.as_deref() == Some(&format!("Bearer {token}"));
                    if right { &Play::Well } else { &Play::Status(401, "X: y") }
                }
                other => break play = other,
            };
        }
        if !answer(&mut out, bytes, play, range.as_deref(), method == "HEAD", count)? {
            return Ok(());
        }
    }
}

/// Answers one request. Returns whether the connection stays open.
fn answer(
    out: &mut Counted<'_>,
    bytes: &[u8],
    play: &Play,
    range: Option<&str>,
    head: bool,
    count: u64,
) -> std::io::Result<bool> {
    let grown;
    let bytes = if *play == Play::Grows {
        grown = [bytes, &vec![0; count as usize - 1]].concat();
        &grown
    } else {
        bytes
    };
    let length = bytes.len();
    match play {
        Play::Status(status, header) => {
            let (name, value) = header.split_once(": ").unwrap();
            out.head(*status, &[(name, value), ("Content-Length", "0")])?;
            return Ok(true);
        }
        Play::Page => {
            let page = "<!doctype html><title>Sign in</title>";
            out.head(
                200,
                &[("Content-Type", "text/html; charset=utf-8"), ("Content-Length", &page.len().to_string())],
            )?;
            out.body(page.as_bytes())?;
            return Ok(true);
        }
        Play::Redirect(to) => {
            out.head(302, &[("Location", to), ("Content-Length", "0")])?;
            return Ok(true);
        }
        Play::Slam => return Ok(false),
        Play::NoRange => {
            out.head(200, &[("Content-Length", &(1u64 << 40).to_string())])?;
            // Until the client closes the connection.
            for _ in 0..100_000 {
                out.body(&[0; 65_536])?;
            }
            return Ok(false);
        }
        _ => {}
    }
    let tag = if *play == Play::NewTag { format!("\"tag-{count}\"") } else { "\"tag\"".to_owned() };
    let date = format!("Sat, 01 Jan 2022 00:00:{count:02} GMT");
    let pin = if *play == Play::NewDate { ("Last-Modified", date.as_str()) } else { ("ETag", tag.as_str()) };
    let Some(range) = range else {
        out.head(200, &[pin, ("Content-Length", &length.to_string())])?;
        if !head {
            out.body(bytes)?;
        }
        return Ok(true);
    };
    let ranges: Vec<(usize, usize)> = range
        .trim_start_matches("bytes=")
        .split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap();
            (first.parse().unwrap(), last.parse::<usize>().unwrap().min(length.saturating_sub(1)))
        })
        .collect();
    if ranges.iter().any(|&(first, _)| first >= length) {
        out.head(416, &[("Content-Range", &format!("bytes */{length}")), ("Content-Length", "0")])?;
        return Ok(true);
    }
    if ranges.len() > 1 && *play == Play::Parts {
        let mut body = Vec::new();
        for (first, last) in ranges {
            write!(
                body,
                "--part\r\nContent-Type: a/b\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n"
            )?;
            body.extend(&bytes[first..=last]);
            body.extend(b"\r\n");
        }
        body.extend(b"--part--\r\n");
        let kind = ("Content-Type", "multipart/byteranges; boundary=part");
        out.head(206, &[pin, kind, ("Content-Length", &body.len().to_string())])?;
        out.body(&body)?;
        return Ok(true);
    }
    let (first, last) = ranges[0];
    let half = first + (last - first) / 2;
    let content_range = match play {
        Play::OtherRange => format!("bytes {}-{last}/{length}", first + 1),
        Play::NonsenseRange => "bytes all".to_owned(),
        Play::HalfRange => format!("bytes {first}-{half}/{length}"),
        _ => format!("bytes {first}-{last}/{length}"),
    };
    let mut body = bytes[first..=last].to_vec();
    let mut announced = body.len();
    match play {
        Play::HalfRange => body.truncate(half + 1 - first),
        Play::Cut => body.truncate(half + 1 - first),
        Play::OtherRange => drop(body.remove(0)),
        Play::Long => body.extend([0; 100]),
        _ => {}
    }
    if *play != Play::Cut {
        announced = body.len();
    }
    let mut headers = vec![pin, ("Content-Range", content_range.as_str())];
    if *play == Play::Compressed {
        headers.push(("Content-Encoding", "gzip"));
    }
    let announced = announced.to_string();
    headers.push(("Content-Length", &announced));
    out.head(206, &headers)?;
    if *play == Play::Trickle {
        for byte in body {
            std::thread::sleep(std::time::Duration::from_millis(50));
            out.body(&[byte])?;
        }
        return Ok(true);
    }
    out.body(&body)?;
    Ok(*play != Play::Cut)
}

struct Counted<'a> {
    stream: TcpStream,
    sent: &'a AtomicU64,
}

impl Counted<'_> {
    fn head(&mut self, status: u16, headers: &[(&str, &str)]) -> std::io::Result<()> {
        let mut text = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        self.stream.write_all(format!("{text}\r\n").as_bytes())
    }

    fn body(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}
