//! HTTP outside a browser: ureq, on a thread for each request, so that several requests run at once.

use super::{Body, Head, Method, Problem, Request, SILENCE, Transport, is_too_slow};
use crate::source::aside::aside;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use ureq::{Agent, Error};

/// Sends requests with ureq. Proxies come from the environment (HTTPS_PROXY and similar variables).
#[derive(Debug, Clone)]
pub struct Native {
    agent: Agent,
    patience: Duration,
}

/// Most bytes taken from a connection at once.
const PIECE: usize = 64 * 1024;

impl Native {
    /// A transport with its own pool of connections.
    pub fn new() -> Self {
        Self::patient(SILENCE)
    }

    /// A transport that waits no longer than this for anything.
    pub fn patient(patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("gammascope/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        Self { agent: config.new_agent(), patience }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

/// The same as [`aside`], but a thread that died gives an error.
async fn tried<Done: Send + 'static>(
    work: impl FnOnce() -> Result<Done, Problem> + Send + 'static,
) -> Result<Done, Problem> {
    let died = || Problem::Cut { reason: "the thread that read it ended".to_owned() };
    aside(work).await.unwrap_or_else(|| Err(died()))
}

impl Transport for Native {
    type Body = NativeBody;

    async fn send(&self, request: Request<'_>) -> Result<(Head, NativeBody), Problem> {
        let (agent, patience) = (self.agent.clone(), self.patience);
        let url = request.url.to_owned();
        let mut headers = vec![("Accept-Encoding", "identity".to_owned())];
        headers.extend(request.range.map(|range| ("Range", range.to_owned())));
        headers.extend(request.token.map(|token| ("Authorization", format!("Bearer {token}"))));
        let method = request.method;
        tried(move || {
            let mut builder = match method {
                Method::Get => agent.get(&url),
                Method::Head => agent.head(&url),
            };
            for (name, value) in headers {
                builder = builder.header(name, value);
            }
            // A request that began encrypted must not be redirected to an address that is not.
            let secure = url.starts_with("https://");
            let answer =
                builder.config().https_only(secure).build().call().map_err(|error| problem(&error))?;
            let (parts, body) = answer.into_parts();
            let headers = parts.headers.iter().map(|(name, value)| {
                (name.as_str().to_ascii_lowercase(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let head = Head { status: parts.status.as_u16(), headers: headers.collect() };
            Ok((head, NativeBody { body, patience }))
        })
        .await
    }

    async fn wait(&self, time: Duration) {
        let _ = tried(move || {
            std::thread::sleep(time);
            Ok(())
        })
        .await;
    }
}

/// A body on its connection, which is closed when this is dropped.
#[derive(Debug)]
pub struct NativeBody {
    body: ureq::Body,
    patience: Duration,
}

impl Body for NativeBody {
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem> {
        tried(move || {
            let (mut bytes, mut piece) = (Vec::new(), vec![0; PIECE]);
            let mut reader = self.body.into_with_config().limit(u64::MAX).reader().take(most);
            let began = Instant::now();
            loop {
                let count = match reader.read(&mut piece) {
                    Ok(0) => return Ok(bytes),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        let (got, seconds) = (bytes.len() as u64, began.elapsed().as_secs());
                        return Err(Problem::Slow { got, seconds });
                    }
                    Err(error) => return Err(Problem::Cut { reason: error.to_string() }),
                };
                bytes.extend_from_slice(&piece[..count]);
                let (got, time) = (bytes.len() as u64, began.elapsed());
                if is_too_slow(got, time, self.patience) {
                    return Err(Problem::Slow { got, seconds: time.as_secs() });
                }
            }
        })
        .await
    }
}

fn problem(error: &Error) -> Problem {
    let reason = error.to_string();
    match error {
        Error::TooManyRedirects => Problem::Redirects { reason: "more than ten times".to_owned() },
        Error::RedirectFailed => Problem::Redirects { reason: "in a way that cannot be followed".to_owned() },
        Error::RequireHttpsOnly(_) => {
            Problem::Redirects { reason: "to an address that is not encrypted".to_owned() }
        }
        Error::Io(error) if is_cut(error) => Problem::Cut { reason },
        Error::Protocol(_) => Problem::Cut { reason },
        _ => Problem::Unreachable { reason },
    }
}

fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
