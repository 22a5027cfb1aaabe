//! An observer behind a pointer, so that a pass is compiled once for each kind of file and device, and not again for each observer.

use super::{Seen, Watch};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::ops::ControlFlow;

/// What [`Watch`] offers, for observers of any type.
pub(super) trait Observer {
    /// See [`Watch::wants`].
    fn wants(&self, site: &str) -> bool;
    /// See [`Watch::wants_stream`].
    fn wants_stream(&self) -> bool;
    /// See [`Watch::wants_after_attention`].
    fn wants_after_attention(&self) -> bool;
    /// See [`Watch::see`].
    fn see<'a>(&'a mut self, seen: Seen<'a>) -> LocalBoxFuture<'a, ControlFlow<()>>;
}

impl<W: Watch> Observer for W {
    fn wants(&self, site: &str) -> bool {
        Watch::wants(self, site)
    }

    fn wants_stream(&self) -> bool {
        Watch::wants_stream(self)
    }

    fn wants_after_attention(&self) -> bool {
        Watch::wants_after_attention(self)
    }

    fn see<'a>(&'a mut self, seen: Seen<'a>) -> LocalBoxFuture<'a, ControlFlow<()>> {
        Watch::see(self, seen).boxed_local()
    }
}
