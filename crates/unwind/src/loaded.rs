//! One module: its symbols, and the ways that lead from a frame to its caller.

use std::sync::{Arc, OnceLock};

use lastwords_symbols::{Image, ModuleSymbols, Question, Symbolication};
use minidump::Module;
use minidump_unwind::{FillSymbolError, FrameSymbolizer, FrameWalker};

use crate::caller::Caller;
use crate::interrupted::{Callee, Interrupted, RegisterOf, WordAt, interrupted};
use crate::probe::watch;
use crate::registers::Registers;
use crate::rules::{FileRules, FrameRules};
use crate::signature::strip_signatures;
use crate::steps::Watched;
use crate::trampoline::{FoundTrampoline, TrampolineAt};
use crate::unwinder::Unwinder;
use crate::ways::{Way, WayKind, Ways};
use crate::{row, signal};

/// A module's symbols, and what unwinds it, best first.
///
/// What files say goes through the symbol cache: DWARF's rules, what other unwind information does
/// (`steps`), records of frames, trampolines, whether there can be code.
pub(crate) struct LoadedModule {
    symbols: Arc<ModuleSymbols>,
    ways: OnceLock<Vec<Way>>,
    /// Opened by the first question that is not answered yet.
    unwinders: OnceLock<Vec<Unwinder>>,
}

impl LoadedModule {
    pub(crate) fn new(symbols: Arc<ModuleSymbols>) -> Self {
        Self { symbols, ways: OnceLock::new(), unwinders: OnceLock::new() }
    }

    pub(crate) fn symbols(&self) -> &ModuleSymbols {
        &self.symbols
    }

    fn unwinders(&self) -> &[Unwinder] {
        self.unwinders.get_or_init(|| self.symbols.images().flat_map(Unwinder::all).collect())
    }

    /// In the order of the unwinders; frame data of a PDB, which has none, is the last one.
    fn ways(&self) -> &[Way] {
        self.ways.get_or_init(|| {
            let find = || {
                let frame_data =
                    self.symbols.pe().is_some_and(|pe| pe.has_pdb()).then_some(Way::FRAME_DATA);
                Ways(self.unwinders().iter().map(Unwinder::way).chain(frame_data).collect())
            };
            self.symbols.ask(Question::Ways, 0, find).0
        })
    }

    fn unwinder(&self, index: usize, way: &Way) -> Option<&Unwinder> {
        self.unwinders().get(index).filter(|unwinder| unwinder.way() == *way)
    }

    /// Ways by DWARF, each with its place in the list and the question for its rules.
    fn dwarf_ways(&self) -> impl Iterator<Item = (usize, &Way, Question)> {
        let ways = self.ways().iter().enumerate();
        let by_dwarf = ways.filter(|(_, way)| way.kind == WayKind::Dwarf);
        // A module has a code file and a debug file.
        let questions = [Question::FirstRules, Question::SecondRules];
        by_dwarf.zip(questions).map(|((index, way), question)| (index, way, question))
    }

    /// What DWARF says of an address, best first.
    fn rules_at(&self, rva: u64) -> impl Iterator<Item = (usize, FrameRules, Registers)> {
        self.dwarf_ways().filter_map(move |(index, way, question)| {
            let find = || FileRules(self.unwinder(index, way).and_then(|one| one.rules(rva)));
            let rules = self.symbols.ask(question, rva, find).0?;
            Some((index, rules, Registers::of(way.architecture)))
        })
    }

    /// The rules of the first file that has some.
    pub(crate) fn rules(
        &self,
        module: &dyn Module,
        address: u64,
    ) -> Option<(FrameRules, Registers)> {
        let rva = address.checked_sub(module.base_address())?;
        self.rules_at(rva).next().map(|(_, rules, registers)| (rules, registers))
    }

    pub(crate) fn walk(
        &self,
        module: &dyn Module,
        walker: &mut (dyn FrameWalker + Send),
    ) -> Option<()> {
        let rva = walker.get_instruction().checked_sub(module.base_address())?;
        if let Some(caller) = self.caller(rva, walker) {
            return caller.write(walker);
        }
        if self.ways().contains(&Way::FRAME_DATA)
            && let Some(record) = self.symbols.frame_data(rva)
            && let Some(()) = record.walk_frame(module, walker)
        {
            return Some(());
        }
        self.symbols.stack_records(rva)?.walk_frame(module, walker)
    }

    /// The caller of the frame whose instruction lies `rva` bytes above the base.
    fn caller(&self, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
        // First: the return address into a trampoline lies behind what is described before it.
        let code = self.trampoline(rva).and_then(|found| found.code);
        if let Some(code) = code
            && let Some(caller) = signal::caller(code, walker)
        {
            return Some(strip_signatures(caller, code.architecture(), walker));
        }
        let mut ways = self.ways().iter().enumerate();
        ways.find_map(|(index, way)| {
            let caller = match way.kind {
                WayKind::FrameData => None,
                WayKind::Dwarf => self.caller_by_rules(index, rva, walker),
                _ => self.caller_by_steps(index, way, rva, walker),
            }?;
            Some(if way.is_elf {
                strip_signatures(caller, way.architecture, walker)
            } else {
                caller
            })
        })
    }

    fn caller_by_rules(
        &self,
        index: usize,
        rva: u64,
        walker: &(dyn FrameWalker + Send),
    ) -> Option<Caller> {
        let (_, rules, registers) = self.rules_at(rva).find(|(other, ..)| *other == index)?;
        row::evaluate(&rules, registers, walker)
    }

    /// Of the first way that is not DWARF's, the steps are kept: modules have one.
    fn caller_by_steps(
        &self,
        index: usize,
        way: &Way,
        rva: u64,
        walker: &(dyn FrameWalker + Send),
    ) -> Option<Caller> {
        let registers = Registers::of(way.architecture);
        let is_newest = !walker.has_grand_callee();
        let question = if is_newest { Question::NewestSteps } else { Question::CallerSteps };
        let watch = || {
            let unwinder = self.unwinder(index, way);
            unwinder.map_or(Watched::Nothing, |one| watch(one, registers, rva, is_newest))
        };
        let is_other = |way: &Way| !matches!(way.kind, WayKind::Dwarf | WayKind::FrameData);
        let is_first = self.ways().iter().position(is_other) == Some(index);
        match if is_first { self.symbols.ask(question, rva, watch) } else { watch() } {
            Watched::Nothing => None,
            Watched::Steps(steps) => steps.caller(registers, walker),
            Watched::Opaque => self.unwinder(index, way)?.caller(rva, walker),
        }
    }

    /// The signal trampoline in which `rva` lies, or that is one call behind it.
    pub(crate) fn trampoline(&self, rva: u64) -> Option<FoundTrampoline> {
        let by_code = |image: &Arc<Image>| signal::find(image, rva);
        let find = || {
            let by_rule = || self.unwinders().iter().find_map(|one| one.trampoline_at(rva));
            TrampolineAt(self.symbols.images().find_map(by_code).or_else(by_rule))
        };
        self.symbols.ask(Question::Trampoline, rva, find).0
    }

    /// What a signal interrupted, if its trampoline lies at `address`.
    pub(crate) fn interrupted(
        &self,
        rva: u64,
        address: u64,
        register: RegisterOf<'_>,
        read: WordAt<'_>,
    ) -> Option<Interrupted> {
        let code = self.trampoline(rva)?.code;
        let first = || self.ways().first().map(|way| way.architecture);
        let architecture = code.map(|code| code.architecture()).or_else(first)?;
        let caller = self.caller(rva, &Callee { instruction: address, register, read })?;
        interrupted(caller, Registers::of(architecture))
    }

    pub(crate) fn fill(
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
        match self.trampoline(rva) {
            Some(trampoline) if trampoline.start_rva != rva => {
                let found = self.symbols.lookup(trampoline.start_rva);
                if found.function().is_some() { found } else { self.symbols.lookup(rva) }
            }
            _ => self.symbols.lookup(rva),
        }
    }

    /// Whether an address without a name cannot be code. Where nothing is known, it can.
    fn is_not_code(&self, rva: u64) -> bool {
        self.symbols.ask(Question::IsNotCode, rva, || self.find_is_not_code(rva))
    }

    fn find_is_not_code(&self, rva: u64) -> bool {
        for image in self.symbols.images() {
            let address = image.image_base().checked_add(rva);
            if !address.is_some_and(|address| image.is_executable(address)) {
                return true;
            }
        }
        if self.unwinders().is_empty() {
            return self.symbols.has_full_symbols();
        }
        !self.unwinders().iter().any(|unwinder| unwinder.covers(rva))
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
