//! `STACK CFI` records, from `.eh_frame` and `.debug_frame`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry,
    Register, RegisterRule, RunTimeEndian, UnwindContext, UnwindExpression, UnwindSection,
    UnwindTableRow,
};

use super::SymReport;
use super::postfix::{postfix, register_name};
use crate::image::{Architecture, CfiSections, Image};

type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// Rows of one function beyond this are left out; real ones have some hundreds.
const MAX_ROWS: usize = 64 << 10;
/// Rows of one file.
const MAX_ALL_ROWS: usize = 64 << 20;

/// Writes the call frame information of one image.
pub(super) fn write_cfi(
    image: &Image,
    out: &mut dyn Write,
    report: &mut SymReport,
) -> io::Result<()> {
    let endian = if image.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let sections = image.cfi_sections();
    let mut writer = CfiWriter {
        architecture: image.architecture(),
        base: image.image_base(),
        bases: bases(&sections),
        seen: HashSet::new(),
        rows_left: MAX_ALL_ROWS,
        out,
        report,
    };
    if let Some(section) = sections.eh_frame {
        let mut section = EhFrame::new(section.bytes, endian);
        section.set_address_size(writer.architecture.address_size());
        section.set_vendor(vendor(writer.architecture));
        writer.write_section(&section)?;
    }
    if let Some(section) = sections.debug_frame {
        let mut section = DebugFrame::new(section.bytes, endian);
        section.set_address_size(writer.architecture.address_size());
        section.set_vendor(vendor(writer.architecture));
        writer.write_section(&section)?;
    }
    Ok(())
}

fn bases(sections: &CfiSections<'_>) -> BaseAddresses {
    let mut bases = BaseAddresses::default();
    if let Some(section) = sections.eh_frame {
        bases = bases.set_eh_frame(section.address);
    }
    if let Some(address) = sections.text_address {
        bases = bases.set_text(address);
    }
    if let Some(address) = sections.got_address {
        bases = bases.set_got(address);
    }
    bases
}

/// AArch64 reuses an instruction number for signed return addresses.
fn vendor(architecture: Architecture) -> gimli::Vendor {
    match architecture {
        Architecture::Aarch64 => gimli::Vendor::AArch64,
        _ => gimli::Vendor::Default,
    }
}

struct CfiWriter<'a> {
    architecture: Architecture,
    base: u64,
    bases: BaseAddresses,
    /// Starts of the functions that were written: `.debug_frame` may repeat `.eh_frame`.
    seen: HashSet<u64>,
    rows_left: usize,
    out: &'a mut dyn Write,
    report: &'a mut SymReport,
}

impl CfiWriter<'_> {
    fn write_section<'a, S>(&mut self, section: &S) -> io::Result<()>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let bases = self.bases.clone();
        let mut context = UnwindContext::new();
        let mut entries = section.entries(&bases);
        loop {
            let partial = match entries.next() {
                Ok(Some(CieOrFde::Fde(partial))) => partial,
                Ok(Some(CieOrFde::Cie(_))) => continue,
                Ok(None) => return Ok(()),
                Err(_) => {
                    self.leave_out();
                    return Ok(());
                }
            };
            match partial.parse(S::cie_from_offset) {
                Ok(fde) => self.write_function(section, &fde, &mut context)?,
                Err(_) => self.leave_out(),
            }
        }
    }

    fn leave_out(&mut self) {
        self.report.frames_left_out = self.report.frames_left_out.saturating_add(1);
    }

    /// One `STACK CFI INIT` and the `STACK CFI` records of its changes.
    fn write_function<'a, S>(
        &mut self,
        section: &S,
        fde: &FrameDescriptionEntry<Reader<'a>>,
        context: &mut UnwindContext<usize>,
    ) -> io::Result<()>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let start = fde.initial_address().checked_sub(self.base);
        let Some(start) = start.filter(|_| fde.len() > 0) else { return Ok(()) };
        if !self.seen.insert(start) {
            return Ok(());
        }
        let Some(text) = self.function_text(section, fde, context, start) else {
            self.leave_out();
            return Ok(());
        };
        self.report.frames = self.report.frames.saturating_add(1);
        self.out.write_all(text.as_bytes())
    }

    /// `None` when its first row cannot be said; cut before the first later one that cannot.
    fn function_text<'a, S>(
        &mut self,
        section: &S,
        fde: &FrameDescriptionEntry<Reader<'a>>,
        context: &mut UnwindContext<usize>,
        start: u64,
    ) -> Option<String>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let mut table = fde.rows(section, &self.bases, context).ok()?;
        let encoding = fde.cie().encoding();
        let return_address = fde.cie().return_address_register();
        let mut rows: Vec<(u64, Rules)> = Vec::new();
        let mut size = fde.len();
        while let Ok(Some(row)) = table.next_row() {
            self.rows_left = self.rows_left.checked_sub(1)?;
            let at = row.start_address().checked_sub(self.base)?;
            let say = |expression: &UnwindExpression<usize>, initial| {
                let expression = expression.get(section).ok()?;
                postfix(expression, encoding, self.architecture, initial)
            };
            let Some(rules) = Rules::of(row, return_address, self.architecture, say) else {
                size = at.checked_sub(start)?;
                break;
            };
            if rows.len() >= MAX_ROWS {
                break;
            }
            rows.push((at, rules));
        }
        render(start, size, &rows)
    }
}

/// Register (`.cfa`, `.ra`, `$rbx`) and the rule that recovers it, by name.
#[derive(Clone, PartialEq, Eq)]
struct Rules(Vec<(String, String)>);

impl Rules {
    fn of(
        row: &UnwindTableRow<usize>,
        return_address: Register,
        architecture: Architecture,
        say: impl Fn(&UnwindExpression<usize>, bool) -> Option<String>,
    ) -> Option<Self> {
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                format!("{} {offset} +", register_name(architecture, *register)?)
            }
            CfaRule::Expression(expression) => say(expression, false)?,
        };
        let mut rules = vec![(".cfa".to_owned(), cfa)];
        let mut has_return_address = false;
        for &(register, ref rule) in row.registers() {
            let is_return_address = register == return_address;
            has_return_address |= is_return_address;
            let name = match register_name(architecture, register) {
                _ if is_return_address => ".ra".to_owned(),
                Some(name) => name.to_owned(),
                // Vector registers and such: nobody unwinds them.
                None => continue,
            };
            let rule = match rule {
                // Where nobody called, stacks end: an address of 0 says so to every reader.
                RegisterRule::Undefined if is_return_address => "0".to_owned(),
                RegisterRule::Undefined | RegisterRule::Constant(_) => continue,
                RegisterRule::SameValue => register_name(architecture, register)?.to_owned(),
                RegisterRule::Offset(offset) => format!(".cfa {offset} + ^"),
                RegisterRule::ValOffset(offset) => format!(".cfa {offset} +"),
                RegisterRule::Register(other) => register_name(architecture, *other)?.to_owned(),
                RegisterRule::Expression(expression) => format!("{} ^", say(expression, true)?),
                RegisterRule::ValExpression(expression) => say(expression, true)?,
                RegisterRule::Architectural => return None,
            };
            rules.push((name, rule));
        }
        if !has_return_address {
            // The link register still holds it.
            let register = register_name(architecture, return_address);
            rules.push((".ra".to_owned(), register?.to_owned()));
        }
        Some(Self(rules))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, rule)| rule.as_str())
    }
}

fn render(start: u64, size: u64, rows: &[(u64, Rules)]) -> Option<String> {
    let (_, first) = rows.first()?;
    if size == 0 {
        return None;
    }
    let mut text = format!("STACK CFI INIT {start:x} {size:x}");
    for (name, rule) in &first.0 {
        write!(text, " {name}: {rule}").ok()?;
    }
    text.push('\n');
    for pair in rows.windows(2) {
        let [(_, before), (at, rules)] = pair else { continue };
        let changes = changes(before, rules);
        if !changes.is_empty() {
            writeln!(text, "STACK CFI {at:x}{changes}").ok()?;
        }
    }
    Some(text)
}

/// What differs; a register without a rule any more has its own value again.
fn changes(before: &Rules, after: &Rules) -> String {
    let mut text = String::new();
    for (name, rule) in &after.0 {
        if before.get(name) != Some(rule) {
            text.push_str(&format!(" {name}: {rule}"));
        }
    }
    for (name, _) in &before.0 {
        if after.get(name).is_none() {
            text.push_str(&format!(" {name}: {name}"));
        }
    }
    text
}
