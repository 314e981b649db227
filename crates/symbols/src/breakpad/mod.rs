//! Breakpad `.sym` files: `FUNC`, `INLINE` and `PUBLIC` records, `STACK CFI`, `STACK WIN`.
//!
//! Format: Breakpad, `docs/symbol_files.md`. Parsed by `breakpad-symbols`: the file without the bodies
//! of functions at once, and a body (`bodies.rs`) when its function is asked for.

mod bodies;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use breakpad_symbols::{FrameSymbolizer, FrameWalker, SymbolError, SymbolFile};
use debugid::{CodeId, DebugId};
use minidump_common::traits::Module;

use self::bodies::Bodies;
use crate::file::MappedFile;
use crate::symbols::{SourceFrame, Symbolication};

/// Larger `.sym` files are refused: a part of them is held in memory, parsed, at some multiple.
const MAX_SYM_BYTES: usize = 2 << 30;
/// The `MODULE` line must end within this.
const MAX_MODULE_LINE_BYTES: usize = 4096;

/// A parsed `.sym` file.
pub struct BreakpadSymbols {
    /// Without bodies of functions, if there are `bodies`.
    file: SymbolFile,
    bodies: Option<Bodies>,
}

/// Why a `.sym` file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BreakpadError {
    #[error("{0}")]
    Parse(#[from] SymbolError),
    #[error("a .sym file of {size_bytes} bytes is refused, expected at most {MAX_SYM_BYTES}")]
    Size { size_bytes: usize },
}

impl BreakpadSymbols {
    pub(crate) fn parse(file: &Arc<MappedFile>) -> Result<Self, BreakpadError> {
        if file.len() > MAX_SYM_BYTES {
            return Err(BreakpadError::Size { size_bytes: file.len() });
        }
        let (bodies, mut head) = Bodies::split(file);
        // breakpad-symbols takes a last line without its end for a cut file.
        if !head.ends_with(b"\n") {
            head.push(b'\n');
        }
        let file = SymbolFile::parse(&head[..], |_| ())?;
        Ok(Self { file, bodies: Some(bodies) })
    }

    pub(crate) fn file(&self) -> &SymbolFile {
        &self.file
    }

    pub(crate) fn from_file(file: SymbolFile) -> Self {
        Self { file, bodies: None }
    }

    /// Fills a frame, inline frames from outside to inside; nothing when no record covers the
    /// frame's instruction.
    pub fn fill_symbol(&self, module: &dyn Module, frame: &mut dyn FrameSymbolizer) {
        let rva = frame.get_instruction().checked_sub(module.base_address());
        let function = rva.and_then(|rva| self.file.functions.get(rva));
        let body = function.zip(self.bodies.as_ref()).and_then(|(function, bodies)| {
            bodies.of(&self.file, function.address, function.size.into())
        });
        match body {
            Some(body) => {
                let parameters = self.parameter_bytes(rva.unwrap_or(0));
                body.fill_symbol(module, &mut WithParameters { frame, parameters });
            }
            None => self.file.fill_symbol(module, frame),
        }
    }

    /// What `STACK WIN` says of a function's parameters, which counts more than its own record.
    fn parameter_bytes(&self, rva: u64) -> Option<u32> {
        let data = self.file.win_stack_framedata_info.get(rva);
        let found = data.or_else(|| self.file.win_stack_fpo_info.get(rva));
        found.map(|record| record.parameter_size)
    }

    /// Recovers the caller's registers by `STACK CFI` or `STACK WIN`.
    pub fn walk_frame(&self, module: &dyn Module, walker: &mut dyn FrameWalker) -> Option<()> {
        self.file.walk_frame(module, walker)
    }

    /// Whether it names functions, not only call frame information.
    pub(crate) fn has_functions(&self) -> bool {
        self.file.functions.ranges_values().next().is_some() || !self.file.publics.is_empty()
    }

    /// Symbolicates the address `rva` bytes above the module's base.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        let mut collector = Collector { instruction: rva, found: Symbolication::default() };
        self.fill_symbol(&AtZero, &mut collector);
        let mut found = collector.found;
        // They came from outside to inside.
        found.frames.reverse();
        found
    }
}

/// Passes on what is told of a frame, with another number of bytes of parameters.
struct WithParameters<'f> {
    frame: &'f mut dyn FrameSymbolizer,
    parameters: Option<u32>,
}

impl FrameSymbolizer for WithParameters<'_> {
    fn get_instruction(&self) -> u64 {
        self.frame.get_instruction()
    }

    fn set_function(&mut self, name: &str, base: u64, parameter_size: u32) {
        self.frame.set_function(name, base, self.parameters.unwrap_or(parameter_size));
    }

    fn set_source_file(&mut self, file: &str, line: u32, base: u64) {
        self.frame.set_source_file(file, line, base);
    }

    fn add_inline_frame(&mut self, name: &str, file: Option<&str>, line: Option<u32>) {
        self.frame.add_inline_frame(name, file, line);
    }
}

/// Collects what `fill_symbol` tells, outermost frame first.
struct Collector {
    instruction: u64,
    found: Symbolication,
}

impl FrameSymbolizer for Collector {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }

    fn set_function(&mut self, name: &str, base: u64, parameter_size: u32) {
        self.found.function_rva = Some(base);
        self.found.parameter_bytes = parameter_size;
        self.found
            .frames
            .push(SourceFrame { function: Some(name.to_owned()), ..SourceFrame::default() });
    }

    fn set_source_file(&mut self, file: &str, line: u32, _base: u64) {
        if let Some(frame) = self.found.frames.first_mut() {
            frame.file = Some(file.to_owned());
            frame.line = Some(line).filter(|line| *line != 0);
        }
    }

    fn add_inline_frame(&mut self, name: &str, file: Option<&str>, line: Option<u32>) {
        self.found.frames.push(SourceFrame {
            function: Some(name.to_owned()),
            file: file.map(str::to_owned),
            line: line.filter(|line| *line != 0),
            is_inline: true,
        });
    }
}

/// A module at address 0: then addresses are relative.
struct AtZero;

impl Module for AtZero {
    fn base_address(&self) -> u64 {
        0
    }
    fn size(&self) -> u64 {
        u64::MAX
    }
    fn code_file(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn code_identifier(&self) -> Option<CodeId> {
        None
    }
    fn debug_file(&self) -> Option<Cow<'_, str>> {
        None
    }
    fn debug_identifier(&self) -> Option<DebugId> {
        None
    }
    fn version(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// Debug id and name after the `MODULE operating-system architecture id name` line. `None`
/// when the bytes are no `.sym` file.
pub(crate) fn read_module_line(bytes: &[u8]) -> Option<(DebugId, String)> {
    let head = bytes.get(..bytes.len().min(MAX_MODULE_LINE_BYTES))?;
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let mut words = line.splitn(5, ' ');
    if words.next() != Some("MODULE") {
        return None;
    }
    let id = words.nth(2)?;
    let name = words.next()?;
    Some((DebugId::from_breakpad(id).ok()?, name.to_owned()))
}

/// What a well-formed tree calls the `.sym` file of a debug file: `.pdb` is replaced.
pub(crate) fn sym_name(debug_name: &str, path: &Path) -> std::path::PathBuf {
    let stem = match debug_name.len().checked_sub(4) {
        Some(at) => match debug_name.split_at_checked(at) {
            Some((stem, suffix)) if suffix.eq_ignore_ascii_case(".pdb") => stem,
            _ => debug_name,
        },
        None => debug_name,
    };
    path.join(format!("{stem}.sym"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_line_gives_id_and_name_with_blanks() {
        let (id, name) = read_module_line(
            b"MODULE windows x86 5A9832E5287241C1838ED98914E9B7FF1 my app.pdb\r\nFUNC",
        )
        .unwrap();
        assert_eq!(id.breakpad().to_string(), "5A9832E5287241C1838ED98914E9B7FF1");
        assert_eq!(name, "my app.pdb");
        assert!(read_module_line(b"MODULE Linux x86_64 nothex name").is_none());
        assert!(read_module_line(b"\x7fELF").is_none());
    }

    #[test]
    fn sym_names_drop_pdb_only() {
        let path = Path::new("t");
        assert_eq!(sym_name("app.PDB", path), Path::new("t/app.sym"));
        assert_eq!(sym_name("libc.so.6", path), Path::new("t/libc.so.6.sym"));
        assert_eq!(sym_name("ü", path), Path::new("t/ü.sym"));
    }
}
