//! What minidump-unwind asks: the caller's registers, and the names of addresses.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use lastwords_symbols::{
    Answer, Architecture, ElfImage, ModuleId, ModuleStatus, ModuleSymbols, Question, SourceProblem,
    Sources, Symbolication, Symbols,
};
use minidump::Module;
use minidump_unwind::{
    FileError, FileKind, FillSymbolError, FrameSymbolizer, FrameWalker, SymbolProvider,
};

use crate::cfi::ModuleCfi;
use crate::interrupted::{Callee, Interrupted, RegisterOf, WordAt, interrupted};
use crate::registers::Registers;
use crate::row;
use crate::rules::{FileRules, FrameRules};

/// Symbols and call frame information of a dump's modules, for `minidump_unwind::walk_stack`
/// and `minidump_processor`.
///
/// Files are found and opened when a frame first lies in their module. Whatever is missing or
/// malformed only makes stacks poorer; ask [`Provider::module_status`] afterwards.
///
/// A frame that was interrupted by a signal gets the exact `instruction`; its `resume_address`
/// and instruction register are as much above it as they are for a call (1 byte on x86), which
/// is how minidump-unwind steps back.
pub struct Provider {
    symbols: Symbols,
    /// By base address: comparing what is at hand is quicker than making an id for every frame.
    modules: Mutex<HashMap<u64, KnownModule>>,
}

/// A module that was asked for.
struct KnownModule {
    size_bytes: u64,
    id: ModuleId,
    loaded: Arc<LoadedModule>,
}

impl KnownModule {
    fn is(&self, module: &dyn Module) -> bool {
        self.size_bytes == module.size()
            && self.id.code_file == module.code_file()
            && self.id.debug_id == module.debug_identifier().filter(|id| !id.is_nil())
    }
}

/// A module's symbols, and the files that unwind it, best first.
struct LoadedModule {
    symbols: Arc<ModuleSymbols>,
    /// Architectures of these files.
    kinds: OnceLock<Vec<Architecture>>,
    /// Opened by the first question that is not answered yet.
    cfi: OnceLock<Vec<ModuleCfi>>,
}

impl Provider {
    /// Opens nothing yet.
    pub fn new(sources: Sources) -> Self {
        Self { symbols: Symbols::new(sources), modules: Mutex::default() }
    }

    /// Where a module's symbols came from, or why there are none;
    /// [`ModuleStatus::NotRequested`] for modules without frames.
    pub fn module_status(&self, module: &dyn Module) -> ModuleStatus {
        self.symbols.module_status(&ModuleId::from(module))
    }

    /// Symbol sources that could not be used, or not wholly.
    pub fn problems(&self) -> Vec<SourceProblem> {
        self.symbols.problems()
    }

    /// Reads what will be needed of a module, for another thread that is going to walk through it.
    pub fn prepare(&self, module: &dyn Module) {
        self.symbols.prepare(&ModuleId::from(module));
    }

    /// Whether the symbol cache seems to have answers about a module.
    pub fn is_kept(&self, module: &dyn Module) -> bool {
        self.symbols.is_kept(&ModuleId::from(module))
    }

    /// Keeps what was learnt in the symbol cache, if there is one. To be called after the last walk.
    pub fn keep(&self) {
        self.symbols.keep();
    }

    /// The symbols behind, for lookups outside of a walk.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The registers that the function at `address` has saved in its frame, which ends at `cfa`:
    /// name and value. `read` gives a word of the stack.
    ///
    /// Empty when no rule is known, or none that needs nothing but the frame's end.
    pub fn saved_registers(
        &self,
        module: &dyn Module,
        address: u64,
        cfa: u64,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Vec<(&'static str, u64)> {
        let loaded = self.load(module);
        let rules = loaded.rules(module, address);
        rules.map_or_else(Vec::new, |(rules, registers)| {
            row::saved_registers(&rules, registers, cfa, read)
        })
    }

    /// Where the thread was when the signal came, if a signal's trampoline is at `address`.
    ///
    /// For handlers on a stack of their own: where that lies above the thread's, minidump-unwind
    /// ends the walk.
    pub fn interrupted(
        &self,
        module: &dyn Module,
        address: u64,
        register: RegisterOf<'_>,
        read: WordAt<'_>,
    ) -> Option<Interrupted> {
        let loaded = self.load(module);
        let (rules, registers) = loaded.rules(module, address)?;
        interrupted(&rules, registers, &Callee { instruction: address, register, read })
    }

    /// Whether the frame that runs at `address` is the oldest of its stack, by its own rule;
    /// `None` when no rule is known.
    pub fn is_outermost(&self, module: &dyn Module, address: u64) -> Option<bool> {
        let rules = self.load(module).rules(module, address);
        rules.map(|(rules, _)| row::is_outermost(&rules))
    }

    fn load(&self, module: &dyn Module) -> Arc<LoadedModule> {
        let lock = || self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let base = module.base_address();
        if let Some(known) = lock().get(&base).filter(|known| known.is(module)) {
            return known.loaded.clone();
        }
        let id = ModuleId::from(module);
        let loaded = Arc::new(LoadedModule::new(self.symbols.module(&id)));
        let known = KnownModule { size_bytes: module.size(), id, loaded: loaded.clone() };
        lock().insert(base, known);
        loaded
    }
}

impl LoadedModule {
    fn new(symbols: Arc<ModuleSymbols>) -> Self {
        Self { symbols, kinds: OnceLock::new(), cfi: OnceLock::new() }
    }

    fn cfi(&self) -> &[ModuleCfi] {
        self.cfi.get_or_init(|| {
            let elf = self.symbols.elf();
            let code = elf.and_then(|elf| elf.code());
            // Most files are both.
            let is_other =
                |image: &&Arc<ElfImage>| code.is_none_or(|code| !Arc::ptr_eq(code, image));
            let debug = elf.and_then(|elf| elf.debug()).filter(is_other);
            let images = [code, debug].into_iter().flatten();
            images.filter(|image| image.has_cfi()).cloned().map(ModuleCfi::new).collect()
        })
    }

    fn kinds(&self) -> &[Architecture] {
        self.kinds.get_or_init(|| {
            let find = || self.cfi().iter().map(|cfi| cfi.image().architecture()).collect();
            self.symbols.ask(Question::CfiFiles, 0, || Architectures(find())).0
        })
    }

    /// What the files say of an address, best first.
    fn rules_at(&self, rva: u64) -> impl Iterator<Item = (FrameRules, Registers)> + '_ {
        let questions = [Question::FirstRules, Question::SecondRules];
        let files = self.kinds().iter().zip(questions).enumerate();
        files.filter_map(move |(index, (architecture, question))| {
            let find = || FileRules(self.cfi().get(index).and_then(|cfi| cfi.rules_at(rva)));
            let rules = self.symbols.ask(question, rva, find).0?;
            Some((rules, Registers::of(*architecture)))
        })
    }

    /// The rules of the first file that has some.
    fn rules(&self, module: &dyn Module, address: u64) -> Option<(FrameRules, Registers)> {
        self.rules_at(address.checked_sub(module.base_address())?).next()
    }

    fn walk(&self, module: &dyn Module, walker: &mut (dyn FrameWalker + Send)) -> Option<()> {
        let rva = walker.get_instruction().checked_sub(module.base_address())?;
        for (rules, registers) in self.rules_at(rva) {
            if let Some(caller) = row::evaluate(&rules, registers, walker) {
                return caller.write(walker);
            }
        }
        self.symbols.stack_records(rva)?.walk_frame(module, walker)
    }

    fn fill(
        &self,
        module: &dyn Module,
        frame: &mut (dyn FrameSymbolizer + Send),
    ) -> Result<(), FillSymbolError> {
        let base = module.base_address();
        let Some(rva) = frame.get_instruction().checked_sub(base) else {
            return Err(FillSymbolError {});
        };
        let found = self.symbolicate(rva);
        if found.function().is_none() && found.frames.is_empty() {
            // "Ok without a name" rejects the address as a return address, "Err" does not.
            return if self.is_not_code(rva) { Ok(()) } else { Err(FillSymbolError {}) };
        }
        write_frames(&found, base, rva, frame);
        Ok(())
    }

    fn symbolicate(&self, rva: u64) -> Arc<Symbolication> {
        let found = self.symbols.lookup(rva);
        // The return address into a signal trampoline is its first byte, so the step back
        // leads before it; its FDE starts there, its symbol does not.
        match rva.checked_add(1) {
            Some(next) if found.function().is_none() && self.is_signal_trampoline(rva) => {
                self.symbols.lookup(next)
            }
            _ => found,
        }
    }

    fn is_signal_trampoline(&self, rva: u64) -> bool {
        let find = || self.cfi().iter().any(|cfi| cfi.is_signal_trampoline_at(rva));
        self.symbols.ask(Question::IsSignalTrampoline, rva, find)
    }

    /// Whether an address without a name cannot be code. Where nothing is known, it can.
    fn is_not_code(&self, rva: u64) -> bool {
        self.symbols.ask(Question::IsNotCode, rva, || self.find_is_not_code(rva))
    }

    fn find_is_not_code(&self, rva: u64) -> bool {
        let elf = self.symbols.elf();
        let images = elf.map(|elf| [elf.code(), elf.debug()]).into_iter().flatten().flatten();
        for image in images {
            let address = image.image_base().checked_add(rva);
            if !address.is_some_and(|address| image.is_executable(address)) {
                return true;
            }
        }
        if self.cfi().is_empty() {
            return self.symbols.has_full_symbols();
        }
        !self.cfi().iter().any(|cfi| cfi.covers_at(rva))
    }
}

/// Instruction sets of the files with call frame information, as the symbol cache keeps them: a
/// byte each.
struct Architectures(Vec<Architecture>);

/// By their numbers in the symbol cache.
const ARCHITECTURES: [Architecture; 4] =
    [Architecture::X86, Architecture::X86_64, Architecture::Arm, Architecture::Aarch64];

impl Answer for Architectures {
    fn encode(&self) -> Option<Vec<u8>> {
        let number = |kind: &Architecture| {
            let index = ARCHITECTURES.iter().position(|known| known == kind)?;
            u8::try_from(index).ok()
        };
        self.0.iter().map(number).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = |number: &u8| ARCHITECTURES.get(usize::from(*number)).copied();
        // A module has a code file and a debug file.
        (bytes.len() <= 2).then(|| bytes.iter().map(kind).collect::<Option<_>>().map(Self))?
    }
}

/// Hands frames over in minidump-unwind's order: the function, then what is inlined in it from
/// outside to inside.
fn write_frames(
    found: &Symbolication,
    base: u64,
    rva: u64,
    frame: &mut (dyn FrameSymbolizer + Send),
) {
    let Some((function, inlined)) = found.frames.split_last() else { return };
    // minidump-processor subtracts the function's start from the frame's instruction, which for a
    // call at the end of the code before (the return address of a signal handler is the first
    // instruction of `__restore_rt`) lies below it.
    let start = base.saturating_add(found.function_rva.unwrap_or(rva));
    let start = start.min(frame.get_instruction());
    if let Some(name) = &function.function {
        frame.set_function(name, start, found.parameter_bytes);
    }
    if let (Some(file), Some(line)) = (&function.file, function.line) {
        frame.set_source_file(file, line, base.saturating_add(rva));
    }
    for inline in inlined.iter().rev() {
        let name = inline.function.as_deref().unwrap_or_default();
        frame.add_inline_frame(name, inline.file.as_deref(), inline.line);
    }
}

#[async_trait]
impl SymbolProvider for Provider {
    async fn fill_symbol(
        &self,
        module: &(dyn Module + Sync),
        frame: &mut (dyn FrameSymbolizer + Send),
    ) -> Result<(), FillSymbolError> {
        self.load(module).fill(module, frame)
    }

    async fn walk_frame(
        &self,
        module: &(dyn Module + Sync),
        walker: &mut (dyn FrameWalker + Send),
    ) -> Option<()> {
        self.load(module).walk(module, walker)
    }

    async fn get_file_path(
        &self,
        module: &(dyn Module + Sync),
        file_kind: FileKind,
    ) -> Result<PathBuf, FileError> {
        let loaded = self.load(module);
        let code = loaded.symbols.elf().and_then(|elf| elf.code());
        match (file_kind, code) {
            (FileKind::Binary, Some(image)) => Ok(image.path().to_owned()),
            _ => Err(FileError::NotFound),
        }
    }
}
