//! Sharing a report: as a link that holds it, or as one HTML file.
//!
//! ```text
//! Inspection ── summary ──▶ Shared ── columns ──▶ JSON ── deflate, CRC-32, base64url ──▶ #report=1.…
//!                 cut to what fits      a table a list     fragment
//! ```
//!
//! A link is a fragment. Browsers do not send it, so no host sees it. [`Shared`] becomes an [`Inspection`] again, whose scales are
//! sketches, and figures are drawn from these as usual. [`html`] uses the inspection itself. [`fold`] is the proof of a fold.

mod columns;
mod digits;
pub mod fold;
mod fragment;
pub mod html;
mod names;
mod page;
mod sketch;

use crate::checkpoint::json;
use crate::inspect::Inspection;
use crate::report::{Report, SharedSummary};
use serde::{Deserialize, Serialize};
use sketch::Sketch;

/// Most channels of all scales that are drawn from sketches: a third more than in the largest published model. Further scales are left
/// out.
const MOST_CHANNELS: u64 = 5_500_000;

/// Why a link could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The report is from a link, which holds less than a checkpoint.
    #[error("this report came in a link: pass that link on, or open the checkpoint to make a new one")]
    Again,
    /// The fragment is not a report of ours.
    #[error(
        "this link holds no report: it should be `#report=`, a version, a checksum and the report, separated by dots. Ask for it again"
    )]
    Form,
    /// The checksum does not match the data.
    #[error(
        "this link is damaged: its checksum is {found}, and it says {said}. It was probably cut off or broken into lines: ask for it again, or for the HTML file"
    )]
    Damaged {
        /// The checksum in the link.
        said: String,
        /// The checksum of the data.
        found: String,
    },
    /// A later version made the link.
    #[error(
        "this link has version {found}, and this page reads versions up to {}: reload the page to update it, or open the link where it was made",
        fragment::VERSION
    )]
    Newer {
        /// Version of the link.
        found: u32,
    },
    /// The link unpacks to more than any report of ours.
    #[error(
        "this link unpacks to more than {} MB or {} values, which no report in a link does: it was not made by Gammascope",
        fragment::MOST_BYTES >> 20,
        columns::MOST
    )]
    TooLarge,
    /// The report is too long for a link.
    #[error("this report has {sites} norm sites, more than a link can hold: make the HTML file instead")]
    TooMany {
        /// Number of sites.
        sites: usize,
    },
    /// The link unpacks, but not to a report.
    #[error(
        "this link holds no report that can be read ({reason}): it was not made by Gammascope, or by a version with a bug. Ask for the HTML file"
    )]
    Content {
        /// What is wrong.
        reason: String,
    },
}

/// The sender's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Whether to keep the names of files, tensors and sites, the family, and the address.
    pub names: bool,
}

/// A report that fits in a link, with a sketch of each scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// The report without its long parts. `report.shared` marks it.
    pub report: Report,
    /// A sketch for each site of `report.norms` whose scale could be read.
    sketches: Vec<Option<Sketch>>,
}

impl Shared {
    /// Summarises an inspection. `made` is the time, as RFC 3339.
    pub fn new(inspection: &Inspection, choice: Choice, made: &str) -> Result<Self, ShareError> {
        if inspection.report.shared.is_some() {
            return Err(ShareError::Again);
        }
        let mut report = inspection.report.clone();
        for site in report.verification.iter_mut().flat_map(|all| &mut all.sites) {
            // These are hundreds of numbers for each site, and the other numbers summarise them.
            site.spectrum.clear();
            site.direction.clear();
        }
        // The alternatives of the site summarise all of them.
        report.norms.iter_mut().flat_map(|norm| &mut norm.evidence).for_each(|piece| piece.under.clear());
        report.shared = Some(SharedSummary { made: made.to_owned(), names: choice.names });
        if !choice.names {
            report = names::without(report)?;
        }
        // They can be made again from the rest.
        report.findings.clear();
        let sketches = inspection.scales.iter().map(|scale| scale.as_ref().map(Sketch::of)).collect();
        Ok(Self { report, sketches })
    }

    /// Makes the fragment of a link, from `#` on.
    pub fn fragment(&self) -> Result<String, ShareError> {
        let value = serde_json::to_value(self).map_err(content)?;
        let text = serde_json::to_vec(&columns::packed(digits::rounded(value))).map_err(content)?;
        let fragment = fragment::written(&text);
        match Self::read(&fragment) {
            Err(ShareError::TooLarge) => Err(ShareError::TooMany { sites: self.report.norms.len() }),
            _ => Ok(fragment),
        }
    }

    /// Reads a fragment, of this version or an earlier one.
    pub fn read(fragment: &str) -> Result<Self, ShareError> {
        let text = fragment::read(fragment)?;
        if json::values(&text) > columns::MOST {
            return Err(ShareError::TooLarge);
        }
        let packed = serde_json::from_slice(&text).map_err(content)?;
        drop(text);
        let mut shared: Self = serde_json::from_value(columns::unpacked(packed)?).map_err(content)?;
        shared.report.find();
        Ok(shared)
    }

    /// Makes an inspection, from which figures can be drawn.
    pub fn inspection(mut self) -> Inspection {
        self.report.find();
        let mut channels = MOST_CHANNELS;
        let scales = self
            .report
            .norms
            .iter()
            .zip(self.sketches.iter().chain(std::iter::repeat(&None)))
            .map(|(norm, sketch)| {
                let sketch = sketch.as_ref()?;
                channels = channels.checked_sub(norm.width)?;
                sketch.scale(norm.width, &norm.kernel.coordinates)
            })
            .collect();
        let none = || self.report.norms.iter().map(|_| None).collect();
        let (shifts, undecided) = (none(), none());
        let likely_offsets = vec![None; self.report.norms.len()];
        let own_names = self.report.norms.iter().map(|norm| norm.name.clone()).collect();
        Inspection { report: self.report, scales, shifts, own_names, undecided, likely_offsets }
    }
}

fn content(error: impl std::fmt::Display) -> ShareError {
    ShareError::Content { reason: error.to_string() }
}
