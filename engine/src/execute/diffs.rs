//! The `diff` of a result, as Ansible's modules register it: whole where the task says `diff: true`, and of those that
//! edit lines always, though with nothing on either side then.

use serde_json::{Map, Value as Json, json};
use trueup_modules::edit::{Diff, Shown};
use trueup_modules::wire::Task;

use super::judge::Judged;

/// Adds it. `asked` is what the task's `diff` says.
pub(super) fn register(task: &Task, asked: bool, end: &mut Judged) {
    if end.failed() || end.data.contains_key("diff") {
        return;
    }
    let content = end.diffs.iter().find(|diff| diff.aspect == "content").filter(|_| asked);
    let told = match task.module.as_str() {
        "file_line" | "file_block" => Some(edited(&place(task, end), content)),
        "copy" | "template" => Some(Json::Array(content.map(|diff| placed(task, diff)).into_iter().collect())),
        "assemble" | "replace" => content.map(|diff| sides(diff, &diff.subject, &diff.subject)),
        "file" if asked => Some(attributes(&place(task, end), &end.diffs)),
        _ => None,
    };
    end.data.extend(told.map(|told| ("diff".to_owned(), told)));
}

/// The path that the result is about.
fn place(task: &Task, end: &Judged) -> String {
    let named = ["path", "dest"].iter().find_map(|name| end.data.get(*name)).or_else(|| task.params.get("path"));
    named.and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// A content, as far as it may be shown.
fn text(shown: &Shown) -> &str {
    match shown {
        Shown::Plain(text) => text,
        Shown::Absent | Shown::Unknown | Shown::Redacted | Shown::Opaque { .. } => "",
    }
}

fn sides(diff: &Diff, before: &str, after: &str) -> Json {
    json!({"before": text(&diff.before), "after": text(&diff.after), "before_header": before, "after_header": after})
}

/// Of a module that edits lines: the content, and beside it the permissions, of which nothing is told.
fn edited(path: &str, content: Option<&Diff>) -> Json {
    let (content_of, rest_of) = (format!("{path} (content)"), format!("{path} (file attributes)"));
    let nothing = Diff::new(path, "content", "", "");
    let content = sides(content.unwrap_or(&nothing), &content_of, &content_of);
    json!([content, {"before_header": rest_of, "after_header": rest_of}])
}

/// Of one that puts a file in place: where its content is from.
fn placed(task: &Task, diff: &Diff) -> Json {
    let source = task.params.get("src").and_then(Json::as_str).filter(|_| task.module == "copy");
    let source = source.map_or_else(|| diff.subject.clone(), |source| super::run::absolute(source.as_ref()));
    let mut told = sides(diff, &diff.subject, &source);
    if let (Shown::Absent, Some(told)) = (&diff.before, told.as_object_mut()) {
        told.shift_remove("before_header");
    }
    told
}

/// Of `file`: what differs at the path.
fn attributes(path: &str, diffs: &[Diff]) -> Json {
    let word = |shown: &Shown| match shown {
        Shown::Absent => "absent".to_owned(),
        shown => text(shown).to_owned(),
    };
    let mut sides = [(); 2].map(|()| Map::from_iter([("path".to_owned(), Json::from(path))]));
    for diff in diffs.iter().filter(|diff| diff.subject == path) {
        let pair = match (diff.aspect.as_str(), &diff.before) {
            ("link", Shown::Absent) => ("state", "absent".to_owned(), "link".to_owned()),
            ("content", Shown::Absent) => ("state", "absent".to_owned(), "touch".to_owned()),
            ("content", _) => continue,
            ("link", before) => ("src", word(before), word(&diff.after)),
            (aspect, before) => (aspect, word(before), word(&diff.after)),
        };
        sides[0].insert(pair.0.to_owned(), pair.1.into());
        sides[1].insert(pair.0.to_owned(), pair.2.into());
    }
    let [before, after] = sides;
    json!({"before": before, "after": after})
}
