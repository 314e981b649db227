//! The symbol sources: which file in them has which id.
//!
//! Sources that are files are always looked at. Well-formed trees are asked for some paths (`places`).
//! Only when all that gives not what a module may have, the folders are walked, once. Of every file
//! the head is read for its id (`identify`).

mod identify;
mod places;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use debugid::DebugId;

pub(crate) use self::identify::{Candidate, CandidateKind, kind_of};
use self::identify::{Identified, identify};
pub(crate) use self::places::build_id_path;
use crate::module::{ImageStamp, ModuleId};
use crate::status::SourceProblem;

/// Files and folders looked at in all sources together.
const MAX_ENTRIES: usize = 200_000;
/// Folders below each other.
const MAX_DEPTH: usize = 16;

/// The sources that were given, and what was found in them.
pub(crate) struct Catalog {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    of_files: OnceLock<Index>,
    of_folders: OnceLock<Index>,
    problems: Mutex<Vec<SourceProblem>>,
}

#[derive(Default)]
struct Index {
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
        let problems = Mutex::new(missing.collect());
        let (folders, files) = sources.into_iter().partition(|path: &PathBuf| path.is_dir());
        Self { files, folders, of_files: OnceLock::new(), of_folders: OnceLock::new(), problems }
    }

    pub(crate) fn problems(&self) -> Vec<SourceProblem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every file with the module's id.
    pub(crate) fn find(&self, module: &ModuleId) -> Vec<Candidate> {
        let at_known_places = |source: &PathBuf| {
            let files = places::existing(source, module).into_iter();
            files.filter_map(|path| identify(&path)).filter(|file| file.is_of(module))
        };
        let known = self.folders.iter().flat_map(at_known_places);
        let mut found = self.of_files().find(module);
        found.extend(known.map(|file| file.candidate));
        if !is_complete(module, &found) {
            found.extend(self.of_folders().find(module));
        }
        let mut seen = HashSet::new();
        found.retain(|candidate| seen.insert(candidate.path.clone()));
        found
    }

    /// The file with a build id, for supplementary files.
    pub(crate) fn find_build_id(&self, build_id: &[u8]) -> Option<PathBuf> {
        let place = |source: &PathBuf| build_id_path(source, build_id).filter(|path| path.exists());
        let of = |index: &Index| Some(index.by_build_id.get(build_id)?.first()?.path.clone());
        of(self.of_files())
            .or_else(|| self.folders.iter().find_map(place))
            .or_else(|| of(self.of_folders()))
    }

    /// A file of the module's name that has another id.
    pub(crate) fn find_namesake(&self, module: &ModuleId) -> Option<Candidate> {
        let names = [module.code_name(), module.debug_name()];
        let of = |index: &Index, name: &str| index.by_name.get(name).cloned();
        let find = |name| of(self.of_files(), name).or_else(|| of(self.of_folders(), name));
        names.into_iter().flatten().find_map(find)
    }

    fn of_files(&self) -> &Index {
        self.of_files.get_or_init(|| self.walk(&self.files))
    }

    fn of_folders(&self) -> &Index {
        self.of_folders.get_or_init(|| self.walk(&self.folders))
    }

    fn walk(&self, sources: &[PathBuf]) -> Index {
        let mut walk = Walk { index: Index::default(), left: MAX_ENTRIES, problems: Vec::new() };
        for source in sources {
            walk.visit(source, 0);
        }
        if walk.left == 0 {
            walk.problems.push(SourceProblem {
                path: PathBuf::new(),
                message: format!("only the first {MAX_ENTRIES} files of the sources were read"),
            });
        }
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.append(&mut walk.problems);
        walk.index
    }
}

/// Whether there is no need to walk the folders for more. The files of modules of Windows and macOS
/// are two: the PDB or dSYM names what the image unwinds.
fn is_complete(module: &ModuleId, found: &[Candidate]) -> bool {
    use CandidateKind::{Breakpad, MachO, Pdb, Pe};
    let count = |kind| found.iter().filter(|candidate| candidate.kind == kind).count();
    if count(Breakpad) > 0 {
        return true;
    }
    match module.image_stamp {
        Some(_) => count(Pe) > 0 && count(Pdb) > 0,
        None => !found.is_empty() && count(MachO) != 1,
    }
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

/// The walk over the folders.
struct Walk {
    index: Index,
    left: usize,
    problems: Vec<SourceProblem>,
}

impl Walk {
    fn visit(&mut self, path: &Path, depth: usize) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        // Links to folders could make circles; links to files are what .build-id trees hold.
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        if path.is_dir() && (depth == 0 || !is_link) {
            self.visit_folder(path, depth);
        } else if let Some(file) = identify(path) {
            self.index.add(file);
        } else if depth == 0 && path.exists() {
            let kinds = "an ELF, PE, PDB or Mach-O file, nor a Breakpad .sym file";
            self.problem(path, &format!("neither {kinds}"));
        }
    }

    fn visit_folder(&mut self, path: &Path, depth: usize) {
        if depth >= MAX_DEPTH {
            return self.problem(path, "deeper than 16 folders, not read");
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &format!("cannot be listed: {error}")),
        };
        let mut paths: Vec<_> =
            entries.flatten().take(self.left).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            self.visit(&path, depth.saturating_add(1));
        }
    }

    fn problem(&mut self, path: &Path, message: &str) {
        self.problems.push(SourceProblem { path: path.to_owned(), message: message.to_owned() });
    }
}
