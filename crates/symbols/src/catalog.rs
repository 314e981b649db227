//! The symbol sources: which file in them has which id.
//!
//! Well-formed trees are asked for one path. Only when that fails are the folders walked,
//! once, and every file's head is read for its id.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use debugid::DebugId;

use crate::breakpad::{read_module_line, sym_name};
use crate::elf::ElfImage;
use crate::file::{Links, MappedFile};
use crate::module::{ModuleId, debug_id_of, hex, leaf};
use crate::status::SourceProblem;

/// Files and folders looked at in all sources together.
const MAX_ENTRIES: usize = 200_000;
/// Folders below each other.
const MAX_DEPTH: usize = 16;

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A file that could be a module's symbols.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) kind: CandidateKind,
    /// As users write it; `None` when the file has none.
    pub(crate) id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CandidateKind {
    Elf,
    Breakpad,
}

/// The sources that were given, and what was found in them.
pub(crate) struct Catalog {
    sources: Vec<PathBuf>,
    index: OnceLock<Index>,
    problems: Mutex<Vec<SourceProblem>>,
}

#[derive(Default)]
struct Index {
    by_build_id: HashMap<Vec<u8>, Vec<Candidate>>,
    by_debug_id: HashMap<DebugId, Vec<Candidate>>,
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
        Self { sources, index: OnceLock::new(), problems }
    }

    pub(crate) fn problems(&self) -> Vec<SourceProblem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every file with the module's id.
    pub(crate) fn find(&self, module: &ModuleId) -> Vec<Candidate> {
        let mut found: Vec<_> =
            self.sources.iter().flat_map(|source| at_known_places(source, module)).collect();
        if found.is_empty() {
            found = self.index().find(module);
        }
        found
    }

    /// The file with a build id, for supplementary files.
    pub(crate) fn find_build_id(&self, build_id: &[u8]) -> Option<PathBuf> {
        let place = |source: &PathBuf| build_id_path(source, build_id).filter(|path| path.exists());
        self.sources
            .iter()
            .find_map(place)
            .or_else(|| Some(self.index().by_build_id.get(build_id)?.first()?.path.clone()))
    }

    /// A file of the module's name that has another id.
    pub(crate) fn find_namesake(&self, module: &ModuleId) -> Option<Candidate> {
        let names = [module.code_name(), module.debug_name()];
        names.into_iter().flatten().find_map(|name| self.index().by_name.get(name).cloned())
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut walk =
                Walk { index: Index::default(), left: MAX_ENTRIES, problems: Vec::new() };
            for source in &self.sources {
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
        })
    }
}

/// `name/ID/name.sym` of a Breakpad tree and `xx/yyyy.debug` of a `.build-id` tree.
fn at_known_places(source: &Path, module: &ModuleId) -> Vec<Candidate> {
    let mut found = Vec::new();
    if let Some(path) = breakpad_path(source, module).filter(|path| path.is_file()) {
        found.extend(identify(&path).filter(|file| file.is_of(module)));
    }
    let build_id = module.build_id.as_deref().unwrap_or_default();
    if let Some(path) = build_id_path(source, build_id).filter(|path| path.is_file()) {
        found.extend(identify(&path).filter(|file| file.is_of(module)));
    }
    found.into_iter().map(|file| file.candidate).collect()
}

fn breakpad_path(source: &Path, module: &ModuleId) -> Option<PathBuf> {
    let name = module.debug_name()?;
    let id = module.debug_id?.breakpad().to_string();
    Some(sym_name(name, &source.join(name).join(id)))
}

/// `xx/yyyy.debug` below `root` or its `.build-id`, whichever exists.
pub(crate) fn build_id_path(root: &Path, build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let relative = PathBuf::from(hex(&[*first])).join(format!("{}.debug", hex(rest)));
    let below = root.join(".build-id").join(&relative);
    Some(if below.exists() { below } else { root.join(relative) })
}

/// A file and its ids.
struct Identified {
    candidate: Candidate,
    names: Vec<String>,
    build_id: Option<Vec<u8>>,
    debug_id: Option<DebugId>,
}

impl Identified {
    fn is_of(&self, module: &ModuleId) -> bool {
        match &self.build_id {
            Some(build_id) => module.is_build_id(build_id),
            None => module.debug_id.is_some() && module.debug_id == self.debug_id,
        }
    }
}

/// Reads a file's id. `None` when it is neither ELF nor `.sym`, or cannot be read.
fn identify(path: &Path) -> Option<Identified> {
    let file = MappedFile::open(path, Links::Follow).ok()?;
    let file_name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    if file.starts_with(ELF_MAGIC) {
        let build_id = ElfImage::parse(file).ok()?.identity().map(<[u8]>::to_vec);
        let candidate = Candidate {
            path: path.to_owned(),
            kind: CandidateKind::Elf,
            id: build_id.as_deref().map(hex),
        };
        let debug_id = build_id.as_deref().and_then(debug_id_of);
        return Some(Identified {
            candidate,
            names: Vec::from_iter(file_name),
            build_id,
            debug_id,
        });
    }
    let (debug_id, name) = read_module_line(&file)?;
    let candidate = Candidate {
        path: path.to_owned(),
        kind: CandidateKind::Breakpad,
        id: Some(debug_id.breakpad().to_string()),
    };
    let names = leaf(&name).map(str::to_owned).into_iter().chain(file_name).collect();
    Some(Identified { candidate, names, build_id: None, debug_id: Some(debug_id) })
}

/// What a file is, after its first bytes.
pub(crate) fn kind_of(path: &Path) -> Option<CandidateKind> {
    let file = MappedFile::open(path, Links::Follow).ok()?;
    if file.starts_with(ELF_MAGIC) {
        return Some(CandidateKind::Elf);
    }
    file.starts_with(b"MODULE ").then_some(CandidateKind::Breakpad)
}

impl Index {
    fn add(&mut self, file: Identified) {
        let Identified { candidate, names, build_id, debug_id } = file;
        for name in names {
            self.by_name.entry(name).or_insert_with(|| candidate.clone());
        }
        if let Some(build_id) = build_id {
            self.by_build_id.entry(build_id).or_default().push(candidate.clone());
        }
        if let Some(debug_id) = debug_id {
            self.by_debug_id.entry(debug_id).or_default().push(candidate);
        }
    }

    fn find(&self, module: &ModuleId) -> Vec<Candidate> {
        let of_debug_id = module.debug_id.and_then(|id| self.by_debug_id.get(&id));
        let Some(build_id) = &module.build_id else {
            return of_debug_id.cloned().unwrap_or_default();
        };
        // A .sym file knows 16 bytes of the build id only; ELF files must have all of it.
        let syms = of_debug_id.into_iter().flatten();
        let syms = syms.filter(|candidate| candidate.kind == CandidateKind::Breakpad);
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
            self.problem(path, "neither an ELF file nor a Breakpad .sym file");
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
