//! Greenlets (package greenlet, 1.0 to 3.x): found among the objects of the garbage collector,
//! because nothing in Python leads to those that wait.
//!
//! A greenlet that waits keeps its newest frame object and a copy of its part of the C stack. The
//! package promises nothing about where, so they are searched: in the object itself (1.x), or in
//! what it points to (`pimpl`, from 2.0 on; the object has hardly more than that pointer). From 3.12 on shim frames on the C stack link the
//! others; they are read in the copy.

mod collector;

use std::collections::HashSet;
use std::rc::Rc;

use lastwords_format::streams::python::FrameOwner;

use super::Reader;
use super::read::Interpreter;
use super::types::Type;
use crate::details::{ChainFrame, DetailsOptions, Greenlet};
use crate::layout::values::{FRAME_OBJECT_FRAME, GeneratorFrame};
use crate::source::{Fault, Moved};

const NAMES: [&str; 2] = ["greenlet.greenlet", "greenlet._greenlet.greenlet"];
/// Words of the object, and of what it points to, that are searched.
const SEARCHED_WORDS: usize = 32;
/// The header of an object.
const HEADER_WORDS: usize = 2;
/// Bytes of an object that keeps everything behind a pointer: header, `weakreflist`, `dict`,
/// `pimpl`.
const MOST_OF_POINTER: u64 = 48;
/// Most that a part of a stack can have.
const MAX_STACK: u64 = 1 << 30;

/// What a greenlet keeps while it waits.
#[derive(Debug, Clone, Copy)]
struct Kept {
    frame_object: u64,
    stack: Option<Moved>,
}

impl Reader<'_> {
    /// The greenlets of an interpreter.
    pub(super) fn greenlets(
        &mut self,
        interpreter: &Interpreter,
        options: &DetailsOptions,
    ) -> Vec<Greenlet> {
        let found = self.collected_objects(interpreter.address, options);
        let mut greenlets = Vec::new();
        for (address, of) in found {
            if greenlets.len() >= options.max_greenlets {
                self.note_limit("max_greenlets");
                break;
            }
            greenlets.push(self.greenlet(address, &of, options));
        }
        greenlets
    }

    fn greenlet(
        &mut self,
        address: u64,
        (of, base): &(Rc<Type>, Rc<Type>),
        options: &DetailsOptions,
    ) -> Greenlet {
        let type_name = self.full_name(of);
        let mut greenlet = Greenlet { address, type_name, ..Greenlet::default() };
        let Some(kept) = self.kept(address, base.basic_size) else { return greenlet };
        greenlet.is_suspended = true;
        self.source().set_moved(kept.stack);
        let walked = self.greenlet_frames(kept.frame_object, options, &mut greenlet);
        self.source().set_moved(None);
        if let Err(fault) = walked {
            greenlet.is_cut = true;
            self.note(format!("greenlet at {address:#x}"), "its frames", &fault);
        }
        greenlet
    }

    fn kept(&mut self, address: u64, size: u64) -> Option<Kept> {
        let words = usize::try_from(size / 8).ok()?.min(SEARCHED_WORDS);
        let own = self.words(address, words).ok()?;
        let own = own.get(HEADER_WORDS..)?;
        if size > MOST_OF_POINTER {
            return self.kept_in(own);
        }
        let pointer = own.iter().rev().find(|pointer| **pointer != 0)?;
        let behind = self.words(*pointer, SEARCHED_WORDS).ok()?;
        self.kept_in(&behind)
    }

    fn kept_in(&mut self, words: &[u64]) -> Option<Kept> {
        let frame_object = words.iter().copied().find(|word| self.is_frame_object(*word))?;
        let stack = words.windows(4).find_map(|words| match *words {
            [start, stop, copy, saved] => {
                let size = stop.checked_sub(start)?;
                let is_one = start != 0 && size <= MAX_STACK && copy != 0 && saved != 0;
                (is_one && saved <= size).then_some(Moved { from: start, size: saved, to: copy })
            }
            _ => None,
        });
        Some(Kept { frame_object, stack })
    }

    fn is_frame_object(&mut self, address: u64) -> bool {
        address != 0
            && address.is_multiple_of(8)
            && self.type_of(address).is_ok_and(|of| of.built_in() == "frame")
    }

    fn greenlet_frames(
        &mut self,
        frame_object: u64,
        options: &DetailsOptions,
        greenlet: &mut Greenlet,
    ) -> Result<(), Fault> {
        let mut address = match self.layout.generator.frame {
            GeneratorFrame::Pointer(_) => frame_object,
            GeneratorFrame::Inside { .. } => {
                self.structure(frame_object, &[FRAME_OBJECT_FRAME])?.get(FRAME_OBJECT_FRAME)?
            }
        };
        let mut met = HashSet::new();
        while address != 0 && met.insert(address) {
            let raw = self.frames.raw_frame(address)?;
            if raw.owner != FrameOwner::CStack {
                if greenlet.frames.len() >= options.max_chain_frames {
                    self.note_limit("max_chain_frames");
                    greenlet.is_cut = true;
                    break;
                }
                let frame = self.frames.frame(&raw, None)?;
                greenlet.frames.extend(frame.map(ChainFrame::from));
            }
            address = raw.previous;
        }
        Ok(())
    }
}
