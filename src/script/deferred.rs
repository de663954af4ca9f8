//! Clean-ups that a script registered with `defer`, kept until the testcase has ended.
#![expect(deprecated, reason = "rhai calls these volatile, not deprecated; its version is pinned")]

use super::failure::Raised;
use rhai::{Dynamic, Engine, FnPtr, NativeCallContext, NativeCallContextStore};

/// A closure, with what it can see: the functions and imports of the place that registered it.
pub struct Deferred {
    body: FnPtr,
    from: NativeCallContextStore,
}

impl Deferred {
    pub fn new(call: &NativeCallContext, body: FnPtr) -> Deferred {
        let mut from = call.store_data();
        // It runs when all calls have ended: however deep it was registered, it is not deep itself.
        from.global.level = 0;
        Deferred { body, from }
    }

    /// Where it was registered.
    pub fn place(&self) -> crate::event::Place {
        super::failure::place(self.from.global.source().unwrap_or_default(), self.from.pos)
    }

    /// # Errors
    /// What the clean-up threw.
    pub fn call(&self, engine: &Engine) -> Raised<()> {
        let context = self.from.create_context(engine);
        self.body.call_within_context::<Dynamic>(&context, ()).map(|_| ())
    }
}
