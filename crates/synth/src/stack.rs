//! The memory of one thread's stack, frame by frame.

/// A stack made of frames of known sizes, newest first.
///
/// A frame of `size` bytes at stack pointer `sp` ends at its CFA `sp + size`; the 8 bytes below
/// that hold the address to which it returns, which lies in the next frame's function.
#[derive(Debug, Clone)]
pub struct Stack {
    base: u64,
    frames: Vec<(u64, u64)>,
    /// Address and value.
    words: Vec<(u64, u64)>,
    padding: u64,
}

impl Stack {
    /// An empty stack whose newest frame will have the stack pointer `base`.
    #[must_use]
    pub fn new(base: u64) -> Self {
        Self { base, frames: Vec::new(), words: Vec::new(), padding: 64 }
    }

    /// Adds an older frame: an address in its function, and its size (a multiple of 8).
    #[must_use]
    pub fn frame(mut self, ip: u64, size: u64) -> Self {
        self.frames.push((ip, size));
        self
    }

    /// Puts a word among the locals of frame `index`, `offset` bytes above its stack pointer.
    #[must_use]
    pub fn with_word(mut self, index: usize, offset: u64, value: u64) -> Self {
        self.words.push((self.sp(index) + offset, value));
        self
    }

    /// Stack pointer of frame `index`, which is the CFA of the one before it.
    #[must_use]
    pub fn sp(&self, index: usize) -> u64 {
        self.base + self.frames.iter().take(index).map(|(_, size)| size).sum::<u64>()
    }

    /// Stack pointer of the newest frame.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Instruction pointer of the newest frame.
    #[must_use]
    pub fn ip(&self) -> u64 {
        self.frames.first().map_or(0, |(ip, _)| *ip)
    }

    /// The memory; the oldest frame returns to 0.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (_, size)) in self.frames.iter().enumerate() {
            let caller = self.frames.get(index + 1).map_or(0, |(ip, _)| *ip);
            let locals = usize::try_from(size.saturating_sub(8)).unwrap_or(0);
            bytes.resize(bytes.len() + locals, 0);
            bytes.extend_from_slice(&caller.to_le_bytes());
        }
        let padding = usize::try_from(self.padding).unwrap_or(0);
        bytes.resize(bytes.len() + padding, 0);
        for (address, value) in &self.words {
            let at = usize::try_from(address - self.base).unwrap_or(usize::MAX);
            if let Some(place) = bytes.get_mut(at..at.saturating_add(8)) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
        bytes
    }
}
