//! What the reader makes of state that is damaged in one known place.
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/image.rs"]
mod image;

use image::{EXCEPTION_TYPE, FRAMES, INTERPRETER, Image, RUNTIME, STACK, THREAD};
use lastwords_format::streams::python::{FrameOwner, PythonFrame, PythonThread};
use lastwords_pyframes::{Error, Limits, Outcome, SoftError, read_python};

const NEWER: Option<u64> = Some(STACK);
const OLDER: Option<u64> = Some(STACK + 0x1000);

fn read(image: &Image) -> Outcome {
    read_python(image, &Image::target(), &Limits::default()).expect("readable")
}

fn thread(outcome: &Outcome) -> &PythonThread {
    &outcome.stream.threads[0]
}

/// Names and anchors, newest first.
fn stack(outcome: &Outcome) -> Vec<(&str, Option<u64>)> {
    let frames = thread(outcome).frames.iter();
    frames.map(|frame| (frame.name.as_deref().unwrap_or("?"), frame.anchor)).collect()
}

fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.soft_errors.iter().map(|error| error.code).collect()
}

const WHOLE: [(&str, Option<u64>); 4] =
    [("leaf", NEWER), ("key", NEWER), ("inner", OLDER), ("outer", OLDER)];

#[test]
fn a_whole_process_is_read() {
    let outcome = read(&Image::with_two_activations());
    assert_eq!(outcome.soft_errors, []);
    assert_eq!(stack(&outcome), WHOLE);
    let thread = thread(&outcome);
    assert_eq!((thread.tstate, thread.interpreter_id, thread.holds_gil), (THREAD, 0, true));
    assert_eq!((thread.thread_id, thread.native_thread_id), (0x7f00_0000_1234, Some(4321)));
    assert_eq!(outcome.stream.gil_holder, Some(THREAD));
    let entries: Vec<bool> = thread.frames.iter().map(|frame| frame.is_entry).collect();
    assert_eq!(entries, [false, true, false, true]);
    let leaf = &thread.frames[0];
    assert_eq!(
        *leaf,
        PythonFrame {
            frame: FRAMES + 0x300,
            code: leaf.code,
            anchor: NEWER,
            name: Some("leaf".into()),
            qualname: Some("Model.leaf".into()),
            file: Some("model.py".into()),
            lasti: 10,
            line: Some(12),
            end_line: Some(12),
            column: None,
            end_column: None,
            owner: FrameOwner::Thread,
            is_entry: false,
            is_partial: false,
        }
    );
}

#[test]
fn a_thread_outside_python_has_no_frames_and_no_errors() {
    let outcome = read(&Image::new());
    assert_eq!((stack(&outcome), codes(&outcome)), (vec![], vec![]));
}

#[test]
fn frames_without_their_cframe_keep_their_place_and_lose_their_anchor() {
    let mut image = Image::with_two_activations();
    image.unmap(STACK + 0x1000);
    let outcome = read(&image);
    let expected = [("leaf", NEWER), ("key", NEWER), ("inner", None), ("outer", None)];
    assert_eq!(stack(&outcome), expected);
    assert_eq!(codes(&outcome), ["python_anchor_unknown"]);
    assert!(!thread(&outcome).is_broken);
}

#[test]
fn a_broken_activation_does_not_hide_the_older_ones() {
    let mut image = Image::with_two_activations();
    image.put(FRAMES + 0x300 + 48, 0xdead_0000);
    let outcome = read(&image);
    assert_eq!(stack(&outcome), [("leaf", NEWER), ("inner", OLDER), ("outer", OLDER)]);
    assert_eq!(codes(&outcome), ["python_frames_broken"]);
    assert!(thread(&outcome).is_broken);
}

#[test]
fn an_activation_that_has_not_linked_its_frame_yet_is_passed_over() {
    for garbage in [0, 0xdead_0001, 0xdead_0000, 1] {
        let mut image = Image::with_two_activations();
        let torn = image.cframe(2, garbage, STACK);
        image.put(THREAD + 56, torn);
        let outcome = read(&image);
        assert_eq!(stack(&outcome), WHOLE);
        // Only a null pointer tells that nothing is missing.
        assert_eq!(thread(&outcome).is_broken, garbage != 0);
    }
}

#[test]
fn chains_that_disagree_are_told() {
    let mut image = Image::with_two_activations();
    image.put(FRAMES + 0x200 + 48, FRAMES);
    let outcome = read(&image);
    assert_eq!(stack(&outcome), WHOLE);
    assert_eq!(codes(&outcome), ["python_anchor_unknown"]);
}

#[test]
fn loops_end() {
    let mut frames = Image::with_two_activations();
    frames.put(FRAMES + 0x100 + 48, FRAMES + 0x100);
    let outcome = read(&frames);
    assert_eq!(stack(&outcome), [("leaf", NEWER), ("key", NEWER), ("inner", OLDER)]);
    assert!(thread(&outcome).is_broken);

    let mut cframes = Image::with_two_activations();
    cframes.put(STACK + 0x1000 + 16, STACK);
    assert_eq!(stack(&read(&cframes)), WHOLE);

    let mut threads = Image::with_two_activations();
    threads.put(THREAD + 8, THREAD);
    let outcome = read(&threads);
    assert_eq!(
        (stack(&outcome), codes(&outcome)),
        (WHOLE.to_vec(), vec!["python_thread_unreadable"])
    );

    let mut interpreters = Image::with_two_activations();
    interpreters.put(INTERPRETER, INTERPRETER);
    let outcome = read(&interpreters);
    assert_eq!(codes(&outcome), ["python_interpreter_unreadable"]);
    assert_eq!(outcome.stream.threads.len(), 1);
}

#[test]
fn a_frame_without_a_code_object_holds_its_place() {
    let mut image = Image::with_two_activations();
    let not_code = image.ascii("not a code object");
    image.put(FRAMES + 0x200 + 32, not_code);
    let outcome = read(&image);
    let expected = [("leaf", NEWER), ("?", NEWER), ("inner", OLDER), ("outer", OLDER)];
    assert_eq!(stack(&outcome), expected);
    assert!(thread(&outcome).frames[1].is_partial);
    assert_eq!(codes(&outcome), ["python_frame_partial"]);
}

#[test]
fn a_walk_that_meets_only_nonsense_takes_it_back() {
    let mut image = Image::with_two_activations();
    for index in 1..4 {
        image.put(FRAMES + 0x100 * index + 32, 0xdead_0000);
    }
    let outcome = read(&image);
    assert_eq!(stack(&outcome), []);
    assert!(thread(&outcome).is_broken);
}

#[test]
fn incomplete_frames_are_skipped_unless_they_are_generators() {
    let mut image = Image::with_two_activations();
    for (index, owner) in [(3, 0), (2, 1), (1, 2)] {
        let frame = FRAMES + 0x100 * index;
        let code = thread(&read(&Image::with_two_activations())).frames[3 - index as usize].code;
        image.put(frame + 56, code + 184).put_bytes(frame + 69, &[owner]);
    }
    let outcome = read(&image);
    assert_eq!(stack(&outcome), [("key", NEWER), ("outer", OLDER)]);
    assert_eq!(thread(&outcome).frames[0].owner, FrameOwner::Generator);
    assert_eq!(codes(&outcome), [""; 0]);
}

#[test]
fn an_instruction_outside_the_bytecode_gives_no_line() {
    for instruction in [0, 0xdead_0000, u64::MAX] {
        let mut image = Image::with_two_activations();
        image.put(FRAMES + 0x300 + 56, instruction);
        let outcome = read(&image);
        assert_eq!(stack(&outcome), WHOLE);
        let leaf = &thread(&outcome).frames[0];
        assert_eq!((leaf.lasti, leaf.line, leaf.is_partial), (-1, None, true));
        assert_eq!(codes(&outcome), ["python_frame_partial"]);
    }
}

/// The name of the newest frame when its `co_name` is the object that `make` builds.
fn name_of(make: impl Fn(&mut Image) -> u64) -> (Option<String>, Vec<SoftError>) {
    let mut image = Image::with_two_activations();
    let code = thread(&read(&image)).frames[0].code;
    let name = make(&mut image);
    image.put(code + 120, name);
    let outcome = read(&image);
    (thread(&outcome).frames[0].name.clone(), outcome.soft_errors)
}

#[test]
fn strings_of_every_width_are_read() {
    let cases: [(&[u32], u32, &str); 5] = [
        (&[0x61, 0x62], 1, "ab"),
        (&[0x67, 0x72, 0xF6, 0xDF, 0x65], 1, "größe"),
        (&[0x8A08, 0x7B97], 2, "計算"),
        (&[0x1F600, 0x61], 4, "😀a"),
        (&[0xDCFF, 0x61], 2, "\u{FFFD}a"),
    ];
    for (codes, kind, expected) in cases {
        let (name, errors) = name_of(|image| image.string(codes, kind));
        assert_eq!((name.as_deref(), errors), (Some(expected), vec![]));
    }
    assert_eq!(name_of(|image| image.string(&[], 1)).0.as_deref(), Some(""));
}

#[test]
fn strings_that_are_none_are_refused() {
    type Damage = fn(&mut Image, u64);
    let cases: [(&str, Damage); 5] = [
        ("state of a str", |image, name| _ = image.put_bytes(name + 32, &[0x80])),
        ("kind", |image, name| _ = image.put_bytes(name + 32, &[0x80 | 1 << 5 | 3 << 2])),
        ("length of an object", |image, name| _ = image.put(name + 16, 1 << 40)),
        ("type", |image, name| _ = image.put(name + 8, EXCEPTION_TYPE)),
        ("cannot be read", |image, name| image.unmap(name)),
    ];
    for (what, damage) in cases {
        let (name, errors) = name_of(|image| {
            let name = image.ascii("name");
            damage(image, name);
            name
        });
        assert_eq!(name, None, "{what}");
        assert_eq!(errors.len(), 1, "{what}");
        assert_eq!(errors[0].code, "python_frame_partial");
    }
}

#[test]
fn a_string_that_ends_at_the_end_of_memory_is_read() {
    let (name, errors) = name_of(|image| image.string(&vec![0x78; 0x1000 - 48 - 1], 1));
    assert_eq!((name.map(|name| name.len()), errors), (Some(0x1000 - 48 - 1), vec![]));
}

#[test]
fn a_line_table_beyond_its_limit_is_not_read() {
    let image = Image::with_two_activations();
    let limits = Limits { max_line_table: 3, ..Limits::default() };
    let outcome = read_python(&image, &Image::target(), &limits).expect("readable");
    assert_eq!(stack(&outcome), WHOLE);
    assert!(thread(&outcome).frames.iter().all(|frame| frame.line.is_none() && frame.is_partial));
}

#[test]
fn a_thread_of_another_interpreter_ends_the_list() {
    let mut image = Image::with_two_activations();
    image.thread(0x50_0000);
    image.put(THREAD + 8, 0x50_0000);
    assert_eq!(read(&image).stream.threads.len(), 2);
    image.put(0x50_0000 + 16, INTERPRETER + 8);
    let outcome = read(&image);
    assert_eq!(outcome.stream.threads.len(), 1);
    assert_eq!(codes(&outcome), ["python_thread_unreadable"]);
    assert!(outcome.soft_errors[0].where_.contains("0x500000"), "{:?}", outcome.soft_errors);
}

#[test]
fn the_pending_exception_is_named_only_if_it_is_one() {
    let mut image = Image::with_two_activations();
    image.put(THREAD + 96, EXCEPTION_TYPE);
    assert_eq!(thread(&read(&image)).exception_type.as_deref(), Some("package.Oops"));
    image.put(EXCEPTION_TYPE + 168, 0);
    let outcome = read(&image);
    assert_eq!(thread(&outcome).exception_type, None);
    assert_eq!(codes(&outcome), ["python_exception_unknown"]);
}

#[test]
fn a_debug_build_is_told_by_its_flags() {
    let mut image = Image::with_two_activations();
    assert!(!read(&image).stream.is_debug_build);
    image.set_abi_flags("d");
    let outcome = read(&image);
    assert_eq!((outcome.stream.is_debug_build, codes(&outcome)), (true, vec![]));
}

#[test]
fn a_build_that_cannot_be_told_leaves_the_rest() {
    for sysdict in [0, THREAD, 0xdead_0000] {
        let mut image = Image::with_two_activations();
        image.put(INTERPRETER + 904, sysdict);
        let outcome = read(&image);
        assert_eq!(
            (stack(&outcome), codes(&outcome)),
            (WHOLE.to_vec(), vec!["python_build_unknown"])
        );
    }
}

#[test]
fn what_the_interpreter_does_is_told_of_its_threads() {
    let mut image = Image::with_two_activations();
    image.put_bytes(INTERPRETER + 848, &[1]);
    let state = |image: &Image| {
        let outcome = read(image);
        let thread = thread(&outcome);
        (thread.is_collecting, thread.is_interpreter_finalizing, outcome.stream.is_finalizing)
    };
    assert_eq!(state(&image), (true, false, false));
    image.put_bytes(INTERPRETER + 848, &[0]).put_bytes(INTERPRETER + 84, &[1]);
    assert_eq!(state(&image), (false, true, false));
}

#[test]
fn the_gil_is_part_of_the_runtime() {
    let outcome = read(&Image::with_two_activations());
    assert_eq!(outcome.stream.gil_address, Some(RUNTIME + 360));
    assert_eq!(thread(&outcome).gil_address, Some(RUNTIME + 360));
}

#[test]
fn finalization_is_told() {
    let mut image = Image::with_two_activations();
    image.put(RUNTIME + 24, THREAD);
    assert!(read(&image).stream.is_finalizing);
}

#[test]
fn no_thread_at_all_is_an_error_that_says_why() {
    let read = |image: &Image| read_python(image, &Image::target(), &Limits::default());
    let mut wrong = Image::new();
    wrong.put(THREAD + 16, 8);
    assert!(matches!(read(&wrong), Err(Error::Implausible { found: 8, .. })));
    let mut empty = Image::new();
    empty.put(RUNTIME + 40, 0);
    let error = read(&empty).expect_err("there is nothing");
    assert!(error.to_string().contains("an interpreter with at least one thread"), "{error}");
    let mut far = Image::new();
    far.put(RUNTIME + 40, 0xdead_0000);
    assert!(matches!(read(&far), Err(Error::Memory(_))));
    let limits = Limits { max_reads: 2, ..Limits::default() };
    let stopped = read_python(&Image::new(), &Image::target(), &limits);
    assert_eq!(stopped, Err(Error::LimitReached { what: "max_reads" }));
}

#[test]
fn soft_errors_are_counted_when_there_are_too_many() {
    let mut image = Image::with_two_activations();
    for index in 0..4 {
        image.put(FRAMES + 0x100 * index + 56, 0);
    }
    let limits = Limits { max_soft_errors: 2, ..Limits::default() };
    let outcome = read_python(&image, &Image::target(), &limits).expect("readable");
    assert_eq!(codes(&outcome), ["python_frame_partial", "python_frame_partial", "python_limit"]);
    assert!(outcome.soft_errors[2].message.starts_with("2 more"));
}
