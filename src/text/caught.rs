//! Calls code that may panic on a damaged file, such as the crate `tokenizers`. A panic becomes an error about the file.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::OnceLock;

/// Runs a call, and returns its panic message if it panics. In wasm a panic is a trap, which only JavaScript can catch.
pub type Boundary = fn(Box<dyn FnOnce()>) -> Result<(), String>;

static BOUNDARY: OnceLock<Boundary> = OnceLock::new();

/// Sets the boundary of this module. The crate of the wasm has its own. The first one stays.
pub fn set_boundary(boundary: Boundary) {
    let _ = BOUNDARY.set(boundary);
}

/// Returns the result of `call`, or its panic message.
pub(super) fn caught<Made: 'static>(call: impl FnOnce() -> Made + 'static) -> Result<Made, String> {
    let made = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&made);
    let run = BOUNDARY.get().copied().unwrap_or(usual);
    run(Box::new(move || {
        let value = call();
        kept.replace(Some(value));
    }))?;
    made.take().ok_or_else(|| "it returned nothing".to_owned())
}

#[cfg(target_arch = "wasm32")]
fn usual(call: Box<dyn FnOnce()>) -> Result<(), String> {
    call();
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
fn usual(call: Box<dyn FnOnce()>) -> Result<(), String> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let unheard = quiet::Quiet::begin();
    let ended = catch_unwind(AssertUnwindSafe(call));
    drop(unheard);
    ended.map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
    })
}

/// A caught panic message goes into an error, and not to stderr as well.
#[cfg(not(target_arch = "wasm32"))]
mod quiet {
    use std::cell::Cell;
    use std::sync::Once;

    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) struct Quiet(bool);

    impl Quiet {
        pub(super) fn begin() -> Self {
            static HOOK: Once = Once::new();
            HOOK.call_once(|| {
                let before = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |panic| {
                    if !QUIET.get() {
                        before(panic);
                    }
                }));
            });
            Self(QUIET.replace(true))
        }
    }

    impl Drop for Quiet {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught::<()>(|| panic!("at {}", 4)), Err("at 4".to_owned()));
        assert_eq!(caught::<()>(|| panic!("here")), Err("here".to_owned()));
        assert_eq!(caught(|| 5), Ok(5), "it goes on");
    }
}
