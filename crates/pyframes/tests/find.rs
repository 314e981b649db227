//! The interpreter of real processes is found, however it hides, and nothing where there is none.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "find/programs.rs"]
mod programs;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lastwords_pyframes::find::{Found, Way, symbol_address};
use programs::{
    BARE, Disguise, Folder, Shared, WAITING, Waiting, ask, by_content, compiled, disguised, shared,
    symbol,
};
use support::interpreters::installed;

/// A disguised copy of every shared library runs; exactly the runtime is found, by this way.
fn check_disguise(name: &str, disguise: Disguise, way: Way, is_meant: impl Fn(u32) -> bool) {
    for Shared { interpreter, library, home } in shared() {
        if !is_meant(interpreter.minor()) {
            continue;
        }
        let folder = Folder::new();
        let copy = folder.path(name);
        disguised(&library, &copy, disguise);
        let process = Waiting::python(&compiled("host"), &[&copy], &home);
        let expected = Found {
            runtime_address: process.base(name) + symbol(&library, "_PyRuntime", true),
            python_version: interpreter.version,
            way,
            is_running: true,
        };
        assert_eq!(process.find(), [expected], "{interpreter:?}");
        process.check_frames(&expected);
    }
}

#[test]
fn an_exported_runtime_is_found_by_its_symbol() {
    for Shared { interpreter, library, home } in shared() {
        let process = Waiting::python(&interpreter.executable, &[], &home);
        let name = library.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = Found {
            runtime_address: process.base(&name) + symbol(&library, "_PyRuntime", true),
            python_version: interpreter.version,
            way: Way::DynamicSymbol,
            is_running: true,
        };
        assert_eq!(process.find(), [expected]);
        process.check_frames(&expected);
    }
}

#[test]
fn a_program_that_is_the_interpreter_is_found_by_its_symbol() {
    let system = Path::new("/usr/bin/python3.11");
    if !system.is_file() {
        eprintln!("skipped: {} is not installed", system.display());
        return;
    }
    let process = Waiting::python(system, &[], Path::new("/usr"));
    let found = process.find();
    let version = ask(system, "import sys; print(sys.hexversion)").parse().expect("a number");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].python_version, found[0].way), (version, Way::DynamicSymbol));
    // It is no position-independent executable, or its symbols count from its base.
    let address = symbol(system, "_PyRuntime", true);
    let base = process.base("/usr/bin/python3.11");
    assert!([address, base + address].contains(&found[0].runtime_address), "{found:x?}");
    process.check_frames(&found[0]);
}

#[test]
fn a_library_of_another_name_is_found_by_its_symbol() {
    let is_any = |_| true;
    check_disguise("engine.so", Disguise::default(), Way::DynamicSymbol, is_any);
}

#[test]
fn a_runtime_that_is_not_exported_is_found_by_the_files_own_symbols() {
    let disguise = Disguise { renames_runtime: true, ..Disguise::default() };
    check_disguise("engine.so", disguise, Way::FileSymbol, |_| true);
}

#[test]
fn a_stripped_runtime_is_found_by_its_section() {
    let disguise = Disguise { renames_runtime: true, strips: true, ..Disguise::default() };
    check_disguise("engine.so", disguise, Way::Section, |minor| minor >= 10);
}

#[test]
fn a_stripped_runtime_without_a_section_is_found_by_back_pointers() {
    let disguise = Disguise { renames_runtime: true, strips: true, ..Disguise::default() };
    check_disguise("engine.so", disguise, Way::BackPointer, |minor| minor < 10);
}

#[test]
fn a_runtime_without_any_name_is_found_by_its_cookie() {
    check_disguise("engine.so", BARE, Way::Cookie, |minor| minor >= 13);
}

#[test]
fn a_runtime_without_name_and_cookie_is_found_by_back_pointers() {
    check_disguise("engine.so", BARE, Way::BackPointer, |minor| minor < 13);
}

/// A library that looks as if it had been unpacked into memory; gives what is found, and what is
/// true.
fn unpacked(shared: &Shared, is_headless: bool, disguise: Disguise) -> (Waiting, Vec<Found>, u64) {
    let folder = Folder::new();
    let copy = folder.path("engine.so");
    disguised(&shared.library, &copy, disguise);
    let flag = if is_headless { "1" } else { "0" };
    let process = Waiting::python(&compiled("hide"), &[&copy, Path::new(flag)], &shared.home);
    assert!(process.mappings.iter().all(|m| !m.path.contains("engine.so") || !m.is_readable));
    let found = process.find();
    // Nobody knows any more where the file was; the process itself does.
    let offset = symbol(&shared.library, "_PyRuntime", true);
    let start = found.first().map_or(0, |found| found.runtime_address - offset);
    (process, found, start)
}

#[test]
fn a_library_in_nameless_memory_is_found_by_its_symbol() {
    for shared in shared() {
        let (process, found, start) = unpacked(&shared, false, Disguise::default());
        assert_eq!(found.len(), 1, "{found:x?}");
        assert_eq!(found[0].way, Way::DynamicSymbol);
        assert_eq!(found[0].python_version, shared.interpreter.version);
        assert!(process.mappings.iter().any(|m| m.start == start && !m.is_file));
        process.check_frames(&found[0]);
    }
}

#[test]
fn an_unpacked_runtime_without_headers_and_names_is_found_by_what_it_holds() {
    for shared in shared() {
        let (process, found, start) = unpacked(&shared, true, BARE);
        assert_eq!(found.len(), 1, "{found:x?}");
        assert_eq!(found[0].way, by_content(shared.interpreter.minor()));
        assert_eq!(found[0].python_version, shared.interpreter.version);
        assert!(process.mappings.iter().any(|m| m.start == start && !m.is_file));
        process.check_frames(&found[0]);
    }
}

#[test]
fn a_runtime_whose_cookie_was_overwritten_is_found_by_back_pointers() {
    for Shared { interpreter, library, home } in shared() {
        if interpreter.minor() < 13 {
            continue;
        }
        let folder = Folder::new();
        let copy = folder.path("engine.so");
        disguised(&library, &copy, BARE);
        let process = Waiting::python(&compiled("host"), &[&copy], &home);
        let address = process.base("engine.so") + symbol(&library, "_PyRuntime", true);
        process.write(address, &[0; 8]);
        let expected = Found {
            runtime_address: address,
            python_version: interpreter.version,
            way: Way::BackPointer,
            is_running: true,
        };
        assert_eq!(process.find(), [expected]);
    }
}

/// A program of another name that holds the interpreter of `archive`, linked in the first of these
/// ways that works; and where its runtime is, from before it was stripped: behind the program's
/// start unless that is fixed.
fn embedded(
    archive: &Path,
    folder: &Folder,
    ways: &[&str],
    is_bare: bool,
) -> Option<(PathBuf, u64, bool)> {
    let (whole, game) = (folder.path("whole"), folder.path("game"));
    let libraries = ["-lexpat", "-lz", "-lm", "-ldl", "-lutil", "-lpthread"];
    let is_linked = |way: &&&str| {
        let mut gcc = Command::new("gcc");
        gcc.args([**way, "-o"]).arg(&whole).arg(support::script("find/game.c")).arg(archive);
        gcc.args(libraries).output().is_ok_and(|output| output.status.success())
    };
    let Some(way) = ways.iter().find(is_linked) else {
        eprintln!("skipped: no program can be linked with {}", archive.display());
        return None;
    };
    let address = symbol(&whole, "_PyRuntime", false);
    let disguise = Disguise { strips: true, drops_sections: is_bare, ..Disguise::default() };
    disguised(&whole, &game, disguise);
    std::fs::remove_file(whole).expect("it was there");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&game, executable).expect("it is ours");
    Some((game, address, *way == "-pie"))
}

/// Static libraries of CPython, with the home and the version of each.
fn archives() -> Vec<(PathBuf, PathBuf, u32)> {
    let mut found = Vec::new();
    let mut executables: BTreeSet<PathBuf> =
        installed().into_iter().map(|known| known.executable).collect();
    executables.insert("/usr/bin/python3.11".into());
    for executable in executables.into_iter().filter(|executable| executable.is_file()) {
        let code = "import sys, sysconfig; get = sysconfig.get_config_var; \
                    print(get('LIBPL') + '/' + get('LIBRARY'), sys.base_prefix, sys.hexversion)";
        let answer = ask(&executable, code);
        let mut fields = answer.split(' ');
        let mut field = || fields.next().expect("three fields").to_owned();
        let (archive, home, version) = (PathBuf::from(field()), field(), field());
        if archive.is_file() {
            found.push((archive, home.into(), version.parse().expect("a number")));
        } else {
            eprintln!("skipped: {} is not there", archive.display());
        }
    }
    found
}

fn check_embedded(ways: &[&str], is_bare: bool, way: impl Fn(u32) -> Way) {
    for (archive, home, version) in archives() {
        let folder = Folder::new();
        let Some((game, address, is_relative)) = embedded(&archive, &folder, ways, is_bare) else {
            continue;
        };
        let process = Waiting::python(&game, &[], &home);
        let base = if is_relative { process.base("/game") } else { 0 };
        let expected = Found {
            runtime_address: base + address,
            python_version: version,
            way: way(version >> 16 & 0xFF),
            is_running: true,
        };
        assert_eq!(process.find(), [expected], "{}", archive.display());
        process.check_frames(&expected);
    }
}

/// Debian's static library is for programs at a fixed place.
const DYNAMIC: [&str; 2] = ["-pie", "-no-pie"];

#[test]
fn an_interpreter_linked_into_a_stripped_program_is_found_by_its_section() {
    let way = |minor| if minor >= 10 { Way::Section } else { Way::BackPointer };
    check_embedded(&DYNAMIC, false, way);
}

#[test]
fn an_interpreter_linked_into_a_program_without_sections_is_found_by_what_it_holds() {
    check_embedded(&DYNAMIC, true, by_content);
}

#[test]
fn an_interpreter_in_a_program_that_imports_nothing_is_found_by_what_it_holds() {
    check_embedded(&["-static"], true, by_content);
}

#[test]
fn every_interpreter_of_a_process_is_found() {
    let all = shared();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
    if first.interpreter.minor() == last.interpreter.minor() {
        eprintln!("skipped: there is only one interpreter with a shared library");
        return;
    }
    let mut command = Command::new(compiled("two"));
    for shared in [first, last] {
        command.arg(&shared.library).arg(&shared.home);
    }
    let process = Waiting::start(command.args(["-S", "-c", WAITING]));
    let mut found = process.find();
    found.sort_by_key(|found| found.python_version);
    let expected = [first, last].map(|shared| Found {
        runtime_address: process.base(&shared.library.to_string_lossy())
            + symbol(&shared.library, "_PyRuntime", true),
        python_version: shared.interpreter.version,
        way: Way::DynamicSymbol,
        is_running: true,
    });
    assert_eq!(found, expected);
    process.check_frames(&found[1]);
}

#[test]
fn a_runtime_that_was_never_started_is_told_as_such() {
    let Some(last) = shared().pop() else { return };
    // `crowd` of one library loads it and goes on.
    let mut command = Command::new(compiled("crowd"));
    let process = Waiting::start(command.arg("1").arg(&last.library));
    let expected = Found {
        runtime_address: process.base(&last.library.to_string_lossy())
            + symbol(&last.library, "_PyRuntime", true),
        python_version: last.interpreter.version,
        way: Way::DynamicSymbol,
        is_running: false,
    };
    assert_eq!(process.find(), [expected]);
}

#[test]
fn nothing_is_found_in_a_process_of_something_else() {
    let process = Waiting::start(Command::new(compiled("crowd")).arg("0"));
    assert_eq!(process.find(), []);
}

#[test]
fn symbols_of_this_process_are_found_where_the_linker_put_them() {
    let memory = support::ProcessMemory::of(std::process::id());
    for name in ["malloc", "getpid", "__abort_msg"] {
        let text = std::ffi::CString::new(name).expect("no zero");
        // SAFETY: looks up names; the library of `getpid` is the C library.
        let (address, library) = unsafe {
            let address = libc::dlsym(libc::RTLD_DEFAULT, text.as_ptr());
            let mut info: libc::Dl_info = std::mem::zeroed();
            assert_ne!(libc::dladdr(libc::getpid as *const _, &raw mut info), 0);
            (address.addr() as u64, info.dli_fbase.addr() as u64)
        };
        assert_eq!(symbol_address(&memory, library, name), Some(address), "{name}");
        assert_eq!(symbol_address(&memory, library, &format!("{name}_not")), None);
    }
}
