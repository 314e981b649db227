//! The dump's threads, without their stacks.

use serde_json::{Value, json};

use super::debuggee::Debuggee;

impl Debuggee<'_> {
    pub(super) fn list_threads(&self) -> Value {
        let crashed = self.threads.requesting_thread();
        let threads = self.threads.list.iter().enumerate().map(|(index, thread)| {
            let id = thread.raw.thread_id;
            let stack = thread.stack_memory(&self.threads.memory);
            let range = stack.and_then(|stack| stack.memory_range());
            let state = self.python.threads.get(index).map(|on_thread| on_thread.to_json());
            json!({
                "id": id,
                "name": self.threads.names.get_name(id),
                "teb": thread.raw.teb,
                "suspend_count": thread.raw.suspend_count,
                "priority_class": thread.raw.priority_class,
                "priority": thread.raw.priority,
                "stack": range.map(|range| [range.start, range.end.wrapping_add(1)]),
                "is_crashed": Some(index) == crashed,
                "is_writer": self.threads.dump_thread_id == Some(id),
                "has_context": self.context_of(self.own, index).is_some(),
                "python": state,
                "times": self.thread_times(id),
            })
        });
        json!(threads.collect::<Vec<_>>())
    }
}
