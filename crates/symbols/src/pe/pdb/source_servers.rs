//! Where sources can be had from, as tools of source control left it in a PDB.
//!
//! | stream | what |
//! |---|---|
//! | `sourcelink`, `sourcelink$1` … | JSON: patterns of files and addresses (Microsoft, "Source Link") |
//! | `srcsrv` | variables and files with their addresses or commands (Microsoft, "Source Server") |

use super::info::named_streams;
use super::{INFO_STREAM, Pdb};

/// One of browsers' is some 10 MB large.
const MAX_BYTES: usize = 64 << 20;
/// Linkers write one stream for each file of Source Link that they were given.
const MAX_STREAMS: usize = 256;

/// What one stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceServer {
    /// Source Link's JSON.
    Link(String),
    /// The text of a source server.
    Server(String),
}

impl Pdb {
    /// The texts as they are; nobody has looked whether they make sense.
    pub(crate) fn source_servers(&self) -> Vec<SourceServer> {
        let info = self.msf.stream(INFO_STREAM).and_then(|stream| stream.read().ok());
        let Some(info) = info else { return Vec::new() };
        let named = named_streams(&info).into_iter().flatten();
        let found = named.filter_map(|(name, index)| {
            let make = if name == b"srcsrv" {
                SourceServer::Server
            } else if name == b"sourcelink" || name.starts_with(b"sourcelink$") {
                SourceServer::Link
            } else {
                return None;
            };
            let stream = self.msf.stream(index)?;
            let bytes = stream.copy(0, stream.len().min(MAX_BYTES)).ok()?;
            Some(make(String::from_utf8_lossy(&bytes).into_owned()))
        });
        found.take(MAX_STREAMS).collect()
    }
}
