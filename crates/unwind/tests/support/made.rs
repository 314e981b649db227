//! Frames of images of the corpus, with registers and memory that are made up.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};

use lastwords_symbols::ModuleSymbols;
use lastwords_unwind::Provider;
use minidump::MinidumpModule;
use minidump_unwind::{FrameWalker, SymbolProvider};

use crate::support::{block_on, code_view_module};

pub const BASE: u64 = 0x1000_0000;
const SIZE: u64 = 0x100_0000;

/// Copies of the files, and room for the cache.
pub struct Place {
    dir: tempfile::TempDir,
    pub module: MinidumpModule,
}

impl Place {
    pub fn new(corpus: &Path, image: &str, beside: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("files");
        std::fs::create_dir(&folder).unwrap();
        for file in beside.iter().chain([&image]) {
            let from = corpus.join("files").join(file);
            let to = folder.join(below_folder(file));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&from, &to).unwrap();
            if file.ends_with(".gz") {
                let status = std::process::Command::new("gunzip").arg(&to).status();
                assert!(status.unwrap().success());
            }
        }
        lastwords_synth::settle(dir.path());
        let path = folder.join(name_of(image));
        let symbols = ModuleSymbols::open(&path);
        let of_pe = symbols.pe().and_then(|pe| pe.image()?.debug_id());
        let header = symbols.sym_header(None).ok();
        let debug_id = of_pe.or(header.map(|header| header.debug_id)).unwrap();
        let module = code_view_module(BASE, SIZE, path.to_str().unwrap(), debug_id);
        Self { dir, module }
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    pub fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub fn is_mapped(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(self.folder().to_str().unwrap())
    }
}

/// The name of an image's copy.
pub fn name_of(image: &str) -> &str {
    let name = Path::new(image).file_name().unwrap().to_str().unwrap();
    name.strip_suffix(".gz").unwrap_or(name)
}

/// The file's name; of a bundle's, its path from the bundle on.
fn below_folder(file: &str) -> &str {
    let before = file.find(".dSYM/").unwrap_or(file.len());
    let start = file[..before].rfind('/').unwrap() + 1;
    &file[start..]
}

/// Stack pointer, return address and registers of a caller.
pub type Caller = (u64, u64, Vec<(String, Option<u64>)>);

/// Of frames all over the image, the newest and others.
pub fn callers(
    provider: &Provider,
    module: &MinidumpModule,
    is_narrow: bool,
) -> Vec<Option<Caller>> {
    let mut found = Vec::new();
    for rva in (0x1000..0x4_0000).step_by(0x94) {
        for has_callee in [false, true] {
            let mut frame = Frame { instruction: BASE + rva, has_callee, is_narrow, caller: None };
            let walked = block_on(provider.walk_frame(module, &mut frame));
            found.push(walked.and(frame.caller));
        }
    }
    found
}

/// A frame whose registers and memory are made of their names and addresses.
struct Frame {
    instruction: u64,
    has_callee: bool,
    is_narrow: bool,
    caller: Option<Caller>,
}

impl Frame {
    fn cut(&self, value: u64) -> u64 {
        if self.is_narrow { value & 0x7fff_fff0 } else { value & 0x7fff_ffff_fff0 }
    }

    fn caller(&mut self) -> &mut Caller {
        self.caller.get_or_insert_with(|| (0, 0, Vec::new()))
    }
}

impl FrameWalker for Frame {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }

    fn has_grand_callee(&self) -> bool {
        self.has_callee
    }

    fn get_grand_callee_parameter_size(&self) -> u32 {
        0
    }

    fn get_register_at_address(&self, address: u64) -> Option<u64> {
        Some(self.cut(address.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    fn get_callee_register(&self, name: &str) -> Option<u64> {
        // As `.sym` files name them.
        let name = match name {
            "x29" => "fp",
            "x30" => "lr",
            "r11" => "fp",
            name => name,
        };
        let sum = name.bytes().fold(7u64, |sum, byte| sum * 31 + u64::from(byte));
        Some(self.cut(sum.wrapping_mul(0x1_0000_01b3)))
    }

    fn set_caller_register(&mut self, name: &str, value: u64) -> Option<()> {
        self.caller().2.push((name.to_owned(), Some(value)));
        Some(())
    }

    fn clear_caller_register(&mut self, name: &str) {
        self.caller().2.push((name.to_owned(), None));
    }

    fn set_cfa(&mut self, value: u64) -> Option<()> {
        self.caller().0 = value;
        Some(())
    }

    fn set_ra(&mut self, value: u64) -> Option<()> {
        self.caller().1 = value;
        Some(())
    }
}
