//! An inspection, as Python sees it.

use crate::fault;
use gammascope::export::kernels;
use gammascope::inspect::Inspection;
use gammascope::share::html;
use gammascope::terminal::library;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What was found, and the scales behind it.
#[pyclass(frozen)]
pub(crate) struct Inspected(Inspection);

impl Inspected {
    pub(crate) fn new(inspection: Inspection) -> Self {
        Self(inspection)
    }
}

#[pymethods]
impl Inspected {
    /// The report as the terminal prints it with `--json`, line end included.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        let json = py.detach(|| library::json(&self.0.report)).map_err(fault)?;
        String::from_utf8(json).map_err(fault)
    }

    /// The report as one HTML file. Without `names`, numbers replace the names of files, tensors and sites.
    fn html(&self, py: Python<'_>, names: bool) -> PyResult<String> {
        py.detach(|| library::html(&self.0, names)).map_err(fault)
    }

    /// The verdict and the figures, for a notebook.
    fn piece(&self, py: Python<'_>) -> String {
        py.detach(|| html::piece(&self.0))
    }

    /// The kernel of a site: its width d; the bytes of a direction, d little-endian f64, or None; and the channels whose scale is zero.
    fn kernel<'py>(
        &self,
        py: Python<'py>,
        site: &str,
    ) -> PyResult<(u64, Option<Bound<'py, PyBytes>>, Vec<u32>)> {
        let name = library::site(&self.0.report, site).map_err(fault)?.name.as_str();
        let mut found = kernels(&self.0, Some(&[name])).map_err(fault)?.sites;
        let site = found.pop().ok_or_else(|| fault(format!("`{name}` has no kernel")))?;
        let bytes = site.direction.map(|v| v.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<_>>());
        Ok((site.width, bytes.map(|bytes| PyBytes::new(py, &bytes)), site.coordinates))
    }
}
