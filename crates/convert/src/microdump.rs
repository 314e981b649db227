//! From a microdump of Breakpad to a minidump: one thread, its stack, the modules.
//!
//! Lines between two marks, each with whatever the log puts before it; numbers in hexadecimal:
//!
//! | line | what |
//! |---|---|
//! | `V PRODUCT:VERSION` | not kept |
//! | `O SYSTEM CPU COUNT MACHINE VERSION…` | `A` Android or `L` Linux, `arm`, `arm64`, `mips`, `x86`, `x86_64` |
//! | `R SIGNAL NAME CODE NAME ADDRESS` | why it crashed; newer versions |
//! | `S 0 POINTER START SIZE` | the stack |
//! | `S ADDRESS BYTES` | a part of it |
//! | `C BYTES` | the registers, as in a minidump |
//! | `M START OFFSET SIZE ID NAME` | a module with its debug id |
//!
//! Source: Breakpad, `src/client/linux/microdump_writer/microdump_writer.cc`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use lastwords_format::streams::exception::{self, Exception};
use lastwords_format::streams::memory_list::{self, MemoryRange};
use lastwords_format::streams::stream_type;
use lastwords_format::streams::thread_list::{self, Thread};
use lastwords_format::{Location, Sink as _, Writer};
use lastwords_monitor::dump_file::DumpFile;

use crate::memory::size;
use crate::minidump_file::not_readable;
use crate::{ConvertError, Converted};

/// First line.
pub(crate) const BEGIN: &str = "-----BEGIN BREAKPAD MICRODUMP-----";
const END: &str = "-----END BREAKPAD MICRODUMP-----";
const MAX_LOG_BYTES: u64 = 256 << 20;
const MAX_STACK_BYTES: usize = 64 << 20;
const MAX_MODULES: usize = 16_384;
const ARCHITECTURES: [(&str, u16); 5] =
    [("x86", 0), ("mips", 1), ("arm", 5), ("x86_64", 9), ("arm64", 12)];
/// Breakpad's first layout of AArch64's registers, and its size.
const ARM64_OLD: u16 = 0x8003;
const ARM64_OLD_BYTES: usize = 796;
const PLATFORM_LINUX: u32 = 0x8201;
const PLATFORM_ANDROID: u32 = 0x8203;
const CODE_VIEW: &[u8; 4] = b"RSDS";

pub(crate) fn convert(from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    let file = File::open(from).map_err(|reason| not_readable(from, reason))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_LOG_BYTES).read_to_end(&mut bytes);
    read.map_err(|reason| not_readable(from, reason))?;
    let microdump = Microdump::parse(&String::from_utf8_lossy(&bytes));
    let malformed = |reason: &str| ConvertError::malformed(from, reason);
    let microdump = microdump.ok_or_else(|| malformed("no microdump begins in it"))?;
    let Some(architecture) = microdump.architecture() else {
        let reason = format!("a microdump of {:?} is not converted", microdump.cpu);
        return Err(ConvertError::unsupported(from, reason));
    };
    if microdump.context.is_empty() {
        return Err(malformed("the microdump has no line C with registers"));
    }
    let written = microdump.write(to, architecture);
    written.map_err(|reason| ConvertError::not_written(to, reason))?;
    let stack: usize = microdump.stack.iter().map(|(_, bytes)| bytes.len()).sum();
    Ok(Converted { threads: 1, memory_bytes: size(stack), notes: microdump.notes })
}

#[derive(Debug, Default)]
struct Microdump {
    is_android: bool,
    cpu: String,
    processors: u8,
    version: String,
    thread_id: u32,
    signal: u32,
    code: u32,
    address: u64,
    stack: Vec<(u64, Vec<u8>)>,
    context: Vec<u8>,
    modules: Vec<ModuleLine>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct ModuleLine {
    start: u64,
    size: u64,
    debug_id: Vec<u8>,
    name: String,
}

impl Microdump {
    /// The first microdump of a log. `None` when none begins.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip_while(|line| !line.contains(BEGIN));
        let first = lines.next()?;
        let prefix = first.split(BEGIN).next().unwrap_or_default();
        let tag = tag_of(prefix);
        let mut found = Self { thread_id: process_of(prefix).unwrap_or(1), ..Self::default() };
        let mut has_end = false;
        for line in lines {
            if line.contains(END) {
                has_end = true;
                break;
            }
            let Some(line) = content(line, tag, prefix.len()) else { continue };
            if found.add(line).is_none() {
                let start: String = line.chars().take(40).collect();
                found.notes.push(format!("a line could not be read: {start}"));
            }
        }
        if !has_end {
            found.notes.push("the microdump is cut: its last line is missing".to_owned());
        }
        Some(found)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_at_checked(2)?;
        match kind {
            "O " => self.add_system(rest),
            "R " => self.add_reason(rest),
            "S " => self.add_stack(rest),
            "C " => {
                self.context = bytes_of(rest)?;
                Some(())
            }
            "M " => self.add_module(rest),
            _ => Some(()),
        }
    }

    fn add_system(&mut self, rest: &str) -> Option<()> {
        let mut words = rest.splitn(5, ' ');
        self.is_android = words.next()? == "A";
        words.next()?.clone_into(&mut self.cpu);
        self.processors = u8::from_str_radix(words.next()?, 16).unwrap_or(0);
        self.version = words.nth(1).unwrap_or_default().to_owned();
        Some(())
    }

    fn add_reason(&mut self, rest: &str) -> Option<()> {
        let words: Vec<&str> = rest.split(' ').collect();
        let [signal, _, code, _, address, ..] = words.as_slice() else { return None };
        self.signal = u32::from_str_radix(signal, 16).ok()?;
        self.code = u32::from_str_radix(code, 16).ok()?;
        self.address = u64::from_str_radix(address, 16).ok()?;
        Some(())
    }

    fn add_stack(&mut self, rest: &str) -> Option<()> {
        let (address, bytes) = rest.split_once(' ')?;
        if address == "0" {
            return Some(());
        }
        let bytes = bytes_of(bytes)?;
        let known: usize = self.stack.iter().map(|(_, bytes)| bytes.len()).sum();
        if known.checked_add(bytes.len())? > MAX_STACK_BYTES {
            return None;
        }
        let address = u64::from_str_radix(address, 16).ok()?;
        match self.stack.last_mut() {
            Some((start, joined)) if start.checked_add(size(joined.len())) == Some(address) => {
                joined.extend(bytes);
            }
            _ => self.stack.push((address, bytes)),
        }
        Some(())
    }

    fn add_module(&mut self, rest: &str) -> Option<()> {
        let words: Vec<&str> = rest.splitn(5, ' ').collect();
        let [start, offset, size, debug_id, name] = words.as_slice() else { return None };
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        if self.modules.len() >= MAX_MODULES {
            return None;
        }
        // The mapping that holds the code may begin inside the file.
        let start = number(start)?.checked_sub(number(offset)?)?;
        let debug_id = code_view_id(debug_id)?;
        let size = number(size)?.checked_add(number(offset)?)?;
        self.modules.push(ModuleLine { start, size, debug_id, name: (*name).to_owned() });
        Some(())
    }

    fn architecture(&self) -> Option<u16> {
        let known = ARCHITECTURES.iter().find(|(name, _)| *name == self.cpu);
        let is_old = self.cpu == "arm64" && self.context.len() <= ARM64_OLD_BYTES;
        known.map(|(_, code)| if is_old { ARM64_OLD } else { *code })
    }

    fn write(&self, to: &Path, architecture: u16) -> std::io::Result<()> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(to)?;
        let mut dump = DumpFile::new(file, 0, 0)?;
        let context = dump.append(&self.context)?;
        let mut ranges = Vec::new();
        for (start, bytes) in &self.stack {
            ranges.push(MemoryRange { start: *start, data: dump.append(bytes)? });
        }
        let id = self.thread_id;
        let stack = ranges.first().copied().unwrap_or_default();
        let threads = thread_list::encode(&[Thread { id, teb: 0, stack, context }]);
        dump.add_stream(stream_type::THREAD_LIST, &threads)?;
        let exception = Exception {
            thread_id: id,
            signal: self.signal,
            code: self.code,
            address: self.address,
            access: None,
            context,
        };
        dump.add_stream(stream_type::EXCEPTION, &exception::encode(&exception))?;
        let modules = self.module_list(&mut dump)?;
        dump.add_stream(stream_type::MODULE_LIST, &modules)?;
        let system = self.system_info(&mut dump, architecture)?;
        dump.add_stream(stream_type::SYSTEM_INFO, &system)?;
        dump.add_stream(stream_type::MEMORY_LIST, &memory_list::encode(&ranges))?;
        dump.finish().map(drop)
    }

    /// `MINIDUMP_SYSTEM_INFO`, 56 bytes.
    fn system_info(&self, dump: &mut DumpFile, architecture: u16) -> std::io::Result<Vec<u8>> {
        let text = dump.append_utf16(&self.version)?;
        let mut out = Writer::new();
        out.u16(architecture).u16(0).u16(0).u8(self.processors).u8(0).u32(0).u32(0).u32(0);
        out.u32(if self.is_android { PLATFORM_ANDROID } else { PLATFORM_LINUX });
        out.u32(text.rva).u32(0).raw(&[0; 24]);
        Ok(out.into_bytes())
    }

    /// `MINIDUMP_MODULE`, 108 bytes each, with `RSDS` records: a microdump has debug ids only.
    fn module_list(&self, dump: &mut DumpFile) -> std::io::Result<Vec<u8>> {
        let mut out = Writer::new();
        out.u32(u32::try_from(self.modules.len()).unwrap_or(0));
        for module in &self.modules {
            let name = dump.append_utf16(&module.name)?;
            let mut record = Writer::new();
            record.raw(CODE_VIEW).raw(&module.debug_id).raw(module.name.as_bytes()).u8(0);
            let Location { size, rva } = dump.append(&record.into_bytes())?;
            out.u64(module.start).u32(u32::try_from(module.size).unwrap_or(u32::MAX));
            out.u32(0).u32(0).u32(name.rva).raw(&[0; 52]).u32(size).u32(rva).raw(&[0; 24]);
        }
        Ok(out.into_bytes())
    }
}

/// The number in brackets that a log writes before each line.
fn process_of(prefix: &str) -> Option<u32> {
    let (_, rest) = prefix.rsplit_once('(')?;
    rest.split(')').next()?.trim().parse().ok()
}

/// What stands in every line of the same writer: `google-breakpad( 3728)`.
fn tag_of(prefix: &str) -> Option<&str> {
    let start = prefix.find("google-breakpad")?;
    prefix.get(start..).map(str::trim_end).filter(|tag| !tag.is_empty())
}

/// A line without what the log puts before it; `None` for lines of others.
fn content<'a>(line: &'a str, tag: Option<&str>, prefix_bytes: usize) -> Option<&'a str> {
    match tag {
        Some(tag) => line.split_once(tag).map(|(_, rest)| rest.trim_start()),
        None => line.get(prefix_bytes..).map(str::trim),
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

/// GUID and age as a CodeView record has them, of a debug id in text (GUID in big-endian digits).
fn code_view_id(text: &str) -> Option<Vec<u8>> {
    let (guid, age) = text.split_at_checked(32)?;
    let guid = bytes_of(guid)?;
    let age = u32::from_str_radix(age, 16).ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = guid.as_slice() else { return None };
    let mut out = vec![*d, *c, *b, *a, *f, *e, *h, *g];
    out.extend(rest);
    out.extend(age.to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_writers_are_passed_over() {
        let text = "W/google-breakpad( 37): -----BEGIN BREAKPAD MICRODUMP-----\n\
                    I/other( 40): O A mips 1 x\n\
                    W/google-breakpad( 37): O L x86_64 02 x86_64 Linux 6.1\n\
                    W/google-breakpad( 37): S 0 10 10 8\n\
                    W/google-breakpad( 37): S 10 0011\nW/google-breakpad( 37): S 12 22\n\
                    W/google-breakpad( 37): S nonsense\n";
        // The tag ends with a colon in every line.
        let found = Microdump::parse(text).unwrap();
        assert_eq!((found.cpu.as_str(), found.thread_id), ("x86_64", 37));
        assert_eq!(found.stack, [(0x10, vec![0, 0x11, 0x22])]);
        assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    }
}
