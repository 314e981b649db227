//! Which native frames belong to the Python interpreter's own machinery.

use minidump::{MinidumpModule, MinidumpModuleList, Module};
use minidump_unwind::{FrameTrust, StackFrame};

/// The evaluation loop under its names: since CPython 3.6, and 3.14's tail-call form. Functions
/// without `Default`, which may be inlined anywhere, only lead to it.
const EVALUATION: &[&str] = &["_PyEval_EvalFrameDefault", "_TAIL_CALL_"];

/// Functions that only carry a call from Python to C or back. A name matches when it starts
/// with one of these. What does something of its own (`list_extend`, `slot_tp_call`,
/// `builtin___build_class__`, `thread_run`) is no plumbing.
const PLUMBING: &[&str] = &[
    "PyCFunction_Call",
    "PyEval_CallObject",
    "PyObject_Call",
    "PyObject_Vectorcall",
    "PyVectorcall_Call",
    "_PyCFunction_",
    "_PyEval_EvalFrame",
    "_PyEval_Vector",
    "_PyFunction_",
    "_PyMethodDescr_Vectorcall",
    "_PyMethodDef_",
    "_PyObject_Call",
    "_PyObject_FastCall",
    "_PyObject_MakeTpCall",
    "_PyObject_Vectorcall",
    "_PyStack_",
    "_PyVectorcall_",
    "call_function",
    "callmethod",
    "cfunction_",
    "do_call_core",
    "function_code_fastcall",
    "method_vectorcall",
    "object_vacall",
    "trace_call_function",
    "type_call",
    "vectorcall_",
];

/// Base address and size tell modules apart; names do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interpreter {
    module_base: Option<u64>,
}

impl Interpreter {
    /// The module that holds `_PyRuntime` (0 = not known).
    pub(crate) fn find(modules: &MinidumpModuleList, runtime_address: u64) -> Self {
        let module = Some(runtime_address)
            .filter(|address| *address != 0)
            .and_then(|address| modules.module_at_address(address));
        Self { module_base: module.map(MinidumpModule::base_address) }
    }

    fn holds(self, frame: &StackFrame) -> bool {
        let base = frame.module.as_ref().map(MinidumpModule::base_address);
        base.is_some() && base == self.module_base
    }

    /// Whether a frame that holds an anchor is the evaluation frame that owns it.
    ///
    /// In the interpreter's module it is, if its extent is exact, whatever its name says
    /// (names of stripped modules are those of the nearest exported function). Otherwise only
    /// the name tells.
    pub(crate) fn is_evaluation(self, frame: &StackFrame, caller: Option<&StackFrame>) -> bool {
        let is_exact = caller.is_some_and(|caller| is_exact(caller.trust));
        (is_exact && self.holds(frame)) || is_evaluation_by_name(frame)
    }

    /// Whether a frame only carries a call between Python and C.
    pub(crate) fn is_plumbing(self, frame: &StackFrame) -> bool {
        let name = frame.function_name.as_deref();
        self.holds(frame) && name.is_some_and(|name| has_prefix(name, PLUMBING))
    }
}

/// Whether a frame follows from rules, not from a guess.
pub(crate) fn is_exact(trust: FrameTrust) -> bool {
    match trust {
        FrameTrust::Context | FrameTrust::PreWalked | FrameTrust::CallFrameInfo => true,
        FrameTrust::FramePointer | FrameTrust::CfiScan | FrameTrust::Scan | FrameTrust::None => {
            false
        }
    }
}

/// Whether a frame runs the evaluation loop, by its own name or that of what is inlined in it.
pub(crate) fn is_evaluation_by_name(frame: &StackFrame) -> bool {
    names_of(frame).any(|name| has_prefix(name, EVALUATION))
}

fn names_of(frame: &StackFrame) -> impl Iterator<Item = &str> {
    let inlined = frame.inlines.iter().map(|inline| inline.function_name.as_str());
    inlined.chain(frame.function_name.as_deref())
}

fn has_prefix(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
