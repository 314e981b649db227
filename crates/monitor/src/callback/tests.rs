//! Libraries compiled for the test, on memory of the test itself.

use std::path::PathBuf;
use std::process::Command;

use lastwords_format::context::amd64::Registers;
use lastwords_pyframes::MemoryError;

use super::*;

struct Paper;

impl Memory for Paper {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        if address != 0x1000 {
            return Err(MemoryError::new(address, buffer.len(), "Bad address"));
        }
        buffer.fill(b'm');
        Ok(())
    }
}

fn library(name: &str, body: &str) -> PathBuf {
    let folder = std::env::temp_dir();
    let stem = format!("lastwords-callback-{name}-{}", std::process::id());
    let (source, library) = (folder.join(format!("{stem}.c")), folder.join(format!("{stem}.so")));
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include");
    let text = format!(
        "#include <lastwords_dump_callback.h>\n#include <string.h>\n#include <unistd.h>\n\
         int lastwords_dump_callback(const struct lastwords_dump *d) {{ {body} }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wall", "-Werror", "-I", include, "-o"]);
    assert!(compile.arg(&library).arg(&source).status().unwrap().success());
    std::fs::remove_file(source).unwrap();
    library
}

fn run_body(name: &str, body: &str) -> Added {
    let path = library(name, body);
    let added = run_path(&path);
    std::fs::remove_file(path).unwrap();
    added
}

fn run_path(path: &Path) -> Added {
    let crash = Crash {
        thread_id: 5,
        signal: 11,
        code: 1,
        address: Some(0x77),
        access: None,
        registers: Registers::default(),
        abort_message: None,
        stack_overflow: None,
    };
    run(path, 4, &crash, &Paper, None).unwrap()
}

#[test]
fn a_library_adds_memory_and_streams() {
    let added = run_body(
        "adds",
        "char text[4]; if (d->size != sizeof *d || d->version != 1) return 1;
         if (d->pid != 4 || d->tid != 5 || d->signal != 11 || d->address != 0x77) return 2;
         if (d->read_memory(d->context, 0x1000, text, 4)) return 3;
         if (!d->read_memory(d->context, 0x2000, text, 4)) return 4;
         if (d->add_memory(d->context, 0x5000, 64)) return 5;
         return d->add_stream(d->context, 0x12345678, text, 4);",
    );
    assert_eq!(added.memory, [(0x5000, 64)]);
    assert_eq!(added.streams, [(0x1234_5678, b"mmmm".to_vec())]);
    assert_eq!(added.problem, None);
}

#[test]
fn what_was_added_before_a_crash_counts() {
    let added =
        run_body("crashes", "d->add_memory(d->context, 1, 2); *(volatile int *)0 = 1; return 0;");
    assert_eq!(added.memory, [(1, 2)]);
    assert_eq!(added.problem.as_deref(), Some("it died of signal 11"));
}

#[test]
fn what_was_added_before_the_time_was_over_counts() {
    let started = Instant::now();
    let added = run_body("hangs", "d->add_memory(d->context, 1, 2); for (;;) pause();");
    assert_eq!(added.memory, [(1, 2)]);
    assert_eq!(added.problem.as_deref(), Some("it took too long and was ended"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn limits_and_taken_types_are_refused() {
    let added = run_body(
        "limits",
        "int full = 0; for (int i = 0; i < 5000; i++) full = d->add_memory(d->context, 1, 1);
         unsigned taken[] = {5, 0xFFFF, 0x47670001, 0x43500001, 0x4D7A0004, 0x4C570001};
         for (int i = 0; i < 6; i++)
             if (d->add_stream(d->context, taken[i], \"x\", 1) != 22) return 100 + i;
         return full;",
    );
    assert_eq!((added.memory.len(), added.streams.len()), (4096, 0));
    assert_eq!(added.problem.as_deref(), Some("it returned 28"), "ENOSPC");
}

#[test]
fn a_library_that_is_none_is_told() {
    let told = run_path(Path::new("/no/such/library.so")).problem.unwrap();
    assert!(told.contains("No such file"), "{told}");
    let path = library("wrong", "return 0;");
    let bytes = std::fs::read(&path).unwrap();
    let name = b"lastwords_dump_callback\0";
    let renamed: Vec<u8> = {
        let mut bytes = bytes;
        while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
            bytes[at] = b'L';
        }
        bytes
    };
    std::fs::write(&path, renamed).unwrap();
    let told = run_path(&path).problem.unwrap();
    std::fs::remove_file(path).unwrap();
    assert!(told.contains("does not export lastwords_dump_callback"), "{told}");
}
