//! What is to be done to which system call: `ACTION PHASE CALL NTH TIMES VALUE [once]`, or `record`.
//!
//! | field | meaning |
//! |---|---|
//! | `ACTION` | `fail` (VALUE is the errno), `short`, `delay` (VALUE in ms), `kill`, `freeze` |
//! | `PHASE` | `start`: before the crash was told to the monitor; `crash`: after |
//! | `CALL` | number of the system call; `-1` = any |
//! | `NTH` | the first one that is meant, counted from 1 within the phase |
//! | `TIMES` | how many from there on; 0 = all |
//! | `once` | the order is removed when it is carried out: the next monitor works |

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing; every call is logged.
    Record,
    /// It is not made and answers this errno.
    Fail(i32),
    /// It is asked for half of the bytes.
    Short,
    /// It is made after this many milliseconds.
    Delay(u64),
    /// The monitor is killed before it is made.
    Kill,
    /// The monitor stands still before it is made, for ever.
    Freeze,
}

/// When a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the monitor was told of a crash.
    Start,
    /// After that.
    Crash,
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What to do.
    pub action: Action,
    phase: Phase,
    call: i64,
    first: u64,
    times: u64,
    /// Only the first monitor is meant.
    pub is_once: bool,
}

impl Order {
    /// Reads one line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let action = words.next()?;
        if action == "record" {
            let (phase, call) = (Phase::Start, i64::MIN);
            return Some(Self {
                action: Action::Record,
                phase,
                call,
                first: 1,
                times: 0,
                is_once: false,
            });
        }
        let phase = if words.next()? == "crash" { Phase::Crash } else { Phase::Start };
        let call = words.next()?.parse().ok()?;
        let first = words.next()?.parse().ok()?;
        let times = words.next()?.parse().ok()?;
        let value: u64 = words.next()?.parse().ok()?;
        let is_once = words.next() == Some("once");
        let action = match action {
            "fail" => Action::Fail(i32::try_from(value).ok()?),
            "short" => Action::Short,
            "delay" => Action::Delay(value),
            "kill" => Action::Kill,
            "freeze" => Action::Freeze,
            _ => return None,
        };
        Some(Self { action, phase, call, first, times, is_once })
    }

    /// Whether a call of this number counts.
    pub fn counts(&self, phase: Phase, call: i64) -> bool {
        phase == self.phase && (self.call == -1 || self.call == call)
    }

    /// Whether the `nth` one that counts is meant.
    pub fn means(&self, nth: u64) -> bool {
        let last = self.first.saturating_add(self.times);
        nth >= self.first && (self.times == 0 || nth < last)
    }
}
