//! Parses what the user typed or pasted: a file, a folder, or a model on a hub. Sends no request.

use super::formats::{self, is_file_name};
use crate::source::url::{AddressError, Url, escape, hide};

/// The hub that `org/model` is looked up on unless another one is named.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// The branch that is read if the address names no revision.
const DEFAULT_REVISION: &str = "main";

/// Other names of the public hub.
const HUB_NAMES: [&str; 4] = ["huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"];

/// First parts of paths on a hub that are not organisations.
const NO_MODELS: [&str; 6] = ["datasets", "spaces", "docs", "api", "settings", "collections"];

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One file.
    File(Url),
    /// An index; its shards lie beside it.
    Index(Url),
    /// A folder, or a file whose name has no known ending: the two look the same.
    Folder(Url),
    /// A model on a hub.
    Model(Model),
}

/// A model on a hub, or a folder of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The hub's origin.
    hub: Url,
    /// `org/model`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// A folder inside the model, with a slash at its end, or empty.
    folder: String,
}

impl Model {
    /// Where its files are.
    pub fn files(&self) -> Url {
        let (id, revision, folder) = (&self.id, revision_in_path(&self.revision), &self.folder);
        self.hub.at(format!("/{id}/resolve/{revision}/{folder}"), "")
    }

    /// Where the hub lists them.
    pub fn listing(&self) -> Url {
        let (id, revision) = (&self.id, revision_in_path(&self.revision));
        self.hub.at(format!("/api/models/{id}/revision/{revision}"), "")
    }

    /// The last part of its folder or, without one, of its id.
    pub fn name(&self) -> &str {
        let whole = if self.folder.is_empty() { &self.id } else { self.folder.trim_end_matches('/') };
        whole.rsplit('/').next().unwrap_or(whole)
    }
}

impl Address {
    /// Parses `text`: a URL, a page of a hub, or `org/model[@revision]` on `hub`.
    pub fn parse(text: &str, hub: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let hub = Url::parse(hub.trim())
            .ok()
            .filter(|hub| hub.path() == "/" && !hub.has_query())
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
        let on_hub = public || url.origin() == hub.origin();
        let host = if public { Url::parse(PUBLIC_HUB)? } else { url.as_folder() };
        let parts = url.parts();
        match parts.as_slice() {
            [org, model_part, kind @ ("blob" | "resolve" | "raw"), revision, file @ ..]
                if !file.is_empty() && (on_hub || (*kind == "blob" && url.host() != "github.com")) =>
            {
                let model = model(&host, &format!("{org}/{model_part}"), revision, "");
                let name = file.join("/");
                let path = format!("{}{name}", model.files().path());
                let query = if *kind == "resolve" { url.query() } else { "" };
                return Ok(Self::of_file(model.hub.at(path, query)));
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
        if formats::ends(url.file_name(), ".index.json") {
            Self::Index(url)
        } else if is_file_name(url.file_name()) {
            Self::File(url)
        } else {
            Self::Folder(url)
        }
    }

    /// Reads the path of a folder as a model's name on a hub of that host. This finds hubs that the user did not set.
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
        hub: hub.at("/".to_owned(), ""),
        id: id.to_owned(),
        revision: revision.to_owned(),
        folder: folder.to_owned(),
    }
}

/// Escapes a revision for a path. A revision may have slashes (`refs/pr/1`), which must not separate parts of the path.
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
    let sound_revision = !revision.is_empty() && revision.split('/').all(|part| word(part) && part != "..");
    (word(org) && word(name) && !is_file_name(name) && sound_revision).then_some((id, revision))
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
    fn short_names_are_looked_up_on_the_users_hub() {
        let address = Address::parse("a/b", "http://127.0.0.1:8080").unwrap();
        assert_eq!(shown(&address), "model http://127.0.0.1:8080/a/b/resolve/main/");
        let address = Address::parse("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/").unwrap();
        assert_eq!(shown(&address), "model http://127.0.0.1:8080/a/b/resolve/main/");
        assert!(matches!(Address::parse("a/b", "hub.org"), Err(AddressError::Hub(_))));
        assert!(matches!(Address::parse("a/b", "https://hub.org/path"), Err(AddressError::Hub(_))));
    }

    #[test]
    fn an_error_about_an_address_shows_what_an_address_is() {
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
}
