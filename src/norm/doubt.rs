//! Why a norm may be neither LayerNorm nor RMSNorm although it looks like one: what stands around it is as in networks with
//! batch, group or channel norms, or with plain scales and shifts. Only its code settles such a site.

use super::find::{Catalogue, NormSite, is_number, split_last};
use super::names::{self, Path};
use crate::checkpoint::compare_names;
use crate::order;
use crate::report::NormRole;

/// Members of a list of modules that are looked at.
const LISTED: u32 = 4;

impl Catalogue<'_> {
    /// Why the site may be another norm; `only_convolutions` when no block of the catalogue holds a matrix.
    pub(super) fn doubt(&self, site: &NormSite, only_convolutions: bool) -> Option<&'static str> {
        let path = Path::new(&site.name);
        // Whose code is known to have it is in no doubt.
        let channels = self.tensors[site.scale?].shape.len() > 2;
        if site.shift.is_none() {
            return channels.then_some(
                "its scale is one of channels, beside convolutions: it may be any norm of channels",
            );
        }
        if site.build.bottleneck && site.role != NormRole::Other {
            return Some(
                "it has MobileBERT's bottlenecks, whose norms may be LayerNorm or a plain scale and shift: `normalization_type` decides",
            );
        }
        if names::words(path.last()).iter().any(|word| word == "bn") {
            return Some("its name says batch norm, and it keeps no running statistics");
        }
        if self.first_of_convolutions(&site.name) {
            return Some(
                "only the first of a list of convolutions has a norm, as in wav2vec 2.0 with a group norm",
            );
        }
        if site.build.only_convolutions() || only_convolutions {
            return Some(
                "the blocks hold convolutions only: it may be a group norm, or a LayerNorm over the channels",
            );
        }
        if self.follows_convolution(&site.name) {
            return Some(
                "it follows a convolution: it may be a group norm, or a LayerNorm over the channels",
            );
        }
        if names::compact(path.last()).contains("layernorm") {
            return None;
        }
        (self.among_convolutions(&site.name) || self.beside_convolutions(site)).then_some(
            "only convolutions stand around it: it may be a group norm, or a LayerNorm over the channels",
        )
    }

    /// `input_proj.2.1` after the convolution `input_proj.2.0`, or before the one of `out.2`.
    fn follows_convolution(&self, name: &str) -> bool {
        let Some((parent, last)) = split_last(name) else { return false };
        is_number(last)
            && (0..LISTED).any(|number| {
                self.by_name
                    .get(format!("{parent}.{number}.weight").as_str())
                    .is_some_and(|&index| self.tensors[index].shape.len() >= 4)
            })
    }

    /// A norm outside any block, in a part of the model that is mostly convolutions or right beside one.
    fn beside_convolutions(&self, site: &NormSite) -> bool {
        let Some((parent, _)) = split_last(&site.name) else { return false };
        let module = split_last(parent).map_or(parent, |(_, last)| last);
        if matches!(module, "stem" | "backbone") && site.block.is_none() {
            return true;
        }
        if site.block.is_some() || site.role == NormRole::Final || site.role == NormRole::Embedding {
            return false;
        }
        let root = site.name.split('.').next().unwrap_or_default();
        ["proj_in", "proj_out", "conv_out", "conv_in", "conv1"].iter().any(|name| {
            self.by_name
                .get(format!("{parent}.{name}.weight").as_str())
                .is_some_and(|&index| self.tensors[index].shape.len() >= 4)
        }) || order::has(&self.autoencoders, root)
    }

    /// `conv_layers.0.layer_norm`, with no norm in `conv_layers.1`.
    fn first_of_convolutions(&self, name: &str) -> bool {
        let Some(at) = name.find("conv_layers.0.") else { return false };
        let (list, rest) = (&name[..at], &name[at + "conv_layers.0.".len()..]);
        let has = |number: u32| {
            self.by_name.contains_key(format!("{list}conv_layers.{number}.{rest}.weight").as_str())
        };
        has(0) && !has(1)
    }

    /// The nearest enclosing module with maps has two convolutions that mix channels or more, and no matrix.
    fn among_convolutions(&self, name: &str) -> bool {
        let mut module = name;
        while let Some((parent, _)) = split_last(module) {
            let (matrices, kernels) = self.maps_below(parent);
            if matrices + kernels > 0 {
                // One convolution is a stem's or a downsampling's, where LayerNorms stand.
                return matrices == 0 && kernels > 1;
            }
            module = parent;
        }
        false
    }

    /// How many matrices and convolution kernels stand below a module; counting stops early.
    fn maps_below(&self, module: &str) -> (usize, usize) {
        let prefix = format!("{module}.");
        let start = self.tensors.partition_point(|tensor| compare_names(&tensor.name, &prefix).is_lt());
        let below = self.tensors[start..]
            .iter()
            .take_while(|tensor| tensor.name.starts_with(&prefix))
            .take(LOOK_BELOW);
        let (mut matrices, mut kernels) = (0, 0);
        for tensor in below.filter(|tensor| tensor.name.ends_with("weight")) {
            matrices += usize::from(tensor.shape.len() == 2);
            kernels += usize::from(tensor.shape.len() >= 3 && tensor.shape[1] > 1);
        }
        (matrices, kernels)
    }
}

/// Tensors looked at below a module, at most.
const LOOK_BELOW: usize = 64;
