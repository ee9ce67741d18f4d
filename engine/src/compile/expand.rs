//! What `include_tasks` and `include_role` name, as steps, when its turn has come.
//!
//! An include's steps are put behind it, for an *audience* of hosts: those for which the include came to the same file and
//! variables. Hosts whose includes come to something else get steps of their own, behind those of the hosts before them.

use std::sync::Arc;

use super::list::{Around, Lister, Way};
use super::project::{Kind, Project};
use super::role::{FromFiles, Wanted};
use super::{BlockInfo, Program, Section, Selection, Step, check, data, handlers, tags};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{self, Common, Task};
use crate::value::Map;

/// What an include comes to on a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Include {
    /// The file or role.
    pub name: String,
    /// `tasks_from`, `vars_from`, `defaults_from`, `handlers_from`.
    pub from: [Option<String>; 4],
    /// `public` of a role.
    pub public: bool,
    /// `allow_duplicates` of a role.
    pub allow_duplicates: bool,
    /// `rolespec_validate` of a role.
    pub validate: bool,
    /// The loop's variables.
    pub item: Map,
}

/// Steps, and where they are put: positions in the list as it was, from the last to the first.
pub type Insertions = Vec<(usize, usize)>;

/// Puts the steps of an include behind it and what others have included there. Yields what was put where: position and
/// number of steps.
///
/// # Errors
/// What is wrong with the files; nothing is put anywhere then.
pub fn expand(
    program: &mut Program,
    project: &mut Project,
    selection: &Selection,
    at: usize,
    include: &Include,
    audience: usize,
) -> Result<Insertions, Diagnostics> {
    let step = Arc::clone(&program.steps[at]);
    let mut diagnostics = Diagnostics::new();
    let before = program.plays[step.play].handlers.len();
    let mut lister = Lister {
        project,
        selection,
        diagnostics: &mut diagnostics,
        plan: &mut program.plays[step.play],
        play: step.play,
        steps: Vec::new(),
    };
    let listed = lister.include(&step, include, audience);
    let mut steps = std::mem::take(&mut lister.steps);
    if let Err(error) = listed {
        diagnostics.push(error);
    }
    let behind = program.steps[at + 1..].iter().take_while(|next| next.around.includes.contains(&step.id)).count();
    check::included(program, &mut steps, &project.templar);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let mut insertions = vec![(at + 1 + behind, steps)];
    if program.plays[step.play].handlers.len() > before {
        insertions.extend(new_handlers(program, project, selection, (at, step.play), before, &mut diagnostics));
    }
    let inserted = insert(program, insertions);
    program.relate()?;
    Ok(inserted)
}

/// Variables were read during the run: what they are made from counts for what the steps that name them read.
///
/// # Errors
/// Now steps wait for each other.
pub fn learn(program: &mut Program, vars: &Map) -> Result<(), Diagnostics> {
    if !data::learn(program, vars) {
        return Ok(());
    }
    data::annotate(program, 0, usize::MAX);
    program.relate()
}

/// The steps of handlers that a role brought, at each flush that is still to come.
fn new_handlers(
    program: &mut Program,
    project: &mut Project,
    selection: &Selection,
    (at, play): (usize, usize),
    first: usize,
    diagnostics: &mut Diagnostics,
) -> Vec<(usize, Vec<Arc<Step>>)> {
    let plan = &program.plays[play];
    for step in program.steps.iter_mut().filter(|step| step.play == play) {
        if let Some(handler) = handlers::refresh(step, plan) {
            Arc::make_mut(step).handler = Some(handler);
        }
    }
    let marked = program.steps.iter().enumerate().skip(at).filter(|(_, step)| step.play == play);
    let flushes: Vec<(usize, usize)> = marked.filter_map(|(position, step)| Some((position, step.flush?))).collect();
    let mut insertions = Vec::new();
    for (position, flush) in flushes {
        let of = |step: &&Arc<Step>| step.handler.as_ref().is_some_and(|handler| handler.flush == flush);
        let present = program.steps[position + 1..].iter().take_while(of).count();
        // One that nobody wrote stands at the end of a section.
        let ends_section = program.steps[position].is_made();
        let within = program.steps[position].around.blocks.clone();
        let plan = &mut program.plays[play];
        let mut lister = Lister { project, selection, diagnostics, plan, play, steps: Vec::new() };
        lister.flush_from(first, flush, ends_section, &within);
        insertions.push((position + 1 + present, std::mem::take(&mut lister.steps)));
    }
    insertions
}

/// Puts steps into the list, and brings up to date what is known of all.
fn insert(program: &mut Program, mut insertions: Vec<(usize, Vec<Arc<Step>>)>) -> Insertions {
    insertions.retain(|(_, steps)| !steps.is_empty());
    insertions.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    let mut done = Vec::new();
    for (position, steps) in insertions {
        let count = steps.len();
        program.steps.splice(position..position, steps);
        data::annotate(program, position, position + count);
        done.push((position, count));
    }
    done
}

impl Lister<'_> {
    fn include(&mut self, step: &Step, include: &Include, audience: usize) -> Result<(), Diagnostic> {
        if let Some(task) = &step.chooses {
            self.chosen(step, task, &include.name, audience);
            return Ok(());
        }
        let mut around = self.included(step, include, audience)?;
        if step.entry.name == "include_role" {
            return self.include_role(step, include, &around);
        }
        let kind = if around.in_handler { Kind::Handlers } else { Kind::Tasks };
        let path = self.tasks_file(&include.name, &around, kind, Way::Include)?;
        let steps = self.project.steps(&path, kind, self.diagnostics)?;
        around.files.push(path.into());
        self.list(&steps, &around);
        Ok(())
    }

    /// The task that a step stands for, now that its module is known.
    fn chosen(&mut self, step: &Step, task: &Task, module: &str, audience: usize) {
        let mut task = task.clone();
        task.module.value = playbook::plain_name(module).to_owned();
        task.written = module.to_owned();
        let mut around = step.around.clone();
        around.includes.push(step.id);
        around.audience = Some(audience);
        self.step(&task, &around, None);
    }

    /// What the steps inherit: all that the include inherits, its variables, and what `apply` says.
    fn included(&mut self, step: &Step, include: &Include, audience: usize) -> Result<Around, Diagnostic> {
        let mut params = super::role::map(&step.task.common.vars);
        params.extend(include.item.clone());
        let block = BlockInfo { params: Arc::new(params), ..BlockInfo::plain(self.project.number()) };
        let mut around = step.around.clone();
        around.blocks.push((Arc::new(block), Section::Block));
        around.includes.push(step.id);
        around.audience = Some(audience);
        if let Some(handler) = &step.handler {
            (around.in_handler, around.ends_section) = (true, handler.ends_section);
            around.flushed_in.clone_from(&handler.within);
        }
        if let Some(apply) = step.task.args.params.get("apply") {
            let apply = playbook::parse_apply(&apply.value, self.diagnostics);
            let block = BlockInfo {
                when: apply.when,
                notify: apply.notify,
                delegate_to: apply.delegate_to,
                common: apply.common,
                ..BlockInfo::plain(self.project.number())
            };
            around = around.within(Arc::new(block), Section::Block);
        }
        Ok(around)
    }

    fn include_role(&mut self, step: &Step, include: &Include, around: &Around) -> Result<(), Diagnostic> {
        let [tasks, vars, defaults, handlers] = include.from.clone();
        let wanted = Wanted {
            name: include.name.clone(),
            span: step.task.module.span.clone(),
            from: FromFiles { tasks, vars, defaults, handlers },
            params: Map::new(),
            when: Vec::new(),
            delegate_to: None,
            common: Common { vars: step.task.common.vars.clone(), ..Common::default() },
            validate: include.validate,
            allow_duplicates: Some(include.allow_duplicates),
            public: include.public,
            by_task: true,
        };
        let collections = self.collections(around);
        let role = self.load_role(wanted, &around.chain(), &collections)?;
        // A handler is anybody's, and not under what holds for the include.
        let everywhere = Around { tags: tags::of(&self.plan.play.common.tags), ..Around::default() };
        self.add_role(&role, &everywhere);
        self.role(&role, around);
        Ok(())
    }
}
