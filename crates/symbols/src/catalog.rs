//! The symbol sources: which file in them has which id.
//!
//! Well-formed trees are asked for one path. Only when that fails are the folders walked,
//! once, and every file's head is read for its id.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use debugid::DebugId;

use crate::breakpad::{read_module_line, sym_name};
use crate::cache::Probes;
use crate::elf::ElfImage;
use crate::file::{Links, MappedFile};
use crate::module::{ModuleId, debug_id_of, hex, leaf};
use crate::source_walk::SourceWalk;
use crate::status::SourceProblem;

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
    fingerprint: OnceLock<Option<u64>>,
    missing: Vec<SourceProblem>,
    index_problems: OnceLock<Vec<SourceProblem>>,
}

#[derive(Default)]
struct Index {
    fingerprint: Option<u64>,
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
        Self {
            missing: missing.collect(),
            sources,
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
        let at_places = |source: &PathBuf| at_known_places(source, module, probes);
        let mut found: Vec<_> = self.sources.iter().flat_map(at_places).collect();
        if found.is_empty() {
            found = self.index(probes).find(module);
        }
        found
    }

    /// The file with a build id, for supplementary files.
    pub(crate) fn find_build_id(&self, build_id: &[u8], probes: &Probes) -> Option<PathBuf> {
        let place = |source: &PathBuf| {
            let path = build_id_path(source, build_id, probes)?;
            probes.note(&path, Links::Follow);
            path.exists().then_some(path)
        };
        let at_place = self.sources.iter().find_map(place);
        at_place
            .or_else(|| Some(self.index(probes).by_build_id.get(build_id)?.first()?.path.clone()))
    }

    /// A file of the module's name that has another id.
    pub(crate) fn find_namesake(&self, module: &ModuleId, probes: &Probes) -> Option<Candidate> {
        let names = [module.code_name(), module.debug_name()];
        let index = self.index(probes);
        names.into_iter().flatten().find_map(|name| index.by_name.get(name).cloned())
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

/// `name/ID/name.sym` of a Breakpad tree and `xx/yyyy.debug` of a `.build-id` tree.
fn at_known_places(source: &Path, module: &ModuleId, probes: &Probes) -> Vec<Candidate> {
    let build_id = module.build_id.as_deref().unwrap_or_default();
    let paths = [breakpad_path(source, module), build_id_path(source, build_id, probes)];
    let files = paths.into_iter().flatten().filter_map(|path| {
        probes.note(&path, Links::Follow);
        if path.is_file() { identify(&path, probes) } else { None }
    });
    files.filter(|file| file.is_of(module)).map(|file| file.candidate).collect()
}

fn breakpad_path(source: &Path, module: &ModuleId) -> Option<PathBuf> {
    let name = module.debug_name()?;
    let id = module.debug_id?.breakpad().to_string();
    Some(sym_name(name, &source.join(name).join(id)))
}

/// `xx/yyyy.debug` below `root` or its `.build-id`, whichever exists.
pub(crate) fn build_id_path(root: &Path, build_id: &[u8], probes: &Probes) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let relative = PathBuf::from(hex(&[*first])).join(format!("{}.debug", hex(rest)));
    let below = root.join(".build-id").join(&relative);
    probes.note(&below, Links::Follow);
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
fn identify(path: &Path, probes: &Probes) -> Option<Identified> {
    let file = probes.open(path, Links::Follow).ok()?;
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
