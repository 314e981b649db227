//! What minidump-unwind asks: the caller's registers, and the names of addresses.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lastwords_symbols::{ModuleId, ModuleStatus, SourceProblem, Sources, Symbols};
use minidump::Module;
use minidump_unwind::{
    FileError, FileKind, FillSymbolError, FrameSymbolizer, FrameWalker, SymbolProvider,
};

use crate::arm_call;
use crate::interrupted::{Interrupted, RegisterOf, WordAt};
use crate::loaded::LoadedModule;
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

    /// Where the thread was when the signal came, if a signal's trampoline is at `address`: told by
    /// its call frame information, else by its code.
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
        let rva = address.checked_sub(module.base_address())?;
        self.load(module).interrupted(rva, address, register, read)
    }

    /// Whether the frame that runs at `address` is the oldest of its stack, by its own rule;
    /// `None` when no rule is known.
    pub fn is_outermost(&self, module: &dyn Module, address: u64) -> Option<bool> {
        let rules = self.load(module).rules(module, address);
        rules.map(|(rules, _)| row::is_outermost(&rules))
    }

    /// Where the signal trampoline begins in which `rva` lies, or one call before.
    pub(crate) fn trampoline_at(&self, module: &dyn Module, rva: u64) -> Option<u64> {
        self.load(module).trampoline(rva).map(|found| found.start_rva)
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
            // Not among the answers that are kept: only stacks of ARM ask for code.
            let image = loaded.symbols().images().next()?;
            let address = address.checked_sub(*base)?.checked_add(image.image_base())?;
            image.bytes_at(address, 4).try_into().ok()
        };
        arm_call::before(code_at, return_address)
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
        match (file_kind, loaded.symbols().images().next()) {
            (FileKind::Binary, Some(image)) => Ok(image.path().to_owned()),
            _ => Err(FileError::NotFound),
        }
    }
}
