//! Where relative paths of a task are looked for: in its role and those that want it, beside its file, beside the playbook.

use std::path::{Path, PathBuf};

use super::{PlayPlan, Step};

/// The directories, best first: Ansible's `ansible_search_path`.
pub fn path(step: &Step, plan: &PlayPlan) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(role) = &step.around.role {
        dirs.push(role.own.path.clone());
        dirs.extend(role.parents.iter().rev().map(|parent| parent.path.clone()));
    }
    let own = step.task.span.path().parent().filter(|dir| !dir.as_os_str().is_empty());
    dirs.extend(own.map(Path::to_owned));
    dirs.push(plan.dir.clone());
    let mut seen = std::collections::BTreeSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

/// Where a file may be, best first; in a directory's `folder` (`files`, `templates`, `vars`) before the directory itself.
pub fn candidates(step: &Step, plan: &PlayPlan, folder: &str, name: &str) -> Vec<PathBuf> {
    if Path::new(name).is_absolute() {
        return vec![name.into()];
    }
    let mut places = Vec::new();
    for dir in path(step, plan) {
        if dir.file_name().is_some_and(|name| name == "tasks" || name == "handlers") {
            places.extend(dir.parent().map(|above| above.join(folder).join(name)));
        }
        places.extend([dir.join(folder).join(name), dir.join(name)]);
    }
    places
}

/// What Ansible says of a file that it is to read before the run and that is not there.
pub(super) fn in_vain(path: &Path) -> String {
    let path = crate::execute::absolute(path);
    format!(
        "Unable to retrieve file contents.\nCould not find or access '{path}' on the Ansible Controller.\nIf you are using a module \
         and expect the file to exist on the remote, see the remote_src option: [Errno 2] No such file or directory: '{path}'\n"
    )
}
