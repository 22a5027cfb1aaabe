//! How quantisation methods store a weight, and the unpacked shape that follows from it.

use crate::checkpoint::Tensor;
use crate::checkpoint::config::Config;
use crate::checkpoint::dtype::TensorType;
use safetensors::Dtype;
use serde_json::Value;
use std::collections::HashMap;

/// How a quantisation method stores one weight.
pub(super) struct Form {
    /// Its usual name.
    pub(super) method: &'static str,
    /// Ending of the name of the tensor with the codes.
    pub(super) codes: &'static str,
    /// Endings of the names of tensors that must be beside it.
    pub(super) needs: &'static [&'static str],
    /// Endings of the names of other tensors that may be beside it.
    pub(super) beside: &'static [&'static str],
    /// Ending of the name of the unpacked weight.
    pub(super) weight: &'static str,
    /// The unpacked shape.
    pub(super) shape: fn(&Stored<'_>) -> Shape,
}

/// The unpacked shape of a weight.
pub(super) enum Shape {
    /// It follows from what is stored, outermost first.
    Known(Vec<u64>),
    /// A tensor holds it: as numbers, or in JSON as `shape`.
    In(usize),
    /// The stored shapes contradict the form: another form fits.
    Other,
    /// It does not follow from what is stored and configured.
    Unknown,
}

/// Bits in a word of codes.
const WORD: u64 = 32;

pub(super) static FORMS: [Form; 15] = [
    Form {
        method: "bitsandbytes, 4 bit",
        codes: ".weight",
        needs: &[".weight.absmax"],
        beside: &[
            ".weight.quant_map",
            ".weight.nested_absmax",
            ".weight.nested_quant_map",
            ".weight.quant_state.bitsandbytes__nf4",
            ".weight.quant_state.bitsandbytes__fp4",
        ],
        weight: ".weight",
        shape: |stored| {
            let states = [".weight.quant_state.bitsandbytes__nf4", ".weight.quant_state.bitsandbytes__fp4"];
            states.iter().find_map(|end| stored.at(end)).map_or(Shape::Unknown, Shape::In)
        },
    },
    Form {
        method: "bitsandbytes, 8 bit",
        codes: ".weight",
        needs: &[".SCB"],
        beside: &[".weight_format"],
        weight: ".weight",
        shape: |stored| stored.as_it_is(),
    },
    Form {
        method: "GPTQ",
        codes: ".qweight",
        needs: &[".scales"],
        beside: &[".qzeros", ".g_idx"],
        weight: ".weight",
        shape: gptq,
    },
    Form {
        method: "AWQ",
        codes: ".qweight",
        needs: &[".scales"],
        beside: &[".qzeros"],
        weight: ".weight",
        shape: awq,
    },
    Form {
        method: "compressed-tensors",
        codes: ".weight_packed",
        needs: &[".weight_scale"],
        beside: &[
            ".weight_shape",
            ".weight_zero_point",
            ".weight_g_idx",
            ".weight_global_scale",
            ".input_global_scale",
            ".input_scale",
            ".input_zero_point",
            ".output_scale",
            ".output_zero_point",
        ],
        weight: ".weight",
        shape: |stored| match (stored.at(".weight_shape"), stored.two()) {
            (Some(shape), _) => Shape::In(shape),
            // NVFP4: two codes a byte.
            (None, Some([rows, bytes])) if stored.is(Dtype::U8) => {
                Shape::Known(vec![rows, bytes.saturating_mul(2)])
            }
            _ => Shape::Unknown,
        },
    },
    Form {
        method: "NVFP4",
        codes: ".weight",
        needs: &[".weight_scale", ".weight_scale_2"],
        beside: &[".input_scale"],
        weight: ".weight",
        shape: |stored| match (stored.two(), stored.two_of(".weight_scale")) {
            // Two codes a byte, a scale for 16 of them.
            (Some([rows, bytes]), Some([_, scales]))
                if stored.is(Dtype::U8) && bytes == scales.saturating_mul(8) =>
            {
                Shape::Known(vec![rows, bytes.saturating_mul(2)])
            }
            _ => Shape::Other,
        },
    },
    Form {
        method: "scaled 8 bit",
        codes: ".weight",
        needs: &[".weight_scale"],
        beside: &[
            ".weight_scale_2",
            ".weight_zero_point",
            ".input_scale",
            ".input_zero_point",
            ".output_scale",
            ".activation_scale",
            ".k_scale",
            ".v_scale",
            ".q_scale",
        ],
        weight: ".weight",
        shape: |stored| stored.as_it_is(),
    },
    Form {
        method: "FP8 in blocks",
        codes: ".weight",
        needs: &[".weight_scale_inv"],
        beside: &[".input_scale", ".activation_scale"],
        weight: ".weight",
        shape: |stored| stored.as_it_is(),
    },
    Form {
        method: "scaled FP8",
        codes: ".weight",
        needs: &[".scale_weight"],
        beside: &[".scale_input"],
        weight: ".weight",
        shape: |stored| stored.as_it_is(),
    },
    Form {
        method: "EETQ",
        codes: ".weight",
        needs: &[".weight_scales"],
        beside: &[],
        weight: ".weight",
        // Inputs × outputs, with a scale for each output.
        shape: |stored| match (stored.two(), stored.elements_of(".weight_scales")) {
            (Some([inputs, outputs]), Some(scales)) if stored.is(Dtype::I8) && scales == outputs => {
                Shape::Known(vec![outputs, inputs])
            }
            _ => Shape::Other,
        },
    },
    Form {
        method: "MXFP4",
        codes: "_blocks",
        needs: &["_scales"],
        beside: &[],
        weight: "",
        // Experts × outputs × groups × bytes, two codes a byte; the weight is stored inputs × outputs.
        shape: |stored| match stored.shape() {
            &[experts, outputs, groups, bytes] if stored.is(Dtype::U8) => {
                Shape::Known(vec![experts, groups.saturating_mul(2).saturating_mul(bytes), outputs])
            }
            _ => Shape::Other,
        },
    },
    Form {
        method: "MLX",
        codes: ".weight",
        needs: &[".scales"],
        beside: &[".biases"],
        weight: ".weight",
        shape: mlx,
    },
    Form {
        method: "HQQ",
        codes: ".W_q",
        needs: &[".scale", ".zero"],
        beside: &[
            ".shape",
            ".nbits",
            ".group_size",
            ".axis",
            ".packing",
            ".channel_wise",
            ".optimize",
            ".round_zero",
            ".compute_dtype",
            ".offload_meta",
            ".quant_scale",
            ".quant_zero",
            ".stores_quant_config",
            ".unpack_view_dtype",
            ".view_as_float",
            ".encoded_state_dict",
        ],
        weight: ".weight",
        shape: |stored| stored.at(".shape").map_or(Shape::Unknown, Shape::In),
    },
    Form {
        method: "ExLlamaV2",
        codes: ".q_weight",
        needs: &[".q_invperm", ".q_scale"],
        beside: &[".q_scale_max", ".q_groups", ".q_perm", ".q_group_map"],
        weight: ".weight",
        // Scales are 4 bits for each output.
        shape: |stored| match (stored.elements_of(".q_invperm"), stored.two_of(".q_scale")) {
            (Some(inputs), Some([_, words])) => Shape::Known(vec![words.saturating_mul(WORD / 4), inputs]),
            _ => Shape::Unknown,
        },
    },
    Form {
        method: "AQLM",
        codes: ".codes",
        needs: &[".codebooks", ".scales"],
        beside: &[],
        weight: ".weight",
        // A code stands for a small block: codebooks × codes × its outputs × its inputs.
        shape: |stored| match (stored.shape(), stored.shape_of(".codebooks")) {
            (&[rows, columns, _], Some(&[_, _, outputs, inputs])) => {
                Shape::Known(vec![rows.saturating_mul(outputs), columns.saturating_mul(inputs)])
            }
            _ => Shape::Other,
        },
    },
];

/// Codes lie along the inputs: words × outputs, with scales of groups × outputs.
fn gptq(stored: &Stored<'_>) -> Shape {
    let (Some([words, outputs]), Some([groups, of_scales])) = (stored.two(), stored.two_of(".scales")) else {
        return Shape::Other;
    };
    if outputs != of_scales {
        return Shape::Other;
    }
    // Zero points are groups × outputs, with as many to a word as codes.
    let zeros = stored.two_of(".qzeros").filter(|[rows, _]| *rows == groups);
    let bits = zeros.and_then(|[_, words]| ratio(words.saturating_mul(WORD), outputs));
    match (stored.elements_of(".g_idx"), bits.or_else(|| stored.settings().bits)) {
        (Some(inputs), _) => Shape::Known(vec![outputs, inputs]),
        (None, Some(bits)) => ratio(words.saturating_mul(WORD), bits)
            .map_or(Shape::Unknown, |inputs| Shape::Known(vec![outputs, inputs])),
        (None, None) => Shape::Unknown,
    }
}

/// Codes lie along the outputs: inputs × words, with scales of groups × outputs.
fn awq(stored: &Stored<'_>) -> Shape {
    match (stored.two(), stored.two_of(".scales")) {
        (Some([inputs, words]), Some([_, outputs]))
            if ratio(words.saturating_mul(WORD), outputs).is_some_and(|bits| bits <= 8) =>
        {
            Shape::Known(vec![outputs, inputs])
        }
        _ => Shape::Unknown,
    }
}

/// Codes lie along the inputs: outputs × words, with scales of outputs × groups. Experts come before both.
fn mlx(stored: &Stored<'_>) -> Shape {
    let Some((&words, outer)) = stored.shape().split_last().filter(|_| stored.is(Dtype::U32)) else {
        return Shape::Other;
    };
    let Some((&groups, beside)) = stored.shape_of(".scales").and_then(<[u64]>::split_last) else {
        return Shape::Other;
    };
    if outer != beside || outer.is_empty() {
        return Shape::Other;
    }
    let Settings { bits, group } = stored.settings();
    let inputs = match (bits, group) {
        (Some(bits), _) => ratio(words.saturating_mul(WORD), bits),
        (None, Some(group)) => Some(groups.saturating_mul(group)),
        (None, None) => None,
    };
    inputs.map_or(Shape::Unknown, |inputs| Shape::Known(outer.iter().copied().chain([inputs]).collect()))
}

/// a / b, if it is whole and at least one. A header may claim any size, so products here saturate.
fn ratio(a: u64, b: u64) -> Option<u64> {
    a.checked_div(b).filter(|ratio| *ratio > 0 && a.is_multiple_of(b))
}

/// Bits of a code, and how many values share a scale, from the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Settings {
    bits: Option<u64>,
    group: Option<u64>,
}

impl Settings {
    /// The settings of a module: MLX lists modules that differ, under their names.
    fn of(config: Option<&Config>, module: &str) -> Self {
        let fields = config.map(Config::fields);
        let Some(whole) =
            ["quantization", "quantization_config"].iter().find_map(|field| fields?.get(*field)?.as_object())
        else {
            return Self::default();
        };
        let own = whole.get(module).and_then(Value::as_object).unwrap_or(whole);
        let count = |names: &[&str]| names.iter().find_map(|name| own.get(*name)?.as_u64());
        Self {
            bits: count(&["bits", "w_bit"]).filter(|bits| *bits <= WORD),
            group: count(&["group_size", "q_group_size"]),
        }
    }
}

/// One weight as it is stored.
pub(super) struct Stored<'a> {
    pub(super) tensors: &'a [Tensor],
    pub(super) by_name: &'a HashMap<&'a str, usize>,
    /// The tensor with the codes.
    pub(super) codes: &'a Tensor,
    /// Its name without the ending of its form.
    pub(super) stem: &'a str,
    pub(super) config: Option<&'a Config>,
}

impl<'a> Stored<'a> {
    fn settings(&self) -> Settings {
        Settings::of(self.config, self.stem)
    }

    /// The tensor beside the codes whose name has this ending.
    pub(super) fn at(&self, end: &str) -> Option<usize> {
        self.by_name.get(format!("{}{end}", self.stem).as_str()).copied()
    }

    fn shape(&self) -> &'a [u64] {
        &self.codes.shape
    }

    fn shape_of(&self, end: &str) -> Option<&'a [u64]> {
        self.at(end).map(|at| self.tensors[at].shape.as_slice())
    }

    fn elements_of(&self, end: &str) -> Option<u64> {
        self.at(end).map(|at| self.tensors[at].elements())
    }

    fn two(&self) -> Option<[u64; 2]> {
        self.shape().try_into().ok()
    }

    fn two_of(&self, end: &str) -> Option<[u64; 2]> {
        self.shape_of(end)?.try_into().ok()
    }

    fn is(&self, dtype: Dtype) -> bool {
        self.codes.dtype == TensorType::Known(dtype)
    }

    /// The stored shape, if it is a matrix (or experts' matrices) with a value in each byte.
    fn as_it_is(&self) -> Shape {
        let small = [Dtype::I8, Dtype::F8_E4M3, Dtype::F8_E5M2].into_iter().any(|dtype| self.is(dtype));
        if small && self.shape().len() >= 2 { Shape::Known(self.shape().to_vec()) } else { Shape::Other }
    }
}
