//! HTTP outside a browser: ureq, on a thread for each request, so that several are on their way at once.

use super::{Body, Head, Method, Problem, Request, Transport};
use crate::source::aside::aside;
use std::io::{self, Read};
use std::time::Duration;
use ureq::{Agent, Error};

/// Sends requests with ureq. Proxies are those of the environment (HTTPS_PROXY and similar ones).
#[derive(Debug, Clone)]
pub struct Native {
    agent: Agent,
}

/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

impl Native {
    /// A transport with its own pool of connections.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("gammascope/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self { agent: config.new_agent() }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

/// The same as [`aside`], where a thread that died has an error of its own.
async fn tried<Done: Send + 'static>(
    work: impl FnOnce() -> Result<Done, Problem> + Send + 'static,
) -> Result<Done, Problem> {
    let died = || Problem::Cut { reason: "the thread that read it ended".to_owned() };
    aside(work).await.unwrap_or_else(|| Err(died()))
}

impl Transport for Native {
    type Body = NativeBody;

    async fn send(&self, request: Request<'_>) -> Result<(Head, NativeBody), Problem> {
        let agent = self.agent.clone();
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
            // What began encrypted must not be redirected to what is not.
            let secure = url.starts_with("https://");
            let answer =
                builder.config().https_only(secure).build().call().map_err(|error| problem(&error))?;
            let (parts, body) = answer.into_parts();
            let headers = parts.headers.iter().map(|(name, value)| {
                (name.as_str().to_ascii_lowercase(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            Ok((Head { status: parts.status.as_u16(), headers: headers.collect() }, NativeBody(body)))
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
pub struct NativeBody(ureq::Body);

impl Body for NativeBody {
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem> {
        tried(move || {
            let mut bytes = Vec::new();
            let reader = self.0.into_with_config().limit(u64::MAX).reader();
            match reader.take(most).read_to_end(&mut bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(Problem::Cut { reason: error.to_string() }),
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
