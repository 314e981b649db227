//! Programs that are compiled here: what the compiler told must come out again.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lastwords_debuginfo::{Caller, DebugInfo, FrameState, Kind, NameKind, Place};

const SOURCE: &str = r#"
namespace ns {
enum class Color { Red = 1, Blue = 7 };
struct Inner { int a; double b; char name[8]; };
struct Base { int base_value; };
struct Node : Base {
  unsigned flags : 3;
  unsigned more : 5;
  Color color;
  Inner arr[2];
  Node *next;
  union { int i; float f; };
  int (*call)(char *, int);
};
int global_counter = 42;
int inner(Node *node, int count) { int total = count * 2; return total + node->flags; }
}
int main() { ns::Node node{}; return ns::inner(&node, 3) + ns::global_counter; }
"#;

struct Frame {
    registers: HashMap<&'static str, u64>,
    memory: HashMap<u64, Vec<u8>>,
    cfa: u64,
}

impl FrameState for Frame {
    fn register(&self, name: &str) -> Option<u64> {
        self.registers.get(name).copied()
    }

    fn memory(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        self.memory.get(&address).map(|bytes| bytes[..size].to_vec())
    }

    fn cfa(&self) -> Option<u64> {
        Some(self.cfa)
    }

    fn module_base(&self) -> u64 {
        0x5000_0000
    }

    fn caller(&self) -> Option<Caller<'_>> {
        None
    }
}

/// Compiles with the flags; `None` where there is no compiler.
fn compiled(folder: &Path, flags: &[&str]) -> Option<PathBuf> {
    let source = folder.join("victim.cpp");
    std::fs::write(&source, SOURCE).unwrap();
    let program = folder.join("victim");
    let done = Command::new("c++").args(flags).arg("-o").arg(&program).arg(&source).status();
    done.ok()?.success().then_some(program)
}

fn opened(flags: &[&str]) -> Option<(tempfile::TempDir, DebugInfo)> {
    let folder = tempfile::tempdir().unwrap();
    let program = compiled(folder.path(), flags)?;
    let info = DebugInfo::open_with_named(&[program]);
    assert_eq!(info.notes(), [""; 0]);
    Some((folder, info))
}

/// The types, names and variables of the source.
fn check(info: &DebugInfo, what: &str) {
    let (types, _) = info.types_like("ns::n*", 10);
    assert_eq!(types.len(), 1, "{what}: {types:?}");
    let node = info.describe(types[0].id).unwrap();
    let field = |name: &str| node.fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(field("next").of.name, "Node*", "{what}");
    assert_eq!(field("arr").of.name, "Inner[2]", "{what}");
    let color = info.describe(field("color").of.id.unwrap()).unwrap();
    assert_eq!(color.enumerators.len(), 2, "{what}");
    let (_, type_id) = info.global("global_counter").unwrap();
    assert_eq!(info.describe(type_id).unwrap().name, "int", "{what}");
    let inner = info.names_equal("ns::inner")[0];
    let cfa = 0x7fff_0000_1000;
    let registers = HashMap::from([("rbp", cfa - 16), ("rsp", cfa - 16)]);
    let frame = Frame { registers, memory: HashMap::new(), cfa };
    let scopes = info.variables(inner.rva + inner.size.unwrap() - 4, &frame);
    let names = scopes.iter().flat_map(|scope| &scope.variables).map(|one| {
        let of = one.type_id.and_then(|id| info.describe(id)).unwrap();
        (one.name.clone(), of.name)
    });
    let expected = [("node", "Node*"), ("count", "int"), ("total", "int")]
        .map(|(name, of)| (name.to_owned(), of.to_owned()));
    assert_eq!(names.collect::<Vec<_>>(), expected, "{what}");
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> bool {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    done.is_ok_and(|done| done.status.success())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn split_units_are_read_from_their_files_and_from_a_package() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let flags = ["-O0", "-g", "-gsplit-dwarf", version, "-fno-omit-frame-pointer"];
        let Some((folder, info)) = opened(&flags) else { return };
        check(&info, version);
        let program = folder.path().join("victim");
        let alone = DebugInfo::open(std::slice::from_ref(&program));
        assert_eq!(alone.types_like("ns::n*", 10).0.len(), 0, "only files that are given");
        let split: Vec<PathBuf> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "dwo"))
            .collect();
        let [split] = split.as_slice() else { panic!("{split:?}") };
        let packed = ["llvm-dwp-19", "llvm-dwp", "dwp"]
            .iter()
            .any(|dwp| run(folder.path(), dwp, &[split.to_str().unwrap(), "-o", "victim.dwp"]));
        std::fs::remove_file(split).unwrap();
        let gone = DebugInfo::open_with_named(std::slice::from_ref(&program));
        if packed {
            check(&gone, &format!("{version}, package"));
            std::fs::remove_file(folder.path().join("victim.dwp")).unwrap();
        }
        let gone = DebugInfo::open_with_named(&[program]);
        assert_eq!(gone.types_like("ns::n*", 10).0.len(), 0);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_dwz_moved_into_a_shared_file_is_read_from_there() {
    let flags = ["-O0", "-g", "-gdwarf-4", "-fno-omit-frame-pointer"];
    let Some((folder, _)) = opened(&flags) else { return };
    let shared = "cp victim a && cp victim b && dwz -m common.dwz a b";
    if !run(folder.path(), "sh", &["-c", shared]) {
        eprintln!("skipped: no dwz on this machine");
        return;
    }
    let program = folder.path().join("a");
    check(&DebugInfo::open_with_named(std::slice::from_ref(&program)), "dwz");
    std::fs::remove_file(folder.path().join("common.dwz")).unwrap();
    let gone = DebugInfo::open_with_named(&[program]);
    assert_eq!(gone.types_like("ns::n*", 10).0.len(), 0);
}

#[test]
fn types_are_those_of_the_source_in_every_version_of_dwarf() {
    for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        let Some((_folder, info)) = opened(&["-O0", "-g", version]) else { return };
        let (types, is_cut) = info.types_like("ns::n*", 10);
        assert!(!is_cut && types.len() == 1, "{types:?}");
        assert_eq!(types[0].name, "ns::Node");
        let node = info.describe(types[0].id).unwrap();
        assert_eq!((node.kind, node.size), (Kind::Struct, types[0].size));
        let field = |name: &str| node.fields.iter().find(|field| field.name == name).unwrap();
        assert!(node.fields[0].is_base && node.fields[0].of.name == "Base", "{version}");
        assert_eq!((field("flags").offset, field("flags").bit_offset), (4, Some(0)), "{version}");
        assert_eq!((field("more").bit_offset, field("more").bit_size), (Some(3), Some(5)));
        assert_eq!(field("next").of.name, "Node*");
        assert_eq!(field("call").of.name, "int (*)(char*, int)");
        assert_eq!(field("arr").of.name, "Inner[2]");
        let array = info.describe(field("arr").of.id.unwrap()).unwrap();
        assert_eq!((array.kind, array.count), (Kind::Array, Some(2)));
        let color = info.describe(field("color").of.id.unwrap()).unwrap();
        let values: Vec<(&str, i64)> =
            color.enumerators.iter().map(|one| (one.name.as_str(), one.value)).collect();
        assert_eq!(values, [("Red", 1), ("Blue", 7)]);
        let unnamed = node.fields.iter().find(|field| field.name.is_empty() && !field.is_base);
        assert_eq!(unnamed.unwrap().of.kind, Kind::Union);
    }
}

#[test]
fn symbols_are_found_by_name_by_pattern_and_by_address() {
    let Some((_folder, info)) = opened(&["-O0", "-g"]) else { return };
    let inner = info.names_equal("ns::inner")[0];
    assert_eq!(inner.kind, NameKind::Function);
    let (before, after) = info.around(inner.rva + 4);
    assert_eq!(before.unwrap().name, "ns::inner");
    assert_eq!(after.unwrap().name, "main");
    let (names, _) = info.names_like("*COUNTER*", 10);
    assert_eq!((names[0].name.as_str(), names[0].kind), ("ns::global_counter", NameKind::Data));
    let (rva, type_id) = info.global("global_counter").unwrap();
    assert_eq!(rva, names[0].rva);
    assert_eq!(info.describe(type_id).unwrap().name, "int");
    assert_eq!(info.names_like("*", 1).0.len(), 1);
    assert!(info.names_like("*", 1).1, "there are more");
}

#[test]
fn code_is_read_from_the_file_and_data_that_may_change_is_not() {
    let Some((_folder, info)) = opened(&["-O0", "-g"]) else { return };
    let inner = info.names_equal("ns::inner")[0].rva;
    assert_eq!(info.constant_bytes(inner, 4).unwrap().len(), 4);
    let (data, _) = info.global("global_counter").unwrap();
    assert_eq!(info.constant_bytes(data, 4), None);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn variables_are_counted_from_the_frame_and_need_its_memory_not() {
    let Some((_folder, info)) = opened(&["-O0", "-g", "-fno-omit-frame-pointer"]) else { return };
    let inner = info.names_equal("ns::inner")[0];
    let rva = inner.rva + inner.size.unwrap() - 4;
    let cfa = 0x7fff_0000_1000;
    let registers = HashMap::from([("rbp", cfa - 16), ("rsp", cfa - 16)]);
    let frame = Frame { registers, memory: HashMap::new(), cfa };
    let scopes = info.variables(rva, &frame);
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].function.as_deref(), Some("ns::inner"));
    let names: Vec<&str> = scopes[0].variables.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["node", "count", "total"]);
    for one in &scopes[0].variables {
        let Place::Address(address) = one.place else { panic!("{one:?}") };
        assert!(address < cfa && address > cfa - 128, "{one:?}");
    }
    assert!(scopes[0].variables[0].is_parameter && !scopes[0].variables[2].is_parameter);
}

#[test]
fn what_is_no_debug_information_is_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    for bytes in [&b"MZ"[..], b"\x7fELF\x02\x01\x01", b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"] {
        std::fs::write(&file, bytes).unwrap();
        let info = DebugInfo::open(std::slice::from_ref(&file));
        assert_eq!(info.notes().len(), 1, "{bytes:?}");
        assert_eq!(info.names_like("*", 9).0.len(), 0);
        assert_eq!(info.describe(77), None);
    }
    let missing = DebugInfo::open(&[folder.path().join("nothing")]);
    assert_eq!(missing.notes().len(), 1);
}
