//! Variables of a frame, and types.

use lastwords_debuginfo::{Caller, FrameState, Place, Scope};
use minidump::Module;
use minidump_unwind::StackFrame;
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use super::memory::hex;
use crate::Error;

const MAX_TYPES: usize = 16_384;

/// A frame as debug information asks for it.
struct Frame<'a> {
    debuggee: &'a Debuggee<'a>,
    /// Newest first.
    frames: &'a [StackFrame],
    index: usize,
    base: u64,
}

impl Frame<'_> {
    fn here(&self) -> Option<&StackFrame> {
        self.frames.get(self.index)
    }

    fn next(&self) -> Option<&StackFrame> {
        self.frames.get(self.index.saturating_add(1))
    }
}

impl FrameState for Frame<'_> {
    fn register(&self, name: &str) -> Option<u64> {
        let context = &self.here()?.context;
        if let Some(value) = context.get_register(name) {
            return Some(value);
        }
        let all = super::frames::registers(context);
        all.get(name).and_then(Value::as_u64)
    }

    fn memory(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        self.debuggee.read_exactly(address, size)
    }

    fn cfa(&self) -> Option<u64> {
        self.next().map(|next| next.context.get_stack_pointer())
    }

    fn module_base(&self) -> u64 {
        self.base
    }

    fn caller(&self) -> Option<Caller<'_>> {
        let next = self.next()?;
        let (_, module) = self.debuggee.module_at(next.instruction)?;
        if module.base_address() != self.base {
            return None;
        }
        Some(Caller {
            return_rva: next.resume_address.checked_sub(self.base)?,
            frame: Box::new(Frame {
                debuggee: self.debuggee,
                frames: self.frames,
                index: self.index.saturating_add(1),
                base: self.base,
            }),
        })
    }
}

impl Debuggee<'_> {
    pub(super) fn variables(
        &self,
        thread: usize,
        own_context: bool,
        frame: usize,
    ) -> Result<Value, Error> {
        let stack = self.walked(thread, own_context)?;
        let count = stack.frames.len();
        let here = stack.frames.get(frame).ok_or_else(|| Error::Request {
            reason: format!("there is no native frame {frame}; the thread has {count}"),
        })?;
        let Some((index, module)) = self.module_at(here.instruction) else {
            return Ok(json!({"scopes": [], "module": null}));
        };
        let base = module.base_address();
        let state = Frame { debuggee: self, frames: &stack.frames, index: frame, base };
        let rva = here.instruction.saturating_sub(module.base_address());
        let info = self.info(index);
        let scopes = info.variables(rva, &state);
        let scopes: Vec<Value> = scopes.iter().map(|scope| scope_json(scope, state.base)).collect();
        Ok(json!({"scopes": scopes, "module": index, "notes": info.notes()}))
    }

    pub(super) fn types(&self, module: usize, pattern: &str, max: usize) -> Result<Value, Error> {
        self.module(module)?;
        let info = self.info(module);
        let (types, is_cut) = info.types_like(pattern, max.min(MAX_TYPES));
        Ok(json!({"types": types, "is_cut": is_cut, "notes": info.notes()}))
    }

    pub(super) fn one_type(&self, module: usize, id: u64) -> Result<Value, Error> {
        self.module(module)?;
        Ok(json!(self.info(module).describe(id)))
    }

    pub(super) fn type_of(&self, module: usize, name: &str) -> Result<Value, Error> {
        let base = self.module(module)?.base_address();
        let found = self.info(module).global(name);
        Ok(json!(found.map(|(rva, id)| json!({"address": base.saturating_add(rva), "type": id}))))
    }
}

fn scope_json(scope: &Scope, base: u64) -> Value {
    let variables: Vec<Value> = scope
        .variables
        .iter()
        .map(|variable| {
            json!({
                "name": variable.name,
                "is_parameter": variable.is_parameter,
                "type": variable.type_id,
                "place": place_json(&variable.place),
                "where": variable.whereabouts,
            })
        })
        .collect();
    json!({
        "function": scope.function,
        "is_inline": scope.is_inline,
        "start": scope.start_rva.map(|rva| base.saturating_add(rva)),
        "variables": variables,
    })
}

fn place_json(place: &Place) -> Value {
    match place {
        Place::Address(address) => json!({"address": address}),
        Place::Bytes(bytes) => json!({"bytes": hex(bytes)}),
        Place::Parts(bytes, holes) => json!({"bytes": hex(bytes), "holes": holes}),
        Place::Gone(reason) => json!({"gone": reason}),
    }
}
