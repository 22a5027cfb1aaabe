//! Catches panics. In wasm a panic is a trap, which ends all calls up to the nearest JavaScript function.

use gammascope::text::caught::set_boundary;
use gammascope_web::take_panic;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

/// Makes the library call code that may panic through JavaScript.
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
