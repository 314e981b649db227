//! Where each thread stood in the kernel: the stream `LastwordsKernel` (0x4C570006).
//!
//! UTF-8 text, per thread a line `thread ID (NAME) STATE` and indented lines below it.

use std::collections::HashMap;

use minidump::Minidump;
use serde_json::{Map, Value};

const LASTWORDS_KERNEL: u32 = 0x4C57_0006;
const MAX_TEXT_BYTES: usize = 4 << 20;
const MAX_BYTES_OF_THREAD: usize = 64 << 10;

/// Fills `threads[].kernel_stack`.
pub(crate) fn complete(document: &mut Map<String, Value>, dump: &Minidump<'_, &[u8]>) {
    let Ok(bytes) = dump.get_raw_stream(LASTWORDS_KERNEL) else { return };
    let text = String::from_utf8_lossy(bytes.get(..MAX_TEXT_BYTES).unwrap_or(bytes));
    let paragraphs = paragraphs_of(&text);
    let Some(Value::Array(threads)) = document.get_mut("threads") else { return };
    for thread in threads.iter_mut().filter_map(Value::as_object_mut) {
        let id = thread.get("thread_id").and_then(Value::as_u64);
        if let Some(paragraph) = id.and_then(|id| paragraphs.get(&id)) {
            thread.insert("kernel_stack".into(), paragraph.as_str().into());
        }
    }
}

/// The text of each thread: its state, then the lines below, one step less indented.
fn paragraphs_of(text: &str) -> HashMap<u64, String> {
    let mut paragraphs: HashMap<u64, String> = HashMap::new();
    let mut current = None;
    for line in text.trim_end_matches(['\0', '\n']).lines() {
        let rest = match line.strip_prefix("thread ").and_then(title) {
            Some((id, state)) => {
                current = Some(id);
                paragraphs.insert(id, String::new());
                state
            }
            None => line.strip_prefix("  ").unwrap_or(line),
        };
        let Some(paragraph) = current.and_then(|id| paragraphs.get_mut(&id)) else { continue };
        if paragraph.len().saturating_add(rest.len()) < MAX_BYTES_OF_THREAD {
            paragraph.push_str(if paragraph.is_empty() { "" } else { "\n" });
            paragraph.push_str(rest);
        }
    }
    paragraphs
}

/// `4711 (worker) S (sleeping)`: the id, and the state behind the name.
fn title(line: &str) -> Option<(u64, &str)> {
    let (id, rest) = line.split_once(' ')?;
    let state = rest.rsplit_once(") ").map_or(rest, |(_, state)| state);
    Some((id.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_gets_its_own_lines() {
        let text = "lost\nthread 7 (a (b) c) S (sleeping)\n  wchan: futex\n  stack:\n    [<0>] f+1\n\
                    thread 8 (x) R (running)\nthread no number\n  stack: not readable (denied)\n\0";
        let found = paragraphs_of(text);
        assert_eq!(found[&7], "S (sleeping)\nwchan: futex\nstack:\n  [<0>] f+1");
        assert_eq!(found[&8], "R (running)\nthread no number\nstack: not readable (denied)");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_flood_is_cut() {
        let text = format!("thread 7 (n) R\n{}", "  0123456789\n".repeat(100_000));
        let found = paragraphs_of(&text);
        assert!(found[&7].len() < MAX_BYTES_OF_THREAD);
    }
}
