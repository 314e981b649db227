//! The search looks into the right files: deleted ones, those of another root or namespace, and
//! those behind a core file; never into one that has taken the place of another.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "find/core_file.rs"]
mod core_file;
#[path = "find/programs.rs"]
mod programs;
mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use core_file::CoreFile;
use lastwords_pyframes::find::{Files, Found, LocalFiles, Mapping, NoFiles, ProcessFiles, Way};
use lastwords_pyframes::find::{find_within, symbol_address};
use programs::{Disguise, Folder, Shared, WAITING, Waiting, by_content, compiled, disguised};
use programs::{mappings, run, shared, symbol, unhurried};

/// Only the file knows where the runtime is.
const UNEXPORTED: Disguise = Disguise {
    renames_runtime: true,
    renames_version: false,
    strips: false,
    drops_sections: false,
};

fn newest() -> Option<Shared> {
    shared().pop()
}

fn is_root() -> bool {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("skipped: only root may do this");
    }
    is_root
}

fn found_with(process: &Waiting, mappings: &[Mapping], files: &dyn Files) -> Vec<Found> {
    find_within(&process.memory(), mappings, files, &unhurried())
}

fn expected(process: &Waiting, shared: &Shared, way: Way) -> Found {
    Found {
        runtime_address: process.base("engine.so") + symbol(&shared.library, "_PyRuntime", true),
        python_version: shared.interpreter.version,
        way,
        is_running: true,
    }
}

#[test]
fn a_deleted_file_is_still_read() {
    let Some(shared) = newest().filter(|_| is_root()) else { return };
    let folder = Folder::new();
    let copy = folder.path("engine.so");
    disguised(&shared.library, &copy, UNEXPORTED);
    let process = Waiting::python(&compiled("host"), &[&copy], &shared.home);
    fs::remove_file(&copy).expect("it was there");
    let mappings = mappings(process.pid());
    assert!(mappings.iter().any(|m| m.path.ends_with("engine.so (deleted)")));
    let files = ProcessFiles::new(process.pid(), &mappings);
    let found = found_with(&process, &mappings, &files);
    assert_eq!(found, [expected(&process, &shared, Way::FileSymbol)]);
}

#[test]
fn a_file_that_took_the_place_of_another_is_not_believed() {
    let all = shared();
    let Some(((old, new), shared)) = all.first().zip(all.last()).zip(all.last()) else { return };
    let folder = Folder::new();
    let copy = folder.path("engine.so");
    disguised(&new.library, &copy, UNEXPORTED);
    let process = Waiting::python(&compiled("host"), &[&copy], &shared.home);
    fs::remove_file(&copy).expect("it was there");
    disguised(&old.library, &copy, UNEXPORTED);
    let mappings = mappings(process.pid());
    // Without the kernel's links to the files, as for those who may not follow them.
    let found = found_with(&process, &mappings, &ProcessFiles::new(process.pid(), &[]));
    let way = if old.interpreter.minor() == new.interpreter.minor() {
        Way::FileSymbol
    } else {
        by_content(shared.interpreter.minor())
    };
    assert_eq!(found, [expected(&process, shared, way)]);
}

/// Copies what a program needs into a folder that becomes its root.
fn furnish(root: &Path, shared: &Shared, engine: &Path) {
    let put = |from: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("it can be made");
        fs::copy(from, to).expect("it can be copied");
    };
    for program in [compiled("host"), engine.to_owned()] {
        let listed = run(Command::new("ldd").arg(&program));
        let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
        paths.map(Path::new).for_each(|path| put(path, path));
    }
    put(&compiled("host"), Path::new("/host"));
    put(engine, Path::new("/engine.so"));
    // As a file, because `-c` imports more of the standard library (3.13).
    fs::write(root.join("waiting.py"), WAITING).expect("it can be written");
    let minor = shared.interpreter.minor();
    let library = format!("lib/python3.{minor}");
    for name in ["encodings/__init__.py", "encodings/aliases.py", "encodings/utf_8.py", "os.py"] {
        let from = shared.home.join(&library).join(name);
        put(&from, &Path::new("/home").join(&library).join(name));
    }
}

#[test]
fn a_process_in_another_root_is_read_through_its_own_root() {
    let Some(shared) = newest().filter(|_| is_root()) else { return };
    let folder = Folder::new();
    let engine = folder.path("engine.so");
    disguised(&shared.library, &engine, UNEXPORTED);
    let root = folder.path("root");
    furnish(&root, &shared, &engine);
    let mut command = Command::new("/host");
    command.args(["/engine.so", "-S", "/waiting.py"]).env("PYTHONHOME", "/home");
    let path = std::ffi::CString::new(root.to_string_lossy().as_bytes()).expect("no zero");
    // SAFETY: two system calls between fork and exec, with a string made before.
    unsafe {
        command.pre_exec(move || {
            let is_done = libc::chroot(path.as_ptr()) == 0 && libc::chdir(c"/".as_ptr()) == 0;
            if is_done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let process = Waiting::start(&mut command);
    let way = expected(&process, &shared, Way::FileSymbol);
    assert_eq!(process.find(), [way]);
    assert_eq!(
        found_with(&process, &process.mappings, &ProcessFiles::new(process.pid(), &[])),
        [way]
    );
}

#[test]
fn a_process_in_another_mount_namespace_is_read_through_its_own_root() {
    let Some(shared) = newest().filter(|_| is_root()) else { return };
    let folder = Folder::new();
    let (engine, inside) = (folder.path("engine.so"), folder.path("inside"));
    disguised(&shared.library, &engine, UNEXPORTED);
    fs::create_dir(&inside).expect("it can be made");
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1\" && exec \"$3\" \"$1/engine.so\" -S -c \"$4\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&inside).arg(&engine);
    command.arg(compiled("host")).arg(WAITING).env("PYTHONHOME", &shared.home);
    let process = Waiting::start(&mut command);
    assert!(!inside.join("engine.so").exists(), "only the process sees it");
    let files = ProcessFiles::new(process.pid(), &[]);
    let found = found_with(&process, &process.mappings, &files);
    assert_eq!(found, [expected(&process, &shared, Way::FileSymbol)]);
}

/// The core file of a process that runs the waiting script; `None` where the system writes none.
fn core_of(shared: &Shared, folder: &Folder) -> Option<CoreFile> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() != "core" {
        eprintln!("skipped: core files do not go into the working folder, but to {pattern}");
        return None;
    }
    let mut command = Command::new(&shared.interpreter.executable);
    command.args(["-S", "-c", WAITING]).current_dir(folder.path(""));
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit =
                libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
            match libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let mut process = Waiting::start(&mut command);
    process.abort();
    let names = fs::read_dir(folder.path("")).expect("it is there").flatten();
    let core = names.map(|file| file.path()).find(|path| path.to_string_lossy().contains("/core"));
    Some(CoreFile::read(&core.expect("a core file")))
}

#[test]
fn a_core_file_is_searched_with_the_files_of_this_machine() {
    for shared in shared() {
        let folder = Folder::new();
        let Some(core) = core_of(&shared, &folder) else { return };
        let name = shared.library.file_name().expect("a name").to_string_lossy().into_owned();
        let is_start = |m: &&Mapping| m.path.ends_with(&name) && m.offset == 0;
        let base = core.mappings.iter().find(is_start).expect("it is mapped").start;
        let is_in_core = symbol_address(&core, base, "_PyRuntime").is_some();
        assert!(!is_in_core, "the kernel left constants out");
        let expected = |way| Found {
            runtime_address: base + symbol(&shared.library, "_PyRuntime", true),
            python_version: shared.interpreter.version,
            way,
            is_running: true,
        };
        let find = |files: &dyn Files| find_within(&core, &core.mappings, files, &unhurried());
        assert_eq!(find(&LocalFiles), [expected(Way::DynamicSymbol)]);
        let way = by_content(shared.interpreter.minor());
        assert_eq!(find(&NoFiles), [expected(way)], "{:?}", shared.interpreter);
    }
}
