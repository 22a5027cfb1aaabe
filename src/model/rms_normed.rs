//! Models whose LayerNorms became RMSNorms. `gammascope fold --to rmsnorm` writes them with a modelling file of their own. Their code is
//! that of a family of transformers except for the norms.

/// What stands before the family in `model_type`.
pub const PREFIX: &str = "gammascope_rmsnorm_";

/// The field that names the norm, and its value. Evidence about norms knows it too.
pub const NORM_FIELD: (&str, &str) = ("norm_type", "rms_norm");

/// The family whose code such a model shares, and whether its norms are RMSNorms instead.
pub(super) fn base(family: &str) -> (&str, bool) {
    match family.strip_prefix(PREFIX) {
        Some(base) => (base, true),
        None => (family, false),
    }
}
