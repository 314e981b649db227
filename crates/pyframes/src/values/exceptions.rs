//! Exceptions of threads: the one being raised, the one being handled, and what led to them.

use std::collections::HashSet;
use std::rc::Rc;

use super::types::Type;
use super::{Reader, implausible, plausible};
use crate::details::{ChainLink, ChainedException, DetailsOptions, ExceptionDetails, LocalsLimits};
use crate::layout::values::SIZE;
use crate::secrets::Secrets;
use crate::source::Fault;

/// `Py_TPFLAGS_BASE_EXC_SUBCLASS`.
const IS_EXCEPTION_TYPE: u64 = 1 << 30;
/// Generators and coroutines inside of each other, each with an exception that it handles.
const MAX_HANDLED: usize = 256;

/// An exception, as far as it is needed to go on.
struct Found {
    of: Rc<Type>,
    cause: u64,
    context: u64,
}

impl Reader<'_> {
    /// What the thread raises, and what it handles.
    pub(super) fn thread_exceptions(
        &mut self,
        tstate: u64,
        options: &DetailsOptions,
        secrets: &Secrets,
    ) -> (Option<ExceptionDetails>, Option<ExceptionDetails>) {
        let told = Told { options, secrets };
        let pending = self.pending(tstate, &told).unwrap_or_else(|fault| {
            self.note(format!("thread state at {tstate:#x}"), "its pending exception", &fault);
            None
        });
        let handled = self.handled(tstate, &told).unwrap_or_else(|fault| {
            self.note(format!("thread state at {tstate:#x}"), "its handled exception", &fault);
            None
        });
        (pending, handled)
    }

    fn pending(&mut self, tstate: u64, told: &Told<'_>) -> Result<Option<ExceptionDetails>, Fault> {
        let fields = self.layout.exceptions;
        let record = self
            .structure(tstate, &[fields.pending, fields.pending_type.unwrap_or(fields.pending)])?;
        let value = record.get(fields.pending)?;
        let of = fields.pending_type.map(|field| record.get(field)).transpose()?.unwrap_or(0);
        if value != 0 && (of == 0 || self.is_exception(value)) {
            return self.exception(value, told).map(Some);
        }
        if of == 0 {
            return Ok(None);
        }
        // Until 3.11 an exception is made of its type and argument when somebody asks for it.
        let of = self.type_at(of)?;
        let text = if value == 0 { Some(String::new()) } else { self.one_argument(value, told) };
        let type_name = self.full_name(&of);
        Ok(Some(ExceptionDetails { address: 0, type_name, text, chain: Vec::new() }))
    }

    fn handled(&mut self, tstate: u64, told: &Told<'_>) -> Result<Option<ExceptionDetails>, Fault> {
        let fields = self.layout.exceptions;
        let mut item = self.field(tstate, fields.handled)?;
        for _ in 0..MAX_HANDLED {
            if item == 0 {
                return Ok(None);
            }
            let record = self.structure(item, &[fields.item_value, fields.item_previous])?;
            let value = record.get(fields.item_value)?;
            if value != 0 && self.type_of(value)?.built_in() != "NoneType" {
                return self.exception(value, told).map(Some);
            }
            item = record.get(fields.item_previous)?;
        }
        Err(Fault::Limit("max_handled"))
    }

    fn is_exception(&mut self, object: u64) -> bool {
        self.type_of(object).is_ok_and(|of| of.flags & IS_EXCEPTION_TYPE != 0)
    }

    fn exception(&mut self, address: u64, told: &Told<'_>) -> Result<ExceptionDetails, Fault> {
        let found = self.find_exception(address)?;
        let type_name = self.full_name(&found.of);
        let text = self.exception_text(address, &found.of, told);
        let chain = self.chain(address, &found, told);
        Ok(ExceptionDetails { address, type_name, text, chain })
    }

    fn find_exception(&mut self, address: u64) -> Result<Found, Fault> {
        let fields = self.layout.exceptions;
        let of = self.type_of(address)?;
        if of.flags & IS_EXCEPTION_TYPE == 0 {
            let expected = "an exception";
            return Err(implausible("the type of an object", address, of.address, expected));
        }
        let record =
            self.structure(address, &[fields.cause, fields.context, fields.suppress_context])?;
        let is_suppressed = record.get(fields.suppress_context)? != 0;
        let context = if is_suppressed { 0 } else { record.get(fields.context)? };
        Ok(Found { of, cause: record.get(fields.cause)?, context })
    }

    /// Causes before contexts, as tracebacks tell them.
    fn chain(&mut self, address: u64, first: &Found, told: &Told<'_>) -> Vec<ChainedException> {
        let mut chain = Vec::new();
        let mut met = HashSet::from([address]);
        let (mut cause, mut context) = (first.cause, first.context);
        loop {
            let (link, next) = match (cause, context) {
                (0, 0) => break,
                (0, context) => (ChainLink::Context, context),
                (cause, _) => (ChainLink::Cause, cause),
            };
            if !met.insert(next) {
                break;
            }
            if chain.len() >= told.options.max_chain {
                self.note_limit("max_chain");
                break;
            }
            match self.find_exception(next) {
                Ok(found) => {
                    let type_name = self.full_name(&found.of);
                    let text = self.exception_text(next, &found.of, told);
                    chain.push(ChainedException { link, type_name, text });
                    (cause, context) = (found.cause, found.context);
                }
                Err(fault) => {
                    self.note(format!("exception at {next:#x}"), "a cause or context", &fault);
                    break;
                }
            }
        }
        chain
    }

    /// What `BaseException.__str__` and its like say; `None` = an argument is no object of a
    /// built-in type, or cannot be read.
    fn exception_text(&mut self, address: u64, of: &Rc<Type>, told: &Told<'_>) -> Option<String> {
        if self.is_based_on(of, "OSError")
            && let Some(text) = self.os_error_text(address, told)
        {
            return Some(text);
        }
        let args = self.structure(address, &[self.layout.exceptions.args]).ok()?;
        let args = args.get(self.layout.exceptions.args).ok()?;
        if self.type_of(args).ok()?.built_in() != "tuple" {
            return None;
        }
        let size = plausible(self.field(args, SIZE).ok()?)?;
        match size {
            0 => Some(String::new()),
            1 => {
                let items = args.saturating_add(self.layout.tuple_items);
                let item = self.words(items, 1).ok()?.first().copied()?;
                let is_key_error = self.is_based_on(of, "KeyError");
                if is_key_error { self.shown(item, told) } else { self.one_argument(item, told) }
            }
            _ => self.shown(args, told),
        }
    }

    /// `str()` of the only argument.
    fn one_argument(&mut self, argument: u64, told: &Told<'_>) -> Option<String> {
        if self.type_of(argument).ok()?.built_in() == "str" {
            let text = self.text(argument, told.options.max_text).ok()?;
            return Some(if text.is_cut { format!("{}…", text.text) } else { text.text });
        }
        self.shown(argument, told)
    }

    /// `[Errno 2] No such file or directory: 'a'`; `None` when it was not made of a number.
    fn os_error_text(&mut self, address: u64, told: &Told<'_>) -> Option<String> {
        let fields = self.layout.exceptions;
        let wanted = [fields.os_errno, fields.os_strerror, fields.os_filename];
        let record = self.structure(address, &wanted).ok()?;
        let [number, message, file] = wanted.map(|field| record.get(field).unwrap_or(0));
        if number == 0 || message == 0 {
            return None;
        }
        let number = self.one_argument(number, told)?;
        let message = self.one_argument(message, told)?;
        let text = format!("[Errno {number}] {message}");
        if file == 0 || self.type_of(file).ok()?.built_in() == "NoneType" {
            return Some(text);
        }
        Some(format!("{text}: {}", self.shown(file, told)?))
    }

    /// `repr()` of an object of a built-in type.
    fn shown(&mut self, object: u64, told: &Told<'_>) -> Option<String> {
        if self.type_of(object).ok()?.built_in().is_empty() {
            return None;
        }
        let max_characters = told.options.max_text;
        let limits = LocalsLimits { max_depth: 2, max_characters, ..LocalsLimits::default() };
        Some(self.show(object, &limits, told.secrets, max_characters.saturating_mul(4)).text)
    }
}

/// How texts are told.
struct Told<'a> {
    options: &'a DetailsOptions,
    secrets: &'a Secrets,
}
