//! The further settings that `arm` gets as one JSON object: `{"capture": {…}, "monitor": {…}}`.
//!
//! The capture's part is checked here; the monitor's part is put into the shared area's
//! configuration as it stands, and the monitor checks it.

use lastwords_capture::{ChainFirst, Options, optional_signal};
use serde_json::{Map, Value};

/// The two parts, or what is wrong with them.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Options, Map<String, Value>), String> {
    let wrong = |error: serde_json::Error| format!("options is not JSON: {error}");
    let mut whole: Map<String, Value> = serde_json::from_slice(bytes).map_err(wrong)?;
    let mut part = |name: &str| match whole.remove(name) {
        None => Ok(Map::new()),
        Some(Value::Object(part)) => Ok(part),
        Some(other) => Err(format!("options[{name:?}] is {other}, expected an object")),
    };
    let capture = capture_options(&part("capture")?)?;
    let monitor = part("monitor")?;
    match whole.keys().next() {
        None => Ok((capture, monitor)),
        Some(key) => Err(format!("options has {key:?}, expected 'capture' and 'monitor' only")),
    }
}

fn capture_options(given: &Map<String, Value>) -> Result<Options, String> {
    let mut options = Options::default();
    for (key, value) in given {
        let wrong = |expected| format!("options: {key} is {value}, expected {expected}");
        match key.as_str() {
            "extra_signals" => {
                let expected = || wrong("an array of 'QUIT', 'XCPU', 'XFSZ'");
                let names = value.as_array().ok_or_else(expected)?.iter().map(Value::as_str);
                let signals = names.map(|name| name.and_then(optional_signal)).collect();
                options.extra_signals = Option::ok_or_else(signals, expected)?;
            }
            "chain_first" => {
                let choice = value.as_str().and_then(ChainFirst::from_name);
                options.chain_first = choice.ok_or_else(|| wrong("'auto', 'always' or 'never'"))?;
            }
            "alternate_stacks" => {
                options.alternate_stacks = value.as_bool().ok_or_else(|| wrong("a boolean"))?
            }
            "session" => {
                let path = value.as_str().ok_or_else(|| wrong("a path"))?;
                options.session = Some(path.to_owned());
            }
            "capture_throws" => {
                options.capture_throws = value.as_bool().ok_or_else(|| wrong("a boolean"))?
            }
            "max_throws_per_s" => {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                options.max_throws_per_s = number.ok_or_else(|| wrong("a number of 32 bits"))?
            }
            _ => return Err(format!("options: there is no capture option {key:?}")),
        }
    }
    Ok(options)
}
