//! How many hosts may fail: `max_fail_percentage`, and that nothing comes after a batch in which all have failed.

use super::Run;
use super::host::HostRun;
use crate::playbook::Field;
use crate::template::Templar;
use crate::value::{Template, Value};

impl Run {
    /// Before the first step of another play: if all hosts of the play before it have failed, the run is over. True if it is
    /// now known that steps do not run.
    pub(super) fn end_after_failures(&mut self, step: usize) -> bool {
        let next = self.steps()[step].play;
        let before = std::mem::replace(&mut self.play, next);
        if before == next || !(before..next).any(|play| self.all_failed(play)) {
            return false;
        }
        self.end_plays_from(next);
        self.hosts.iter_mut().for_each(|host| host.forget_from(step));
        true
    }

    /// `max_fail_percentage`, after a failure: if more have failed, all hosts have, and nothing more is run.
    pub(super) fn limit_failures(&mut self, play: usize, index: usize) {
        // A host that has failed may have looked ahead, beyond the play.
        let failed = |host: &&HostRun| host.failed_in.contains(&play) || host.play == Some(play) && host.control.failed;
        let failed = self.hosts.iter().filter(failed).count();
        if !self.are_too_many(failed, play) {
            return;
        }
        self.end_plays_from(play);
        for host in self.hosts.iter_mut().filter(|host| host.play == Some(play)) {
            host.control.failed = true;
            host.forget_after(index);
        }
    }

    /// Whether more hosts of a play have failed than may.
    pub(super) fn are_too_many(&self, failed: usize, play: usize) -> bool {
        let size = self.compiled.plays[play].hosts.len();
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
        let share = failed as f64 / size as f64;
        self.max_fail_percentage(play).is_some_and(|most| share > most / 100.0)
    }

    pub(super) fn end_plays_from(&mut self, play: usize) {
        self.ended_plays.extend(play..self.compiled.plays.len());
    }

    /// Whether every host of a play has failed or was lost in it.
    fn all_failed(&self, play: usize) -> bool {
        let failed = |host: &HostRun| {
            let now = host.play == Some(play) && host.has_failed();
            now || host.failed_in.contains(&play) || host.lost_in.contains(&play)
        };
        let of = |name: &String| self.place(name).map(|at| &self.hosts[at]);
        let hosts = &self.compiled.plays[play].hosts;
        !hosts.is_empty() && hosts.iter().all(|name| of(name).is_some_and(failed))
    }

    fn max_fail_percentage(&self, play: usize) -> Option<f64> {
        match &self.compiled.plays[play].play.max_fail_percentage.as_ref()?.value {
            Field::Known(percent) => Some(*percent),
            Field::Template(template) => percentage(&self.shared.program.templar, template, self, play),
        }
    }
}

fn percentage(templar: &Templar, template: &Template, run: &Run, play: usize) -> Option<f64> {
    let plan = &run.compiled.plays[play];
    let at = run.hosts.iter().position(|host| plan.hosts.contains(&host.name))?;
    let first = run.steps().iter().position(|step| step.play == play)?;
    match templar.render(template, &run.view(at, first).shared()).ok()? {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        Value::Int(percent) => Some(percent as f64),
        Value::Float(percent) => Some(percent),
        Value::Str(text) => text.trim().trim_end_matches('%').parse().ok(),
        _ => None,
    }
}
