//! Where an interpreter's GIL lies, and who holds it.

use crate::layout::Gil;
use crate::source::{Fault, Source};

/// A GIL that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GilState {
    /// Address of `struct _gil_runtime_state`.
    pub address: u64,
    /// The thread state that holds it; `None` = nobody.
    pub holder: Option<u64>,
}

/// The GIL of the interpreter state at `interpreter`; `None` when it runs without one.
///
/// # Errors
/// [`Fault`] when it cannot be read. Nothing comes back for versions that have one GIL for all
/// interpreters.
pub(crate) fn of_interpreter(
    source: &mut Source<'_>,
    layout: &Gil,
    interpreter: u64,
) -> Result<Option<GilState>, Fault> {
    let Gil::Interpreter { gil, last_holder, locked, enabled } = *layout else { return Ok(None) };
    let address = source.record(interpreter, &[gil])?.get(gil)?;
    let record = source.record(address, &[last_holder, locked, enabled.unwrap_or(locked)])?;
    let is_enabled = match enabled {
        Some(field) => record.get_i32(field)? != 0,
        None => true,
    };
    let is_locked = record.get_i32(locked)? == 1;
    let holder = Some(record.get(last_holder)?).filter(|holder| is_locked && *holder != 0);
    Ok(is_enabled.then_some(GilState { address, holder }))
}
