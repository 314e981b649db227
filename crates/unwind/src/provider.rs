//! What minidump-unwind asks: the caller's registers, and the names of addresses.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lastwords_symbols::{
    ModuleId, ModuleStatus, ModuleSymbols, SourceProblem, Sources, Symbolication, Symbols,
};
use minidump::Module;
use minidump_unwind::{
    FileError, FileKind, FillSymbolError, FrameSymbolizer, FrameWalker, SymbolProvider,
};

use crate::cfi::ModuleCfi;
use crate::interrupted::{Callee, Interrupted, RegisterOf, WordAt, interrupted};
use crate::registers::Registers;
use crate::row;

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
    modules: Mutex<HashMap<ModuleId, Arc<LoadedModule>>>,
}

/// A module's symbols, and the files that unwind it, best first.
struct LoadedModule {
    symbols: Arc<ModuleSymbols>,
    cfi: Vec<ModuleCfi>,
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

    /// Whether the frame that runs at `address` is the oldest of its stack, by its own rule.
    pub fn is_outermost(&self, module: &dyn Module, address: u64) -> bool {
        let loaded = self.load(module);
        let rules = loaded.rules(module, address);
        rules.is_some_and(|(rules, _)| row::is_outermost(&rules))
    }

    fn load(&self, module: &dyn Module) -> Arc<LoadedModule> {
        let id = ModuleId::from(module);
        let lock = || self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = lock().get(&id) {
            return loaded.clone();
        }
        let loaded = Arc::new(LoadedModule::new(self.symbols.module(&id)));
        lock().entry(id).or_insert(loaded).clone()
    }
}

impl LoadedModule {
    fn new(symbols: Arc<ModuleSymbols>) -> Self {
        let images = symbols.elf().map(|elf| [elf.code().cloned(), elf.debug().cloned()]);
        let images = images.into_iter().flatten().flatten();
        let cfi = images.filter(|image| image.has_cfi());
        let cfi = cfi.map(|image| ModuleCfi::new(image.image().clone())).collect();
        Self { symbols, cfi }
    }

    /// The rules of the first file that has some.
    fn rules(
        &self,
        module: &dyn Module,
        address: u64,
    ) -> Option<(crate::cfi::FrameRules<'_>, Registers)> {
        let rva = address.checked_sub(module.base_address())?;
        self.cfi.iter().find_map(|cfi| {
            let rules = cfi.rules(cfi.image().image_base().checked_add(rva)?)?;
            Some((rules, Registers::of(cfi.image().architecture())))
        })
    }

    fn walk(&self, module: &dyn Module, walker: &mut (dyn FrameWalker + Send)) -> Option<()> {
        let rva = walker.get_instruction().checked_sub(module.base_address())?;
        for cfi in &self.cfi {
            let address = cfi.image().image_base().checked_add(rva)?;
            let Some(rules) = cfi.rules(address) else { continue };
            let registers = Registers::of(cfi.image().architecture());
            if let Some(caller) = row::evaluate(&rules, registers, walker) {
                return caller.write(walker);
            }
        }
        self.symbols.breakpad()?.walk_frame(module, walker)
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
        self.cfi.iter().any(|cfi| {
            let address = cfi.image().image_base().checked_add(rva);
            address.is_some_and(|address| cfi.is_signal_trampoline(address))
        })
    }

    /// Whether an address without a name cannot be code. Where nothing is known, it can.
    fn is_not_code(&self, rva: u64) -> bool {
        let elf = self.symbols.elf();
        let images = elf.map(|elf| [elf.code(), elf.debug()]).into_iter().flatten().flatten();
        for image in images {
            let address = image.image_base().checked_add(rva);
            if !address.is_some_and(|address| image.is_executable(address)) {
                return true;
            }
        }
        if self.cfi.is_empty() {
            return self.symbols.has_full_symbols();
        }
        !self.cfi.iter().any(|cfi| {
            let address = cfi.image().image_base().checked_add(rva);
            address.is_some_and(|address| cfi.covers(address))
        })
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
