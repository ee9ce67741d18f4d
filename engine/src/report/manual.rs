//! The modules' manual as text, from the schemas of their parameters.

use std::fmt::Write as _;

use serde_json::Value;
use trueup_modules::module::{Entry, Place};

use super::text::indent;
use crate::diagnostic::Paint;

const BOLD: &str = "1";
const DIM: &str = "2";
const CYAN: &str = "36";

/// The columns that the list keeps to.
const COLUMNS: usize = 110;

/// Each module with the first sentence of its manual, on one line each.
pub fn list(entries: &[&Entry], paint: Paint) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for entry in entries {
        let schema = entry.schema();
        let name = paint.wrap(BOLD, &format!("{:width$}", entry.name));
        let sentence = first_sentence(text(&schema["description"]));
        _ = writeln!(out, "{name}  {}", cut(&sentence, COLUMNS - width));
    }
    out
}

/// One module: what it does, its other names, its parameters.
pub fn page(entry: &Entry, paint: Paint) -> String {
    let schema = entry.schema();
    let mut out = format!("{}\n\n", paint.wrap(BOLD, entry.name));
    out.push_str(&indent(text(&schema["description"]), "  "));
    let mut note = |words: String| _ = write!(out, "\n  {words}\n");
    if !entry.aliases.is_empty() {
        note(format!("Also known as {}.", entry.aliases.join(", ")));
    }
    if let Some(param) = entry.free_form {
        note(format!("What is written without a name (`{}: …`) is `{param}`.", entry.name));
    }
    if entry.place == Place::Controller {
        note("Computes on the controller; no host is asked.".to_owned());
    }
    let params = schema["properties"].as_object().filter(|params| !params.is_empty());
    if let Some(params) = params {
        _ = write!(out, "\n{}\n", paint.wrap(BOLD, "Parameters"));
        // What the engine fills in is nobody's business.
        for (name, param) in params.iter().filter(|(_, param)| param["internal"] != true) {
            out.push_str(&parameter(&schema, name, param, paint));
        }
    }
    out
}

fn parameter(schema: &Value, name: &str, param: &Value, paint: Paint) -> String {
    let required = list_of(&schema["required"]).any(|required| required == name);
    let mut traits = vec![kind(schema, param)];
    if required {
        traits.push("required".to_owned());
    }
    if let Some(default) = param.get("default").filter(|default| !default.is_null()) {
        traits.push(format!("default {default}"));
    }
    let aliases: Vec<&str> = list_of(&param["aliases"]).collect();
    if !aliases.is_empty() {
        traits.push(format!("or {}", aliases.join(", ")));
    }
    let mut out = format!("\n  {}  {}\n", paint.wrap(CYAN, name), paint.wrap(DIM, &traits.join("; ")));
    out.push_str(&indent(text(&param["description"]), "      "));
    out
}

/// `text`, `list of text`, `started | stopped`.
fn kind(schema: &Value, param: &Value) -> String {
    if let Some(target) = param["$ref"].as_str().and_then(|at| schema.pointer(at.trim_start_matches('#'))) {
        return kind(schema, target);
    }
    if let Some(options) = param["anyOf"].as_array().or(param["oneOf"].as_array()) {
        let mut kinds: Vec<String> =
            options.iter().filter(|option| option["type"] != "null").map(|option| kind(schema, option)).collect();
        kinds.dedup();
        return kinds.join(" | ");
    }
    if let Some(value) = param["const"].as_str() {
        return value.to_owned();
    }
    if param["enum"].is_array() {
        return list_of(&param["enum"]).collect::<Vec<_>>().join(" | ");
    }
    let names: Vec<&str> = param["type"].as_str().into_iter().chain(list_of(&param["type"])).collect();
    let mut kinds: Vec<String> = names.iter().filter_map(|name| named(schema, param, name)).collect();
    kinds.dedup();
    if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" | ") }
}

fn named(schema: &Value, param: &Value, name: &str) -> Option<String> {
    Some(match name {
        "null" => return None,
        "string" => "text".to_owned(),
        "boolean" => "true | false".to_owned(),
        "array" => format!("list of {}", kind(schema, &param["items"])),
        "object" => "dictionary".to_owned(),
        other => other.to_owned(),
    })
}

fn list_of(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Up to the first full stop that ends a sentence, on one line.
fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or("").replace('\n', " ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].to_owned()
}

/// At most so many characters, cut between words.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width - 1).collect();
    let words = head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words);
    format!("{} …", words.trim_end_matches([',', ':', ';']))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use trueup_modules::builtin::{all, find};

    use super::*;

    #[test]
    fn the_list_has_every_module() {
        let shown = list(&all(), Paint::Plain);
        assert_eq!(shown.lines().count(), all().len());
    }

    #[test]
    fn every_page_names_its_parameters_and_their_types() {
        for entry in all() {
            let page = page(entry, Paint::Plain);
            let schema = entry.schema();
            let params = schema["properties"].as_object().into_iter().flatten();
            for (name, _) in params.filter(|(_, param)| param["internal"] != true) {
                assert!(page.contains(&format!("\n  {name}  ")), "{name} in {page}");
            }
        }
    }

    #[test]
    fn a_page() {
        assert_snapshot!(page(find("slurp").unwrap(), Paint::Plain), @r"
        slurp

          Reads a file of the host and registers its `content` in Base64 (read it with `| b64decode`), `source` and
          `encoding`. Changes nothing. A file of more than 64 MiB is refused.

        Parameters

          src  text; required; or path
              The file.
        ");
    }
}
