//! The stream `LastwordsPython` (0x4C570001), written from its offset table.

/// Python frame of a test: name, line, anchor. Its address is 0x1000, and 0x100 for each line.
#[derive(Debug, Clone)]
pub struct PythonFrame {
    /// `co_name` and `co_qualname`.
    pub name: &'static str,
    /// 1-based line; 0 = not known.
    pub line: u32,
    /// Address on the C stack; 0 = not known.
    pub anchor: u64,
}

/// A `PyThreadState` of a test.
#[derive(Debug, Clone, Default)]
pub struct PythonThread {
    /// Address of the thread state.
    pub tstate: u64,
    /// Interpreter.
    pub interpreter_id: u64,
    /// `pthread_self()`; 0 = not known.
    pub thread_id: u64,
    /// Kernel thread id; 0 = not known.
    pub native_thread_id: u64,
    /// Whether it holds the GIL.
    pub holds_gil: bool,
    /// Type name of its pending exception.
    pub exception_type: Option<&'static str>,
    /// Newest first.
    pub frames: Vec<PythonFrame>,
}

/// What the stream says.
#[derive(Debug, Clone, Default)]
pub struct PythonProcess {
    /// `PY_VERSION_HEX`.
    pub version: u32,
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// The threads.
    pub threads: Vec<PythonThread>,
}

const FILE: &str = "/app/model.py";
const NOT_KNOWN: u32 = u32::MAX;

#[derive(Default)]
struct Strings(Vec<String>);

impl Strings {
    fn id(&mut self, text: &str) -> u32 {
        let known = self.0.iter().position(|known| known == text);
        let index = known.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        u32::try_from(index).unwrap_or(NOT_KNOWN)
    }
}

impl PythonProcess {
    /// The bytes of the stream.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut strings = Strings::default();
        let (mut threads, mut frames) = (Vec::new(), Vec::new());
        let mut first = 0_u32;
        for thread in &self.threads {
            let count = u32::try_from(thread.frames.len()).unwrap_or(0);
            threads.extend(thread.bytes(first, count, &mut strings));
            first += count;
            for frame in &thread.frames {
                frames.extend(frame.bytes(&mut strings));
            }
        }
        let mut out = b"LWPY".to_vec();
        out.extend(1_u16.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        let strings = strings.0;
        let counts = [self.threads.len(), usize::try_from(first).unwrap_or(0), strings.len()];
        out.extend(self.version.to_le_bytes());
        for count in counts {
            out.extend(u32::try_from(count).unwrap_or(0).to_le_bytes());
        }
        out.extend(self.runtime_address.to_le_bytes());
        out.extend([0; 16]); // gil_holder, gil_address
        out.extend(threads);
        out.extend(frames);
        for text in strings {
            out.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out
    }
}

impl PythonThread {
    fn bytes(&self, first: u32, count: u32, strings: &mut Strings) -> Vec<u8> {
        let mut out = Vec::new();
        for value in [self.tstate, self.interpreter_id, self.thread_id, self.native_thread_id] {
            out.extend(value.to_le_bytes());
        }
        let exception = self.exception_type.map_or(NOT_KNOWN, |name| strings.id(name));
        for value in [first, count, exception, u32::from(self.holds_gil)] {
            out.extend(value.to_le_bytes());
        }
        out.extend([0; 8]);
        out
    }
}

impl PythonFrame {
    fn bytes(&self, strings: &mut Strings) -> Vec<u8> {
        let mut out = Vec::new();
        let address = 0x1000 + 0x100 * u64::from(self.line);
        for value in [address, 0x2000, self.anchor] {
            out.extend(value.to_le_bytes());
        }
        let name = strings.id(self.name);
        for value in [name, name, strings.id(FILE), 0, self.line, self.line, 4, NOT_KNOWN] {
            out.extend(value.to_le_bytes());
        }
        out.extend([0; 4]); // owner, flags, reserved
        out
    }
}
