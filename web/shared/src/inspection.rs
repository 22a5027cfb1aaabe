//! The functions of `Inspection` in both modules. wasm_bindgen cannot export generic types, so each module has its own type.

use crate::js::{sentence, to_js};
use crate::panic::keep_panics;
use gammascope::checkpoint::CheckpointError;
use gammascope::checkpoint::gather::Gathered;
use gammascope::inspect::{Inspection, Opened, Progress, WeightSample};
use gammascope::source::ByteSource;
use js_sys::{Array, Error, Function, Object, Reflect};
use std::ops::ControlFlow;
use wasm_bindgen::JsValue;

/// Reports progress to a JavaScript listener. A listener that throws does not stop the reading.
pub fn to_progress(progress: Function) -> impl Fn(Progress) {
    keep_panics();
    move |state| {
        if let Ok(state) = to_js(&state) {
            let _ = progress.call1(&JsValue::NULL, &state);
        }
    }
}

/// Makes a `Gathered` of TypeScript by hand, because serde would add kilobytes.
fn gathered(Gathered { name, files }: &Gathered) -> JsValue {
    let object = Object::new();
    let files: Array = files.iter().map(|&file| JsValue::from(file as u32)).collect();
    let _ = Reflect::set(&object, &"name".into(), &name.into());
    let _ = Reflect::set(&object, &"files".into(), &files);
    object.into()
}

/// Makes the error for a checkpoint that could not be opened. If the page can help, the error has a special name: `TokenWanted`,
/// `ReadElsewhere` if the verifier can read it, or `SeveralCheckpoints` with the list `checkpoints` (`Gathered[]` in TypeScript).
pub fn not_opened(error: &CheckpointError) -> Error {
    let refused = sentence(error);
    match error {
        CheckpointError::Source(error) if error.wants_token() => refused.set_name("TokenWanted"),
        CheckpointError::Elsewhere(_) => refused.set_name("ReadElsewhere"),
        CheckpointError::Several(checkpoints) => {
            refused.set_name("SeveralCheckpoints");
            let list: Array = checkpoints.iter().map(gathered).collect();
            let _ = Reflect::set(&refused, &"checkpoints".into(), &list);
        }
        _ => {}
    }
    refused
}

/// Samples at most `budget` bytes of the weights that write the residual streams, and calls `progress` while it reads. If `progress`
/// returns true, it stops.
pub async fn sample<S: ByteSource>(opened: &Opened<S>, budget: f64, progress: Function) -> WeightSample {
    let report = |state: Progress| {
        let answer = to_js(&state).ok().and_then(|state| progress.call1(&JsValue::NULL, &state).ok());
        if answer.is_some_and(|answer| answer.is_truthy()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    opened.weigh(budget as u64, report).await
}

/// Returns the report, a `Report` in TypeScript, as JSON. For 100,000 tensors one string reaches the page sooner than a tree of objects
/// that is built here and copied there.
pub fn report(inspection: &Inspection) -> Result<String, Error> {
    serde_json::to_string(&inspection.report).map_err(sentence)
}
