//! `ansible -t DIR`: each host's result in a file of its own.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::Reporter;
use super::data::failure;
use super::minimal::data_of;
use super::python;
use crate::event::{Event, Status};

/// Writes the files, and lets another tell of the run.
pub struct Tree {
    /// Where they are.
    pub dir: PathBuf,
    /// Who tells.
    pub inner: Box<dyn Reporter>,
}

impl Reporter for Tree {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let found = match event {
            Event::Result(result) => match result.status {
                Status::Failed { .. } => Some((&result.host, Value::Object(failure(result)))),
                Status::Skipped { .. } => None,
                _ => Some((&result.host, Value::Object(data_of(result).1))),
            },
            Event::Unreachable { host, reason, .. } => {
                Some((host, json!({"changed": false, "msg": reason, "unreachable": true})))
            }
            _ => None,
        };
        // A host's name may be a path.
        if let Some((host, data)) = found.filter(|(host, _)| !host.contains('/')) {
            std::fs::write(self.dir.join(host), python::dumps(&data))?;
        }
        self.inner.event(event)
    }

    fn end(&mut self) -> io::Result<()> {
        self.inner.end()
    }
}
