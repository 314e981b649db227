//! Where the interpreter of a watched process stands, and what is known of its structures.

use lastwords_capture::shared::AreaReader;
use lastwords_pyframes::calibrate::{Calibration, FieldState};
use serde_json::{Map, Value, json};

use crate::os::linux::LinuxSnapshot;
use crate::snapshot::PythonTarget;
use crate::soft_errors::SoftErrors;

/// What the SDK told. Where it could not tell the place, because the interpreter is part of a
/// program that exports nothing, it is looked for.
pub(crate) fn of(
    area: &AreaReader,
    snapshot: &LinuxSnapshot,
    soft_errors: &mut SoftErrors,
) -> Option<PythonTarget> {
    let calibration = calibration(area, soft_errors);
    if let Some((runtime_address, version)) = area.python() {
        return Some(PythonTarget { runtime_address, version, calibration });
    }
    let found = snapshot.find_python(soft_errors)?;
    // The search knows only what the memory of a sick process says of the version.
    let version = calibration.map_or(found.version, |known| known.python_version());
    Some(PythonTarget { version, calibration, ..found })
}

fn calibration(area: &AreaReader, soft_errors: &mut SoftErrors) -> Option<Calibration> {
    let block = area.calibration()?;
    let calibration = Calibration::from_bytes(&block);
    if calibration.is_none() {
        let message = "damaged; the built-in offsets of CPython's structures are used";
        soft_errors.add("calibration_not_read", "shared area", message);
    }
    calibration
}

/// Adds to the object `capture` which fields of CPython's structures were verified, and which not.
pub(crate) fn note_layout(metadata: &mut Map<String, Value>, python: Option<&PythonTarget>) {
    let Some(calibration) = python.and_then(|python| python.calibration) else { return };
    let capture = metadata.entry("capture").or_insert_with(|| json!({}));
    let Some(capture) = capture.as_object_mut() else { return };
    let names = |state| json!(calibration.names(state));
    let layout = json!({
        "verified": names(FieldState::Verified),
        "corrected": names(FieldState::Corrected),
        "assumed": names(FieldState::Assumed),
        "contradicted": names(FieldState::Contradicted),
    });
    capture.insert("python_layout".to_owned(), layout);
}
