//! Devices: the CPU, or a GPU with the CPU as fallback. The exact Gram matrix has the same integers on both.

use crate::checkpoint::dtype::TensorType;
use crate::forward::kernels::{Cpu, Kernels, Shape};
use crate::measure::gram::{Gram, Gridded};
use crate::measure::plan::Speeds;
use crate::model::operation::Layout;
use crate::report::{Warning, WarningCode};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError, forward::GpuKernels, gram::GramKernel};
#[cfg(feature = "gpu")]
use std::sync::atomic::Ordering::Relaxed;

/// The device that the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The faster one in a trial.
    Fastest,
    /// A GPU.
    Gpu,
    /// The CPU.
    Cpu,
}

/// Why there is no GPU to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoGpu(String);

#[cfg(not(feature = "gpu"))]
impl NoGpu {
    fn in_this_build() -> Self {
        Self("this build of Gammascope uses no GPU".to_owned())
    }
}

/// The chosen device, its speed in a trial, and a warning if it is not the GPU although that was named.
pub type Chosen<Where, Speed> = (Where, Speed, Option<Warning>);

/// Chooses the GPU if it is named and works, or if it is faster than the CPU. A GPU that is only as fast as the CPU does not win, because
/// several workers share it. Software GPUs are like that.
async fn choose<Where, Speed: Copy>(
    wanted: Wanted,
    gpu: impl AsyncFn() -> Result<Where, NoGpu>,
    cpu: Where,
    trial: impl AsyncFn(&Where) -> Speed,
    score: impl Fn(Speed) -> f64,
) -> Chosen<Where, Speed> {
    let (mut found, mut fault) = (None, None);
    if wanted != Wanted::Cpu {
        match gpu().await {
            Ok(gpu) => {
                let speed = trial(&gpu).await;
                if wanted == Wanted::Gpu && score(speed) > 0.0 {
                    return (gpu, speed, None);
                }
                if score(speed) > 0.0 {
                    found = Some((gpu, speed));
                } else {
                    fault = Some(NoGpu("the GPU failed a short trial".to_owned()));
                }
            }
            Err(error) => fault = Some(error),
        }
    }
    let on_cpu = trial(&cpu).await;
    match found {
        Some((gpu, on_gpu)) if score(on_gpu) > score(on_cpu) => (gpu, on_gpu, None),
        _ => {
            let warning = |NoGpu(message)| Warning::new(WarningCode::NoGpu, "cpu", message);
            (cpu, on_cpu, fault.filter(|_| wanted == Wanted::Gpu).map(warning))
        }
    }
}

/// The CPU, or a GPU until it fails once.
#[derive(Debug)]
pub struct GramDevice {
    #[cfg(feature = "gpu")]
    gpu: Option<(Gpu, GramKernel)>,
    /// Why the CPU replaced the GPU. The lock is held while the GPU computes, so that one thread at a time uses it.
    #[cfg(feature = "gpu")]
    fault: futures_util::lock::Mutex<Option<GpuError>>,
    /// Nanoseconds of the GPU's kernel that were not reported yet.
    #[cfg(feature = "gpu")]
    busy: std::sync::atomic::AtomicU64,
}

impl GramDevice {
    /// Uses the CPU alone.
    pub fn cpu() -> Self {
        Self {
            #[cfg(feature = "gpu")]
            gpu: None,
            #[cfg(feature = "gpu")]
            fault: futures_util::lock::Mutex::new(None),
            #[cfg(feature = "gpu")]
            busy: Default::default(),
        }
    }

    /// Opens the fastest GPU. An error if there is none.
    #[cfg(feature = "gpu")]
    pub async fn gpu() -> Result<Self, NoGpu> {
        let open = async || {
            let gpu = Gpu::open().await?;
            let kernel = GramKernel::new(&gpu)?;
            Ok::<_, GpuError>((gpu, kernel))
        };
        let gpu = open().await.map_err(|error| NoGpu(error.to_string()))?;
        Ok(Self { gpu: Some(gpu), ..Self::cpu() })
    }

    /// Without the feature `gpu` there is no GPU.
    #[cfg(not(feature = "gpu"))]
    pub async fn gpu() -> Result<Self, NoGpu> {
        Err(NoGpu::in_this_build())
    }

    /// Opens the wanted device without a trial: the CPU, unless a GPU is named.
    pub async fn of(wanted: Wanted) -> Result<Self, NoGpu> {
        match wanted {
            Wanted::Gpu => Self::gpu().await,
            Wanted::Cpu | Wanted::Fastest => Ok(Self::cpu()),
        }
    }

    /// Chooses a device, and measures its speed. `clock` returns seconds, perhaps only to a millisecond.
    pub async fn choose(wanted: Wanted, clock: impl Fn() -> f64) -> Chosen<Self, Speeds> {
        let trial = async |device: &Self| device.speeds(&clock).await;
        choose(wanted, Self::gpu, Self::cpu(), trial, |speeds| speeds.sums).await
    }

    /// Measures operations per second in a trial.
    pub async fn speeds(&self, clock: impl Fn() -> f64) -> Speeds {
        let speeds = Speeds::of(async |gridded: &Gridded| self.gram(gridded).await, clock).await;
        // The trial does not count as measuring time.
        self.kernel_seconds();
        speeds
    }

    /// Name of the GPU, or "cpu".
    pub fn name(&self) -> &str {
        #[cfg(feature = "gpu")]
        if let Some((gpu, _)) = &self.gpu {
            return gpu.adapter();
        }
        "cpu"
    }

    /// Computes the exact Gram matrix, on the GPU until it fails once, then on the CPU.
    pub async fn gram(&self, gridded: &Gridded) -> Gram {
        #[cfg(feature = "gpu")]
        if let Some((_, kernel)) = &self.gpu {
            let mut fault = self.fault.lock().await;
            if fault.is_none() {
                match kernel.gram(gridded).await {
                    Ok((gram, seconds)) => {
                        self.busy.fetch_add((seconds.unwrap_or(0.0) * 1e9) as u64, Relaxed);
                        return gram;
                    }
                    Err(error) => *fault = Some(error),
                }
            }
        }
        gridded.gram()
    }

    /// Returns the seconds of the GPU's kernel since the last call, by the GPU's own clock. `None` if it has no clock, and on the CPU.
    pub fn kernel_seconds(&self) -> Option<f64> {
        #[cfg(feature = "gpu")]
        match self.busy.swap(0, Relaxed) {
            0 => {}
            nanoseconds => return Some(nanoseconds as f64 * 1e-9),
        }
        None
    }

    /// Returns a warning if the GPU failed.
    pub async fn warning(&self) -> Option<Warning> {
        #[cfg(feature = "gpu")]
        if let Some(error) = &*self.fault.lock().await {
            let message = format!("{error}. The measurement continued on the CPU, with the same numbers");
            return Some(Warning::new(WarningCode::GpuFailed, self.name(), message));
        }
        None
    }
}

/// The device of a forward pass.
#[derive(Debug)]
pub enum PassDevice {
    /// The CPU.
    Cpu,
    /// A GPU, until it fails.
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuKernels>),
}

impl PassDevice {
    /// Opens the fastest GPU.
    #[cfg(feature = "gpu")]
    pub async fn gpu() -> Result<Self, NoGpu> {
        let kernels = GpuKernels::open().await.map_err(|error| NoGpu(error.to_string()))?;
        Ok(Self::Gpu(Box::new(kernels)))
    }

    /// Without the feature `gpu` there is no GPU.
    #[cfg(not(feature = "gpu"))]
    pub async fn gpu() -> Result<Self, NoGpu> {
        Err(NoGpu::in_this_build())
    }

    /// Opens the wanted device without a trial: the CPU, unless a GPU is named.
    pub async fn of(wanted: Wanted) -> Result<Self, NoGpu> {
        match wanted {
            Wanted::Gpu => Self::gpu().await,
            Wanted::Cpu | Wanted::Fastest => Ok(Self::Cpu),
        }
    }

    /// Chooses a device, and measures its multiplications per second. `clock` returns seconds, perhaps only to a millisecond.
    pub async fn choose(wanted: Wanted, clock: impl Fn() -> f64) -> Chosen<Self, f64> {
        let trial = async |machine: &Self| machine.speed(&clock).await;
        choose(wanted, Self::gpu, Self::Cpu, trial, |speed| speed).await
    }

    /// Name of the GPU, or "cpu".
    pub fn name(&self) -> &str {
        match self {
            Self::Cpu => Cpu.name(),
            #[cfg(feature = "gpu")]
            Self::Gpu(kernels) => kernels.name(),
        }
    }

    /// Bytes of the largest buffer that it allows. `None` on the CPU.
    pub fn largest_buffer(&self) -> Option<u64> {
        match self {
            Self::Cpu => None,
            #[cfg(feature = "gpu")]
            Self::Gpu(kernels) => Some(kernels.largest_buffer()),
        }
    }

    /// Measures multiplications per second of a linear map in a trial. `clock` returns seconds, perhaps only to a millisecond. 0 if a GPU
    /// fails in the trial.
    pub async fn speed(&self, clock: impl Fn() -> f64) -> f64 {
        match self {
            Self::Cpu => speed(&Cpu, clock).await,
            #[cfg(feature = "gpu")]
            Self::Gpu(kernels) => speed(kernels.as_ref(), clock).await,
        }
    }
}

/// Tokens, inputs and outputs of the trial.
const TRIAL: [usize; 3] = [512, 512, 1024];
/// How often it is timed. The fastest counts: the others were disturbed.
const TIMES: usize = 3;

async fn speed<K: Kernels>(kernels: &K, clock: impl Fn() -> f64) -> f64 {
    let [n, inputs, outputs] = TRIAL;
    let value = |at: usize| (at * 7919 % 10_007) as f32 / 5003.0 - 1.0;
    let values = |count| (0..count).map(value).collect::<Vec<f32>>();
    let Some(mut weight) = kernels.weight(&TensorType::Known(Dtype::F32), inputs * outputs) else {
        return 0.0;
    };
    let bytes: Vec<u8> = values(inputs * outputs).iter().flat_map(|value| value.to_le_bytes()).collect();
    kernels.fill(&mut weight, &bytes);
    let x = kernels.put(values(n * inputs));
    let shape = Shape { inputs, outputs, layout: Layout::OutputInput };
    let trial = async || kernels.get(&kernels.linear(&x, &weight, shape, None)).await.is_ok();
    // The first call also compiles and allocates.
    if !trial().await {
        return 0.0;
    }
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMES {
        let began = clock();
        if !trial().await {
            return 0.0;
        }
        fastest = fastest.min(clock() - began);
    }
    (n * inputs * outputs) as f64 / fastest.max(1e-3)
}
