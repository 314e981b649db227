//! One folder per operating system; each implements `snapshot::ProcessSnapshot`.

#[cfg(target_os = "linux")]
pub mod linux;
