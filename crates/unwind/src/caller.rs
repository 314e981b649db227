//! What the unwinders of all formats find: the caller of a frame.

use minidump_unwind::FrameWalker;

/// The caller of a frame, wholly computed before anything is written to the walker: what fails
/// half-way leaves no trace for the next method.
pub(crate) enum Caller {
    /// The return address is undefined: this frame is the last one.
    End,
    Frame {
        cfa: u64,
        /// Already moved so that minidump-unwind's step back into the call hits.
        return_address: u64,
        /// A caller's register and its value; `None` when it is lost.
        registers: Vec<(&'static str, Option<u64>)>,
    },
}

impl Caller {
    /// Hands the caller over.
    pub(crate) fn write(self, walker: &mut (dyn FrameWalker + Send)) -> Option<()> {
        match self {
            // minidump-unwind takes an address in the first page as the end of the stack,
            // instead of trying the next method.
            Self::End => walker.set_ra(0),
            Self::Frame { cfa, return_address, registers } => {
                walker.set_cfa(cfa)?;
                walker.set_ra(return_address)?;
                for (name, value) in registers {
                    match value {
                        // A register that the dump's context does not have is no loss.
                        Some(value) => drop(walker.set_caller_register(name, value)),
                        None => walker.clear_caller_register(name),
                    }
                }
                Some(())
            }
        }
    }
}
