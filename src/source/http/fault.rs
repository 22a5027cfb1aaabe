//! What can go wrong with a request to a server: what each fault means and what to do.

use crate::source::url::Url;
use std::time::Duration;

/// An address that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` {problem}{}", tried(*.attempts))]
pub struct Fault {
    /// The address, without its query.
    pub url: String,
    /// What went wrong.
    pub problem: Problem,
    /// How often it was tried.
    pub attempts: u32,
}

fn tried(attempts: u32) -> String {
    if attempts > 1 { format!(" (tried {attempts} times)") } else { String::new() }
}

/// What went wrong. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum Problem {
    #[error("could not be reached: this machine is offline; connect it and open the address again")]
    Offline,
    #[error("could not be reached ({reason}); check the address and the network, then open it again")]
    Unreachable { reason: String },
    #[error(
        "exists, but its server does not let pages of other sites read it (no CORS: Access-Control-Allow-Origin is missing); download the file and drop it here, or use gammascope in a terminal, which does not need CORS"
    )]
    Blocked,
    #[error(
        "is not encrypted, and a page may read http:// from this machine only; give its https:// address, or use gammascope in a terminal"
    )]
    Insecure,
    #[error("redirects {reason}; give the address that it should end at")]
    Redirects { reason: String },
    #[error(
        "was not read: its server ignores Range and would send the whole file instead of a few kilobytes; download the file and open that, or put it on a server that answers ranges"
    )]
    NoRange,
    #[error(
        "is a web page, not a checkpoint; give the address of a .safetensors, .gguf, .onnx or PyTorch file, of its folder, or org/model as a hub names it"
    )]
    Page,
    #[error(
        "may not be read without a token (status {status}); give one, or check the address: hubs give this answer for a name that does not exist, too"
    )]
    TokenWanted { status: u16 },
    #[error(
        "may not be read with this token (status {status}); check that it may read this model, and that the model's terms are accepted"
    )]
    TokenRefused { status: u16 },
    #[error("is not there (status {status}); check the address and the revision")]
    NotThere { status: u16 },
    #[error("has no byte {offset} (status 416): it is shorter than before; open it again")]
    PastEnd { offset: u64 },
    #[error("was requested too often (status 429){}; wait, then open it again", wanted_wait(*.wait))]
    TooOften { wait: Option<u64> },
    #[error("could not be sent by its server (status {status}{}); try again later", wanted_wait(*.wait))]
    Server { status: u16, wait: Option<u64> },
    #[error("was answered with status {status}, which does not send a file; check the address")]
    Status { status: u16 },
    #[error("changed while it was read: its {what} was {before} and is {now}; open it again")]
    Changed { what: &'static str, before: String, now: String },
    #[error(
        "answered with other bytes than the requested ones ({asked}; Content-Range: {got}); its server, or a proxy before it, is faulty: download the file and open that"
    )]
    WrongRange { asked: String, got: String },
    #[error(
        "answered with a compressed range (Content-Encoding: {encoding}), which cannot be read; its server must send ranges as they are: download the file and open that"
    )]
    Compressed { encoding: String },
    #[error(
        "does not give its length: its server hides Content-Range from pages (Access-Control-Expose-Headers should name Content-Range and ETag); download the file and drop it here, or use gammascope in a terminal"
    )]
    Hidden,
    #[error("gave {got} of the {wanted} bytes from byte {offset}; open it again")]
    Short { offset: u64, wanted: u64, got: u64 },
    #[error(
        "gave more than the {wanted} bytes from byte {offset}; its server is faulty: download the file and open that"
    )]
    Long { offset: u64, wanted: u64 },
    #[error("broke off ({reason}); check the network, then open it again")]
    Cut { reason: String },
    #[error(
        "was sent too slowly: {got} bytes in {seconds} s. Check the network and open it again, or download the file and open that"
    )]
    Slow { got: u64, seconds: u64 },
    #[error("is longer than the {most} bytes that such a file may have; it is not what its name says")]
    TooLong { most: u64 },
}

fn wanted_wait(wait: Option<u64>) -> String {
    wait.map_or_else(String::new, |seconds| format!(", and asks to wait {seconds} s"))
}

/// A server that sends nothing for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Least bytes a second of a body on average, once [`SILENCE`] is over. A slower connection cannot read a checkpoint. So the
/// deadline of an answer follows its size.
pub const SLOWEST: u64 = 4_000;

/// Whether a body comes too slowly, if `got` bytes came in this time. The first `patience` does not count.
pub fn is_too_slow(got: u64, time: Duration, patience: Duration) -> bool {
    time.saturating_sub(patience).as_secs_f64() * SLOWEST as f64 > got as f64
}

/// How often a request is made before its fault is final.
pub const ATTEMPTS: u32 = 4;

/// The first pause; each further one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Most seconds that a server may ask to wait. A longer wait is up to the user.
const LONGEST_PAUSE: u64 = 30;

impl Problem {
    /// How long to wait before the next attempt. `None` if another attempt would end the same. `met` says that the server has
    /// answered before.
    pub(super) fn pause(&self, attempt: u32, met: bool) -> Option<Duration> {
        let asked = match self {
            Self::TooOften { wait } | Self::Server { wait, .. } => *wait,
            Self::Short { .. } | Self::Cut { .. } => None,
            // A first contact that fails is a wrong address more often than a weak network.
            Self::Unreachable { .. } if met => None,
            _ => return None,
        };
        if attempt >= ATTEMPTS || asked.is_some_and(|seconds| seconds > LONGEST_PAUSE) {
            return None;
        }
        Some(asked.map_or(FIRST_PAUSE * 3u32.pow(attempt - 1), Duration::from_secs))
    }

    /// Whether the file does not exist. That need not be an error.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotThere { .. })
    }

    /// Whether a token, or a different one, would help.
    pub fn wants_token(&self) -> bool {
        matches!(self, Self::TokenWanted { .. } | Self::TokenRefused { .. })
    }
}

impl Fault {
    pub(super) fn new(url: &Url, problem: Problem, attempts: u32) -> Self {
        Self { url: url.to_string(), problem, attempts }
    }
}
