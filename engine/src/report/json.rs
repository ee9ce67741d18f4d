//! One event a line, as JSON, for programs.

use std::io::{self, Write};

use serde_json::json;

use super::Reporter;
use crate::event::Event;

/// The version of what is written. Rises when a reader of the former one would go wrong; new fields and new kinds of
/// event do not count.
pub const SCHEMA: u32 = 1;

/// Writes `{"Schema":{"version":1}}` and then each event as `{"Kind":{…}}`.
pub struct Json<W> {
    out: W,
    begun: bool,
}

impl<W: Write> Json<W> {
    /// Writes there; flushes after each line, so that a reader sees what happens when it happens.
    pub fn new(out: W) -> Self {
        Self { out, begun: false }
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

impl<W: Write> Reporter for Json<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            self.line(&json!({"Schema": {"version": SCHEMA, "trueup": env!("CARGO_PKG_VERSION")}}))?;
        }
        self.line(event)
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_can_be_read_back() {
        let events = [
            Event::RunStarted { preview: true, tasks: 2, hosts: vec!["h1".into()] },
            Event::Warning("a\nb".into()),
            Event::RunFinished { recap: Vec::new(), cancelled: false, batches: 3 },
        ];
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        events.iter().for_each(|event| json.event(event).unwrap());
        json.end().unwrap();
        let text = String::from_utf8(out).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(first).unwrap()["Schema"]["version"], SCHEMA);
        let back: Vec<Event> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, events);
    }
}
