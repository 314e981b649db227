//! A second reader of PDBs, independent of ours and of LLVM's: the crate `pdb-addr2line`.

use std::fs::File;
use std::path::Path;

use pdb_addr2line::pdb::PDB;
use pdb_addr2line::{ContextPdbData, Frame as Found};

use crate::support::frames::{Frame, new_frame};

/// Its frames at each address relative to the image, innermost first; none where it cannot say.
pub fn answers(pdb: &Path, rvas: &[u64]) -> Vec<Vec<Frame>> {
    let pdb = PDB::open(File::open(pdb).unwrap()).unwrap();
    let data = ContextPdbData::try_from_pdb(pdb).unwrap();
    let context = data.make_context().unwrap();
    let find = |rva: &u64| {
        let found = context.find_frames(u32::try_from(*rva).unwrap()).ok().flatten();
        found.map(|found| found.frames.iter().map(frame).collect()).unwrap_or_default()
    };
    rvas.iter().map(find).collect()
}

fn frame(found: &Found<'_>) -> Frame {
    let function = found.function.as_deref().unwrap_or("?");
    let file = found.file.as_deref().unwrap_or("?");
    new_frame(function, file, u64::from(found.line.unwrap_or(0)))
}
