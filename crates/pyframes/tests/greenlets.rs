//! Greenlets of real, stopped interpreters, compared with what they say of themselves.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/packages.rs"]
mod packages;
mod support;

use lastwords_pyframes::{ChainFrame, DetailsOptions, Greenlet};
use serde_json::{Value, json};
use support::details::known_interpreters;
use support::{Interpreter, Victim};

/// Versions of the package whose insides differ.
const VERSIONS: [&str; 4] = ["greenlet==1.1.3", "greenlet==2.0.2", "greenlet==3.0.3", "greenlet"];

/// Which of them there are for an interpreter.
fn versions(interpreter: &Interpreter) -> &'static [&'static str] {
    match interpreter.minor() {
        0..=10 => &VERSIONS,
        11 => &VERSIONS[1..],
        12 => &VERSIONS[2..],
        _ => &VERSIONS[3..],
    }
}

fn for_each(check: impl Fn(&str, &Victim)) {
    for interpreter in known_interpreters() {
        for version in versions(&interpreter) {
            let Some(packages) = packages::install(&interpreter, &[version]) else { continue };
            let victim = Victim::start_script(&interpreter, "greenlets_victim.py", Some(&packages));
            let package = victim.truth["package"].as_str().expect("a version").to_owned();
            check(&format!("3.{} with greenlet {package}", interpreter.minor()), &victim);
        }
    }
}

fn places(frames: &[ChainFrame]) -> Vec<Value> {
    frames.iter().map(|frame| json!([frame.name, frame.line])).collect()
}

/// `truth`: an object with the key `address`.
fn greenlet_at<'a>(greenlets: &'a [Greenlet], truth: &Value) -> Option<&'a Greenlet> {
    greenlets.iter().find(|greenlet| Some(greenlet.address) == truth["address"].as_u64())
}

#[test]
fn every_greenlet_that_waits_is_found_with_its_frames() {
    for_each(|place, victim| {
        let options = DetailsOptions { max_chain_frames: 300, ..DetailsOptions::default() };
        let outcome = victim.read_details(&options);
        assert_eq!(outcome.soft_errors, [], "{place}");
        let greenlets = &outcome.details.greenlets;
        let mut suspended = 0;
        for truth in victim.truth["greenlets"].as_array().expect("a list") {
            let place = format!("{place}: {}", truth["name"]);
            let found = greenlet_at(greenlets, truth).unwrap_or_else(|| panic!("{place}"));
            assert_eq!(json!(found.type_name), truth["type"], "{place}");
            assert_eq!(json!(found.is_suspended), json!(truth["state"] == "suspended"), "{place}");
            assert_eq!(json!(places(&found.frames)), truth["frames"], "{place}");
            assert!(!found.is_cut, "{place}");
            suspended += u32::from(found.is_suspended);
        }
        assert_eq!(suspended, 9, "{place}");
        let running = json!({"address": victim.truth["running"]});
        let running = greenlet_at(greenlets, &running).expect("the one that runs is told too");
        assert_eq!((running.is_suspended, running.frames.len()), (false, 0), "{place}");
    });
}

#[test]
fn limits_of_greenlets_hold_and_are_told() {
    let Some(interpreter) = known_interpreters().pop() else { return };
    let Some(packages) = packages::install(&interpreter, &["greenlet"]) else { return };
    let victim = Victim::start_script(&interpreter, "greenlets_victim.py", Some(&packages));
    let read = |options: &DetailsOptions| victim.read_details(options).details;
    let cut = read(&DetailsOptions::default());
    assert!(cut.greenlets.iter().all(|greenlet| greenlet.frames.len() <= 64));
    assert_eq!(cut.greenlets.iter().filter(|greenlet| greenlet.is_cut).count(), 1);
    assert!(cut.limits.contains(&"max_chain_frames".to_owned()));
    let few = read(&DetailsOptions { max_greenlets: 2, ..DetailsOptions::default() });
    assert_eq!((few.greenlets.len(), few.limits.contains(&"max_greenlets".to_owned())), (2, true));
    let short = read(&DetailsOptions { max_collected_objects: 5, ..DetailsOptions::default() });
    assert!(short.limits.contains(&"max_collected_objects".to_owned()), "{:?}", short.limits);
}
