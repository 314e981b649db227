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

use crate::arm_call;
use crate::caller::Caller;
use crate::unwinder::Unwinder;

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

/// A module's symbols, and what unwinds it, best first.
struct LoadedModule {
    symbols: Arc<ModuleSymbols>,
    unwinders: Vec<Unwinder>,
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

    /// The caller of the frame whose instruction lies `rva` bytes above the module's base.
    pub(crate) fn caller(
        &self,
        module: &dyn Module,
        rva: u64,
        walker: &(dyn FrameWalker + Send),
    ) -> Option<Caller> {
        self.load(module).caller(rva, walker)
    }

    /// Where the signal trampoline begins in which `rva` lies, or one call before.
    pub(crate) fn trampoline_at(&self, module: &dyn Module, rva: u64) -> Option<u64> {
        self.load(module).trampoline_at(rva)
    }

    /// Address of the call of 32-bit ARM before a return address.
    pub(crate) fn call_before(
        &self,
        module: Option<&dyn Module>,
        return_address: u64,
    ) -> Option<u64> {
        let loaded = module.map(|module| (module.base_address(), self.load(module)));
        let code_at = |address: u64| {
            let (base, loaded) = loaded.as_ref()?;
            let image = loaded.symbols.images().next()?;
            let address = address.checked_sub(*base)?.checked_add(image.image_base())?;
            image.bytes_at(address, 4).try_into().ok()
        };
        arm_call::before(code_at, return_address)
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
        let unwinders = symbols.images().flat_map(Unwinder::all).collect();
        Self { symbols, unwinders }
    }

    fn walk(&self, module: &dyn Module, walker: &mut (dyn FrameWalker + Send)) -> Option<()> {
        let rva = walker.get_instruction().checked_sub(module.base_address())?;
        if let Some(caller) = self.caller(rva, walker) {
            return caller.write(walker);
        }
        if let Some(record) = self.symbols.pe().and_then(|pe| pe.frame_record(rva))
            && let Some(()) = record.walk_frame(module, walker)
        {
            return Some(());
        }
        self.symbols.breakpad()?.walk_frame(module, walker)
    }

    fn caller(&self, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
        self.unwinders.iter().find_map(|unwinder| unwinder.caller(rva, walker))
    }

    /// Where the signal trampoline begins in which `rva` lies, or one call before.
    fn trampoline_at(&self, rva: u64) -> Option<u64> {
        self.unwinders.iter().find_map(|unwinder| unwinder.trampoline_at(rva))
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
        // The return address into a signal trampoline is its first byte, so the step back leads
        // before it, where another function may end.
        match self.trampoline_at(rva) {
            Some(trampoline) if trampoline != rva => {
                let found = self.symbols.lookup(trampoline);
                if found.function().is_some() { found } else { self.symbols.lookup(rva) }
            }
            _ => self.symbols.lookup(rva),
        }
    }

    /// Whether an address without a name cannot be code. Where nothing is known, it can.
    fn is_not_code(&self, rva: u64) -> bool {
        for image in self.symbols.images() {
            let address = image.image_base().checked_add(rva);
            if !address.is_some_and(|address| image.is_executable(address)) {
                return true;
            }
        }
        let mut complete =
            self.unwinders.iter().filter(|unwinder| unwinder.is_complete()).peekable();
        if complete.peek().is_none() {
            return self.symbols.has_full_symbols();
        }
        !complete.any(|unwinder| unwinder.covers(rva))
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
        match (file_kind, loaded.symbols.images().next()) {
            (FileKind::Binary, Some(image)) => Ok(image.path().to_owned()),
            _ => Err(FileError::NotFound),
        }
    }
}
