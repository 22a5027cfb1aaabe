//! Work on a GPU: the exact Gram matrix (MATH §5), with the same integers as on the CPU on every adapter, and forward passes.
//!
//! This file finds an adapter and opens its device. [`gram`] runs the kernel in `shaders/gram.wgsl` on it. WGSL has no f64 and may
//! reassociate f32, so that kernel sums integers that cannot overflow. [`forward`] runs the kernels of a forward pass in f32, as on the
//! CPU, and `memory` keeps their buffers.

pub mod forward;
pub mod gram;
mod memory;
mod timestamps;

use std::sync::{Arc, Mutex, PoisonError};

/// Why the GPU computed nothing. The CPU computes the same integers, so the work can always continue there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is no adapter.
    #[error("no GPU can be used here ({reason}): the CPU computes the same numbers, more slowly")]
    NoAdapter {
        /// The message from wgpu.
        reason: String,
    },
    /// The adapter provides no device.
    #[error("`{adapter}` cannot be used ({reason}): close other programs that use it, or use the CPU")]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// The message from wgpu.
        reason: String,
    },
    /// A limit of the device is too low for the kernel, or for this width.
    #[error("`{adapter}` allows {limit} of {has}, and {needed} are needed: use the CPU")]
    Limits {
        /// Name of the adapter.
        adapter: String,
        /// Name of the limit in WebGPU.
        limit: &'static str,
        /// Its value.
        has: u64,
        /// What the kernel needs.
        needed: u64,
    },
    /// The device was lost: driver reset, sleep, another program's fault.
    #[error("`{adapter}` was lost while it computed ({reason}): try again, or use the CPU")]
    Lost {
        /// Name of the adapter.
        adapter: String,
        /// The message from wgpu.
        reason: String,
    },
    /// The device's memory is full.
    #[error("`{adapter}` is out of memory: close other programs that use it, or use the CPU")]
    OutOfMemory {
        /// Name of the adapter.
        adapter: String,
    },
    /// wgpu refused a command.
    #[error(
        "`{adapter}` refused a command ({reason}); that is a bug, please report it, and use the CPU until then"
    )]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// The message from wgpu.
        reason: String,
    },
}

/// A device and the first error on it. Copies share the same device.
#[derive(Debug, Clone)]
pub struct Gpu {
    adapter: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    /// Whether WGSL has dot4I8Packed on this device.
    packed: bool,
    /// Whether the adapter is software on the CPU.
    software: bool,
    /// Whether the GPU's own clock can time passes.
    timed: bool,
    /// The first error. Later ones are only its consequences.
    fault: Arc<Mutex<Option<GpuError>>>,
}

/// Keeps the first error. The loss of the device replaces it, because wgpu may report the loss after commands that failed because of it.
/// A poisoned lock works too.
fn record(fault: &Mutex<Option<GpuError>>, error: GpuError) {
    let mut fault = fault.lock().unwrap_or_else(PoisonError::into_inner);
    if fault.is_none() || matches!(error, GpuError::Lost { .. }) {
        *fault = Some(error);
    }
}

impl Gpu {
    /// Opens the device of the fastest adapter, with the largest buffers it allows.
    pub async fn open() -> Result<Self, GpuError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let found = instance
            .request_adapter(&options)
            .await
            .map_err(|error| GpuError::NoAdapter { reason: error.to_string() })?;
        // Browsers may hide the name.
        let adapter = match found.get_info().name {
            name if name.is_empty() => "the GPU".to_owned(),
            name => name,
        };
        let has = found.limits();
        for (limit, has, needed) in [
            ("maxComputeInvocationsPerWorkgroup", has.max_compute_invocations_per_workgroup, 256),
            ("maxComputeWorkgroupSizeX", has.max_compute_workgroup_size_x, 16),
            ("maxComputeWorkgroupSizeY", has.max_compute_workgroup_size_y, 16),
            ("maxComputeWorkgroupStorageSize", has.max_compute_workgroup_storage_size, 9 << 10),
            ("maxStorageBuffersPerShaderStage", has.max_storage_buffers_per_shader_stage, 3),
        ] {
            if has < needed {
                let (has, needed) = (u64::from(has), u64::from(needed));
                return Err(GpuError::Limits { adapter, limit, has, needed });
            }
        }
        let software = found.get_info().device_type == wgpu::DeviceType::Cpu;
        let timestamps = found.features() & wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gammascope"),
            required_features: timestamps,
            required_limits: wgpu::Limits {
                max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
                max_buffer_size: has.max_buffer_size,
                // Attention reads four buffers and writes one. The default of the oldest devices is four.
                max_storage_buffers_per_shader_stage: has.max_storage_buffers_per_shader_stage.min(8),
                max_compute_workgroups_per_dimension: has.max_compute_workgroups_per_dimension,
                ..wgpu::Limits::downlevel_defaults().or_worse_values_from(&has)
            },
            ..Default::default()
        };
        let (device, queue) = found
            .request_device(&descriptor)
            .await
            .map_err(|error| GpuError::NoDevice { adapter: adapter.clone(), reason: error.to_string() })?;
        let fault = Arc::new(Mutex::new(None));
        // Without these two callbacks, wgpu panics.
        let (name, faults) = (adapter.clone(), fault.clone());
        device.set_device_lost_callback(move |_, reason| {
            record(&faults, GpuError::Lost { adapter: name.clone(), reason });
        });
        let (name, faults) = (adapter.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let adapter = name.clone();
            let error = match error {
                wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory { adapter },
                error => GpuError::Refused { adapter, reason: error.to_string() },
            };
            record(&faults, error);
        }));
        let packed = instance
            .wgsl_language_features()
            .contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct);
        let timed = !timestamps.is_empty();
        Ok(Self { adapter, limits: device.limits(), device, queue, packed, software, timed, fault })
    }

    /// Name of the adapter.
    pub fn adapter(&self) -> &str {
        &self.adapter
    }

    /// Returns the first error so far.
    fn check(&self) -> Result<(), GpuError> {
        let fault = || self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        #[cfg(not(target_arch = "wasm32"))]
        if matches!(fault(), Some(GpuError::Refused { .. })) {
            // Only a poll reports that the device is lost. Its callback records the error.
            let _ = self.poll(wgpu::PollType::Poll);
        }
        fault().map_or(Ok(()), Err)
    }

    /// Runs the device's callbacks. A browser does this by itself.
    #[cfg(not(target_arch = "wasm32"))]
    fn poll(&self, kind: wgpu::PollType) -> Result<(), String> {
        // wgpu panics if the device is lost during the poll.
        let poll = std::panic::AssertUnwindSafe(|| self.device.poll(kind));
        match std::panic::catch_unwind(poll) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    /// The error that stopped a command without an answer.
    fn stopped(&self, reason: impl ToString) -> GpuError {
        let lost = GpuError::Lost { adapter: self.adapter.clone(), reason: reason.to_string() };
        self.check().err().unwrap_or(lost)
    }

    /// Waits for all submitted work, and hands the first `bytes` of a buffer with MAP_READ to `read`.
    async fn read(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]),
    ) -> Result<(), GpuError> {
        let (done, mapped) = futures_channel::oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            // If the future was dropped, nobody receives this.
            let _ = done.send(result);
        });
        #[cfg(not(target_arch = "wasm32"))]
        self.poll(wgpu::PollType::wait_indefinitely()).map_err(|reason| self.stopped(reason))?;
        self.check()?;
        mapped.await.map_err(|error| self.stopped(error))?.map_err(|error| self.stopped(error))?;
        {
            let view = buffer.get_mapped_range(0..bytes).map_err(|error| self.stopped(error))?;
            read(&view);
        }
        buffer.unmap();
        self.check()
    }
}
