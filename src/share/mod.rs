//! Sharing a report: as a link that holds it, or as one HTML file.
//!
//! ```text
//! Inspection ── summary ──▶ Shared ── columns ──▶ JSON ── deflate, CRC-32, base64url ──▶ #report=1.…
//!                 cut to what fits      a table a list     fragment
//! ```
//!
//! A link is a fragment. Browsers do not send it, so no host sees it. [`Shared`] becomes an [`Inspection`] again, whose scales are
//! sketches; figures are drawn from them as from any other. [`html`] is made from the inspection itself.

mod columns;
mod digits;
mod fragment;
pub mod html;
mod names;
mod sketch;

use crate::checkpoint::json;
use crate::inspect::Inspection;
use crate::report::{Report, SharedSummary};
use serde::{Deserialize, Serialize};
use sketch::Sketch;

/// Channels of all scales that are drawn from sketches: a third more than the largest published model has. A scale beyond is left out.
const MOST_CHANNELS: u64 = 5_500_000;

/// Why a link could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It is a report as somebody else's link has it: less than a checkpoint tells.
    #[error("this report came in a link: pass that link on, or open the checkpoint to make a new one")]
    Again,
    /// The fragment is not one of ours.
    #[error(
        "this link holds no report: it should be `#report=`, a version, a checksum and the report, separated by dots. Ask for it again"
    )]
    Form,
    /// The checksum is not that of the data.
    #[error(
        "this link is damaged: its checksum is {found}, and it says {said}. It was probably cut off or broken into lines: ask for it again, or for the HTML file"
    )]
    Damaged {
        /// What it says.
        said: String,
        /// What it is.
        found: String,
    },
    /// Made by a later version.
    #[error(
        "this link has version {found}, and this page reads versions up to {}: reload the page to update it, or open the link where it was made",
        fragment::VERSION
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It unpacks to more than any report in a link.
    #[error(
        "this link unpacks to more than {} MB or {} values, which no report in a link does: it was not made by Gammascope",
        fragment::MOST_BYTES >> 20,
        columns::MOST
    )]
    TooLarge,
    /// The report is longer than a link.
    #[error("this report has {sites} norm sites, more than a link can hold: make the HTML file instead")]
    TooMany {
        /// How many.
        sites: usize,
    },
    /// It unpacks, but not to a report.
    #[error(
        "this link holds no report that can be read ({reason}): it was not made by Gammascope, or by a version with a bug. Ask for the HTML file"
    )]
    Content {
        /// What is wrong.
        reason: String,
    },
}

/// What the sender chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Names of files, tensors and sites, the family, and the address it was read from, go along.
    pub names: bool,
}

/// A report that fits a link, with a sketch of each scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// The report without what is long: `report.shared` says that it is one.
    pub report: Report,
    /// Of each site of `report.norms`, where its scale could be read.
    sketches: Vec<Option<Sketch>>,
}

impl Shared {
    /// Sums up an inspection; `made` is when, as RFC 3339 has it.
    pub fn new(inspection: &Inspection, choice: Choice, made: &str) -> Result<Self, ShareError> {
        if inspection.report.shared.is_some() {
            return Err(ShareError::Again);
        }
        let mut report = inspection.report.clone();
        for site in report.verification.iter_mut().flat_map(|all| &mut all.sites) {
            // Hundreds of numbers a site: what they say is in the other numbers.
            site.spectrum.clear();
            site.direction.clear();
        }
        // What all of it says together is in the alternatives of the site.
        report.norms.iter_mut().flat_map(|norm| &mut norm.evidence).for_each(|piece| piece.under.clear());
        report.shared = Some(SharedSummary { made: made.to_owned(), names: choice.names });
        if !choice.names {
            report = names::without(report)?;
        }
        // They are made again of the rest.
        report.findings.clear();
        let sketches = inspection.scales.iter().map(|scale| scale.as_ref().map(Sketch::of)).collect();
        Ok(Self { report, sketches })
    }

    /// The fragment of a link, from `#` on.
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

    /// What the figures are drawn from.
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
        let own_names = self.report.norms.iter().map(|norm| norm.name.clone()).collect();
        Inspection { report: self.report, scales, shifts, own_names, undecided }
    }
}

fn content(error: impl std::fmt::Display) -> ShareError {
    ShareError::Content { reason: error.to_string() }
}
