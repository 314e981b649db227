//! A disk that takes only so many bytes: alone in its process, because the limit is the process's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(missing_docs, dead_code)]

mod fake;

use minidump::{Minidump, MinidumpException, MinidumpModuleList, MinidumpThreadList};

fn limit_files(bytes: u64) {
    // SAFETY: changes limits and one disposition of this process only.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

#[test]
fn wherever_the_disk_ends_the_dump_is_readable_or_not_there() {
    let snapshot = fake::snapshot();
    let (path, file) = fake::new_file("whole");
    let whole = fake::write(&snapshot, file, None).0.unwrap();
    std::fs::remove_file(path).unwrap();
    for room in (0..whole).step_by(1111).chain([1, 800, 801, whole - 1]) {
        let (path, file) = fake::new_file("cut");
        limit_files(room);
        let (size, soft_errors) = fake::write(&snapshot, file, None);
        limit_files(libc::RLIM_INFINITY);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(soft_errors.contains("stream_not_written"), "room for {room}: {soft_errors}");
        let Ok(size) = size else {
            assert!(bytes.is_empty(), "room for {room}: {} bytes are no dump", bytes.len());
            continue;
        };
        assert_eq!(size, bytes.len() as u64, "room for {room}");
        assert!(size <= room);
        let dump = Minidump::read(bytes).unwrap();
        if room > 2048 {
            let exception: MinidumpException<'_> = dump.get_stream().unwrap();
            assert_eq!(exception.raw.exception_record.exception_code, 11);
        }
        for entry in dump.all_streams().filter(|entry| entry.stream_type != 0) {
            let end = u64::from(entry.location.rva) + u64::from(entry.location.data_size);
            assert!(
                end <= size,
                "room for {room}: stream {:#x} ends behind the file",
                entry.stream_type
            );
        }
        if room > 16 * 1024 {
            // The stacks may not fit, but nothing small is lost because of them.
            let threads: MinidumpThreadList<'_> = dump.get_stream().unwrap();
            assert_eq!(threads.threads.len(), 4);
            assert_eq!(dump.get_stream::<MinidumpModuleList>().unwrap().iter().count(), 2);
        }
    }
}
