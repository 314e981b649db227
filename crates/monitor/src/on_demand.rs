//! A dump that a healthy process asked for: an ordinary report, or only dumps under a name.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use lastwords_capture::protocol::CrashRequest;
use lastwords_capture::shared::AreaReader;
use serde_json::{Value, json};

use crate::destination::{ChosenNames, Destination, NameFacts};
use crate::document::{annotation_value, breadcrumb_document, crash_text};
use crate::dumps::Event;
use crate::extras;
use crate::failure::Failure;
use crate::order::{Order, Outcome};
use crate::os::linux::{Hints, LinuxSnapshot, process_name};
use crate::plan::DumpPlan;
use crate::report::{self, Finished, told_python};
use crate::snapshot::ProcessSnapshot;
use crate::soft_errors::SoftErrors;
use crate::throws;
use crate::write::Labels;

/// What `EXCEPTIONCODE` stands for where nothing crashed.
pub const REQUESTED: &str = "REQUESTED";

/// Does what an order says. The process runs on when this returns.
#[must_use]
pub fn fulfil(
    request: &CrashRequest,
    area: &AreaReader,
    socket: Option<OwnedFd>,
    order: &[u8],
) -> Outcome {
    let order = match Order::from_bytes(order) {
        Ok(order) => order,
        Err(wrong) => {
            let message = format!("the order for a dump cannot be used: {wrong}");
            let hint = "see the kinds of dumps in docs/guides/dumps.md";
            return Outcome::failed(Failure::new("order_invalid", message, hint));
        }
    };
    match &order.destination {
        None => to_report(request, area, socket, &order),
        Some(destination) => to_files(request, area, socket, &order.plan, destination),
    }
}

fn to_report(
    request: &CrashRequest,
    area: &AreaReader,
    socket: Option<OwnedFd>,
    order: &Order,
) -> Outcome {
    let Finished { line, path, dumps } = report::write_requested(request, area, socket, order);
    let is_written = path.is_some();
    let failure = || Failure::new("dump_not_written", line.clone(), "see the message");
    Outcome { error: (!is_written).then(failure), path, dumps, line }
}

fn to_files(
    request: &CrashRequest,
    area: &AreaReader,
    socket: Option<OwnedFd>,
    plan: &DumpPlan,
    destination: &Destination,
) -> Outcome {
    let facts = NameFacts {
        process_name: process_name(request.pid),
        pid: request.pid,
        exception: REQUESTED.to_owned(),
        time_ns: request.time_ns,
    };
    let names = match destination.choose(&facts, &plan.file_names()) {
        Ok(names) => names,
        Err(error) => return Outcome::failed(not_written(destination, &error)),
    };
    let mut soft_errors = SoftErrors::default();
    let hints = Hints {
        private: area.private_ranges(),
        abort_message: None,
        is_kernel_wanted: plan.is_kernel(),
    };
    let (snapshot, crash) = LinuxSnapshot::take(request, socket, hints, &mut soft_errors);
    let annotations = area.annotations();
    let labels = Labels {
        annotations: annotations.iter().map(|a| (a.key.clone(), annotation_value(a))).collect(),
        reason: crash_text(&crash),
        breadcrumbs: area.breadcrumbs().iter().map(breadcrumb_document).collect(),
        throws: throws::all(area, snapshot.memory()),
        additions: extras::note_additions(area.additions(), &snapshot, &mut soft_errors),
        ..Labels::default()
    };
    let python = told_python(area).or_else(|| snapshot.find_python(&mut soft_errors));
    let event = Event {
        snapshot: &snapshot,
        crash: &crash,
        python,
        labels: &labels,
        time_s: u32::try_from(request.time_ns.div_euclid(1_000_000_000)).unwrap_or(u32::MAX),
        deadline: report::own_deadline(request),
    };
    let written = event.write(plan, &names, &mut soft_errors);
    drop(snapshot);
    let dumps = with_paths(written, &names);
    let Some(path) = first_path(&dumps) else {
        return Outcome::failed(not_written(destination, &soft_errors.to_text()));
    };
    let line = format!("lastwords: dump on demand in {}", path.display());
    Outcome { path: Some(path), dumps, line, error: None }
}

/// The dumps' documents with whole paths.
pub(crate) fn with_paths(mut dumps: Vec<Value>, names: &ChosenNames) -> Vec<Value> {
    for dump in &mut dumps {
        let path = dump.get("file").and_then(Value::as_str).map(|name| names.path(name));
        if let (Some(path), Some(dump)) = (path, dump.as_object_mut()) {
            dump.insert("file".to_owned(), json!(path));
        }
    }
    dumps
}

pub(crate) fn first_path(dumps: &[Value]) -> Option<PathBuf> {
    Some(dumps.first()?.get("file")?.as_str()?.into())
}

pub(crate) fn not_written(destination: &Destination, why: &dyn std::fmt::Display) -> Failure {
    let place = destination.pattern.display();
    Failure::new(
        "dump_not_written",
        format!("no dump could be written to {place}: {why}"),
        "choose a folder that can be written and has room, or a name of your own",
    )
}
