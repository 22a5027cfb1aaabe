//! `cargo run --release --features gpu --example gram [tokens width]`: times the exact Gram matrix on the CPU and on the GPU, as a ratio,
//! after checking that both give the same integers.
//!
//! With `speeds` instead: prints operations per second on the CPU in the page's trial as JSON, for `npm run bench`.

use gammascope::gpu::{Gpu, gram::GramKernel};
use gammascope::measure::activations::Activations;
use gammascope::measure::gram::Gridded;
use gammascope::measure::plan::Speeds;
use gammascope::measure::rows::Rows;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::error::Error;
use std::time::{Duration, Instant};

/// The fastest of three runs and its result.
fn timed<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut once = || {
        let start = Instant::now();
        let result = run();
        (start.elapsed(), result)
    };
    let (mut best, mut result) = once();
    for _ in 0..2 {
        let (time, again) = once();
        best = best.min(time);
        result = again;
    }
    (best, result)
}

#[allow(clippy::print_stdout, reason = "what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("speeds") {
        let began = Instant::now();
        let clock = || began.elapsed().as_secs_f64();
        let speeds = pollster::block_on(Speeds::of(async |y: &Gridded| y.gram(), clock));
        println!("[{}, {}]", speeds.sums, speeds.eigen);
        return Ok(());
    }
    let sizes: Vec<usize> = std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    let (tokens, width) = match sizes[..] {
        [] => (4096, 768),
        [tokens, width] => (tokens, width),
        _ => return Err("give tokens and width, or nothing for 4096 768".into()),
    };
    let mut random = SmallRng::seed_from_u64(1);
    let y: Vec<f64> = (0..tokens * width).map(|_| random.sample(StandardNormal)).collect();
    let y = Activations::of("y", width, y);
    let gridded = Gridded::new(&Rows::new(&y))?;
    let gpu = pollster::block_on(Gpu::open())?;
    let kernel = GramKernel::new(&gpu)?;
    let (cpu_time, cpu) = timed(|| gridded.gram());
    let (gpu_time, on_gpu) = timed(|| pollster::block_on(kernel.gram(&gridded)));
    let (on_gpu, in_kernel) = on_gpu?;
    if on_gpu != cpu {
        return Err("the GPU's integers are not the CPU's".into());
    }
    let ratio = cpu_time.as_secs_f64() / gpu_time.as_secs_f64();
    println!("{tokens} tokens × {width}, {}: the same integers", gpu.adapter());
    println!("CPU (one thread) {cpu_time:.3?}, GPU {gpu_time:.3?}, CPU : GPU {ratio:.2}");
    if let Some(seconds) = in_kernel {
        println!("of it in the kernel, by the GPU's own clock: {:.3?}", Duration::from_secs_f64(seconds));
    }
    Ok(())
}
