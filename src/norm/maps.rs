//! The linear maps and convolutions around a norm, and what attention is called.

/// Whether a tensor is a convolution that mixes channels and positions, and not the first of an image or a sound.
pub(super) fn is_dense(shape: &[u64]) -> bool {
    let mut maps = Maps::default();
    maps.add(shape);
    maps.dense
}

/// Most channels of an input: those of an image, and a few more planes.
const INPUT_CHANNELS: u64 = 4;

/// The maps whose rows or columns are the norm's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maps {
    /// Linear maps.
    pub(super) linear: bool,
    /// Convolutions over one position: linear maps of channels.
    pub(super) pointwise: bool,
    /// Convolutions that mix channels and positions.
    pub(super) dense: bool,
    /// Such convolutions of an input with few channels: pixels, samples.
    pub(super) stem: bool,
    /// Convolutions of each channel separately.
    pub(super) depthwise: bool,
    /// Two dense convolutions or more with as many norms, one of them with as many inputs as outputs: a residual block.
    pub(super) residual: bool,
}

impl Maps {
    pub(super) fn add(&mut self, shape: &[u64]) {
        match *shape {
            [rows, columns] => self.linear |= rows > 1 && columns > 1,
            [rows, inputs, ref kernel @ ..] if rows > 1 || inputs > 1 => {
                let positions: u64 = kernel.iter().product();
                match (positions > 1, rows > 1 && inputs > 1) {
                    (true, true) if inputs <= INPUT_CHANNELS => self.stem = true,
                    (true, true) => self.dense = true,
                    (true, false) => self.depthwise = true,
                    (false, _) => self.pointwise = true,
                }
            }
            _ => {}
        }
    }

    pub(super) fn any(self) -> bool {
        self != Self::default()
    }

    /// Describes them in a few words.
    pub(super) fn name(self) -> &'static str {
        match (self.linear, self.dense, self.depthwise) {
            (_, true, _) if self.residual => "convolutions with a norm each",
            (true, true, _) => "convolutions and linear maps",
            (false, true, _) => "convolutions",
            (true, false, true) => "depthwise convolutions and linear maps",
            (false, false, true) => "depthwise convolutions",
            (linear, false, false) => match (self.stem, linear, self.pointwise) {
                (true, true, _) => "an input convolution and linear maps",
                (true, false, _) => "an input convolution",
                (false, _, true) => "pointwise convolutions",
                (false, true, false) => "linear maps",
                (false, false, false) => "no map",
            },
        }
    }
}

/// What attention and its projections are called.
pub(super) fn is_attention(compact: &str) -> bool {
    const PROJECTIONS: [&str; 25] = [
        "q",
        "k",
        "v",
        "qkv",
        "kv",
        "toq",
        "tok",
        "tov",
        "toqkv",
        "tokv",
        "query",
        "key",
        "value",
        "qproj",
        "kproj",
        "vproj",
        "qkvproj",
        "inprojweight",
        "wq",
        "wk",
        "wv",
        "wqkv",
        "querykeyvalue",
        "toqueries",
        "qlin",
    ];
    PROJECTIONS.contains(&compact) || compact.contains("attn") || compact.contains("attention")
}
