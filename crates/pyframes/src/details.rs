//! What is read beside threads and frames, and how it is written as JSON.
//!
//! `docs/formats/python-details.md` describes the document. Every key may be absent: what is not
//! known, empty or false is left out. Addresses are hexadecimal strings of 16 digits.

mod hex;

use lastwords_format::streams::python::PythonFrame;
use serde::{Deserialize, Serialize};

/// What stands for a value that is a secret by its name.
pub const REDACTED: &str = "[redacted]";

/// What to read beside threads and frames, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetailsOptions {
    /// Local variables; `None` = none.
    pub locals: Option<LocalsLimits>,
    /// Words in names that make values secrets, beside the built-in ones.
    pub secret_names: Vec<String>,
    /// Kernel thread id, or `pthread_self()`, of the thread whose variables are read first.
    pub first_thread: Option<u64>,
    /// Characters of an exception's text, of the name of a thread and of a task.
    pub max_text: usize,
    /// Exceptions in a chain of causes and contexts.
    pub max_chain: usize,
    /// Tasks of asyncio.
    pub max_tasks: usize,
    /// Frames of a task, and of a greenlet.
    pub max_chain_frames: usize,
    /// Greenlets.
    pub max_greenlets: usize,
    /// Objects of the garbage collector that are looked at to find greenlets.
    pub max_collected_objects: usize,
    /// Objects, and parts of them, that are looked at.
    pub max_reads: usize,
    /// Bytes read from the target, whole pages each time, and looked at.
    pub max_bytes: usize,
}

impl Default for DetailsOptions {
    fn default() -> Self {
        Self {
            locals: None,
            secret_names: Vec::new(),
            first_thread: None,
            max_text: 1_024,
            max_chain: 8,
            max_tasks: 1_000,
            max_chain_frames: 64,
            max_greenlets: 1_000,
            max_collected_objects: 200_000,
            max_reads: 1_000_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How much of local variables is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalsLimits {
    /// Containers inside of each other.
    pub max_depth: usize,
    /// Items of one container.
    pub max_items: usize,
    /// Characters of one text, bytes of a byte string, digits of a number.
    pub max_characters: usize,
    /// Bytes of all values of one frame.
    pub max_frame_bytes: usize,
    /// Bytes of all values.
    pub max_total_bytes: usize,
}

impl Default for LocalsLimits {
    fn default() -> Self {
        Self {
            max_depth: 3,
            max_items: 10,
            max_characters: 200,
            max_frame_bytes: 4 * 1024,
            max_total_bytes: 256 * 1024,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// All that was read beside threads and frames.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PythonDetails {
    /// Those of which something is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<ThreadDetails>,
    /// Local variables by frame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<FrameLocals>,
    /// Tasks of asyncio, of all event loops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// Greenlets of all threads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub greenlets: Vec<Greenlet>,
    /// Names of limits that ended something: fields of [`DetailsOptions`] and [`LocalsLimits`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

impl PythonDetails {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every text that may hold anything the program knows, for scrubbing: names of threads and
    /// tasks, texts of exceptions, values.
    pub fn for_each_text(&mut self, mut change: impl FnMut(&mut String)) {
        for thread in &mut self.threads {
            thread.name.iter_mut().for_each(&mut change);
            for exception in thread.pending.iter_mut().chain(&mut thread.handled) {
                exception.text.iter_mut().for_each(&mut change);
                let chain = exception.chain.iter_mut();
                chain.filter_map(|link| link.text.as_mut()).for_each(&mut change);
            }
        }
        for task in &mut self.tasks {
            task.name.iter_mut().for_each(&mut change);
            let waits_for = task.waits_for.iter_mut();
            waits_for.filter_map(|other| other.name.as_mut()).for_each(&mut change);
        }
        let variables = self.locals.iter_mut().flat_map(|frame| &mut frame.variables);
        variables.for_each(|variable| change(&mut variable.value));
    }

    /// Every file name, for scrubbing.
    pub fn for_each_file(&mut self, mut change: impl FnMut(&mut String)) {
        let of_tasks = self.tasks.iter_mut().flat_map(|task| &mut task.frames);
        let of_greenlets = self.greenlets.iter_mut().flat_map(|greenlet| &mut greenlet.frames);
        let frames = of_tasks.chain(of_greenlets);
        frames.filter_map(|frame| frame.file.as_mut()).for_each(&mut change);
    }
}

/// What is known of one thread state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadDetails {
    /// Address of the thread state, as in the Python stream.
    #[serde(with = "hex::address")]
    pub tstate: u64,
    /// The name that `threading` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The exception that is being raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<ExceptionDetails>,
    /// The exception that an `except` or `finally` block handles, the innermost of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled: Option<ExceptionDetails>,
    /// Frames on the thread's stack that belong to generators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generators: Vec<GeneratorOfFrame>,
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExceptionDetails {
    /// Address; 0 where only the type is known (until 3.11).
    #[serde(with = "hex::address")]
    pub address: u64,
    /// Module and qualified name of its type; built-in types have no module.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What `str()` gives for exceptions of built-in types; `None` = not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its cause or context, theirs, and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<ChainedException>,
}

/// An exception that led to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainedException {
    /// How.
    pub link: ChainLink,
    /// As in [`ExceptionDetails`].
    #[serde(rename = "type")]
    pub type_name: String,
    /// As in [`ExceptionDetails`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How an exception led to the one before it in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainLink {
    /// `raise … from` it.
    Cause,
    /// It was being handled.
    Context,
}

/// The generator that owns a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorOfFrame {
    /// Address of the frame, as in the Python stream.
    #[serde(with = "hex::address")]
    pub frame: u64,
    /// Address of the generator object.
    #[serde(with = "hex::address")]
    pub object: u64,
    /// What it is.
    pub kind: GeneratorKind,
}

/// What a generator-like object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorKind {
    /// Of a function with `yield`.
    Generator,
    /// Of `async def`.
    Coroutine,
    /// Of `async def` with `yield`.
    AsyncGenerator,
}

/// Local variables of one frame.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameLocals {
    /// Address of the frame, as in the Python stream.
    #[serde(with = "hex::address")]
    pub frame: u64,
    /// In the order of the code object; those without a value are left out.
    pub variables: Vec<Variable>,
    /// Whether a limit left some out.
    #[serde(skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

/// A local variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VariableKind,
    /// Its value, in the form of `repr()` for objects of built-in types; [`REDACTED`] when the
    /// name says that it is a secret.
    pub value: String,
    /// Whether it, or a part of it, was left out as a secret.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_redacted: bool,
}

/// What a local variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// A parameter of the function.
    Argument,
    /// Another variable of the function alone.
    Local,
    /// One that functions inside of it use too.
    Cell,
    /// One of a function around it.
    Free,
}

/// A task of asyncio.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Address of the task.
    #[serde(with = "hex::address")]
    pub address: u64,
    /// `get_name()`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What became of it.
    pub state: TaskState,
    /// Address of its event loop.
    #[serde(rename = "loop", with = "hex::address")]
    pub event_loop: u64,
    /// Whether its event loop runs it just now.
    #[serde(skip_serializing_if = "is_false")]
    pub is_current: bool,
    /// Address of the thread state that runs it just now.
    #[serde(with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub running_on: Option<u64>,
    /// Address of its coroutine.
    #[serde(with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub coroutine: Option<u64>,
    /// The coroutines that it waits in, innermost first; of a running task, those on the stack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<ChainFrame>,
    /// Whether a limit left frames out.
    #[serde(skip_serializing_if = "is_false")]
    pub is_cut: bool,
    /// The future or task that wakes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Awaited>,
    /// Addresses of the tasks that wait for this one.
    #[serde(with = "hex::list", skip_serializing_if = "Vec::is_empty")]
    pub awaited_by: Vec<u64>,
}

/// `fut_state` of a task or future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It has not ended.
    Pending,
    /// It was cancelled.
    Cancelled,
    /// It has a result or an exception.
    Finished,
    /// It could not be read.
    #[default]
    Unknown,
}

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Awaited {
    /// Address of the object.
    #[serde(with = "hex::address")]
    pub address: u64,
    /// Module and qualified name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Of a task: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A greenlet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Greenlet {
    /// Address of the object.
    #[serde(with = "hex::address")]
    pub address: u64,
    /// Module and qualified name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whether another greenlet runs in its place; its frames are known then.
    pub is_suspended: bool,
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<ChainFrame>,
    /// Whether a limit or an error left frames out.
    #[serde(skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

/// A frame of a task or of a greenlet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChainFrame {
    /// Address of the frame.
    #[serde(with = "hex::address")]
    pub frame: u64,
    /// Address of the generator object that owns it.
    #[serde(with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub object: Option<u64>,
    /// What that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<GeneratorKind>,
    /// `co_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `co_qualname` (3.11 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualname: Option<String>,
    /// `co_filename`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// 1-based (3.11 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// 0-based, in UTF-8 bytes (3.11 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
    /// Whether something of it could not be read.
    #[serde(skip_serializing_if = "is_false")]
    pub is_partial: bool,
}

impl From<PythonFrame> for ChainFrame {
    fn from(frame: PythonFrame) -> Self {
        Self {
            frame: frame.frame,
            object: None,
            kind: None,
            name: frame.name,
            qualname: frame.qualname,
            file: frame.file,
            line: frame.line,
            end_line: frame.end_line,
            column: frame.column,
            end_column: frame.end_column,
            is_partial: frame.is_partial,
        }
    }
}
