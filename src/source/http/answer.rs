//! What the headers of an answer say, and the parts of one that holds several ranges.

use super::fault::Problem;
use std::ops::Range;

/// Status and headers of an answer, before any of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

/// What pins a file: two reads with different values are of different files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The header.
    pub what: &'static str,
    /// Its value.
    pub value: String,
}

/// `bytes 0-65535/548105171`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) range: Range<u64>,
    /// Bytes of the whole file, if the answer gives them.
    pub(super) total: Option<u64>,
}

impl Head {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// ETag, or else Last-Modified.
    pub(super) fn pin(&self) -> Option<Pin> {
        let pin = |what, name| Some(Pin { what, value: self.header(name)?.to_owned() });
        pin("ETag", "etag").or_else(|| pin("Last-Modified", "last-modified"))
    }

    pub(super) fn is_page(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
    }

    /// What a status other than success means. `offset` is the first requested byte.
    pub(super) fn refusal(&self, offset: u64, with_token: bool) -> Option<Problem> {
        // A date instead of seconds is ignored: it would need a clock.
        let wait = self.header("retry-after").and_then(|seconds| seconds.parse().ok());
        let status = self.status;
        Some(match status {
            200 | 206 => return None,
            401 | 403 if with_token => Problem::TokenRefused { status },
            401 | 403 => Problem::TokenWanted { status },
            404 | 410 => Problem::NotThere { status },
            416 => Problem::PastEnd { offset },
            429 => Problem::TooOften { wait },
            300..=399 => Problem::Redirects { reason: format!("without saying where to (status {status})") },
            408 | 500..=599 => Problem::Server { status, wait },
            _ => Problem::Status { status },
        })
    }

    /// What a 206 says about its bytes. `None` if a browser hides it.
    pub(super) fn content_range(&self) -> Option<Result<ContentRange, Problem>> {
        let value = self.header("content-range")?;
        let wrong = || Problem::WrongRange { asked: "one range".to_owned(), got: value.to_owned() };
        Some(parse_content_range(value).ok_or_else(wrong))
    }

    /// An encoding that changes the place of bytes.
    pub(super) fn encoding(&self) -> Option<&str> {
        self.header("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// What separates the parts of an answer that has several.
    pub(super) fn boundary(&self) -> Option<&str> {
        let kind = self.header("content-type")?;
        if !kind.to_ascii_lowercase().starts_with("multipart/byteranges") {
            return None;
        }
        let at = kind.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
        Some(kind[at..].split(';').next().unwrap_or_default().trim().trim_matches('"'))
            .filter(|b| !b.is_empty())
    }
}

pub(super) fn parse_content_range(value: &str) -> Option<ContentRange> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        number => Some(number.parse::<u64>().ok()?),
    };
    let end = last.checked_add(1)?;
    let sound = first <= last && total.is_none_or(|total| end <= total);
    (unit.eq_ignore_ascii_case("bytes") && sound).then_some(ContentRange { range: first..end, total })
}

/// The parts of a `multipart/byteranges` body: where each begins in the file, and its bytes. The lengths come from each part's
/// own Content-Range, so a boundary inside the data does no harm.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str, length: u64) -> Option<Vec<(u64, &'a [u8])>> {
    let mark = format!("--{boundary}");
    let mut rest = &body[find(body, mark.as_bytes())?..];
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(mark.as_bytes())?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let end = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&rest[..end]).ok()?;
        let field = |line: &'a str| {
            line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-range"))
        };
        let (_, value) = head.lines().find_map(field)?;
        let ContentRange { range, total } = parse_content_range(value)?;
        if total.is_some_and(|total| total != length) {
            return None;
        }
        let data = &rest[end + 4..];
        let count = usize::try_from(range.end - range.start).ok()?;
        parts.push((range.start, data.get(..count)?));
        rest = data[count..].strip_prefix(b"\r\n")?;
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_that_make_no_sense_are_none() {
        let sound = ContentRange { range: 5..10, total: Some(100) };
        assert_eq!(parse_content_range("bytes 5-9/100"), Some(sound));
        assert_eq!(parse_content_range("bytes 5-9/*").map(|range| range.total), Some(None));
        for wrong in
            ["", "5-9/100", "bytes 9-5/100", "bytes 5-100/100", "bytes */100", "items 5-9/100", "bytes 5-9"]
        {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
        assert_eq!(parse_content_range(&format!("bytes 0-{}/*", u64::MAX)), None);
    }

    #[test]
    fn parts_are_told_apart_by_their_lengths_and_not_by_what_they_hold() {
        let body = b"\r\n--x\r\nContent-Range: bytes 0-4/20\r\n\r\n--x\r\n\r\n--x\r\nContent-Type: a/b\r\ncontent-range: bytes 18-19/20\r\n\r\nab\r\n--x--\r\n";
        assert_eq!(parts(body, "x", 20), Some(vec![(0, &b"--x\r\n"[..]), (18, &b"ab"[..])]));
        assert_eq!(parts(body, "x", 21), None, "of another length");
        for cut in 0..body.len() - 4 {
            assert_eq!(parts(&body[..cut], "x", 20), None, "cut at {cut}");
        }
    }
}
