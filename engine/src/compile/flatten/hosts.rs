//! The hosts of a play: those of its pattern and `--limit`, in their order and batches.

use std::sync::Arc;

use indexmap::IndexSet;

use super::super::Strategy;
use super::Flattener;
use crate::compile::{Idle, Step};
use crate::diagnostic::{Diagnostic, Severity};
use crate::playbook::{Batch, Field, Play, Spanned};
use crate::source::{Source, Span};
use crate::value::{Map, Value};

/// Ansible's words for `--limit` where it leaves nothing.
const NO_TARGET: &str = "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.";

impl Flattener<'_> {
    /// What `hosts` may read: it has the inventory beside.
    fn vars_of_hosts(&self, play: &Play) -> Map {
        let mut vars = self.vars(play);
        vars.entry("groups".into()).or_insert_with(|| self.inventory.groups_value());
        if let Some(limit) = &self.selection.limit {
            vars.entry("ansible_limit".into()).or_insert_with(|| Value::Str(limit.clone()));
        }
        vars
    }

    /// The hosts of a play, and the patterns that chose them.
    pub(super) fn hosts(&mut self, play: &Play) -> Option<(IndexSet<String>, Vec<String>)> {
        let mut patterns = Vec::new();
        for pattern in &play.hosts {
            match self.project.texts(&pattern.value, || self.vars_of_hosts(play)) {
                Ok(texts) => patterns.extend(texts),
                Err(error) => {
                    // Nothing is written wrongly: what it reads is not there.
                    self.diagnostics.push(Diagnostic { absence: true, ..error });
                    return None;
                }
            }
        }
        let inventory = self.inventory;
        let pattern = patterns.join(",");
        let span = play.hosts.first().map_or(&play.span, |pattern| &pattern.span);
        let mut found = inventory.select(&pattern, span);
        // Such a play is passed over, as Ansible does: sites write plays for groups that not every inventory has.
        if found.hosts.is_empty() && self.may_come() {
            return Some((found.hosts, patterns));
        }
        if found.hosts.is_empty() {
            self.unheard_of |= !patterns.iter().all(|pattern| inventory.groups.contains_key(pattern));
        }
        if self.diagnostics.has_errors() {
            found.unmatched.clear();
        } else if found.hosts.is_empty() && found.unmatched.is_empty() {
            let warning = Diagnostic::warning(format!("no host matches `{pattern}`"));
            self.diagnostics.push(warning.at(span).told(""));
        }
        found.unmatched.into_iter().for_each(|warning| self.diagnostics.push(warning));
        if let Some(limit) = &self.selection.limit {
            let source = Arc::new(Source { path: "<--limit>".into(), text: limit.clone() });
            let limited = inventory.select(limit, &Span::new(&source, 0, limit.len()));
            found.hosts.retain(|host| limited.hosts.contains(host));
        }
        Some((found.hosts, patterns))
    }

    /// What `--limit` names and the inventory has not: a mistake where nothing is left, as in Ansible.
    pub(super) fn limit(&mut self) {
        let Some(limit) = &self.selection.limit else { return };
        let source = Arc::new(Source { path: "<--limit>".into(), text: limit.clone() });
        let span = Span::new(&source, 0, limit.len());
        let limited = self.inventory.select(limit, &span);
        let hosts = &self.inventory.hosts;
        let nothing = !hosts.is_empty() && !limited.hosts.iter().any(|host| hosts.contains_key(host));
        if nothing && limited.unmatched.is_empty() {
            let error = Diagnostic::absent(format!("`--limit {limit}` leaves no hosts")).told_alone(NO_TARGET);
            self.diagnostics.push(error.at(&span));
        }
        let severity = if nothing { Severity::Error } else { Severity::Warning };
        let unmatched = limited.unmatched.into_iter();
        unmatched.for_each(|one| {
            let told =
                one.told.clone().filter(|_| nothing).map(|told| format!("[WARNING]: {told}\n[ERROR]: {NO_TARGET}"));
            let told = told.or(one.told.clone());
            self.diagnostics.push(Diagnostic { severity, absence: true, told, ..one });
        });
    }

    /// Where no play has a host since the inventory has not what they ask for, that is a mistake of who runs them.
    pub(super) fn some_host(&mut self) {
        if self.plays.is_empty()
            && self.selection.idle == Idle::Mistaken
            && self.selection.limit.is_none()
            && self.unheard_of
            // What is wrong with the inventory or the plays may be why.
            && !self.diagnostics.has_errors()
        {
            let hint = "`trueup plan -i` names the inventory; its hosts and groups are what a pattern can match";
            self.diagnostics.push(Diagnostic::error("no play has a host to run on").hint(hint));
        }
    }

    /// Whether the plays before may add hosts and groups that nobody knows of yet.
    fn may_come(&self) -> bool {
        let open = |step: &Arc<Step>| step.adds_hosts() || matches!(step.entry.name, "include_tasks" | "include_role");
        self.steps.iter().any(open)
    }

    pub(super) fn strategy(&mut self, play: &Play) -> Strategy {
        let Some(strategy) = &play.strategy else { return Strategy::Linear };
        let named = self.text(play, strategy).and_then(|name| {
            Strategy::named(&name).ok_or_else(|| {
                let error = Diagnostic::error(format!("there is no strategy `{name}`")).at(&strategy.span);
                error.did_you_mean(&name, Strategy::NAMES).hint(format!("one of {}", Strategy::NAMES.join(", ")))
            })
        });
        named.unwrap_or_else(|error| {
            self.diagnostics.push(error);
            Strategy::Linear
        })
    }

    /// `order`: of the hosts among themselves.
    pub(super) fn order(&mut self, play: &Play, hosts: &mut [String]) {
        let Some(order) = &play.order else { return };
        match self.text(play, order).as_deref() {
            Ok("inventory") => {}
            Ok("sorted") => hosts.sort(),
            Ok("reverse_sorted") => {
                hosts.sort();
                hosts.reverse();
            }
            Ok("reverse_inventory") => hosts.reverse(),
            Ok("shuffle") => shuffle(hosts),
            Ok(other) => {
                const ORDERS: [&str; 5] = ["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"];
                let error = Diagnostic::error(format!("there is no order `{other}`")).at(&order.span);
                self.diagnostics.push(error.did_you_mean(other, ORDERS).hint(format!("one of {}", ORDERS.join(", "))));
            }
            Err(error) => self.diagnostics.push(error.clone()),
        }
    }

    /// The hosts of each batch of `serial`; the last size repeats.
    pub(super) fn batches(&mut self, play: &Play, hosts: &[String]) -> Vec<Vec<String>> {
        let size = |batch: Batch| match batch {
            Batch::Hosts(n) => usize::try_from(n).unwrap_or(usize::MAX),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a percentage of a number of hosts is one"
            )]
            Batch::Percent(percent) => (hosts.len() as f64 * percent / 100.0) as usize,
        };
        let mut sizes = Vec::new();
        for batch in &play.serial {
            match self.batch(play, batch) {
                Ok(batch) => sizes.extend(batch.map(|batch| size(batch).max(1))),
                Err(error) => self.diagnostics.push(error),
            }
        }
        let mut rest = hosts;
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let size = sizes.get(batches.len()).or(sizes.last()).copied().unwrap_or(rest.len()).min(rest.len());
            let (batch, after) = rest.split_at(size);
            batches.push(batch.to_vec());
            rest = after;
        }
        if batches.is_empty() && self.selection.idle == Idle::Kept {
            batches.push(Vec::new());
        }
        batches
    }

    /// `None` where it is omitted.
    fn batch(&self, play: &Play, batch: &Spanned<Field<Batch>>) -> Result<Option<Batch>, Diagnostic> {
        let template = match &batch.value {
            Field::Known(batch) => return Ok(Some(*batch)),
            Field::Template(template) => template,
        };
        let mut vars = self.vars(play);
        vars.insert("omit".to_owned(), Value::Omit);
        let Some(text) = self.project.optional_text(template, vars)? else { return Ok(None) };
        let read = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(Batch::Percent),
            None => text.trim().parse().ok().map(Batch::Hosts),
        };
        read.map(Some).ok_or_else(|| {
            let message = format!("`serial` must be a number of hosts or a percentage, and this comes to `{text}`");
            Diagnostic::error(message).at(&batch.span)
        })
    }
}

/// Any order is as good as another: that of the hashes of the names, under keys that no two runs share.
fn shuffle(hosts: &mut [String]) {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    hosts.sort_by_key(|host| random.hash_one(host));
}
