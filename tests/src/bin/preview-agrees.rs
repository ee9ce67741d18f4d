//! `preview-agrees PLAN APPLY`: holds the events of `trueup plan --json` against those of the `trueup apply --json` after it.
//! Says where the preview was wrong, and exits with 1 if it was.

use std::io::Write as _;
use std::process::ExitCode;

use trueup::event::Event;
use trueup_tests::agree::agreement;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut files = std::env::args().skip(1);
    let mut events = || -> Result<Vec<Event>, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(files.next().ok_or("two files of events are expected")?)?;
        // The first line says which schema the others follow.
        Ok(text.lines().skip(1).map(serde_json::from_str).collect::<Result<_, _>>()?)
    };
    let found = agreement(&events()?, &events()?);
    let mut out = std::io::stdout();
    for sentence in &found.wrong {
        writeln!(out, "{sentence}")?;
    }
    writeln!(out, "certain {}, open {}, wrong {}", found.certain, found.open, found.wrong.len())?;
    Ok(if found.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
