//! An http address in its parts, with secrets kept out of what is shown. Sends no request.

use std::fmt;

/// An address that cannot be opened, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither an address nor a name on a hub.
    #[error(
        "{0:?} is not an address: give a URL (https://…) of a .safetensors, .gguf, .onnx or PyTorch file, of an index or of a folder, or org/model as a hub names it"
    )]
    NotAnAddress(String),
    /// A scheme that is not read.
    #[error("`{0}` addresses are not read; give one that begins with https://")]
    Scheme(String),
    /// A page of a hub that is no model.
    #[error("{0:?} is a page of a hub, but not of a model; give https://HOST/org/model or org/model")]
    NoModel(String),
    /// The hub's own address.
    #[error(
        "the hub {0:?} is not an address; give one that begins with https://, without a path after the host"
    )]
    Hub(String),
}

/// An http address in its parts. It is shown without what may be secret: name and password before the host, and the query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// Scheme and host, with its port: `https://host:8080`.
    origin: String,
    /// From the first slash; always begins with one.
    path: String,
    /// With its question mark, or empty.
    query: String,
}

impl Url {
    /// Parses an address and escapes what it may not contain.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::NotAnAddress(hide(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "https" && scheme != "http" {
            return Err(AddressError::Scheme(format!("{scheme}://")));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        // Messages would show a name and a password in the address. A token has its own field.
        if authority.is_empty()
            || authority.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
        {
            return Err(bad());
        }
        let origin = format!("{scheme}://{}", authority.to_ascii_lowercase());
        Ok(Self { origin, path: escape(path), query: escape(query) })
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, host)| host)
    }

    /// The whole address, for the request itself and nothing else: its query may be a signature.
    pub fn to_request(&self) -> String {
        format!("{}{}{}", self.origin, self.path, self.query)
    }

    /// From the first slash to the query.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// With its question mark, or empty.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// Another path and query at the same origin, both escaped already.
    pub(crate) fn at(&self, path: String, query: &str) -> Self {
        Self { origin: self.origin.clone(), path, query: query.to_owned() }
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// The last part of the path: a file's name.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The last part of the path that is not empty, or the host.
    pub fn last_part(&self) -> &str {
        self.parts().last().copied().unwrap_or_else(|| self.host())
    }

    /// The folder it lies in, or itself if it ends in a slash. The query belongs to the file and is dropped.
    pub fn folder(&self) -> Self {
        let end = self.path.rfind('/').map_or(0, |slash| slash + 1);
        Self { origin: self.origin.clone(), path: self.path[..end].to_owned(), query: String::new() }
    }

    /// The same address as a folder, whether or not it ends in a slash.
    pub fn as_folder(&self) -> Self {
        let path = format!("{}/", self.path.trim_end_matches('/'));
        Self { origin: self.origin.clone(), path, query: String::new() }
    }

    /// A file below this folder. `None` for a name that leads anywhere else.
    pub fn join(&self, name: &str) -> Option<Self> {
        let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
        let strange = |c: char| matches!(c, '\\' | '?' | '#' | ':' | '%') || c.is_control();
        if name.contains(strange) || !name.split('/').all(sound) {
            return None;
        }
        let path = format!("{}{}", self.folder().path, escape(name));
        Some(Self { origin: self.origin.clone(), path, query: String::new() })
    }

    /// The parts of the path that are not empty.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin, self.path)
    }
}

/// A query may be a signature, so not even a debug line shows it.
impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Percent-escapes what an address may not contain: blanks, control characters and everything that is not ASCII.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                escaped.push(byte as char)
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The part of a text that a message may repeat: nothing after a question mark, nothing before an @.
pub(crate) fn hide(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    let text = match text.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((_, rest)) => format!("{scheme}://…@{rest}"),
            None => text.to_owned(),
        },
        // `org/model@revision` has no colon before its @; a user with a password has.
        None => match text.split_once('@') {
            Some((before, rest)) if before.contains(':') => format!("…@{rest}"),
            _ => text.to_owned(),
        },
    };
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_an_address_are_never_shown() {
        let url = Url::parse("https://h.org/m.gguf?X-Signature=secret").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
        let error = Url::parse("https://user:secret@h.org/m.gguf?also=secret").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(hide("user:secret@h.org/m.gguf?also=secret"), "…@h.org/m.gguf");
        assert_eq!(hide("org/model@main"), "org/model@main");
    }

    #[test]
    fn a_shard_lies_below_its_index_or_nowhere() {
        let index = Url::parse("https://h.org/a/model.safetensors.index.json?x=1").unwrap();
        assert_eq!(index.join("b/1.safetensors").unwrap().to_request(), "https://h.org/a/b/1.safetensors");
        for name in ["../1", "/1", "https://evil.org/1", "a//b", "", "1?x", "..\\1", "%2e%2e/1"] {
            assert_eq!(index.join(name), None, "{name}");
        }
    }
}
