//! Where a panic is caught. In wasm it is a trap, which ends everything up to the next JavaScript below it.

use gammascope::text::caught::set_boundary;
use gammascope_web::take_panic;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

/// Lets the library's calls of code that may panic go through JavaScript.
pub(crate) fn set() {
    set_boundary(|call| {
        let called = Closure::once(call);
        let function: &Function = called.as_ref().unchecked_ref();
        let ended = function.call0(&JsValue::NULL);
        ended.map(drop).map_err(|trap| {
            let said = || Reflect::get(&trap, &"message".into()).ok().and_then(|text| text.as_string());
            take_panic().or_else(said).unwrap_or_else(|| "it panicked".to_owned())
        })
    });
}
