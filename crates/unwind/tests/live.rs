//! A real stack: what gdb sees in a stopped process must come out of its memory image.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use lastwords_symbols::Sources;
use lastwords_unwind::Provider;
use minidump::format::CONTEXT_AMD64;
use minidump::{CpuContext, MinidumpRawContext};
use minidump_unwind::{FrameTrust, StackFrame};
use serde_json::Value;
use support::{Target, elf_module, walk};

#[test]
fn stack_equals_the_debuggers() {
    let Some((_folder, seen)) = stop_victim() else { return };
    let target = target(&seen);
    let provider = Provider::new(Sources { local_modules: true, ..Sources::default() });
    let stack = walk(&target, &provider);
    let physical =
        seen["frames"].as_array().unwrap().iter().filter(|frame| frame["is_inline"] == false);
    let physical: Vec<_> = physical.collect();
    for (ours, theirs) in stack.frames.iter().zip(&physical) {
        compare_registers(ours, theirs);
    }
    assert_eq!(stack.frames.len(), physical.len(), "{}", names(&stack.frames).join("\n"));
    assert!(stack.frames[1..].iter().all(|frame| frame.trust == FrameTrust::CallFrameInfo));
    assert_eq!(names(&stack.frames), debugger_names(&seen));
}

#[test]
fn instruction_under_a_signal_is_exact() {
    let Some((_folder, seen)) = stop_victim() else { return };
    let provider = Provider::new(Sources { local_modules: true, ..Sources::default() });
    let stack = walk(&target(&seen), &provider);
    let at = stack.frames.iter().position(|f| f.function_name.as_deref() == Some("trap")).unwrap();
    // The trap is the first byte of its function: one byte before it is another place.
    assert_eq!(Some(stack.frames[at].instruction), stack.frames[at].function_base);
    assert_eq!(stack.frames[at - 1].function_name.as_deref(), Some("__restore_rt"));
    assert!(stack.frames[at + 1].inlines[0].function_name.contains("total"));
}

/// Compiles the victim, stops it in gdb, and returns its files and what gdb saw.
fn stop_victim() -> Option<(tempfile::TempDir, Value)> {
    if Command::new("gdb").arg("--version").output().is_err() {
        eprintln!("skipped: no gdb on this machine");
        return None;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/victim");
    let files = tempfile::tempdir().unwrap();
    let folder = files.path();
    let flags = ["-O2", "-g", "-fPIC", "-Wl,--build-id=sha1"];
    let build = |output: &str, arguments: &[&str]| {
        let mut command = Command::new("c++");
        command
            .args(flags)
            .args(arguments)
            .arg("-o")
            .arg(folder.join(output))
            .current_dir(&sources);
        assert!(command.status().unwrap().success(), "{command:?}");
    };
    build("libvictim.so", &["-shared", "library.cpp"]);
    let search = format!("-L{0} -Wl,-rpath,{0}", folder.display());
    let mut arguments = vec!["main.cpp"];
    arguments.extend(search.split(' '));
    arguments.push("-lvictim");
    build("victim", &arguments);
    let document = run_gdb(folder, &sources);
    let seen = serde_json::from_slice(&std::fs::read(document).unwrap()).unwrap();
    Some((files, seen))
}

fn run_gdb(folder: &Path, sources: &Path) -> PathBuf {
    let document = folder.join("walk.json");
    let output = Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-iex",
            "set debuginfod enabled off",
            "-ex",
            "set backtrace past-main on",
        ])
        .args(["-ex", "handle SIGILL nostop noprint pass", "-ex", "break stop", "-ex", "run"])
        .args(["-ex", &format!("source {}", sources.join("walk.py").display())])
        .arg(folder.join("victim"))
        .env("WALK_JSON", &document)
        .output()
        .unwrap();
    assert!(document.is_file(), "{}", String::from_utf8_lossy(&output.stderr));
    document
}

fn target(seen: &Value) -> Target {
    let register = |name: &str| seen["registers"][name].as_u64().unwrap();
    let mut context = CONTEXT_AMD64::default();
    for name in seen["registers"].as_object().unwrap().keys() {
        context.set_register(name, register(name)).unwrap();
    }
    let hex = seen["stack"]["hex"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Target {
        context: MinidumpRawContext::Amd64(context),
        stack_start: seen["stack"]["start"].as_u64().unwrap(),
        stack: (0..hex.len()).step_by(2).map(byte).collect(),
        modules: modules(seen),
    }
}

/// One module per mapped file, with the build id that readelf finds.
fn modules(seen: &Value) -> Vec<minidump::MinidumpModule> {
    let mut ranges: Vec<(String, u64, u64)> = Vec::new();
    for map in seen["maps"].as_array().unwrap() {
        let (start, end) = map[0].as_str().unwrap().split_once('-').unwrap();
        let (start, end) = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap()).into();
        let path = map[2].as_str().unwrap();
        match ranges.iter_mut().find(|(other, ..)| other == path) {
            Some((_, _, last)) => *last = end,
            None => ranges.push((path.to_owned(), start, end)),
        }
    }
    let module = |(path, start, end): (String, u64, u64)| {
        let build_id = build_id(&path)?;
        Some(elf_module(start, end - start, &path, &build_id))
    };
    ranges.into_iter().filter_map(module).collect()
}

fn build_id(path: &str) -> Option<Vec<u8>> {
    let output = Command::new("readelf").args(["-n", path]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let hex = text.split("Build ID: ").nth(1)?.split_whitespace().next()?.to_owned();
    Some(
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect(),
    )
}

fn compare_registers(ours: &StackFrame, theirs: &Value) {
    assert!(theirs["pc"] == ours.instruction || theirs["pc"] == ours.resume_address);
    for (name, value) in theirs["registers"].as_object().unwrap() {
        let MinidumpRawContext::Amd64(context) = &ours.context.raw else { unreachable!() };
        let mine = context.get_register(name, &ours.context.valid);
        assert_eq!(mine, value.as_u64(), "{name} of {:?} {theirs}", ours.function_name);
    }
}

/// Every frame that has debug information, inline frames included: name without parameters,
/// file name and line.
fn names(frames: &[StackFrame]) -> Vec<String> {
    let mut names = Vec::new();
    for frame in frames {
        for inline in &frame.inlines {
            names.extend(name(
                &inline.function_name,
                inline.source_file_name.as_deref(),
                inline.source_line,
            ));
        }
        let function = frame.function_name.as_deref().unwrap_or_default();
        names.extend(name(function, frame.source_file_name.as_deref(), frame.source_line));
    }
    names
}

fn debugger_names(seen: &Value) -> Vec<String> {
    let frames = seen["frames"].as_array().unwrap().iter();
    frames
        .filter_map(|frame| {
            let line = frame["line"].as_u64().and_then(|line| u32::try_from(line).ok());
            name(frame["function"].as_str().unwrap_or_default(), frame["file"].as_str(), line)
        })
        .collect()
}

fn name(function: &str, file: Option<&str>, line: Option<u32>) -> Option<String> {
    let file = Path::new(file?).file_name()?.to_str()?;
    let end = function.find(['(', '<']).unwrap_or(function.len());
    let function = function[..end].rsplit(' ').next()?;
    Some(format!("{function} {file}:{}", line?))
}
