//! Writing the stream.

use std::collections::HashMap;

use super::{MAGIC, NO_STRING, PythonFrame, PythonStream, PythonThread, UNKNOWN_COLUMN, VERSION};
use crate::Writer;

fn bit(set: bool, position: u32) -> u32 {
    u32::from(set) << position
}

fn count_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct StringTable<'a> {
    ids: HashMap<&'a str, u32>,
    strings: Vec<&'a str>,
}

impl<'a> StringTable<'a> {
    fn id(&mut self, text: Option<&'a String>) -> u32 {
        let Some(text) = text else { return NO_STRING };
        let next = count_of(self.strings.len());
        let id = *self.ids.entry(text).or_insert(next);
        if id == next {
            self.strings.push(text);
        }
        id
    }
}

impl PythonStream {
    /// Encodes the stream.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut strings = StringTable::default();
        let mut threads = Writer::new();
        let mut frames = Writer::new();
        let mut frame_count = 0_u32;
        for thread in &self.threads {
            let exception = strings.id(thread.exception_type.as_ref());
            thread.encode(&mut threads, frame_count, exception);
            frame_count = frame_count.saturating_add(count_of(thread.frames.len()));
            for frame in &thread.frames {
                frame.encode(&mut frames, &mut strings);
            }
        }
        let mut out = Writer::new();
        out.u32(MAGIC).u16(VERSION).u16(self.flags());
        out.u32(self.python_version).u32(count_of(self.threads.len()));
        out.u32(frame_count).u32(count_of(strings.strings.len()));
        out.u64(self.runtime_address).u64(self.gil_holder.unwrap_or(0));
        out.u64(self.gil_address.unwrap_or(0));
        out.raw(&threads.into_bytes()).raw(&frames.into_bytes());
        for text in strings.strings {
            out.u32(count_of(text.len())).raw(text.as_bytes());
        }
        out.into_bytes()
    }

    fn flags(&self) -> u16 {
        u16::from(self.is_free_threaded)
            | u16::from(self.is_debug_build) << 1
            | u16::from(self.is_finalizing) << 2
            | u16::from(self.is_cut) << 3
    }
}

impl PythonThread {
    fn encode(&self, out: &mut Writer, first_frame: u32, exception_type: u32) {
        out.u64(self.tstate).u64(self.interpreter_id).u64(self.thread_id);
        out.u64(self.native_thread_id.unwrap_or(0));
        out.u32(first_frame).u32(count_of(self.frames.len())).u32(exception_type);
        out.u32(self.flags()).u64(self.gil_address.unwrap_or(0));
    }

    fn flags(&self) -> u32 {
        bit(self.holds_gil, 0)
            | bit(self.is_cut, 1)
            | bit(self.is_broken, 2)
            | bit(self.is_collecting, 3)
            | bit(self.is_interpreter_finalizing, 4)
    }
}

impl PythonFrame {
    fn encode<'a>(&'a self, out: &mut Writer, strings: &mut StringTable<'a>) {
        out.u64(self.frame).u64(self.code).u64(self.anchor.unwrap_or(0));
        out.u32(strings.id(self.name.as_ref())).u32(strings.id(self.qualname.as_ref()));
        out.u32(strings.id(self.file.as_ref())).i32(self.lasti);
        out.u32(self.line.unwrap_or(0)).u32(self.end_line.unwrap_or(0));
        out.u32(self.column.unwrap_or(UNKNOWN_COLUMN));
        out.u32(self.end_column.unwrap_or(UNKNOWN_COLUMN)).u8(self.owner.code());
        out.u8(u8::from(self.is_entry) | u8::from(self.is_partial) << 1).u16(0);
    }
}
