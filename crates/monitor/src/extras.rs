//! What the application added to its reports: annotations, breadcrumbs, attachments,
//! memory and streams.

use std::path::PathBuf;
use std::time::Instant;

use lastwords_capture::shared::{Additions, Annotation, Breadcrumb};
use serde_json::Value;

use crate::document::{Document, annotation_value, attachment_document, breadcrumb_document};
use crate::snapshot::ProcessSnapshot;
use crate::soft_errors::SoftErrors;
use crate::spool::Entry;

/// Puts the annotations into the document, and what is wrong with them into the soft errors.
pub(crate) fn note_annotations(
    annotations: &[Annotation],
    document: &mut Document,
    soft_errors: &mut SoftErrors,
) {
    for annotation in annotations {
        document.set_in("annotations", &annotation.key, annotation_value(annotation));
        let place = || format!("annotation {}", annotation.key);
        if annotation.is_cut {
            soft_errors.add("annotation_cut", place(), "longer than 3,900 bytes");
        }
        if annotation.is_torn {
            soft_errors.add("annotation_torn", place(), "it was being written");
        }
    }
}

/// Puts the breadcrumbs into the document; gives them as they stand there.
pub(crate) fn note_breadcrumbs(
    breadcrumbs: &[Breadcrumb],
    document: &mut Document,
    soft_errors: &mut SoftErrors,
) -> Vec<Value> {
    let list: Vec<Value> = breadcrumbs.iter().map(breadcrumb_document).collect();
    document.set("breadcrumbs", Value::Array(list.clone()));
    let torn = breadcrumbs.iter().filter(|crumb| crumb.is_torn).count();
    if torn > 0 {
        let message = format!("{torn} were being written");
        soft_errors.add("breadcrumb_torn", "breadcrumbs", message);
    }
    list
}

/// What `on_dump()` told, without memory that is no longer there.
pub(crate) fn note_additions(
    mut additions: Additions,
    snapshot: &dyn ProcessSnapshot,
    soft_errors: &mut SoftErrors,
) -> Additions {
    if additions.is_torn {
        soft_errors.add("additions_torn", "on_dump", "they were being written; none is here");
    }
    additions.memory.retain(|(start, length)| {
        let is_there = snapshot.region_at(*start).is_some_and(|region| region.is_readable);
        if !is_there {
            let place = format!("on_dump memory {start:#x}");
            soft_errors.add("addition_not_mapped", place, format!("{length} bytes are gone"));
        }
        is_there
    });
    additions
}

/// Copies the attachments into the report, until the deadline; gives their list.
pub(crate) fn attach(
    paths: Vec<PathBuf>,
    entry: &Entry,
    deadline: Option<Instant>,
    soft_errors: &mut SoftErrors,
) -> Value {
    let mut list = Vec::new();
    for path in paths {
        let place = path.display().to_string();
        if deadline.is_some_and(|at| Instant::now() >= at) {
            soft_errors.add("budget_spent", place, "no time was left to copy it");
            continue;
        }
        let copied = entry.attach(&path);
        let copied = soft_errors.keep(copied, "attachment_not_copied", place);
        list.extend(copied.map(|attachment| attachment_document(&attachment)));
    }
    Value::Array(list)
}
