//! Whether the end of a watched process was abnormal, and of what it died.
//!
//! Wanted ends are no reports: an exit after the interpreter finalised, the default death by a
//! signal with which people and systems ask programs to end, the parent of a daemon leaving, the end
//! of another program that the process went on as. What
//! cannot be told apart from one of them is not reported either. docs/adr/0008 says why.

use lastwords_capture::shared::Life;
use serde_json::{Value, json};

use crate::os::linux::ends::{ExitStatus, OomEvidence};
use crate::signal_names::signal_name;

/// Signals that ask a program to end: whoever sends one wants what happens.
const ASKING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGTERM];

/// What is known when a process has ended.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Its status; `None` when nobody could tell.
    pub(crate) status: Option<ExitStatus>,
    /// How far it said it was.
    pub(crate) life: Life,
    /// Its main program is Python's own.
    pub(crate) is_interpreter: bool,
    /// Something that it started lives on: a forked child has run Python, or holds its socket.
    pub(crate) has_heir: bool,
    /// The monitor was asked to end, as everything is at a shutdown.
    pub(crate) is_shutdown: bool,
    /// What speaks for the out-of-memory killer.
    pub(crate) oom: OomEvidence,
}

/// An abnormal end: `mechanism.end` of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    cause: &'static str,
    certainty: &'static str,
    status: Option<ExitStatus>,
    evidence: Vec<String>,
}

impl End {
    /// Of what the process died; `None` when its end was wanted, has its report, or may have been
    /// either.
    pub(crate) fn of(facts: &Facts) -> Option<Self> {
        if matches!(facts.life, Life::Crashed | Life::Exec) {
            return None;
        }
        let end = |cause, certainty, evidence: &[&str]| {
            let evidence = evidence.iter().map(|text| (*text).to_owned()).collect();
            Some(Self { cause, certainty, status: facts.status, evidence })
        };
        match (facts.status, &facts.oom) {
            (Some(ExitStatus::Signal(libc::SIGKILL)) | None, OomEvidence::Log(line)) => {
                end("oom_kill", "known", &[line])
            }
            (Some(ExitStatus::Signal(libc::SIGKILL)), OomEvidence::Counter(line)) => {
                end("oom_kill", "likely", &["the process was ended by SIGKILL", line])
            }
            (Some(ExitStatus::Signal(libc::SIGKILL)), OomEvidence::None) => {
                let evidence = ["the process was ended by SIGKILL", "nobody can tell who sent it"];
                (!facts.is_shutdown).then(|| end("sigkill", "known", &evidence))?
            }
            (Some(ExitStatus::Signal(signal)), _) if ASKING.contains(&signal) => None,
            (Some(ExitStatus::Signal(signal)), _) => {
                let text = format!("the process was ended by {}", signal_name(signal));
                let why = "no handler of ours was asked: the signal is not among the reported ones, \
                           another handler had taken its place, or the stack could not hold it";
                end("signal", "known", &[&text, why])
            }
            (Some(ExitStatus::Code(code)), _) => Self::of_exit(facts, code),
            (None, _) => None,
        }
    }

    fn of_exit(facts: &Facts, code: i32) -> Option<Self> {
        let (certainty, how) = match facts.life {
            Life::Running if code == 0 && facts.has_heir => return None,
            Life::Running => ("known", "the process left at once (os._exit, _exit, quick_exit)"),
            Life::Exit if facts.is_interpreter => ("likely", "native code called exit()"),
            _ => return None,
        };
        let evidence = vec![
            format!("{how} with status {code}"),
            "the interpreter did not finalise: no atexit function ran".to_owned(),
        ];
        Some(Self { cause: "os_exit", certainty, status: facts.status, evidence })
    }

    /// Adds a line of evidence.
    pub(crate) fn add_evidence(&mut self, text: String) {
        self.evidence.push(text);
    }

    /// The report's `mechanism`.
    pub(crate) fn to_mechanism(&self) -> Value {
        let signal = match self.status {
            Some(ExitStatus::Signal(number)) => Some(number),
            _ => None,
        };
        let exit_code = match self.status {
            Some(ExitStatus::Code(code)) => Some(code),
            _ => None,
        };
        json!({
            "type": "abnormal_end",
            "handled": false,
            "description": self.description(),
            "signal": signal.map(|number| json!({"number": number, "name": signal_name(number)})),
            "end": {
                "cause": self.cause,
                "certainty": self.certainty,
                "exit_code": exit_code,
                "signal": signal,
                "evidence": self.evidence,
            },
        })
    }

    fn description(&self) -> String {
        match (self.cause, self.status) {
            ("oom_kill", _) => "killed by the kernel, which ran out of memory".to_owned(),
            ("os_exit", Some(ExitStatus::Code(code))) => {
                format!("left with status {code} without finalising the interpreter")
            }
            (_, Some(ExitStatus::Signal(signal))) => format!("ended by {}", signal_name(signal)),
            _ => "ended without saying why".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGKILL: Option<ExitStatus> = Some(ExitStatus::Signal(libc::SIGKILL));

    fn facts(status: Option<ExitStatus>, life: Life) -> Facts {
        Facts {
            status,
            life,
            is_interpreter: true,
            has_heir: false,
            is_shutdown: false,
            oom: OomEvidence::None,
        }
    }

    fn told(facts: &Facts) -> Option<(&'static str, &'static str)> {
        End::of(facts).map(|end| (end.cause, end.certainty))
    }

    #[test]
    fn a_kill_is_told_with_what_is_known_of_the_killer() {
        let plain = facts(SIGKILL, Life::Running);
        assert_eq!(told(&plain), Some(("sigkill", "known")));
        let counter = Facts { oom: OomEvidence::Counter("1 to 2".into()), ..plain.clone() };
        assert_eq!(told(&counter), Some(("oom_kill", "likely")));
        let log = Facts { oom: OomEvidence::Log("Killed process 1".into()), ..plain.clone() };
        assert_eq!(told(&log), Some(("oom_kill", "known")));
        let unseen = Facts { status: None, ..log };
        assert_eq!(told(&unseen), Some(("oom_kill", "known")));
        let finalising = Facts { life: Life::Finalising, ..plain };
        assert_eq!(told(&finalising), Some(("sigkill", "known")));
    }

    #[test]
    fn a_kill_during_a_shutdown_was_wanted_unless_memory_ran_out() {
        let shutdown = Facts { is_shutdown: true, ..facts(SIGKILL, Life::Running) };
        assert_eq!(told(&shutdown), None);
        let oom = Facts { oom: OomEvidence::Counter("1 to 2".into()), ..shutdown };
        assert_eq!(told(&oom), Some(("oom_kill", "likely")));
    }

    #[test]
    fn who_is_asked_to_end_ends_cleanly() {
        for signal in ASKING {
            assert_eq!(told(&facts(Some(ExitStatus::Signal(signal)), Life::Running)), None);
        }
        let other = Some(ExitStatus::Signal(libc::SIGUSR1));
        assert_eq!(told(&facts(other, Life::Running)), Some(("signal", "known")));
    }

    #[test]
    fn an_exit_is_abnormal_only_before_the_interpreter_finalises() {
        for code in [0, 3] {
            let status = Some(ExitStatus::Code(code));
            assert_eq!(told(&facts(status, Life::Running)), Some(("os_exit", "known")));
            assert_eq!(told(&facts(status, Life::Finalising)), None);
            assert_eq!(told(&facts(status, Life::Exit)), Some(("os_exit", "likely")));
            let embedded = Facts { is_interpreter: false, ..facts(status, Life::Exit) };
            assert_eq!(told(&embedded), None, "a program that embeds Python ended");
        }
    }

    #[test]
    fn the_parent_of_a_daemon_leaves_cleanly() {
        let parent = Facts { has_heir: true, ..facts(Some(ExitStatus::Code(0)), Life::Running) };
        assert_eq!(told(&parent), None);
        let failed = Facts { status: Some(ExitStatus::Code(1)), ..parent };
        assert_eq!(told(&failed), Some(("os_exit", "known")));
    }

    #[test]
    fn what_has_its_report_or_cannot_be_told_gets_none() {
        assert_eq!(told(&facts(SIGKILL, Life::Crashed)), None);
        assert_eq!(told(&facts(SIGKILL, Life::Exec)), None);
        assert_eq!(told(&facts(None, Life::Running)), None);
    }

    #[test]
    fn the_mechanism_says_signal_or_exit_code() {
        let killed = End::of(&facts(SIGKILL, Life::Running)).unwrap().to_mechanism();
        assert_eq!(killed["signal"], json!({"number": 9, "name": "SIGKILL"}));
        assert_eq!(killed["end"]["signal"], 9);
        assert_eq!(killed["end"]["exit_code"], Value::Null);
        let left = End::of(&facts(Some(ExitStatus::Code(3)), Life::Running)).unwrap();
        assert_eq!(left.to_mechanism()["end"]["exit_code"], 3);
        assert_eq!(left.to_mechanism()["signal"], Value::Null);
    }
}
