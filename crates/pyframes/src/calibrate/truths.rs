//! What is known beyond doubt of the process that is being calibrated: told by CPython's own
//! functions, and by Python itself, while the thread holds the GIL.

/// Known facts, each about the process at the moment of the calibration. Addresses of 0, and empty
/// lists, are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truths {
    /// `sys.hexversion`.
    pub python_version: u32,
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// `PyThreadState_Get()`.
    pub thread: u64,
    /// `PyInterpreterState_Get()`.
    pub interpreter: u64,
    /// `PyInterpreterState_GetID()`.
    pub interpreter_id: u64,
    /// `pthread_self()`, which `threading.get_ident()` gives.
    pub thread_id: u64,
    /// `gettid()`.
    pub native_thread_id: u64,
    /// `PyInterpreterState_Head()` and what `PyInterpreterState_Next()` gives: all of them and 0, or
    /// the first ones.
    pub interpreters: Vec<u64>,
    /// `PyInterpreterState_ThreadHead()` and what `PyThreadState_Next()` gives: all of them and 0, or
    /// the first ones.
    pub threads: Vec<u64>,
    /// The thread holds the GIL of its interpreter, which has one, and took it itself.
    pub holds_gil: bool,
    /// The type of the exception that is set in the thread.
    pub exception_type: u64,
    /// `types.CodeType`.
    pub code_type: u64,
    /// `str`.
    pub string_type: u64,
    /// `bytes`.
    pub bytes_type: u64,
    /// Some types.
    pub types: Vec<TypeTruth>,
    /// Some strings; better of every kind: ASCII, and of 1, 2 and 4 bytes a character.
    pub strings: Vec<StringTruth>,
    /// Some byte strings of different lengths.
    pub bytes: Vec<BytesTruth>,
    /// Some code objects, of which one has a qualified name other than its name.
    pub codes: Vec<CodeTruth>,
    /// The newest frames of the thread, the newest first.
    pub frames: Vec<FrameTruth>,
}

/// A type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeTruth {
    /// `id()`.
    pub address: u64,
    /// `__name__` of a built-in type.
    pub name: String,
    /// `PyType_GetFlags()`.
    pub flags: u64,
}

/// A string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringTruth {
    /// `id()`.
    pub address: u64,
    /// What it says.
    pub text: String,
}

/// A byte string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BytesTruth {
    /// `id()`.
    pub address: u64,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A code object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeTruth {
    /// `id()`.
    pub address: u64,
    /// `id(co_filename)`.
    pub file: u64,
    /// `id(co_name)`.
    pub name: u64,
    /// `id(co_qualname)`; `None` before 3.11.
    pub qualname: Option<u64>,
    /// `id(co_linetable)`.
    pub line_table: u64,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// Index of the first code unit that is traced, where it is known.
    pub first_traceable: Option<i32>,
}

/// A frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameTruth {
    /// `id(f_code)`.
    pub code: u64,
    /// `f_lasti`.
    pub lasti: i32,
    /// `f_lineno`.
    pub line: Option<u32>,
    /// A generator owns it, which C code resumed.
    pub is_generator: bool,
}
