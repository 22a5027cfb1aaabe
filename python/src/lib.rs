//! The extension module `gammascope._native`: the terminal, and what the Python package needs of the library. It only translates.

mod report;
mod tensors;

use gammascope::measure::activations::Captured;
use gammascope::source::AnySource;
use gammascope::source::http::native::Native;
use gammascope::source::memory::MemorySource;
use gammascope::terminal::{self, library};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use report::Inspected;
use std::ffi::OsString;
use std::process::ExitCode;
use tensors::{TensorSource, Tensors};

create_exception!(
    gammascope,
    GammascopeError,
    PyException,
    "What is wrong, where, and what to do, in one sentence: the one that the terminal prints."
);

/// A file of a checkpoint in memory: its tensors, or its configuration.
type InMemory = AnySource<TensorSource, Native>;

/// Makes the exception of a sentence.
fn fault(sentence: impl ToString) -> PyErr {
    GammascopeError::new_err(sentence.to_string())
}

/// Runs the command line and returns its exit code.
#[pyfunction]
fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| terminal::main(arguments));
    // An exit code shows its number only by comparison.
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).unwrap_or(u8::MAX)
}

/// Inspects a checkpoint by the arguments of `gammascope inspect`.
#[pyfunction]
fn inspect(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<Inspected> {
    py.detach(|| library::inspect(arguments)).map(Inspected::new).map_err(fault)
}

/// Inspects tensors in memory, with the text of a config.json if there is one.
#[pyfunction]
fn inspect_tensors(
    py: Python<'_>,
    tensors: Tensors,
    config: Option<String>,
    sampled: bool,
) -> PyResult<Inspected> {
    py.detach(|| library::inspect_sources(files(tensors, config), sampled)).map(Inspected::new).map_err(fault)
}

/// Measures the norms of tensors in memory on outputs in memory, which are named after the sites. `name` is what the report calls them.
#[pyfunction]
fn measure_tensors(
    py: Python<'_>,
    tensors: Tensors,
    config: Option<String>,
    outputs: Tensors,
    name: &str,
) -> PyResult<Inspected> {
    let outputs = TensorSource::new(outputs);
    py.detach(|| {
        let captured = || pollster::block_on(Captured::open(outputs.clone()));
        library::measure_sources(files(tensors, config), captured, name)
    })
    .map(Inspected::new)
    .map_err(fault)
}

/// The files that a checkpoint with these tensors would have.
fn files(tensors: Tensors, config: Option<String>) -> Vec<InMemory> {
    let config = config.map(|text| AnySource::Whole(MemorySource::new("config.json", text)));
    [AnySource::Local(TensorSource::new(tensors))].into_iter().chain(config).collect()
}

/// The module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("GammascopeError", module.py().get_type::<GammascopeError>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Inspected>()?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(inspect, module)?)?;
    module.add_function(wrap_pyfunction!(inspect_tensors, module)?)?;
    module.add_function(wrap_pyfunction!(measure_tensors, module)?)
}
