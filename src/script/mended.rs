//! Functions of the language's standard library that would hide how a testcase ended, replaced by ones that do not.

use super::failure::{Raised, misuse};
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, FuncRegistration, Module, NativeCallContext};
use std::cmp::Ordering;

/// What stands before the standard library.
///
/// Its `sort` takes an error in the closure for "equal", so that a failure there is lost. Its `exit` ends the whole script at once
/// and well, so that a testcase passes.
pub fn module() -> Module {
    let sort = |call: NativeCallContext, list: &mut Array, compare: FnPtr| sorted(&call, list, &compare);
    let mut module = Module::new();
    for name in ["sort", "sort_by"] {
        FuncRegistration::new(name).in_global_namespace().set_into_module(&mut module, sort);
    }
    FuncRegistration::new("exit").set_into_module(&mut module, || -> Raised<Dynamic> { Err(no_exit()) });
    FuncRegistration::new("exit").set_into_module(&mut module, |_: Dynamic| -> Raised<Dynamic> { Err(no_exit()) });
    module
}

fn no_exit() -> Box<EvalAltResult> {
    misuse("a testcase cannot `exit`", Some("`return` leaves a function; fail, error and skip end the testcase".into()))
}

/// A merge sort of our own, as that of the standard library cannot be left early and may panic on an order that is none.
fn sorted(call: &NativeCallContext, list: &mut Array, compare: &FnPtr) -> Raised<()> {
    let order = |a: &Dynamic, b: &Dynamic| -> Raised<Ordering> {
        let value = compare.call_within_context::<Dynamic>(call, (a.clone(), b.clone()))?;
        let before = |is_before| if is_before { -1 } else { 1 };
        let number = value.as_int().or_else(|_| value.as_bool().map(before)).map_err(|_| {
            let shown = super::show::value(&value, 60);
            misuse(format!("the closure of `sort` gave {shown}, expected a whole number or true for \"comes first\""), None)
        })?;
        Ok(number.cmp(&0))
    };
    // Only a whole result replaces the list.
    let mut from = list.clone();
    let mut width = 1;
    while width < from.len() {
        let mut to = Array::with_capacity(from.len());
        for pair in from.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
                if order(a, b)? == Ordering::Greater {
                    to.push(b.clone());
                    right = right_rest;
                } else {
                    to.push(a.clone());
                    left = left_rest;
                }
            }
            to.extend_from_slice(left);
            to.extend_from_slice(right);
        }
        from = to;
        width *= 2;
    }
    *list = from;
    Ok(())
}
