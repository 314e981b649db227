//! The door: modules in, functions, files and lines out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::cache::{Cache, Key};
use crate::catalog::Catalog;
use crate::module::ModuleId;
use crate::module_symbols::ModuleSymbols;
use crate::status::{ModuleStatus, SourceProblem};

/// Modules whose answers are kept in one run: a made-up dump may name thousands.
const MAX_KEPT: usize = 1024;

/// Where symbols may come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Breakpad trees (`name/ID/name.sym`), `.build-id` trees, plain folders and plain files
    /// (`.sym`, ELF, `.debug`). Matched by build id or debug id, never by name alone.
    pub symbols: Vec<PathBuf>,
    /// Whether files of this machine may be opened at the paths that the dump names, and debug
    /// files that belong to them. Only regular files whose build id equals the dump's are used.
    pub local_modules: bool,
    /// A folder in which answers are kept for the next run (`docs/formats/symbol-cache.md`); `None`
    /// keeps nothing. Made when missing; one that cannot be used is as good as none.
    pub cache_dir: Option<PathBuf>,
}

/// One source-level frame at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// Demangled name; `None` when only file and line are known.
    pub function: Option<String>,
    /// Source path as the compiler wrote it, made absolute where the debug information allows.
    pub file: Option<String>,
    /// 1-based; `None` when unknown.
    pub line: Option<u32>,
    /// Whether the function was inlined into the next frame of the list.
    pub is_inline: bool,
}

/// All that is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbolication {
    /// Innermost first: inline frames, then the function that really has a stack frame. Empty
    /// when nothing is known.
    pub frames: Vec<SourceFrame>,
    /// Start of the function, in bytes above the module's base.
    pub function_rva: Option<u64>,
    /// Bytes of parameters on the stack, after `.sym` records of 32-bit x86; 0 when unknown.
    pub parameter_bytes: u32,
}

impl Symbolication {
    /// Name of the function that has a stack frame.
    pub fn function(&self) -> Option<&str> {
        self.frames.last()?.function.as_deref()
    }
}

/// Symbols of all modules of a dump. Files are opened when an address in them is first asked
/// for; may be shared between threads.
pub struct Symbols {
    catalog: Arc<Catalog>,
    may_open_local: bool,
    cache: Option<Cache>,
    modules: Mutex<HashMap<ModuleId, Arc<OnceLock<Arc<ModuleSymbols>>>>>,
}

impl Symbols {
    /// Opens nothing yet. Sources that do not exist are listed by [`Symbols::problems`].
    pub fn new(sources: Sources) -> Self {
        Self {
            catalog: Arc::new(Catalog::new(sources.symbols)),
            may_open_local: sources.local_modules,
            cache: sources.cache_dir.map(Cache::new),
            modules: Mutex::default(),
        }
    }

    /// The symbols of a module; found and opened by the first call.
    pub fn module(&self, id: &ModuleId) -> Arc<ModuleSymbols> {
        let module = self.find(id);
        module.request();
        module
    }

    /// Reads what will be needed of a module, for another thread that is going to ask for it. Changes
    /// nothing that can be seen: without a question the module was not asked for.
    pub fn prepare(&self, id: &ModuleId) {
        self.find(id).prepare();
    }

    /// Whether the cache seems to have answers about a module.
    pub fn is_kept(&self, id: &ModuleId) -> bool {
        let key = || Key::new(id, self.catalog.sources(), self.may_open_local);
        self.cache.as_ref().is_some_and(|cache| key().is_some_and(|key| cache.has(&key)))
    }

    fn find(&self, id: &ModuleId) -> Arc<ModuleSymbols> {
        let slot = {
            let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
            modules.entry(id.clone()).or_default().clone()
        };
        let cache = self.cache.as_ref();
        let find = || ModuleSymbols::find_module(&self.catalog, self.may_open_local, id, cache);
        slot.get_or_init(|| Arc::new(find())).clone()
    }

    /// Symbolicates the address `rva` bytes above the module's base: innermost frame first,
    /// inline frames included, empty when nothing is known.
    ///
    /// Give `rva` as it is for an instruction that was running, one less for a return address.
    pub fn lookup(&self, id: &ModuleId, rva: u64) -> Vec<SourceFrame> {
        self.module(id).lookup(rva).frames.clone()
    }

    /// What became of the search for a module's symbols. Opens nothing.
    pub fn module_status(&self, id: &ModuleId) -> ModuleStatus {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = modules.get(id).and_then(|slot| slot.get());
        let loaded = loaded.filter(|module| module.is_requested());
        loaded.map_or(ModuleStatus::NotRequested, |module| module.status())
    }

    /// Keeps what was learnt in the cache, if there is one. To be called when everything has been asked.
    pub fn keep(&self) {
        let Some(cache) = &self.cache else { return };
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = modules.values().filter_map(|slot| slot.get());
        // Each one that is taken is written.
        let kept = loaded.filter(|module| module.keep(cache)).take(MAX_KEPT).count();
        if kept > 0 {
            cache.prune();
        }
    }

    /// Sources that could not be used, or not wholly.
    pub fn problems(&self) -> Vec<SourceProblem> {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut requested = modules.values().filter_map(|slot| slot.get());
        let is_index_asked =
            requested.any(|module| module.is_requested() && module.depends_on_index());
        self.catalog.problems(is_index_asked)
    }
}
