//! Machines, and those that a plan is made for beside this one.
//!
//! Only the H200 was measured (`benches/streamed.py`): the kernels reach 29 % of the product of large matrices that PyTorch reaches there,
//! which is 15 of the 67 TFLOP/s that its maker publishes for f32. The GPUs of the laptops get the same share of their peak. A laptop reads
//! its disk at 2 GB/s, which is an assumption. The speed of measuring comes from the same machine as the H200: there the norms and streams of
//! a Llama of 1B (8,192 tokens, about 1.2·10¹³ operations) took 43 s on 16 cores. The laptops get the same speed for each core.

use super::planned::PassSpeeds;
use crate::measure::plan::Speeds;

/// A machine with its speeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// What it is called. For the machine of the run, the device of the pass: "cpu", or the name of the GPU.
    pub name: String,
    /// Where the exact sums are computed.
    pub gram_name: String,
    /// Bytes that a run may take. `None` if that is not limited.
    pub memory: Option<u64>,
    /// Speeds of the pass.
    pub pass: PassSpeeds,
    /// Speeds of one thread that measures.
    pub speeds: Speeds,
    /// Threads that measure.
    pub threads: usize,
    /// Whether the pass and the measurements share what computes: the same cores, or the same GPU.
    pub shared: bool,
}

/// The share of the published f32 peak that the kernels reach.
const SHARE: f64 = 0.22;
/// Operations per second of one core: of the exact sums, and of the eigenvalues.
const CORE: Speeds = Speeds { sums: 1.8e10, eigen: 1.8e10 };

/// Returns the named machines.
pub fn machines() -> [Machine; 3] {
    let laptop = |name: &str, teraflops: f64, memory: u64, cores: usize| Machine {
        name: name.to_owned(),
        gram_name: "cpu".to_owned(),
        memory: Some(memory),
        pass: PassSpeeds { multiplications: teraflops * 1e12 / 2.0 * SHARE, loading: 2e9 },
        speeds: CORE,
        threads: cores,
        shared: false,
    };
    [
        laptop("laptop with a GPU of 6 GB (RTX 4050, 9 TFLOP/s, 8 cores)", 9.0, 5_000_000_000, 8),
        laptop("M-series laptop (M3, 3.5 TFLOP/s, 16 GB, 8 cores)", 3.5, 10_000_000_000, 8),
        Machine {
            name: "H200 (141 GB, 16 cores)".to_owned(),
            pass: PassSpeeds { multiplications: 7.4e12, loading: 6e9 },
            ..laptop("", 0.0, 120_000_000_000, 16)
        },
    ]
}
