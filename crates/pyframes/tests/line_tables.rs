//! Line tables of whole modules, compared with what the interpreter reads in them.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use lastwords_pyframes::lines::{LineTableFormat, Location, locate};
use serde_json::Value;
use support::{Interpreter, interpreters, script};

fn decode_hex(text: &str) -> Vec<u8> {
    let digits = |index| u8::from_str_radix(&text[index..index + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|number| u32::try_from(number).expect("a line or column"))
}

fn expected(truth: &[Value]) -> Location {
    let part = |index: usize| truth.get(index).and_then(number);
    // 3.11 puts the first instruction of a module on line 0, which is no line.
    let line = |index| part(index).filter(|line| *line != 0);
    Location { line: line(0), end_line: line(1), column: part(2), end_column: part(3) }
}

/// Compares every code unit of one code object; gives their number.
fn check_code(interpreter: &Interpreter, row: &Value) -> usize {
    let minor = interpreter.minor();
    let format = match minor {
        9 => LineTableFormat::V3_9,
        10 => LineTableFormat::V3_10,
        _ => LineTableFormat::V3_11,
    };
    let first_line = i32::try_from(row[1].as_i64().expect("a line")).expect("an int");
    let table = decode_hex(row[2].as_str().expect("text"));
    let truths = row[3].as_array().expect("a list");
    for (unit, truth) in truths.iter().enumerate() {
        let lasti = i32::try_from(unit * 2).expect("an int");
        let found = locate(format, first_line, &table, lasti);
        let truth = expected(truth.as_array().expect("a list"));
        assert_eq!(found, Some(truth), "3.{minor} {} at {lasti}", row[0]);
    }
    let end = i32::try_from(truths.len() * 2).expect("an int");
    let behind = locate(format, first_line, &table, end);
    assert_eq!(behind.is_some(), minor == 9, "3.{minor} {} behind", row[0]);
    truths.len()
}

#[test]
fn every_instruction_of_many_modules_is_where_the_interpreter_says() {
    // Whether a build is a debug one makes no difference to its compiler.
    let mut interpreters = interpreters();
    interpreters.dedup_by_key(|interpreter| interpreter.minor());
    for interpreter in interpreters {
        let output = interpreter
            .command()
            .arg(interpreter.place(&script("line_tables.py")))
            .output()
            .expect("the interpreter runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", interpreter.executable.display());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let units: usize = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .map(|row| check_code(&interpreter, &row))
            .sum();
        assert!(units > 20_000, "only {units} code units were compared");
    }
}
