//! What a sequence asks to be there before its tests.

use super::Preparation;
use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};

/// Makes everything that a sequence asks for, where it is not there already.
///
/// # Errors
/// `Unsupported`, unless it asks for nothing.
pub fn provision(preparation: &Preparation, context: &Context) -> Result<()> {
    context.cancel().check()?;
    if preparation.topology.is_empty() {
        return Ok(());
    }
    let error = Error::new(Kind::Unsupported, "cannot provision yet what the sequence asks for");
    Err(error.blame(Blame::Us).help("prepare the machines by hand and give --noprepare"))
}
