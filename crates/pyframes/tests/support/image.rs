//! Builds the memory of a CPython 3.11 process by hand, from the headers of 3.11.7; knows
//! nothing of the reader's tables.
#![allow(dead_code)]

use std::collections::BTreeMap;

use lastwords_pyframes::{Memory, MemoryError, Target};

pub const RUNTIME: u64 = 0x10_0000;
pub const INTERPRETER: u64 = 0x20_0000;
pub const THREAD: u64 = 0x30_0000;
const TYPES: u64 = 0x40_0000;
const STR_TYPE: u64 = TYPES;
const BYTES_TYPE: u64 = TYPES + 0x400;
const CODE_TYPE: u64 = TYPES + 0x800;
pub const EXCEPTION_TYPE: u64 = TYPES + 0xC00;
const DICT_TYPE: u64 = TYPES + 0x1000;
/// `PyInterpreterState.sysdict`.
const SYSDICT: u64 = INTERPRETER + 904;

/// `_PyCFrame` objects stand here.
pub const STACK: u64 = 0x7000_0000;
/// `_PyInterpreterFrame` objects stand here, 0x100 apart.
pub const FRAMES: u64 = 0x60_0000;

/// Memory by address, and where the next object goes.
#[derive(Clone)]
pub struct Image {
    ranges: BTreeMap<u64, Vec<u8>>,
    heap: u64,
}

impl Image {
    pub fn empty() -> Self {
        Self { ranges: BTreeMap::new(), heap: 0x100_0000 }
    }

    /// A runtime with one interpreter and one thread without frames.
    pub fn new() -> Self {
        let mut image = Self::empty();
        image.map(RUNTIME, 0x400);
        image.put(RUNTIME + 40, INTERPRETER).put(RUNTIME + 576, THREAD);
        image.map(INTERPRETER, 912);
        image.put(INTERPRETER + 16, THREAD);
        for (address, name) in [
            (STR_TYPE, "str"),
            (BYTES_TYPE, "bytes"),
            (CODE_TYPE, "code"),
            (EXCEPTION_TYPE, "package.Oops"),
            (DICT_TYPE, "dict"),
        ] {
            image.map(address, 0x198);
            let name = image.object(&[name.as_bytes(), &[0]].concat());
            image.put(address + 24, name);
        }
        image.put(EXCEPTION_TYPE + 168, 1 << 30);
        image.thread(THREAD);
        image.set_abi_flags("");
        image
    }

    /// The dict of `sys`, with `abiflags` behind another name of the same length.
    pub fn set_abi_flags(&mut self, flags: &str) {
        let entries = [("platform", "linux"), ("abiflags", flags)].map(|(key, value)| {
            let key = self.ascii(key);
            [key, self.ascii(value)]
        });
        // PyDictKeysObject: 8 indices of a byte, entries without hashes.
        let mut keys = vec![0; 32 + 8];
        keys[8..11].copy_from_slice(&[3, 3, 1]);
        keys[24..32].copy_from_slice(&2_u64.to_le_bytes());
        keys.extend(entries.concat().into_iter().flat_map(u64::to_le_bytes));
        let keys = self.object(&keys);
        let dict = self.object(&[0; 48]);
        self.put(dict + 8, DICT_TYPE).put(dict + 16, 2).put(dict + 32, keys);
        self.put(SYSDICT, dict);
    }

    pub fn target() -> Target {
        Target { runtime_address: RUNTIME, python_version: 0x030B_07F0 }
    }

    pub fn map(&mut self, address: u64, size: usize) {
        self.ranges.insert(address, vec![0; size]);
    }

    pub fn unmap(&mut self, address: u64) {
        self.ranges.remove(&address).expect("it was mapped");
    }

    /// Writes eight bytes.
    pub fn put(&mut self, address: u64, value: u64) -> &mut Self {
        self.put_bytes(address, &value.to_le_bytes())
    }

    /// The eight bytes at `address`.
    pub fn word(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).expect("mapped");
        u64::from_le_bytes(bytes)
    }

    pub fn put_bytes(&mut self, address: u64, bytes: &[u8]) -> &mut Self {
        let (start, range) = self.ranges.range_mut(..=address).next_back().expect("mapped");
        let offset = usize::try_from(address - start).expect("it fits");
        range[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Places `bytes` on the heap.
    pub fn object(&mut self, bytes: &[u8]) -> u64 {
        let address = self.heap;
        self.heap += bytes.len().next_multiple_of(0x1000) as u64 + 0x1000;
        self.ranges.insert(address, bytes.to_vec());
        address
    }

    /// A thread state at `address`: `PyThreadState`, 360 bytes, on its root `_PyCFrame`.
    pub fn thread(&mut self, address: u64) {
        self.map(address, 360);
        self.put(address + 16, INTERPRETER).put(address + 56, address + 336);
        self.put(address + 152, 0x7f00_0000_1234).put(address + 160, 4321);
    }

    /// A `str` whose characters are of `kind` bytes each.
    pub fn string(&mut self, text: &[u32], kind: u32) -> u64 {
        let is_ascii = text.iter().all(|code| *code < 0x80) && kind == 1;
        let mut bytes = vec![0; if is_ascii { 48 } else { 72 }];
        bytes[8..16].copy_from_slice(&STR_TYPE.to_le_bytes());
        bytes[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
        let state = 0x80 | u32::from(is_ascii) << 6 | 1 << 5 | kind << 2;
        bytes[32..36].copy_from_slice(&state.to_le_bytes());
        for code in text {
            bytes.extend_from_slice(&code.to_le_bytes()[..kind as usize]);
        }
        // Strings end in a NUL character.
        bytes.extend_from_slice(&[0; 4][..kind as usize]);
        self.object(&bytes)
    }

    pub fn ascii(&mut self, text: &str) -> u64 {
        let codes: Vec<u32> = text.chars().map(u32::from).collect();
        self.string(&codes, 1)
    }

    /// A code object named `name` in `model.py` that begins on line 10; four code units on
    /// line 11, four on line 12. The first is not traceable.
    pub fn code(&mut self, name: &str) -> u64 {
        let table = [0x80 | 13 << 3 | 3, 2, 0x80 | 13 << 3 | 3, 2];
        let mut bytes = vec![0; 33];
        bytes[8..16].copy_from_slice(&BYTES_TYPE.to_le_bytes());
        bytes[16..24].copy_from_slice(&(table.len() as u64).to_le_bytes());
        bytes.splice(32..32, table);
        let table = self.object(&bytes);
        let file = self.ascii("model.py");
        let qualname = self.ascii(&format!("Model.{name}"));
        let name = self.ascii(name);
        let code = self.object(&[0; 184 + 16]);
        self.put(code + 8, CODE_TYPE).put(code + 16, 8);
        self.put_bytes(code + 72, &10_u32.to_le_bytes());
        self.put(code + 112, file).put(code + 120, name);
        self.put(code + 128, qualname).put(code + 136, table);
        self.put_bytes(code + 168, &1_u32.to_le_bytes());
        code
    }

    /// A frame at `FRAMES + 0x100 * index`, at code unit 5.
    pub fn frame(&mut self, index: u64, name: &str, previous: u64, is_entry: bool) -> u64 {
        let address = FRAMES + 0x100 * index;
        let code = self.code(name);
        self.map(address, 80);
        self.put(address + 32, code).put(address + 48, previous);
        self.put(address + 56, code + 184 + 2 * 5);
        self.put_bytes(address + 68, &[u8::from(is_entry), 0]);
        address
    }

    /// A `_PyCFrame` at `STACK + 0x1000 * index`.
    pub fn cframe(&mut self, index: u64, current_frame: u64, previous: u64) -> u64 {
        let address = STACK + 0x1000 * index;
        self.map(address, 24);
        self.put(address + 8, current_frame).put(address + 16, previous);
        address
    }

    /// Two native activations: `inner` in `outer`; `leaf` in `key`, called from C.
    pub fn with_two_activations() -> Self {
        let mut image = Self::new();
        let outer = image.frame(0, "outer", 0, true);
        let inner = image.frame(1, "inner", outer, false);
        let key = image.frame(2, "key", inner, true);
        let leaf = image.frame(3, "leaf", key, false);
        let older = image.cframe(1, inner, THREAD + 336);
        let newer = image.cframe(0, leaf, older);
        image.put(THREAD + 56, newer);
        image
    }
}

impl Memory for Image {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let failed = || MemoryError::new(address, buffer.len(), "not mapped");
        let (start, range) = self.ranges.range(..=address).next_back().ok_or_else(failed)?;
        let offset = usize::try_from(address - start).expect("it fits");
        // A range ends in its last page, as mappings do: the rest of it reads as zero.
        let room = range.len().next_multiple_of(0x1000);
        let end = offset + buffer.len();
        if end > room {
            return Err(failed());
        }
        buffer.fill(0);
        let known = range.get(offset..end.min(range.len())).unwrap_or_default();
        buffer[..known.len()].copy_from_slice(known);
        Ok(())
    }
}
