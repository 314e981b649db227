//! The units of a module, of all files that its DWARF is spread over: the file itself, split units
//! (`.dwo` files, or a `.dwp` package beside it), dwz's supplementary file.
//!
//! An entry's id is its offset in `.debug_info` above the base of its file: 0 of the main file, and
//! behind what stands before of others.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{DwarfPackage, DwoId, EndianArcSlice, Section as _, SectionId};

use super::Reader;
use crate::object_file::ObjectFile;

const MAX_UNITS: usize = 262_144;
const MAX_SPLIT_FILES: usize = 8_192;
const SYSTEM_DEBUG_ROOT: &str = "/usr/lib/debug/.build-id";

type Dwarf = gimli::Dwarf<Reader>;

/// A unit with the sections that it refers to.
pub(crate) struct Unit {
    unit: gimli::Unit<Reader>,
    pub(crate) dwarf: Arc<Dwarf>,
    /// Of ids of the file's entries.
    base: u64,
    /// Of ids of the supplementary file's entries; `None` when it is not there.
    supplementary_base: Option<u64>,
}

impl Deref for Unit {
    type Target = gimli::Unit<Reader>;

    fn deref(&self) -> &gimli::Unit<Reader> {
        &self.unit
    }
}

impl Unit {
    /// The id of an entry.
    pub(crate) fn id_of(&self, offset: gimli::UnitOffset) -> Option<u64> {
        Some(self.id(offset.to_debug_info_offset(&self.header)?))
    }

    /// The id of what stands at an offset of the unit's file.
    pub(crate) fn id(&self, offset: gimli::DebugInfoOffset) -> u64 {
        self.base.saturating_add(offset.0 as u64)
    }

    /// The id of what stands at an offset of the supplementary file.
    pub(crate) fn supplementary_id(&self, offset: gimli::DebugInfoOffset) -> Option<u64> {
        self.supplementary_base?.checked_add(offset.0 as u64)
    }

    /// The id of its first entry's header.
    pub(crate) fn start(&self) -> Option<u64> {
        Some(self.id(self.header.debug_info_offset()?))
    }

    /// What the id means in the unit.
    pub(crate) fn offset_of(&self, id: u64) -> Option<gimli::UnitOffset> {
        let offset = usize::try_from(id.checked_sub(self.base)?).ok()?;
        gimli::DebugInfoOffset(offset).to_unit_offset(&self.header)
    }
}

/// All units by their ids; of each skeleton, which unit it stands for.
pub(super) struct Units {
    pub(super) list: Vec<Unit>,
    /// Index of the skeleton, index of the split unit.
    pub(super) split: Vec<(usize, usize)>,
}

impl Units {
    /// Reads the root entry of every unit. `follows`: whether files that the file names are opened.
    pub(super) fn read(object: &ObjectFile, follows: bool) -> Result<Self, gimli::Error> {
        let mut main = load(object, main_name)?;
        let supplementary = object.alternative().filter(|_| follows);
        let supplementary = supplementary.and_then(|(name, id)| {
            let file = supplementary_file(object.path(), &name, &id)?;
            load(&file, main_name).ok()
        });
        let base = size_of(&main);
        let mut next = base;
        let supplementary_base = supplementary.as_ref().map(|_| base);
        if let Some(supplementary) = supplementary {
            next = next.saturating_add(size_of(&supplementary));
            main.set_sup(supplementary);
        }
        let main = Arc::new(main);
        let mut units = Self { list: Vec::new(), split: Vec::new() };
        units.add_all(&main, 0, supplementary_base)?;
        let skeletons = units.list.len();
        if let Some(supplementary) = &main.sup {
            units.add_all(supplementary, base, supplementary_base)?;
        }
        if follows {
            units.add_split(object, &main, skeletons, next);
        }
        Ok(units)
    }

    fn add_all(
        &mut self,
        dwarf: &Arc<Dwarf>,
        base: u64,
        supplementary_base: Option<u64>,
    ) -> Result<(), gimli::Error> {
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            if self.list.len() >= MAX_UNITS {
                break;
            }
            if let Ok(unit) = dwarf.unit(header) {
                let dwarf = dwarf.clone();
                self.list.push(Unit { unit, dwarf, base, supplementary_base });
            }
        }
        Ok(())
    }

    fn add_split(&mut self, object: &ObjectFile, main: &Arc<Dwarf>, skeletons: usize, base: u64) {
        let package = package_beside(object);
        let mut next = base;
        for index in 0..skeletons {
            let Some(skeleton) = self.list.get(index) else { break };
            let Some(id) = skeleton.dwo_id else { continue };
            if self.split.len() >= MAX_SPLIT_FILES {
                break;
            }
            let found = match &package {
                Some(package) => package.find_cu(id, main).ok().flatten(),
                None => split_file(main, skeleton, id),
            };
            let Some(dwarf) = found else { continue };
            let Ok(Some(header)) = dwarf.units().next() else { continue };
            let Ok(mut unit) = dwarf.unit(header) else { continue };
            unit.copy_relocated_attributes(skeleton);
            let (size, base) = (size_of(&dwarf), next);
            next = next.saturating_add(size);
            self.split.push((index, self.list.len()));
            let (dwarf, supplementary_base) = (Arc::new(dwarf), None);
            self.list.push(Unit { unit, dwarf, base, supplementary_base });
        }
    }
}

fn main_name(id: SectionId) -> Option<&'static str> {
    Some(id.name())
}

fn split_name(id: SectionId) -> Option<&'static str> {
    id.dwo_name()
}

fn reader(object: &ObjectFile, name: Option<&str>) -> Reader {
    let bytes = name.and_then(|name| object.section(name));
    EndianArcSlice::new(bytes.unwrap_or_else(|| [].into()), object.endian())
}

fn load(
    object: &ObjectFile,
    name: fn(SectionId) -> Option<&'static str>,
) -> Result<Dwarf, gimli::Error> {
    Dwarf::load(|id| Ok(reader(object, name(id))))
}

fn size_of(dwarf: &Dwarf) -> u64 {
    gimli::Reader::len(dwarf.debug_info.reader()) as u64
}

/// The package's name is that of the file and `.dwp`.
fn package_beside(object: &ObjectFile) -> Option<DwarfPackage<Reader>> {
    let mut path = object.path().as_os_str().to_owned();
    path.push(".dwp");
    let file = ObjectFile::of_path(Path::new(&path))?;
    let section = |id| Ok::<_, gimli::Error>(reader(&file, split_name(id)));
    DwarfPackage::load(section, reader(&file, None)).ok()
}

/// The `.dwo` file at the absolute path that the skeleton names, if it is of the same compilation.
fn split_file(main: &Dwarf, skeleton: &gimli::Unit<Reader>, id: DwoId) -> Option<Dwarf> {
    let text = |value: &Reader| {
        let bytes = gimli::Reader::to_slice(value).ok()?.into_owned();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let name = main.attr_string(skeleton, skeleton.dwo_name().ok()??).ok()?;
    let folder = skeleton.comp_dir.as_ref().and_then(text).unwrap_or_default();
    let path = PathBuf::from(folder).join(text(&name)?);
    if !path.is_absolute() || path.is_symlink() {
        return None;
    }
    let mut dwarf = load(&ObjectFile::of_path(&path)?, split_name).ok()?;
    dwarf.make_dwo(main);
    let header = dwarf.units().next().ok()??;
    let is_right = dwarf.unit(header).ok()?.dwo_id == Some(id);
    is_right.then_some(dwarf)
}

/// dwz's file, beside the file or where the system keeps debug files, if it is the right one.
fn supplementary_file(path: &Path, name: &str, build_id: &[u8]) -> Option<ObjectFile> {
    let beside = path.parent().map(|folder| folder.join(name));
    let digits: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let system = digits.split_at_checked(2).map(|(folder, rest)| {
        Path::new(SYSTEM_DEBUG_ROOT).join(folder).join(format!("{rest}.debug"))
    });
    let mut files =
        [beside, system].into_iter().flatten().filter_map(|path| ObjectFile::of_path(&path));
    files.find(|file| file.build_id().as_deref() == Some(build_id))
}
