//! `FUNC`, `INLINE` and line records, from the answers of lookups.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use super::SymReport;
use super::names::{Names, UNKNOWN, one_line};
use crate::module_symbols::ModuleSymbols;
use crate::symbols::{SourceFrame, Symbolication};

/// Bytes of function records at most: what our own reader takes of a whole file.
const MAX_BYTES: usize = 2 << 30;
/// What Breakpad calls a function without a name.
const NAMELESS: &str = "<name omitted>";

/// Writes `FILE`, `INLINE_ORIGIN`, `FUNC`, `INLINE` and line records.
pub(super) fn write_functions(
    symbols: &ModuleSymbols,
    out: &mut dyn Write,
    report: &mut SymReport,
) -> io::Result<()> {
    let boundaries = symbols.boundaries();
    report.is_cut |= boundaries.is_cut;
    let boundaries = boundaries.into_sorted();
    let mut writer = FunctionWriter::new(report);
    for pair in boundaries.windows(2) {
        let [start, end] = *pair else { continue };
        writer.add(start..end, symbols.find(start));
        if writer.text.len() > MAX_BYTES {
            writer.report.is_cut = true;
            break;
        }
    }
    writer.finish_function();
    writer.files.write("FILE", out)?;
    writer.origins.write("INLINE_ORIGIN", out)?;
    out.write_all(&writer.text)
}

/// The part of a function that is being collected.
struct Function {
    range: Range<u64>,
    /// Its start as the lookups say it.
    function_rva: Option<u64>,
    name: Option<String>,
    parameter_bytes: u32,
    lines: Vec<(Range<u64>, u32, usize)>,
    /// By level, line and file of the call, and origin; in the order of the first address.
    calls: HashMap<Call, usize>,
    call_ranges: Vec<(Call, Vec<Range<u64>>)>,
}

/// Level, line and file of the call site, number of the inlined function's name.
type Call = (usize, u32, usize, usize);

struct FunctionWriter<'a> {
    files: Names,
    origins: Names,
    text: Vec<u8>,
    function: Option<Function>,
    report: &'a mut SymReport,
}

impl<'a> FunctionWriter<'a> {
    fn new(report: &'a mut SymReport) -> Self {
        Self {
            files: Names::default(),
            origins: Names::default(),
            text: Vec::new(),
            function: None,
            report,
        }
    }

    /// Adds what holds in a range of addresses.
    fn add(&mut self, range: Range<u64>, found: Symbolication) {
        // Lines without a function are the padding between functions.
        let is_padding = |frame: &&SourceFrame| frame.function.is_none() && found.frames.len() == 1;
        let Some(outermost) = found.frames.last().filter(|frame| !is_padding(frame)) else {
            return self.finish_function();
        };
        let continues = self.function.as_ref().is_some_and(|function| {
            function.range.end == range.start
                && function.function_rva == found.function_rva
                && function.name == outermost.function
        });
        if !continues {
            self.finish_function();
            self.function = Some(Function {
                range: range.start..range.start,
                function_rva: found.function_rva,
                name: outermost.function.clone(),
                parameter_bytes: found.parameter_bytes,
                lines: Vec::new(),
                calls: HashMap::new(),
                call_ranges: Vec::new(),
            });
        }
        let Some(function) = &mut self.function else { return };
        function.range.end = range.end;
        let mut file = |frame: &SourceFrame| match &frame.file {
            Some(file) => self.files.number(file),
            None => UNKNOWN,
        };
        if let Some(innermost) = found.frames.first().filter(|frame| frame.file.is_some()) {
            function.add_line(&range, innermost.line.unwrap_or(0), file(innermost));
        }
        for (level, pair) in found.frames.windows(2).rev().enumerate() {
            let [inlined, caller] = pair else { continue };
            let origin = self.origins.number(inlined.function.as_deref().unwrap_or(NAMELESS));
            function.add_call((level, caller.line.unwrap_or(0), file(caller), origin), &range);
        }
    }

    fn finish_function(&mut self) {
        let Some(function) = self.function.take() else { return };
        self.report.functions = self.report.functions.saturating_add(1);
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        self.report.lines = self.report.lines.saturating_add(count(function.lines.len()));
        self.report.inlines = self.report.inlines.saturating_add(count(function.call_ranges.len()));
        // Writing to memory does not fail.
        let _ = function.write(&mut self.text);
    }
}

impl Function {
    fn add_line(&mut self, range: &Range<u64>, line: u32, file: usize) {
        match self.lines.last_mut() {
            Some((last, last_line, last_file))
                if last.end == range.start && (*last_line, *last_file) == (line, file) =>
            {
                last.end = range.end;
            }
            _ => self.lines.push((range.clone(), line, file)),
        }
    }

    fn add_call(&mut self, call: Call, range: &Range<u64>) {
        let next = self.call_ranges.len();
        let index = *self.calls.entry(call).or_insert(next);
        if index == next {
            self.call_ranges.push((call, Vec::new()));
        }
        let Some((_, ranges)) = self.call_ranges.get_mut(index) else { return };
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range.clone()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let Range { start, end } = self.range;
        let name = one_line(self.name.as_deref().unwrap_or(NAMELESS));
        let size = end.saturating_sub(start);
        writeln!(out, "FUNC {start:x} {size:x} {:x} {name}", self.parameter_bytes)?;
        for ((level, line, file, origin), ranges) in &self.call_ranges {
            write!(out, "INLINE {level} {line} {file} {origin}")?;
            for range in ranges {
                write!(out, " {:x} {:x}", range.start, range.end.saturating_sub(range.start))?;
            }
            writeln!(out)?;
        }
        for (range, line, file) in &self.lines {
            let size = range.end.saturating_sub(range.start);
            writeln!(out, "{:x} {size:x} {line} {file}", range.start)?;
        }
        Ok(())
    }
}
