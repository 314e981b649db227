//! Real libraries, built here, that call `getppid` in each way there is.

#![allow(clippy::arithmetic_side_effects)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "C functions of our own, called as declared")]

use std::ffi::{CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use super::*;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int ask(void) { return getppid(); }
/* Loads a library, and asks it: what imports and ctypes do. */
int load_and_ask(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*function)(void) = (int (*)(void))dlsym(library, "ask");
    return function ? function() : -1;
}
/* The next `ask` behind this library: the answer depends on who calls dlsym. */
void *next_ask(void) { return dlsym(RTLD_NEXT, "ask"); }
"#;

static GETPPID: AtomicUsize = AtomicUsize::new(0);
static HOOKS: &[Hook] = &[Hook {
    symbol: c"getppid",
    thunks: &[Thunk {
        replacement: || (forty_two as *const ()).expose_provenance(),
        original: &GETPPID,
    }],
    wanted: every_module,
}];

extern "C" fn forty_two() -> c_int {
    42
}

/// One test at a time: the hooks are those of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn build(name: &str, flags: &[&str]) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("lastwords-got-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (source, library) =
        (directory.join(format!("{name}.c")), directory.join(format!("{name}.so")));
    std::fs::write(&source, SOURCE).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).args(flags);
    assert!(compile.status().unwrap().success());
    library
}

fn open(path: &Path, mode: c_int) -> *mut c_void {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let handle = unsafe { libc::dlopen(path.as_ptr(), mode) };
    assert!(!handle.is_null());
    handle
}

fn function(library: *mut c_void, name: &CStr) -> *mut c_void {
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null());
    address
}

fn ask(library: *mut c_void) -> c_int {
    let function = function(library, c"ask");
    let function: extern "C" fn() -> c_int = unsafe { std::mem::transmute(function) };
    function()
}

fn load_and_ask(library: *mut c_void, path: &Path) -> c_int {
    let function = function(library, c"load_and_ask");
    let function: extern "C" fn(*const libc::c_char) -> c_int =
        unsafe { std::mem::transmute(function) };
    function(CString::new(path.to_str().unwrap()).unwrap().as_ptr())
}

fn protections(name: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps.lines().filter(|line| line.ends_with(&format!("/{name}.so")));
    let lines: Vec<String> = ours.map(|line| line.split_whitespace().take(2).collect()).collect();
    assert!(lines.len() > 3, "{maps}");
    lines
}

fn install() {
    add(HOOKS);
    apply();
}

#[test]
fn slots_of_every_binding_are_patched_and_put_back() {
    let _alone = alone();
    let parent = unsafe { libc::getppid() };
    let ways: [(&str, &[&str], c_int); 4] = [
        ("now", &["-Wl,-z,relro,-z,now"], libc::RTLD_NOW),
        ("lazy", &["-Wl,-z,norelro,-z,lazy"], libc::RTLD_LAZY),
        ("partial", &["-Wl,-z,relro,-z,lazy"], libc::RTLD_NOW),
        ("no_plt", &["-fno-plt", "-Wl,-z,relro,-z,now"], libc::RTLD_NOW),
    ];
    let libraries = ways.map(|(name, flags, mode)| (name, open(&build(name, flags), mode)));
    let before = libraries.map(|(name, _)| protections(name));
    install();
    let after = libraries.map(|(name, _)| protections(name));
    let hooked = libraries.map(|(name, library)| (name, ask(library)));
    uninstall();
    assert_eq!(hooked, ways.map(|(name, ..)| (name, 42)));
    assert_eq!(before, after, "protections stay");
    assert_eq!(GETPPID.load(Ordering::Relaxed), (libc::getppid as *const ()).addr());
    for ((name, library), before) in libraries.into_iter().zip(before) {
        assert_eq!(ask(library), parent, "{name} is as it was");
        assert_eq!(protections(name), before);
        unsafe { libc::dlclose(library) };
    }
}

#[test]
fn a_library_loaded_later_is_hooked_when_its_function_is_asked_for() {
    let _alone = alone();
    let loader = open(&build("loader", &["-Wl,-z,now"]), libc::RTLD_NOW);
    let late = build("late", &["-Wl,-z,now"]);
    install();
    let answer = load_and_ask(loader, &late);
    uninstall();
    assert_eq!(answer, 42);
    unsafe { libc::dlclose(loader) };
}

#[test]
fn a_library_unloaded_and_loaded_again_is_hooked_again() {
    let _alone = alone();
    let path = build("again", &["-Wl,-z,relro,-z,now"]);
    install();
    for _ in 0..3 {
        let library = open(&path, libc::RTLD_NOW);
        rescan_if_changed();
        assert_eq!(ask(library), 42);
        assert_eq!(unsafe { libc::dlclose(library) }, 0);
    }
    uninstall();
}

#[test]
fn dlsym_still_answers_according_to_its_caller() {
    let _alone = alone();
    let (first, second) = (build("first", &[]), build("second", &[]));
    let mode = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    let (first, second) = (open(&first, mode), open(&second, mode));
    let next_ask = function(first, c"next_ask");
    let next_ask: extern "C" fn() -> *mut c_void = unsafe { std::mem::transmute(next_ask) };
    let before = next_ask();
    install();
    let hooked = next_ask();
    uninstall();
    assert_eq!(hooked, before);
    assert!(before.is_null() || before == function(second, c"ask"), "the caller's next");
    for library in [first, second] {
        unsafe { libc::dlclose(library) };
    }
}

#[test]
fn threads_that_load_and_unload_meanwhile_are_left_in_peace() {
    let _alone = alone();
    let paths: Vec<_> =
        (0..4).map(|index| build(&format!("busy{index}"), &["-Wl,-z,now"])).collect();
    let threads = paths.into_iter().map(|path| {
        std::thread::spawn(move || {
            for _ in 0..200 {
                let library = open(&path, libc::RTLD_NOW);
                rescan_if_changed();
                let answer = ask(library);
                assert!(answer > 0, "{answer}");
                unsafe { libc::dlclose(library) };
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for _ in 0..50 {
        install();
        uninstall();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_forked_child_can_scan() {
    let _alone = alone();
    install();
    let held = lock::try_take().unwrap();
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_free = lock::try_take().is_some();
        unsafe { libc::_exit(if is_free { 0 } else { 1 }) };
    }
    drop(held);
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    uninstall();
    assert_eq!(status, 0);
}
