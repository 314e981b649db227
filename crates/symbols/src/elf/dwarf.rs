//! DWARF lookups: address to function, inline frames, files and lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::{Context, Frame, LookupContinuation, LookupResult, SplitDwarfLoad};
use gimli::{DwarfPackage, SectionId, UnitRef, UnitType};
use self_cell::self_cell;

use super::ElfError;
use super::depth::{DepthGuard, is_unit_safe};
use super::image::ElfImage;
use super::sections::{Flavour, Reader, SectionSet};
use crate::cache::Probes;
use crate::demangle::demangle;
use crate::file::{Links, MappedFile};
use crate::symbols::{SourceFrame, Symbolication};

/// Inline frames of one address beyond this are left out.
const MAX_INLINE_FRAMES: usize = 256;
/// `.dwo` files of one module.
const MAX_SPLIT_FILES: usize = 8192;

/// The files that hold the DWARF of one module.
pub(crate) struct DwarfFiles {
    main: SectionSet,
    /// dwz's supplementary file.
    supplementary: Option<SectionSet>,
    /// A `.dwp` package of split DWARF.
    package: Option<SectionSet>,
    /// `.dwo` files by their id.
    split: HashMap<u64, SectionSet>,
}

impl DwarfFiles {
    /// Takes the sections of `image`, and of the files that belong to it. `split`: where to
    /// note the `.dwo` files that are opened at the paths that the DWARF names; `None` opens none.
    pub(crate) fn load(
        image: &ElfImage,
        supplementary: Option<&ElfImage>,
        package: Option<&Arc<MappedFile>>,
        split: Option<&Probes>,
    ) -> Result<Self, ElfError> {
        let main = SectionSet::load(image.file(), Flavour::Main)?;
        let load_main = |other: &ElfImage| SectionSet::load(other.file(), Flavour::Main).ok();
        let package = package.and_then(|file| SectionSet::load(file, Flavour::Split).ok());
        let split = match (&package, split) {
            (None, Some(probes)) => open_split_files(&main, probes),
            _ => HashMap::new(),
        };
        Ok(Self { supplementary: supplementary.and_then(load_main), main, package, split })
    }

    pub(crate) fn path(&self) -> &Path {
        self.main.file().path()
    }
}

/// A parsed view of the files.
struct Parsed<'a> {
    context: Context<Reader<'a>>,
    dwarf: Arc<gimli::Dwarf<Reader<'a>>>,
    package: Option<DwarfPackage<Reader<'a>>>,
    guard: DepthGuard<'a>,
}

self_cell!(
    struct DwarfCell {
        owner: DwarfFiles,
        #[not_covariant]
        dependent: Parsed,
    }
);

/// The DWARF of one module, parsed as far as lookups needed it.
pub(crate) struct Dwarf(DwarfCell);

impl Dwarf {
    /// Reads the list of units, not the units.
    pub(crate) fn parse(files: DwarfFiles) -> Result<Self, ElfError> {
        DwarfCell::try_new(files, |files| Parsed::new(files)).map(Self)
    }

    /// Symbolicates an address of the file's own address space. Empty when no unit covers it,
    /// or its unit cannot be read.
    pub(crate) fn lookup(&mut self, address: u64) -> Symbolication {
        self.0.with_dependent_mut(|files, parsed| parsed.lookup(files, address).unwrap_or_default())
    }
}

impl<'a> Parsed<'a> {
    fn new(files: &'a DwarfFiles) -> Result<Self, ElfError> {
        let mut dwarf = load_dwarf(&files.main);
        if let Some(supplementary) = &files.supplementary {
            dwarf.set_sup(load_dwarf(supplementary));
        }
        // The guard and addr2line read every unit.
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::All);
        let dwarf = Arc::new(dwarf);
        let guard = DepthGuard::new(&dwarf)?;
        let package = files.package.as_ref().and_then(|package| {
            let load = |id| Ok::<_, gimli::Error>(package.reader(id));
            DwarfPackage::load(load, package.empty_reader()).ok()
        });
        let context = Context::from_arc_dwarf(dwarf.clone())?;
        Ok(Self { context, dwarf, package, guard })
    }

    fn lookup(&mut self, files: &'a DwarfFiles, address: u64) -> Result<Symbolication, ElfError> {
        if address == u64::MAX || !self.guard.is_safe(&self.dwarf, address) {
            return Ok(Symbolication::default());
        }
        let mut frames = self.run(files, self.context.find_frames(address))?;
        let mut found = Symbolication::default();
        let mut outermost = None;
        while let Some(frame) = frames.next()? {
            if found.frames.len() >= MAX_INLINE_FRAMES {
                break;
            }
            outermost = frame.dw_die_offset;
            found.frames.push(source_frame(&frame));
        }
        let physical = found.frames.len().saturating_sub(1);
        for frame in found.frames.iter_mut().take(physical) {
            frame.is_inline = true;
        }
        if let (Some(offset), Some(unit)) =
            (outermost, self.run(files, self.context.find_dwarf_and_unit(address)))
        {
            found.function_rva = function_start(unit, offset, address);
        }
        Ok(found)
    }

    /// Feeds split DWARF to a lookup until it is done.
    fn run<L>(&self, files: &'a DwarfFiles, mut lookup: LookupResult<L>) -> L::Output
    where
        L: LookupContinuation<Buf = Reader<'a>>,
    {
        loop {
            match lookup {
                LookupResult::Output(output) => return output,
                LookupResult::Load { load, continuation } => {
                    lookup = continuation.resume(self.load_split(files, &load));
                }
            }
        }
    }

    fn load_split(
        &self,
        files: &'a DwarfFiles,
        load: &SplitDwarfLoad<Reader<'a>>,
    ) -> Option<Arc<gimli::Dwarf<Reader<'a>>>> {
        let dwarf = match &self.package {
            Some(package) => package.find_cu(load.dwo_id, &load.parent).ok()??,
            None => {
                let mut dwarf = load_dwarf(files.split.get(&load.dwo_id.0)?);
                dwarf.make_dwo(&load.parent);
                dwarf
            }
        };
        // addr2line reads the first unit only.
        let header = dwarf.units().next().ok()??;
        let unit = dwarf.unit(header).ok()?;
        is_unit_safe(UnitRef::new(&dwarf, &unit)).then(|| Arc::new(dwarf))
    }
}

fn load_dwarf(set: &SectionSet) -> gimli::Dwarf<Reader<'_>> {
    let load = |id: SectionId| Ok::<_, std::convert::Infallible>(set.reader(id));
    match gimli::Dwarf::load(load) {
        Ok(dwarf) => dwarf,
        Err(never) => match never {},
    }
}

fn source_frame(frame: &Frame<'_, Reader<'_>>) -> SourceFrame {
    let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
    let location = frame.location.as_ref();
    SourceFrame {
        function: name.filter(|name| !name.is_empty()).map(|name| demangle(&name).into_owned()),
        file: location.and_then(|location| location.file).map(str::to_owned),
        line: location.and_then(|location| location.line).filter(|line| *line != 0),
        is_inline: false,
    }
}

/// Start of the function's address range that holds `address`: the hot and the cold part of
/// a function are two ranges.
fn function_start(
    unit: UnitRef<'_, Reader<'_>>,
    offset: gimli::UnitOffset,
    address: u64,
) -> Option<u64> {
    let entry = unit.entry(offset).ok()?;
    let mut ranges = unit.die_ranges(&entry).ok()?;
    while let Some(range) = ranges.next().ok()? {
        if range.begin <= address && address < range.end {
            return Some(range.begin);
        }
    }
    None
}

/// Opens the `.dwo` files that the skeleton units name. Files whose id differs are left out.
fn open_split_files(main: &SectionSet, probes: &Probes) -> HashMap<u64, SectionSet> {
    let dwarf = load_dwarf(main);
    let mut found = HashMap::new();
    let mut headers = dwarf.units();
    // What is split refers to its addresses through this section.
    let has_addresses = !main.reader(SectionId::DebugAddr).is_empty();
    while let Ok(Some(header)) = headers.next() {
        let may_be_skeleton = match header.version() {
            ..5 => has_addresses,
            _ => matches!(header.type_(), UnitType::Skeleton(_)),
        };
        if !may_be_skeleton {
            continue;
        }
        let Ok(unit) = dwarf.unit(header) else { continue };
        let Some(id) = unit.dwo_id else { continue };
        if found.len() >= MAX_SPLIT_FILES {
            break;
        }
        if let Some(set) = open_split_file(UnitRef::new(&dwarf, &unit), id, probes) {
            found.insert(id.0, set);
        }
    }
    found
}

fn open_split_file(
    unit: UnitRef<'_, Reader<'_>>,
    id: gimli::DwoId,
    probes: &Probes,
) -> Option<SectionSet> {
    let name = unit.attr_string(unit.dwo_name().ok()??).ok()?;
    let folder = unit.comp_dir.as_ref().map(|folder| folder.to_string_lossy().into_owned());
    let path = PathBuf::from(folder.unwrap_or_default()).join(&*name.to_string_lossy());
    if !path.is_absolute() {
        return None;
    }
    let file = probes.open(&path, Links::Refuse).ok()?;
    let set = SectionSet::load(&file, Flavour::Split).ok()?;
    let is_right = {
        let dwarf = load_dwarf(&set);
        let header = dwarf.units().next().ok()??;
        dwarf.unit(header).ok()?.dwo_id == Some(id)
    };
    is_right.then_some(set)
}
