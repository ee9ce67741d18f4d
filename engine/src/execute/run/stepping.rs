//! `--step`: before each task the user is asked whether it is to be run.

use super::Run;
use crate::compile::Step;

/// What of the run has been agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepping {
    /// Nobody is asked.
    Off,
    /// The steps before this one.
    Before(usize),
}

impl Run {
    /// How far hosts may go without another word of the user's.
    pub(super) fn agreed(&self) -> usize {
        match self.stepping {
            Stepping::Off => usize::MAX,
            Stepping::Before(step) => step,
        }
    }

    /// Asks about the next step that any host would take, once all have come as far as they may. True if that lets them go on.
    pub(super) async fn agree(&mut self, frontier: usize) -> bool {
        let Stepping::Before(from) = self.stepping else { return false };
        let end = self.region_start();
        if frontier < from || from >= end {
            return false;
        }
        let mut index = from;
        while index < end && (self.steps()[index].entry.name == "meta" || !self.is_due(index)) {
            index += 1;
        }
        self.stepping = Stepping::Before((index + 1).min(end));
        if index == end || self.steps()[index].entry.name == "meta" {
            return true;
        }
        self.announce_play(self.steps()[index].play).await;
        let name = asked_name(&self.steps()[index]);
        let answer = self.ask(format!("Perform task: TASK: {name} (N)o/(y)es/(c)ontinue: ")).await;
        match answer.unwrap_or_default().trim().to_lowercase().as_str() {
            "y" | "yes" => {}
            "c" | "continue" => self.stepping = Stepping::Off,
            _ => self.hosts.iter_mut().for_each(|host| host.built = host.built.max(index + 1)),
        }
        true
    }

    fn is_due(&self, index: usize) -> bool {
        (0..self.hosts.len()).any(|at| {
            let mut control = self.hosts[at].control.clone();
            self.concerns(at, index) && self.may_run(at, index, &mut control)
        })
    }
}

fn asked_name(step: &Step) -> String {
    let made = step.task.span.path().to_string_lossy().starts_with('<') && step.entry.name == "setup";
    if made { "Gathering Facts".to_owned() } else { step.name() }
}
