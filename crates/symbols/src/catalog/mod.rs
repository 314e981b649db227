//! The symbol sources: which file in them has which id.
//!
//! Sources that are files are always looked at. Well-formed trees are asked for some paths (`places`).
//! Only when all that gives not what a module may have, the folders are walked, once. Of every file
//! the head is read for its id (`identify`).

mod identify;
mod places;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use debugid::DebugId;

use self::identify::Identified;
pub(crate) use self::identify::{Candidate, CandidateKind, identify, kind_of};
pub(crate) use self::places::build_id_path;
use crate::cache::Probes;
use crate::file::Links;
use crate::module::{ImageStamp, ModuleId};
use crate::source_walk::SourceWalk;
use crate::status::SourceProblem;

/// The sources that were given, and what was found in them.
pub(crate) struct Catalog {
    sources: Vec<PathBuf>,
    /// Those of them that are no folders.
    files: Vec<PathBuf>,
    of_files: OnceLock<Index>,
    index: OnceLock<Index>,
    fingerprint: OnceLock<Option<u64>>,
    missing: Vec<SourceProblem>,
    index_problems: OnceLock<Vec<SourceProblem>>,
}

#[derive(Default)]
struct Index {
    fingerprint: Option<u64>,
    by_build_id: HashMap<Vec<u8>, Vec<Candidate>>,
    by_debug_id: HashMap<DebugId, Vec<Candidate>>,
    by_stamp: HashMap<ImageStamp, Vec<Candidate>>,
    /// Only to tell about files of the right name and the wrong id.
    by_name: HashMap<String, Candidate>,
}

impl Catalog {
    pub(crate) fn new(sources: Vec<PathBuf>) -> Self {
        let missing = sources.iter().filter(|path| !path.exists()).map(|path| SourceProblem {
            path: path.clone(),
            message: "does not exist, expected a file or a folder with symbols".to_owned(),
        });
        Self {
            missing: missing.collect(),
            files: sources.iter().filter(|path| !path.is_dir()).cloned().collect(),
            sources,
            of_files: OnceLock::new(),
            index: OnceLock::new(),
            fingerprint: OnceLock::new(),
            index_problems: OnceLock::new(),
        }
    }

    pub(crate) fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// What is wrong with the sources; with the index only as far as somebody needed it.
    pub(crate) fn problems(&self, is_index_asked: bool) -> Vec<SourceProblem> {
        let of_index = if is_index_asked { self.index_problems() } else { &[] };
        [&self.missing[..], of_index].concat()
    }

    /// What was wrong with the sources when they were indexed; none before.
    pub(crate) fn index_problems(&self) -> &[SourceProblem] {
        self.index_problems.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes what an earlier run found wrong with the same files. Without effect when they have been
    /// indexed in this run.
    pub(crate) fn adopt_index_problems(&self, problems: Vec<SourceProblem>) {
        let _ = self.index_problems.set(problems);
    }

    /// A number that changes when any file of the sources does; `None` when one has just changed,
    /// and may do so again without a trace. Opens no file.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        if let Some(index) = self.index.get() {
            return index.fingerprint;
        }
        *self.fingerprint.get_or_init(|| {
            let mut walk = SourceWalk::new();
            walk.visit_all(&self.sources, &mut |_| true);
            walk.fingerprint()
        })
    }

    /// Every file with the module's id.
    pub(crate) fn find(&self, module: &ModuleId, probes: &Probes) -> Vec<Candidate> {
        let at_known_places = |source: &PathBuf| {
            let files = places::existing(source, module, probes).into_iter();
            files.filter_map(|path| identify(&path, probes)).filter(|file| file.is_of(module))
        };
        let known = self.sources.iter().flat_map(at_known_places);
        let mut found = self.of_files(probes).find(module);
        found.extend(known.map(|file| file.candidate));
        if !is_complete(module, &found) {
            found.extend(self.index(probes).find(module));
        }
        let mut seen = HashSet::new();
        found.retain(|candidate| seen.insert(candidate.path.clone()));
        found
    }

    /// The file with a build id, for supplementary files.
    pub(crate) fn find_build_id(&self, build_id: &[u8], probes: &Probes) -> Option<PathBuf> {
        let place = |source: &PathBuf| {
            let path = build_id_path(source, build_id, probes)?;
            probes.note(&path, Links::Follow);
            path.exists().then_some(path)
        };
        let of = |index: &Index| Some(index.by_build_id.get(build_id)?.first()?.path.clone());
        of(self.of_files(probes))
            .or_else(|| self.sources.iter().find_map(place))
            .or_else(|| of(self.index(probes)))
    }

    /// A file of the module's name that has another id.
    pub(crate) fn find_namesake(&self, module: &ModuleId, probes: &Probes) -> Option<Candidate> {
        let names = [module.code_name(), module.debug_name()];
        let index = self.index(probes);
        names.into_iter().flatten().find_map(|name| index.by_name.get(name).cloned())
    }

    /// The sources that are files: noted for each search, read once.
    fn of_files(&self, probes: &Probes) -> &Index {
        for file in &self.files {
            probes.note(file, Links::Follow);
        }
        self.of_files.get_or_init(|| {
            let mut index = Index::default();
            for file in self.files.iter().filter_map(|file| identify(file, probes)) {
                index.add(file);
            }
            index
        })
    }

    fn index(&self, probes: &Probes) -> &Index {
        if !self.sources.is_empty() {
            probes.note_index();
        }
        self.index.get_or_init(|| {
            // The walk keeps account of the files.
            let probes = Probes::none();
            let mut index = Index::default();
            let mut walk = SourceWalk::new();
            walk.visit_all(&self.sources, &mut |path| match identify(path, &probes) {
                Some(file) => {
                    index.add(file);
                    true
                }
                None => false,
            });
            index.fingerprint = walk.fingerprint().filter(|_| !probes.is_useless());
            let _ = self.index_problems.set(walk.problems);
            index
        })
    }
}

/// Whether there is no need to walk the folders for more. The files of modules are two, as a rule:
/// the PDB, dSYM or separate debug file names what the image unwinds.
fn is_complete(module: &ModuleId, found: &[Candidate]) -> bool {
    use CandidateKind::{Breakpad, Elf, MachO, Pdb, Pe};
    let count = |kind| found.iter().filter(|candidate| candidate.kind == kind).count();
    if count(Breakpad) > 0 {
        return true;
    }
    match module.image_stamp {
        Some(_) => count(Pe) > 0 && count(Pdb) > 0,
        // Of a dump whose writer left the stamp out.
        None if count(Pe) > 0 => count(Pdb) > 0,
        None if count(Elf) > 0 => found.iter().any(is_separate_debug_file),
        None => !found.is_empty() && count(MachO) != 1,
    }
}

/// By its name, as trees of build ids have them.
fn is_separate_debug_file(candidate: &Candidate) -> bool {
    candidate.path.extension().is_some_and(|extension| extension == "debug")
}

impl Index {
    fn add(&mut self, file: Identified) {
        let Identified { candidate, names, build_id, debug_ids, stamp } = file;
        for name in names {
            self.by_name.entry(name).or_insert_with(|| candidate.clone());
        }
        if let Some(build_id) = build_id {
            self.by_build_id.entry(build_id).or_default().push(candidate.clone());
        }
        if let Some(stamp) = stamp {
            self.by_stamp.entry(stamp).or_default().push(candidate.clone());
        }
        for debug_id in debug_ids {
            self.by_debug_id.entry(debug_id).or_default().push(candidate.clone());
        }
    }

    fn find(&self, module: &ModuleId) -> Vec<Candidate> {
        let of_debug_id = module.debug_id.and_then(|id| self.by_debug_id.get(&id));
        let of_debug_id = of_debug_id.into_iter().flatten();
        let Some(build_id) = &module.build_id else {
            // Which of them are the module's is asked again when they are opened.
            let of_stamp = module.image_stamp.and_then(|stamp| self.by_stamp.get(&stamp));
            return of_debug_id.chain(of_stamp.into_iter().flatten()).cloned().collect();
        };
        // A .sym file knows 16 bytes of the build id only; ELF files must have all of it.
        let syms = of_debug_id.filter(|candidate| candidate.kind == CandidateKind::Breakpad);
        let elves = self.by_build_id.get(build_id).into_iter().flatten();
        elves.chain(syms).cloned().collect()
    }
}
