//! An area whose bytes are anybody's: everything that is read of it is bounded.

#![allow(clippy::arithmetic_side_effects)]

use std::os::fd::FromRawFd;

use super::*;
use crate::shared::{AREA_SIZE, Additions, Area, Breadcrumb, CALIBRATION_SIZE, additions};

/// What damage is aimed at: the small fields, a slot of each kind, the heads of the additions.
const PLACES: [(usize, usize); 6] = [
    (12, 500),
    (WORDS_OFFSET, WORDS_SLOTS * WORDS_SLOT_SIZE),
    (CONFIG_OFFSET, 64),
    (266_240, 4_096),
    (1_314_816, 1_024),
    (additions::OFFSET, 1_160),
];

fn filled() -> Area {
    let area = Area::new().unwrap();
    area.set_python(0x1000, 0x030B_0000);
    area.set_calibration(&[7; 200]);
    assert!(
        area.set_config(b"{\"a\": 1}") && area.set_annotation("key", Some(("v", Kind::String)))
    );
    area.add_breadcrumb(&Breadcrumb { message: "began".to_owned(), ..Breadcrumb::default() });
    let streams = vec![(0x1_0001, b"one".to_vec())];
    area.set_additions(&Additions { memory: vec![(0x1000, 16)], streams, is_torn: false });
    area
}

fn file_of(area: &Area) -> File {
    // SAFETY: a fresh duplicate, owned by the file.
    unsafe { File::from_raw_fd(libc::dup(area.fd)) }
}

fn check(reader: &AreaReader) {
    let _ = (reader.python(), reader.abort_message(), reader.life(), reader.throw_table());
    let _ = (reader.is_interpreter(), reader.has_forked());
    assert!(reader.calibration().is_none_or(|block| block.len() <= CALIBRATION_SIZE));
    assert!(reader.private_ranges().len() <= 2);
    assert!(reader.config().unwrap().len() <= CONFIG_SIZE);
    // A byte that is no text becomes a character of three.
    for annotation in reader.annotations() {
        assert!(annotation.key.len() <= 3 * KEY_SIZE && annotation.value.len() <= 3 * VALUE_SIZE);
    }
    assert!(reader.breadcrumbs().iter().all(|crumb| crumb.message.len() <= 3 * 512));
    let words = [0, 7].into_iter().filter_map(|tid| reader.last_words(tid));
    assert!(words.into_iter().all(|words| words.text.len() <= 3 * WORDS_TEXT_SIZE));
    let added = reader.additions();
    assert!(added.memory.len() <= additions::MOST_RANGES);
    assert!(added.streams.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 65_536);
}

#[test]
fn whatever_stands_in_the_area_is_read_within_limits() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    for round in 0..300 {
        let area = filled();
        let file = file_of(&area);
        for _ in 0..=next(40) {
            let (start, size) = *PLACES.get(next(PLACES.len())).unwrap();
            let bytes = [[0, 0xff, 0x7f, 1][next(4)], u8::try_from(next(256)).unwrap()];
            let length = 1 + next(2);
            file.write_all_at(&bytes[..length], (start + next(size)) as u64).unwrap();
        }
        if round % 10 == 0 {
            let noise: Vec<u8> = (0..AREA_SIZE - 12).map(|_| next(256) as u8).collect();
            file.write_all_at(&noise, 12).unwrap();
        }
        // Even: who writes for ever is waited for, which other tests tell.
        file.write_all_at(&[0; 4], 24).unwrap();
        check(&AreaReader::new(file).unwrap());
    }
}
