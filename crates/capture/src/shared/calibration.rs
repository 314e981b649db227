//! The calibration of the interpreter's structures: bytes that this crate only carries.

use std::io;
use std::time::Duration;

use super::{Area, AreaReader, CALIBRATION_BLOCK, CALIBRATION_OFFSET, CALIBRATION_SIZE};

/// How often the monitor looks again at a block that is being written.
const TRIES: usize = 10;

impl Area {
    /// Replaces the block; an empty one, or one that is too long, takes it away.
    pub(crate) fn set_calibration(&self, block: &[u8]) {
        let block = if block.len() <= CALIBRATION_SIZE { block } else { &[] };
        let length = u32::try_from(block.len()).unwrap_or(0);
        self.guarded(CALIBRATION_OFFSET, || {
            self.write(CALIBRATION_OFFSET.wrapping_add(4), &length.to_ne_bytes());
            self.write(CALIBRATION_OFFSET.wrapping_add(CALIBRATION_BLOCK), block);
        });
    }
}

impl AreaReader {
    /// The block; `None` when there is none, or the process died while it was written.
    #[must_use]
    pub fn calibration(&self) -> Option<Vec<u8>> {
        for _ in 0..TRIES {
            match self.whole_calibration() {
                Ok(Some(block)) => return Some(block).filter(|block| !block.is_empty()),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => return None,
            }
        }
        None
    }

    fn whole_calibration(&self) -> io::Result<Option<Vec<u8>>> {
        let before = u32::from_ne_bytes(self.read(CALIBRATION_OFFSET)?);
        let length = u32::from_ne_bytes(self.read(CALIBRATION_OFFSET.wrapping_add(4))?);
        let block = CALIBRATION_OFFSET.wrapping_add(CALIBRATION_BLOCK);
        let mut block = self.read::<CALIBRATION_SIZE>(block)?.to_vec();
        let after = u32::from_ne_bytes(self.read(CALIBRATION_OFFSET)?);
        block.truncate(usize::try_from(length).unwrap_or(0));
        Ok((before.is_multiple_of(2) && before == after).then_some(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::FromRawFd;
    use std::sync::atomic::Ordering;

    fn reader(area: &Area) -> AreaReader {
        // SAFETY: a fresh duplicate, owned by the file.
        let file = unsafe { File::from_raw_fd(libc::dup(area.fd)) };
        AreaReader::new(file).unwrap()
    }

    #[test]
    fn the_last_block_is_read_also_by_the_monitor_of_a_child() {
        let mut area = Area::new().unwrap();
        assert_eq!(reader(&area).calibration(), None);
        area.set_calibration(&[7; CALIBRATION_SIZE]);
        assert_eq!(reader(&area).calibration(), Some(vec![7; CALIBRATION_SIZE]));
        area.set_calibration(b"short");
        area.detach().unwrap();
        assert_eq!(reader(&area).calibration().unwrap(), b"short");
        area.set_calibration(&[7; CALIBRATION_SIZE + 1]);
        assert_eq!(reader(&area).calibration(), None);
    }

    #[test]
    fn a_block_cut_by_death_is_none() {
        let area = Area::new().unwrap();
        area.set_calibration(b"block");
        area.sequence(CALIBRATION_OFFSET).fetch_or(1, Ordering::SeqCst);
        assert_eq!(reader(&area).calibration(), None);
    }
}
