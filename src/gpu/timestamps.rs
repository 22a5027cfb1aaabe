//! The GPU's own clock around a compute pass, if the adapter has one. Browsers round it to about a tenth of a millisecond.

use super::Gpu;

/// Bytes of the two times of a pass.
pub(super) const BYTES: u64 = 16;

/// Begin and end of one pass, in ticks.
#[derive(Debug)]
pub(super) struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Seconds of a tick.
    tick: f64,
}

impl Timestamps {
    /// Returns `None` if the adapter has no clock.
    pub(super) fn new(gpu: &Gpu) -> Option<Self> {
        gpu.timed.then(|| Self {
            queries: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: BYTES,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            tick: f64::from(gpu.queue.get_timestamp_period()) * 1e-9,
        })
    }

    /// Settings for the pass that is timed.
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Copies both times to the beginning of `buffer` after the pass.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, buffer, 0, BYTES);
    }

    /// Seconds between the two times. 0 if the clock was set back, as some are when they sleep.
    pub(super) fn seconds(&self, times: &[u8]) -> f64 {
        let time = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |time, &byte| (time << 8) | u64::from(byte));
        let (began, ended) = times.split_at(BYTES as usize / 2);
        time(ended).saturating_sub(time(began)) as f64 * self.tick
    }
}
