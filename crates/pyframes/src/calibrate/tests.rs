//! Real interpreters: every field is verified; every one that is wrong is set right, or said to be.
#![allow(clippy::arithmetic_side_effects)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::*;
use crate::interpreters::{Interpreter, interpreters};
use crate::memory::MemoryError;

/// Searches of a build without optimization take long.
const UNHURRIED: Duration = Duration::from_secs(60);
/// The SDK, whose `install` calibrates, runs on no older one.
const OLDEST: u32 = 10;
/// Nothing but a zero is known of these, which stands in many places.
const UNTOLD: [&str; 2] = ["runtime.finalizing", "interpreter.id"];

struct Subject {
    child: Child,
    memory: ProcessMemory,
    interpreter: Interpreter,
    truths: Truths,
}

struct ProcessMemory(File);

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let read = self.0.read_exact_at(buffer, address);
        read.map_err(|error| MemoryError::new(address, buffer.len(), error.to_string()))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where this test may write.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lastwords-calibrate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Subject {
    fn start(interpreter: Interpreter, library: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calibrate/truths.py");
        let told = Path::new("/tmp").join(format!("lastwords-truths-{}.json", std::process::id()));
        let mut child = interpreter
            .command()
            .arg(interpreter.place(&script))
            .args([&interpreter.place(library), &told])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{interpreter:?}");
        let told = interpreter.outside(&told);
        let truths = truths(&serde_json::from_reader(File::open(&told).unwrap()).unwrap());
        std::fs::remove_file(told).unwrap();
        let memory = File::open(format!("/proc/{}/mem", child.id())).unwrap();
        Self { child, memory: ProcessMemory(memory), interpreter, truths }
    }
}

/// One of every interpreter, for all tests; they die with this process.
fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calibrate/hold.c");
        let library = folder().join("hold.so");
        let mut gcc = Command::new("gcc");
        gcc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source);
        assert!(gcc.status().unwrap().success());
        let is_meant = |found: &Interpreter| found.minor() >= OLDEST && !found.is_free_threaded;
        let meant = interpreters().into_iter().filter(is_meant);
        let subjects = meant.map(|found| Subject::start(found, &library)).collect();
        std::fs::remove_dir_all(folder()).unwrap();
        subjects
    })
}

fn truths(told: &Value) -> Truths {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let small = |value: &Value| value.as_i64().and_then(|value| i32::try_from(value).ok());
    let of = |key: &str| number(&told[key]);
    let list = |key: &str| told[key].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Truths {
        python_version: u32::try_from(of("python_version")).unwrap(),
        runtime_address: of("runtime_address"),
        thread: of("thread"),
        interpreter: of("interpreter"),
        interpreter_id: of("interpreter_id"),
        thread_id: of("thread_id"),
        native_thread_id: of("native_thread_id"),
        interpreters: list("interpreters").map(number).collect(),
        threads: list("threads").map(number).collect(),
        holds_gil: told["holds_gil"] == true,
        exception_type: of("exception_type"),
        code_type: of("code_type"),
        string_type: of("string_type"),
        bytes_type: of("bytes_type"),
        types: list("types")
            .map(|t| TypeTruth {
                address: number(&t["address"]),
                name: text(&t["name"]),
                flags: number(&t["flags"]),
            })
            .collect(),
        strings: list("strings")
            .map(|s| StringTruth { address: number(&s["address"]), text: text(&s["text"]) })
            .collect(),
        bytes: list("bytes")
            .map(|b| BytesTruth {
                address: number(&b["address"]),
                content: serde_json::from_value(b["content"].clone()).unwrap(),
            })
            .collect(),
        codes: list("codes")
            .map(|code| CodeTruth {
                address: number(&code["address"]),
                file: number(&code["file"]),
                name: number(&code["name"]),
                qualname: code["qualname"].as_u64(),
                line_table: number(&code["line_table"]),
                first_line: small(&code["first_line"]).unwrap(),
                first_traceable: small(&code["first_traceable"]),
            })
            .collect(),
        frames: list("frames")
            .map(|frame| FrameTruth {
                code: number(&frame["code"]),
                lasti: small(&frame["lasti"]).unwrap(),
                line: frame["line"].as_u64().and_then(|line| u32::try_from(line).ok()),
                is_generator: frame["is_generator"] == true,
            })
            .collect(),
    }
}

fn base(subject: &Subject) -> Layout {
    let limits = Limits::default();
    let mut source = Source::new(&subject.memory, &limits);
    let truths = &subject.truths;
    layout::choose(&mut source, truths.runtime_address, truths.python_version).unwrap().0
}

#[test]
fn every_field_of_a_healthy_interpreter_is_verified() {
    for subject in subjects() {
        let started = Instant::now();
        let found = calibrate(&subject.memory, &subject.truths, UNHURRIED).unwrap();
        println!("{:?}: {:?}", subject.interpreter, started.elapsed());
        assert_eq!(found.names(FieldState::Contradicted), [""; 0], "{:?}", subject.interpreter);
        assert_eq!(found.names(FieldState::Corrected), [""; 0], "{:?}", subject.interpreter);
        assert_eq!(found.names(FieldState::Assumed), UNTOLD, "{:?}", subject.interpreter);
        let layout = base(subject);
        for (id, offset) in ALL.iter().zip(found.offsets) {
            let expected = layout.offset(*id).map_or(ABSENT, |offset| offset as u32);
            assert_eq!(offset, expected, "{id:?}");
        }
    }
}

#[test]
fn a_wrong_offset_is_set_right_or_said_to_be_wrong() {
    std::thread::scope(|scope| {
        for subject in subjects() {
            scope.spawn(|| corrupt_each_field(subject));
        }
    });
}

fn corrupt_each_field(subject: &Subject) {
    let right = base(subject);
    let mut left = Vec::new();
    for (id, name) in ALL.iter().zip(NAMES) {
        let Some(offset) = right.offset(*id) else { continue };
        let wrong = [offset + 8, offset.wrapping_sub(8), offset + 64];
        let corrected = wrong.into_iter().filter(|wrong| *wrong < 1 << 20).filter(|wrong| {
            let wrong = right.with(*id, *wrong);
            let found = calibrate_from(&subject.memory, &subject.truths, wrong, UNHURRIED);
            check_correction(&found, &right, name);
            found.names(FieldState::Corrected).contains(name)
        });
        if corrected.count() < 2 {
            left.push(*name);
        }
    }
    assert!(UNTOLD.iter().all(|name| left.contains(name)), "{:?} {left:?}", subject.interpreter);
    // A structure may by chance hold what looks like a second copy: nobody can tell which is right.
    assert!(left.len() <= UNTOLD.len() + 2, "{:?} {left:?}", subject.interpreter);
}

/// The field is right again or said to be wrong, and no other field was made wrong.
fn check_correction(found: &Calibration, right: &Layout, name: &str) {
    for (other, offset, state) in found.fields() {
        let id = ALL[NAMES.iter().position(|known| *known == other).unwrap()];
        let is_right = right.offset(id) == Some(offset.into());
        let is_told = state == FieldState::Contradicted || state == FieldState::Assumed;
        if other == name {
            assert!(is_right || is_told, "{name} is {state:?} at {offset}");
        } else {
            assert!(is_right, "{other} is {state:?} at {offset}, because of {name}");
        }
    }
}

fn read(subject: &Subject, calibration: Calibration) -> crate::Outcome {
    let Truths { runtime_address, python_version, .. } = subject.truths;
    let target = Target { runtime_address, python_version, calibration: Some(calibration) };
    crate::read_python(&subject.memory, &target, &Limits::default()).unwrap()
}

#[test]
fn the_reader_takes_the_offsets_that_the_process_found() {
    for subject in subjects() {
        let right = calibrate(&subject.memory, &subject.truths, UNHURRIED).unwrap();
        let outcome = read(subject, right);
        assert_eq!(outcome.soft_errors, [], "{:?}", subject.interpreter);
        let thread = outcome.stream.threads.iter().find(|t| t.tstate == subject.truths.thread);
        let names: Vec<_> = thread.unwrap().frames.iter().map(|f| f.name.as_deref()).collect();
        assert_eq!(names, [Some("step"), Some("plain"), Some("main"), Some("<module>")]);

        // As if the file's name were at the place of the function's.
        let mut swapped = right;
        swapped.offsets[number(FieldId::CodeName)] = swapped.offsets[number(FieldId::CodeFile)];
        let threads = read(subject, swapped).stream.threads;
        let thread = threads.iter().find(|t| t.tstate == subject.truths.thread).unwrap();
        assert!(thread.frames[0].name.as_ref().unwrap().ends_with("truths.py"));
        let other = Calibration { python_version: 0x0303_00F0, ..swapped };
        assert_eq!(read(subject, other), outcome, "it is not of this version");
    }
}

#[test]
fn what_was_wrong_is_told_with_every_reading() {
    for subject in subjects() {
        let right = base(subject);
        let calibrated =
            |wrong: Layout| calibrate_from(&subject.memory, &subject.truths, wrong, UNHURRIED);
        let corrected = calibrated(right.with(FieldId::CodeName, 8));
        let outcome = read(subject, corrected);
        let codes: Vec<_> = outcome.soft_errors.iter().map(|error| error.code).collect();
        assert_eq!(codes, ["python_layout_corrected"], "{:?}", subject.interpreter);
        assert!(outcome.soft_errors[0].message.contains("code.name"));

        let contradicted = calibrated(right.with(FieldId::Finalizing, 40));
        let errors = read(subject, contradicted).soft_errors;
        assert_eq!(errors[0].code, "python_layout_contradicted");
        assert!(errors[0].message.contains("runtime.finalizing"), "{}", errors[0].message);
    }
}

#[test]
fn what_cannot_be_read_is_not_called_wrong() {
    struct Nothing;
    impl Memory for Nothing {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            Err(MemoryError::new(address, buffer.len(), "Operation not permitted"))
        }
    }
    for subject in subjects() {
        let found = calibrate(&Nothing, &subject.truths, UNHURRIED);
        assert!(matches!(found, Err(Error::Memory(_))), "{found:?}");
    }
}

#[test]
fn searches_keep_to_their_time() {
    let Some(subject) = subjects().first() else { return };
    // Every offset is wrong.
    let wrong = ALL.iter().fold(base(subject), |layout, id| layout.with(*id, 0x7F8));
    let started = Instant::now();
    let found = calibrate_from(&subject.memory, &subject.truths, wrong, Duration::from_millis(20));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!found.is_healthy());
    assert_eq!(found.names(FieldState::Corrected), [""; 0], "the whole cannot be read");
}
