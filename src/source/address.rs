//! What somebody typed or pasted, taken apart: a file, a folder, or a model on a hub. Pure; nothing is asked here.

use std::fmt;

/// The hub that `org/model` is looked up on unless another one is named.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// The branch that is read where no revision is named.
const DEFAULT_REVISION: &str = "main";

/// Other names of the public hub.
const HUB_NAMES: [&str; 4] = ["huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"];

/// Ends of names that are files, whatever stands before them.
const FILES: [&str; 16] = [
    ".safetensors",
    ".gguf",
    ".json",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".onnx",
    ".h5",
    ".npz",
    ".html",
    ".htm",
    ".zip",
    ".gz",
    ".tar",
    ".php",
];

/// First parts of paths on a hub that are no organisation.
const NO_MODELS: [&str; 6] = ["datasets", "spaces", "docs", "api", "settings", "collections"];

/// An address that cannot be opened, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither an address nor a name on a hub.
    #[error(
        "{0:?} is no address: give a URL (https://…) of a .safetensors or .gguf file, of an index or of a folder, or org/model as a hub names it"
    )]
    NotAnAddress(String),
    /// A scheme that is not read.
    #[error("`{0}` addresses are not read; give one that begins with https://")]
    Scheme(String),
    /// A page of a hub that is no model.
    #[error("{0:?} is a page of a hub, but not one of a model; give https://HOST/org/model or org/model")]
    NoModel(String),
    /// The hub's own address.
    #[error(
        "the hub {0:?} is no address; give one that begins with https://, without a path behind the host"
    )]
    Hub(String),
}

/// An http address in its parts. Shown without what may be secret: name and password before the host, and the query.
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
    /// Takes an address apart; what may not stand in one is escaped.
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
        // A name and a password in an address would be shown with it; a token has its own place.
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

    /// The folder it lies in; its own, where it ends in a slash. The query is gone: it was the file's.
    pub fn folder(&self) -> Self {
        let end = self.path.rfind('/').map_or(0, |slash| slash + 1);
        Self { origin: self.origin.clone(), path: self.path[..end].to_owned(), query: String::new() }
    }

    /// The same address as a folder, whether or not it ends in a slash.
    pub fn as_folder(&self) -> Self {
        let path = format!("{}/", self.path.trim_end_matches('/'));
        Self { origin: self.origin.clone(), path, query: String::new() }
    }

    /// A file below this folder; `None` for a name that leads anywhere else.
    pub fn join(&self, name: &str) -> Option<Self> {
        let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
        let strange = |c: char| matches!(c, '\\' | '?' | '#' | ':' | '%') || c.is_control();
        if name.contains(strange) || !name.split('/').all(sound) {
            return None;
        }
        let path = format!("{}{}", self.folder().path, escape(name));
        Some(Self { origin: self.origin.clone(), path, query: String::new() })
    }

    fn parts(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    fn is_file(&self) -> bool {
        let name = self.file_name().to_ascii_lowercase();
        FILES.iter().any(|end| name.ends_with(end))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin, self.path)
    }
}

/// A query may be a signature, so not even a debug line has it.
impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One file.
    File(Url),
    /// An index; its shards lie beside it.
    Index(Url),
    /// A folder, or a file whose name says nothing: both end alike.
    Folder(Url),
    /// A model on a hub.
    Model(Model),
}

/// A model on a hub, or a folder of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The hub's origin.
    hub: String,
    /// `org/model`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// A folder inside, with a slash behind it, or empty.
    folder: String,
}

impl Model {
    /// Where its files are.
    pub fn files(&self) -> Url {
        let (id, revision, folder) = (&self.id, revision_in_path(&self.revision), &self.folder);
        Url {
            origin: self.hub.clone(),
            path: format!("/{id}/resolve/{revision}/{folder}"),
            query: String::new(),
        }
    }

    /// Where the hub lists them.
    pub fn listing(&self) -> Url {
        let (id, revision) = (&self.id, revision_in_path(&self.revision));
        Url {
            origin: self.hub.clone(),
            path: format!("/api/models/{id}/revision/{revision}"),
            query: String::new(),
        }
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        let whole = if self.folder.is_empty() { &self.id } else { self.folder.trim_end_matches('/') };
        whole.rsplit('/').next().unwrap_or(whole)
    }
}

impl Address {
    /// Understands `text`: a URL, a page of a hub, or `org/model[@revision]` on `hub`.
    pub fn parse(text: &str, hub: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let hub = Url::parse(hub.trim())
            .ok()
            .filter(|hub| hub.path == "/" && !hub.has_query())
            .ok_or_else(|| AddressError::Hub(hub.to_owned()))?;
        let text = text.strip_prefix("hf://").unwrap_or(text);
        let (first, rest) = text.split_once('/').unwrap_or((text, ""));
        if HUB_NAMES.contains(&first) {
            return Self::of_url(Url::parse(&format!("https://{first}/{rest}"))?, &hub);
        }
        if text.contains("://") {
            return Self::of_url(Url::parse(text)?, &hub);
        }
        model_name(text)
            .map(|(id, revision)| Self::Model(model(&hub, id, revision, "")))
            .ok_or_else(|| AddressError::NotAnAddress(hide(text)))
    }

    /// Whether `text` has the form `org/model[@revision]`.
    pub fn is_model_name(text: &str) -> bool {
        model_name(text).is_some()
    }

    fn of_url(url: Url, hub: &Url) -> Result<Self, AddressError> {
        let public = HUB_NAMES.contains(&url.host());
        let on_hub = public || url.origin == hub.origin;
        let host = if public { Url::parse(PUBLIC_HUB)? } else { url.as_folder() };
        let parts = url.parts();
        match parts.as_slice() {
            [org, model_part, kind @ ("blob" | "resolve" | "raw"), revision, file @ ..]
                if !file.is_empty() && (on_hub || (*kind == "blob" && url.host() != "github.com")) =>
            {
                let model = model(&host, &format!("{org}/{model_part}"), revision, "");
                let name = file.join("/");
                let path = format!("{}{name}", model.files().path);
                let query = if *kind == "resolve" { url.query.clone() } else { String::new() };
                let url = Url { origin: model.hub, path, query };
                return Ok(Self::of_file(url));
            }
            [org, model_part, "tree" | "resolve", revision, folder @ ..] if on_hub => {
                let folder: String = folder.iter().map(|part| format!("{part}/")).collect();
                return Ok(Self::Model(model(&host, &format!("{org}/{model_part}"), revision, &folder)));
            }
            [first, ..] if on_hub && NO_MODELS.contains(first) => {
                return Err(AddressError::NoModel(url.to_string()));
            }
            [] if on_hub => return Err(AddressError::NoModel(url.to_string())),
            [org, model_part] if on_hub => {
                return Ok(Self::Model(model(&host, &format!("{org}/{model_part}"), DEFAULT_REVISION, "")));
            }
            // Models from before there were organisations.
            [name] if on_hub => return Ok(Self::Model(model(&host, name, DEFAULT_REVISION, ""))),
            _ => {}
        }
        Ok(Self::of_file(url))
    }

    fn of_file(url: Url) -> Self {
        if url.file_name().to_ascii_lowercase().ends_with(".index.json") {
            Self::Index(url)
        } else if url.is_file() {
            Self::File(url)
        } else {
            Self::Folder(url)
        }
    }

    /// A folder whose path could as well be a model's name on a hub of that host: how a hub that was not named is met.
    pub fn as_model(url: &Url) -> Option<Model> {
        match url.parts().as_slice() {
            [org, name] if !NO_MODELS.contains(org) => {
                Some(model(&url.as_folder(), &format!("{org}/{name}"), DEFAULT_REVISION, ""))
            }
            _ => None,
        }
    }
}

fn model(hub: &Url, id: &str, revision: &str, folder: &str) -> Model {
    Model {
        hub: hub.origin.clone(),
        id: id.to_owned(),
        revision: revision.to_owned(),
        folder: folder.to_owned(),
    }
}

/// A revision may have slashes of its own (`refs/pr/1`), which the path must not have.
fn revision_in_path(revision: &str) -> String {
    escape(revision).replace('/', "%2F")
}

fn model_name(text: &str) -> Option<(&str, &str)> {
    let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let (org, name) = id.split_once('/')?;
    let is_file = FILES.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let sound_revision = !revision.is_empty() && revision.split('/').all(|part| word(part) && part != "..");
    (word(org) && word(name) && !is_file && sound_revision).then_some((id, revision))
}

/// Percent-escapes what may not stand in an address: blanks, controls and whatever is not ASCII.
fn escape(text: &str) -> String {
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

/// What may be repeated of a text that is no address: nothing behind a question mark, nothing before an @.
fn hide(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    let text = match text.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((_, rest)) => format!("{scheme}://…@{rest}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text, PUBLIC_HUB).unwrap()
    }

    fn shown(address: &Address) -> String {
        match address {
            Address::File(url) => format!("file {}", url.to_request()),
            Address::Index(url) => format!("index {}", url.to_request()),
            Address::Folder(url) => format!("folder {}", url.to_request()),
            Address::Model(model) => format!("model {}", model.files().to_request()),
        }
    }

    #[test]
    fn each_way_of_saying_it_is_understood() {
        let hub = "https://huggingface.co";
        let cases = [
            ("https://h.org/a/model.safetensors", "file https://h.org/a/model.safetensors".to_owned()),
            (" http://127.0.0.1:80/m.Q4_K_M.gguf ", "file http://127.0.0.1:80/m.Q4_K_M.gguf".to_owned()),
            ("https://h.org/a b/é.gguf#top", "file https://h.org/a%20b/%C3%A9.gguf".to_owned()),
            ("https://h.org/m.gguf?signature=1", "file https://h.org/m.gguf?signature=1".to_owned()),
            (
                "https://H.org/a/m.safetensors.index.json",
                "index https://h.org/a/m.safetensors.index.json".to_owned(),
            ),
            ("https://h.org/a/b/", "folder https://h.org/a/b/".to_owned()),
            ("https://h.org/page.html", "file https://h.org/page.html".to_owned()),
            ("openai/gpt", format!("model {hub}/openai/gpt/resolve/main/")),
            ("openai/gpt-2.5@v1.0", format!("model {hub}/openai/gpt-2.5/resolve/v1.0/")),
            ("a/b@refs/pr/3", format!("model {hub}/a/b/resolve/refs%2Fpr%2F3/")),
            ("hf://a/b", format!("model {hub}/a/b/resolve/main/")),
            ("hf.co/a/b", format!("model {hub}/a/b/resolve/main/")),
            ("https://huggingface.co/a/b", format!("model {hub}/a/b/resolve/main/")),
            ("https://huggingface.co/a/b/tree/dev/unet", format!("model {hub}/a/b/resolve/dev/unet/")),
            ("https://huggingface.co/gpt2", format!("model {hub}/gpt2/resolve/main/")),
            (
                "https://huggingface.co/a/b/blob/main/x/model.safetensors",
                format!("file {hub}/a/b/resolve/main/x/model.safetensors"),
            ),
            (
                "https://huggingface.co/a/b/resolve/main/model.safetensors?download=true",
                format!("file {hub}/a/b/resolve/main/model.safetensors?download=true"),
            ),
            (
                "https://mirror.org/a/b/blob/main/m.gguf",
                "file https://mirror.org/a/b/resolve/main/m.gguf".to_owned(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_hub_of_ones_own_takes_the_short_names() {
        let address = Address::parse("a/b", "http://127.0.0.1:8080").unwrap();
        assert_eq!(shown(&address), "model http://127.0.0.1:8080/a/b/resolve/main/");
        let address = Address::parse("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/").unwrap();
        assert_eq!(shown(&address), "model http://127.0.0.1:8080/a/b/resolve/main/");
        assert!(matches!(Address::parse("a/b", "hub.org"), Err(AddressError::Hub(_))));
        assert!(matches!(Address::parse("a/b", "https://hub.org/path"), Err(AddressError::Hub(_))));
    }

    #[test]
    fn what_is_no_address_says_what_would_be_one() {
        for text in
            ["", "model", "a/b/c", "./a/b", "../b", "a/b@", "a/model.safetensors", "a b/c", "https://"]
        {
            let error = Address::parse(text, PUBLIC_HUB).unwrap_err().to_string();
            assert!(error.contains("org/model"), "{text}: {error}");
        }
        assert!(matches!(Address::parse("file:///etc/x", PUBLIC_HUB), Err(AddressError::Scheme(_))));
        assert!(matches!(
            Address::parse("https://huggingface.co/datasets/a/b", PUBLIC_HUB),
            Err(AddressError::NoModel(_))
        ));
        assert!(matches!(
            Address::parse("https://huggingface.co/", PUBLIC_HUB),
            Err(AddressError::NoModel(_))
        ));
    }

    #[test]
    fn secrets_in_an_address_are_never_shown() {
        let url = Url::parse("https://h.org/m.gguf?X-Signature=secret").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
        let error = Url::parse("https://user:secret@h.org/m.gguf?also=secret").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
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
