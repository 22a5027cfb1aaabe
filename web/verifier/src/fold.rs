//! Folding: a plan, the bytes of the result piece by piece, and the proof. The page writes the files.

use crate::inspection::Inspection;
use gammascope::checkpoint;
use gammascope::fold::prove::Moved;
use gammascope::fold::{Operations, Plan, Sink, plan_of, prove, write_shard};
use gammascope::model::Accepted;
use gammascope::report::fold::FoldOperation;
use gammascope::share::fold;
use gammascope::source::ByteSource;
use gammascope_web::{BlobSource, dropped, from_js, sentence};
use js_sys::{Array, Error, Function, Promise, Uint8Array};
use std::io;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// The page gets this many bytes at once, or a little more.
const PIECE: usize = 4 << 20;

/// What will be done to the open checkpoint, and what is known of it so far.
#[wasm_bindgen]
pub struct Fold {
    plan: Plan,
}

#[wasm_bindgen]
impl Fold {
    /// Returns the plan, or what was done, a `FoldReport` in TypeScript, as JSON.
    pub fn report(&self) -> Result<String, Error> {
        serde_json::to_string(&self.plan.report).map_err(sentence)
    }

    /// Returns the same as one HTML file, made at `made`.
    pub fn html(&self, made: &str) -> Result<String, Error> {
        fold::document(&self.plan.report, made).map_err(sentence)
    }

    /// Writes each shard of `inspection`, from which the plan was made. Calls `take` with the number of the shard and the next bytes of
    /// its file; it returns a promise that settles when they are written, and fails to stop.
    pub async fn write(&mut self, inspection: &Inspection, take: Function) -> Result<(), Error> {
        let checkpoint = inspection.inner.checkpoint();
        for shard in 0..checkpoint.shards.len() {
            let mut pieces = Pieces { shard, held: Vec::new(), take: &take };
            let roundings = write_shard(checkpoint, &self.plan, shard, &mut pieces, |_| {}).await;
            self.plan.took(roundings.map_err(sentence)?);
            pieces.pass_on().await.map_err(sentence)?;
        }
        Ok(())
    }

    /// Runs `inspection` and the written files, a list of `{ path, file }`, and adds the comparison to the report.
    pub async fn prove(&mut self, inspection: &Inspection, files: Array) -> Result<(), Error> {
        let original = inspection.inner.checkpoint();
        let files: Vec<BlobSource> = files.iter().map(|entry| dropped(&entry)).collect::<Result<_, _>>()?;
        let folded = checkpoint::open(files, |_| {}).await.map_err(sentence)?;
        let moved = inspection.sources.iter().map(|source| Moved::of(source.clone(), original)).collect();
        let moved = checkpoint::open(moved, |_| {}).await.map_err(sentence)?;
        let centred = self.plan.report.operations.contains(&FoldOperation::Centre);
        let proof = prove(original, &folded, &moved, centred, Accepted::Only(&[])).await.map_err(sentence)?;
        self.plan.report.proof = Some(proof);
        self.plan.report.summarise();
        Ok(())
    }
}

#[wasm_bindgen]
impl Inspection {
    /// Plans to fold the checkpoint. `operations` is a list of `FoldOperation` in TypeScript.
    #[wasm_bindgen(js_name = planFold)]
    pub fn plan_fold(&self, operations: JsValue) -> Result<Fold, Error> {
        let operations: Vec<FoldOperation> = from_js(operations)?;
        let plan = plan_of(&self.inner, Operations::of(&operations)).map_err(sentence)?;
        if !plan.files.is_empty() {
            return Err(sentence(
                "this changes more than the weights, which only `gammascope fold` in a terminal writes",
            ));
        }
        Ok(Fold { plan })
    }

    /// Returns the paths of the shards, in the order in which they are written.
    pub fn shards(&self) -> Array {
        self.inner.checkpoint().shards.iter().map(|shard| JsValue::from(shard.path())).collect()
    }
}

/// Bytes of a shard on their way to the page.
struct Pieces<'a> {
    shard: usize,
    held: Vec<u8>,
    take: &'a Function,
}

impl Pieces<'_> {
    /// Passes on what is held.
    async fn pass_on(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let bytes = Uint8Array::from(self.held.as_slice());
        self.held.clear();
        let refuse = |error: JsValue| {
            let message = error.dyn_ref::<Error>().map(|error| String::from(error.message()));
            io::Error::other(message.unwrap_or_else(|| "the browser gave no reason".to_owned()))
        };
        let taken =
            self.take.call2(&JsValue::NULL, &JsValue::from(self.shard as u32), &bytes).map_err(refuse)?;
        JsFuture::from(Promise::resolve(&taken)).await.map_err(refuse)?;
        Ok(())
    }
}

impl Sink for Pieces<'_> {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() < PIECE { Ok(()) } else { self.pass_on().await }
    }
}
