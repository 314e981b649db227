//! Where a variable is: location expressions and lists (DWARF 5, section 2.6).

use gimli::{
    AttributeValue, DW_AT_const_value, DW_AT_encoding, DW_AT_frame_base, DW_AT_location,
    EvaluationResult, Expression, Location, Piece, Reader as _, Register, Value, ValueType,
};

use super::{DwarfInfo, Entry, Reader, Unit};
use crate::{FrameState, Place};

/// Operations of one expression; compilers emit some dozens.
const MAX_OPERATIONS: u32 = 4_096;
const MAX_PIECES: usize = 256;
/// Callers that are asked for what they passed.
const MAX_CALLERS: usize = 8;
const MAX_VALUE_BYTES: u64 = 64 << 10;

/// The frame that expressions are evaluated in.
pub(super) struct At<'a> {
    pub(super) info: &'a DwarfInfo,
    pub(super) unit: &'a Unit,
    pub(super) function: &'a Entry,
    /// Address of the file.
    pub(super) address: u64,
    pub(super) frame: &'a dyn FrameState,
}

type Found = (Place, String);

impl At<'_> {
    /// The place of a variable of `size` bytes, and the same in words.
    pub(super) fn locate(&self, unit: &Unit, entry: &Entry, size: Option<u64>) -> Found {
        if let Some(value) = entry.attr_value(DW_AT_const_value) {
            return constant(&value, size);
        }
        let Some(value) = entry.attr_value(DW_AT_location) else {
            return gone("optimized out");
        };
        match self.expression(unit, value) {
            Ok(Some(expression)) => self.evaluate(unit, expression, size),
            Ok(None) => gone("optimized out here"),
            Err(error) => gone(&format!("its place cannot be read: {error}")),
        }
    }

    /// The expression that holds at the address.
    fn expression(
        &self,
        unit: &Unit,
        value: AttributeValue<Reader>,
    ) -> Result<Option<Expression<Reader>>, gimli::Error> {
        if let AttributeValue::Exprloc(expression) = value {
            return Ok(Some(expression));
        }
        let Some(mut list) = unit.dwarf.attr_locations(unit, value)? else { return Ok(None) };
        let mut left = 65_536_u32;
        while let (Some(entry), true) = (list.next()?, left > 0) {
            left = left.saturating_sub(1);
            if entry.range.begin <= self.address && self.address < entry.range.end {
                return Ok(Some(entry.data));
            }
        }
        Ok(None)
    }

    fn evaluate(&self, unit: &Unit, expression: Expression<Reader>, size: Option<u64>) -> Found {
        if expression.0.is_empty() {
            return gone("optimized out here");
        }
        let words = self.words(unit, &expression);
        match self.pieces(unit, expression, 0) {
            Ok(pieces) => (self.assemble(&pieces, size), words),
            Err(reason) => (Place::Gone(reason), words),
        }
    }

    /// Runs an expression to its pieces.
    fn pieces(
        &self,
        unit: &Unit,
        expression: Expression<Reader>,
        depth: usize,
    ) -> Result<Vec<Piece<Reader>>, String> {
        let mut evaluation = expression.evaluation(unit.encoding());
        evaluation.set_max_iterations(MAX_OPERATIONS);
        let text = |error: gimli::Error| format!("its place cannot be computed: {error}");
        let mut state = evaluation.evaluate().map_err(text)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, base_type } => {
                    let value = self.register(register)?;
                    let value = typed(self.value_type(unit, base_type), value);
                    evaluation.resume_with_register(value).map_err(text)?
                }
                EvaluationResult::RequiresMemory { address, size, base_type, .. } => {
                    let value = self.read(address, size)?;
                    let value = typed(self.value_type(unit, base_type), value);
                    evaluation.resume_with_memory(value).map_err(text)?
                }
                EvaluationResult::RequiresFrameBase => {
                    let base = self.frame_base(depth)?;
                    evaluation.resume_with_frame_base(base).map_err(text)?
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    let cfa = self.frame.cfa().ok_or("the frame's end is not known")?;
                    evaluation.resume_with_call_frame_cfa(cfa).map_err(text)?
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    let moved = self.moved(address);
                    evaluation.resume_with_relocated_address(moved).map_err(text)?
                }
                EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                    let address = unit.dwarf.address(unit, index).map_err(text)?;
                    let address = if relocate { self.moved(address) } else { address };
                    evaluation.resume_with_indexed_address(address).map_err(text)?
                }
                EvaluationResult::RequiresBaseType(offset) => {
                    let of = self.value_type(unit, offset);
                    evaluation.resume_with_base_type(of).map_err(text)?
                }
                EvaluationResult::RequiresEntryValue(entry) => {
                    let value = self.entry_value(unit, &entry, depth)?;
                    evaluation.resume_with_entry_value(Value::Generic(value)).map_err(text)?
                }
                EvaluationResult::RequiresTls(_) => {
                    return Err("a variable of the thread's own".to_owned());
                }
                _ => return Err("its place is told in a way that is not supported".to_owned()),
            };
        }
        let pieces = evaluation.result();
        if pieces.len() > MAX_PIECES { Err("too many pieces".to_owned()) } else { Ok(pieces) }
    }

    fn frame_base(&self, depth: usize) -> Result<u64, String> {
        let missing = || "the function's frame base is not known".to_owned();
        if depth > MAX_CALLERS.saturating_add(2) {
            return Err(missing());
        }
        let value = self.function.attr_value(DW_AT_frame_base).ok_or_else(missing)?;
        let expression = self.expression(self.unit, value).ok().flatten().ok_or_else(missing)?;
        let pieces = self.pieces(self.unit, expression, depth.saturating_add(1))?;
        match pieces.first().map(|piece| &piece.location) {
            Some(Location::Address { address }) => Ok(*address),
            Some(Location::Register { register }) => self.register(*register),
            Some(Location::Value { value }) => value.to_u64(u64::MAX).map_err(|_| missing()),
            _ => Err(missing()),
        }
    }

    /// What a register held when the function was entered: where the caller's call site tells what
    /// it passed, that is computed in the caller's frame (DWARF 5, section 3.4.2).
    fn entry_value(
        &self,
        unit: &Unit,
        expression: &Expression<Reader>,
        depth: usize,
    ) -> Result<u64, String> {
        let missing = || "only known when the function was entered".to_owned();
        if depth >= MAX_CALLERS {
            return Err(missing());
        }
        let mut operations = expression.clone().operations(unit.encoding());
        let Ok(Some(gimli::Operation::Register { register })) = operations.next() else {
            return Err(missing());
        };
        let caller = self.frame.caller().ok_or_else(missing)?;
        let returns = self.info.image_base.checked_add(caller.return_rva).ok_or_else(missing)?;
        let site = self.info.call_site(returns, register).ok_or_else(missing)?;
        let at = At {
            info: self.info,
            unit: site.unit,
            function: &site.function,
            address: returns.wrapping_sub(1),
            frame: &*caller.frame,
        };
        let pieces = at.pieces(site.unit, site.value, depth.saturating_add(1))?;
        match pieces.first().map(|piece| &piece.location) {
            Some(Location::Value { value }) => value.to_u64(u64::MAX).map_err(|_| missing()),
            Some(Location::Address { address }) => Ok(*address),
            Some(Location::Register { register }) => at.register(*register),
            _ => Err(missing()),
        }
    }

    /// An address of the file, where it is in the process.
    fn moved(&self, address: u64) -> u64 {
        address.wrapping_sub(self.info.image_base).wrapping_add(self.frame.module_base())
    }

    fn register(&self, register: Register) -> Result<u64, String> {
        let name = self.register_name(register);
        let value = name.as_deref().and_then(|name| self.frame.register(name));
        value.ok_or_else(|| {
            format!("in {}, which is not known in this frame", display(register, name.as_deref()))
        })
    }

    fn register_name(&self, register: Register) -> Option<String> {
        register_name(self.info.architecture, register.0)
    }

    fn read(&self, address: u64, size: u8) -> Result<u64, String> {
        let bytes = self.frame.memory(address, size.into());
        let bytes = bytes.ok_or_else(|| format!("memory at {address:#x} is not in the dump"))?;
        Ok(number(&bytes))
    }

    fn value_type(&self, unit: &Unit, offset: gimli::UnitOffset) -> ValueType {
        if offset.0 == 0 {
            return ValueType::Generic;
        }
        let Ok(entry) = unit.entry(offset) else { return ValueType::Generic };
        let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|size| size.udata_value());
        let encoding = match entry.attr_value(DW_AT_encoding) {
            Some(AttributeValue::Encoding(encoding)) => encoding,
            _ => gimli::DW_ATE_unsigned,
        };
        ValueType::from_encoding(encoding, size.unwrap_or(8)).unwrap_or(ValueType::Generic)
    }

    /// One place out of all pieces.
    fn assemble(&self, pieces: &[Piece<Reader>], size: Option<u64>) -> Place {
        if let [piece] = pieces
            && let Location::Address { address } = piece.location
        {
            return Place::Address(address);
        }
        let size = size.unwrap_or(8).min(MAX_VALUE_BYTES);
        let mut bytes: Vec<u8> = Vec::new();
        let mut holes: Vec<(usize, usize)> = Vec::new();
        let mut reason = None;
        for piece in pieces {
            let piece_bytes = piece.size_in_bits.map_or(size, |bits| bits.div_ceil(8));
            let piece_bytes = piece_bytes.min(MAX_VALUE_BYTES);
            match self.piece(piece, piece_bytes) {
                Ok(part) => bytes.extend(part),
                Err(why) => {
                    let hole = usize::try_from(piece_bytes).unwrap_or(0);
                    holes.push((bytes.len(), hole));
                    bytes.resize(bytes.len().saturating_add(hole), 0);
                    reason = Some(why);
                }
            }
            if bytes.len() as u64 > MAX_VALUE_BYTES {
                return Place::Gone("more pieces than are read".to_owned());
            }
        }
        if holes.len() == pieces.len() || bytes.is_empty() {
            return Place::Gone(reason.unwrap_or_else(|| "optimized out here".to_owned()));
        }
        if holes.is_empty() { Place::Bytes(bytes) } else { Place::Parts(bytes, holes) }
    }

    fn piece(&self, piece: &Piece<Reader>, size: u64) -> Result<Vec<u8>, String> {
        let size = usize::try_from(size).unwrap_or(0);
        let cut = |mut bytes: Vec<u8>| {
            bytes.resize(size, 0);
            bytes
        };
        match &piece.location {
            Location::Empty => Err("a part of it is optimized out".to_owned()),
            Location::Register { register } => self.wide_register(*register).map(cut),
            Location::Address { address } => self
                .frame
                .memory(*address, size)
                .ok_or_else(|| format!("memory at {address:#x} is not in the dump")),
            Location::Value { value } => value_bytes(*value).map(cut),
            Location::Bytes { value } => {
                value.to_slice().map(|bytes| cut(bytes.into_owned())).map_err(|e| e.to_string())
            }
            Location::ImplicitPointer { .. } => {
                Err("a pointer to what is optimized out".to_owned())
            }
        }
    }

    /// A register's bytes: 16 of a vector register, 8 of others.
    fn wide_register(&self, register: Register) -> Result<Vec<u8>, String> {
        let low = self.register(register)?;
        let mut bytes = low.to_le_bytes().to_vec();
        let high = self.register_name(register).map(|name| format!("{name}h"));
        if let Some(high) = high.and_then(|name| self.frame.register(&name)) {
            bytes.extend(high.to_le_bytes());
        }
        Ok(bytes)
    }

    /// An expression in words: its first operation.
    fn words(&self, unit: &Unit, expression: &Expression<Reader>) -> String {
        let mut operations = expression.clone().operations(unit.encoding());
        match operations.next() {
            Ok(Some(gimli::Operation::Register { register })) => {
                display(register, self.register_name(register).as_deref())
            }
            Ok(Some(gimli::Operation::RegisterOffset { register, offset, .. })) => {
                let name = display(register, self.register_name(register).as_deref());
                format!("{name}{offset:+#x}")
            }
            Ok(Some(gimli::Operation::FrameOffset { offset })) => {
                format!("frame{}", signed(offset))
            }
            Ok(Some(gimli::Operation::Address { .. } | gimli::Operation::AddressIndex { .. })) => {
                "static".to_owned()
            }
            Ok(Some(_)) => "computed".to_owned(),
            _ => String::new(),
        }
    }
}

fn signed(offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("{sign}{:#x}", offset.unsigned_abs())
}

fn display(register: Register, name: Option<&str>) -> String {
    name.map_or_else(|| format!("register {}", register.0), |name| format!("@{name}"))
}

fn gone(reason: &str) -> Found {
    (Place::Gone(reason.to_owned()), String::new())
}

fn typed(of: ValueType, value: u64) -> Value {
    Value::from_u64(of, value).unwrap_or(Value::Generic(value))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn constant(value: &AttributeValue<Reader>, size: Option<u64>) -> Found {
    let size = usize::try_from(size.unwrap_or(8).min(MAX_VALUE_BYTES)).unwrap_or(8);
    let mut bytes = match value {
        AttributeValue::Block(block) => {
            block.to_slice().map(std::borrow::Cow::into_owned).unwrap_or_default()
        }
        other => match (other.sdata_value(), other.udata_value()) {
            (Some(number), _) => number.to_le_bytes().to_vec(),
            (None, Some(number)) => number.to_le_bytes().to_vec(),
            (None, None) => return gone("a constant of a kind that is not supported"),
        },
    };
    bytes.resize(size, 0);
    (Place::Bytes(bytes), "constant".to_owned())
}

fn value_bytes(value: Value) -> Result<Vec<u8>, String> {
    Ok(match value {
        Value::F32(number) => number.to_le_bytes().to_vec(),
        Value::F64(number) => number.to_le_bytes().to_vec(),
        other => {
            let number = other.to_u64(u64::MAX).map_err(|error| error.to_string())?;
            number.to_le_bytes().to_vec()
        }
    })
}

/// Names of DWARF's register numbers (System V ABI AMD64, figure 3.36; i386, figure 2.14; DWARF
/// for the Arm 64-bit architecture, section 4.1), as minidump's contexts know them.
fn register_name(architecture: object::Architecture, number: u16) -> Option<String> {
    const X86_64: [&str; 17] = [
        "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ];
    const X86: [&str; 9] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"];
    let listed = |names: &[&str]| names.get(usize::from(number)).map(|name| (*name).to_owned());
    match architecture {
        object::Architecture::X86_64 => match number {
            17..=32 => Some(format!("xmm{}", number.saturating_sub(17))),
            _ => listed(&X86_64),
        },
        object::Architecture::I386 => listed(&X86),
        object::Architecture::Aarch64 => match number {
            29 => Some("fp".to_owned()),
            30 => Some("lr".to_owned()),
            31 => Some("sp".to_owned()),
            0..=28 => Some(format!("x{number}")),
            _ => None,
        },
        object::Architecture::Arm => match number {
            11 => Some("fp".to_owned()),
            13 => Some("sp".to_owned()),
            14 => Some("lr".to_owned()),
            15 => Some("pc".to_owned()),
            0..=12 => Some(format!("r{number}")),
            _ => None,
        },
        _ => None,
    }
}
