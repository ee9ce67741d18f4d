//! Fitting: how what a playbook says is brought into the shape that a module wants. The controller's part of a module.
//!
//! A module's struct describes its parameters as JSON Schema. [`fit`] brings rendered values into that shape the way
//! Ansible does (`yes` for a boolean, `5` for a text, one thing for a list of one), so that modules need not.
//! Six extensions of the schema are ours: `exclusive` (of a module: `a|b` for parameters of which only one may be given),
//! `listed` (the choices as Ansible lists them, where that is not by the alphabet; by the module's name where that has
//! several), `aliases` (other names of a parameter), `secret` (it takes a secret as such),
//! `public` (it must not be given a secret: everybody on the host can see it) and `internal` (the engine fills it in).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use self::convert::convert;
use crate::module::Entry;
use crate::param::nearest;

mod convert;

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name as written; with a path into it where that is deeper (`args[2]`). Empty: the module as a whole.
    pub param: String,
    /// A lowercase fragment: what is wrong and what was expected.
    pub reason: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// What Ansible says in the same case: what the task registers as `msg`.
    pub msg: Option<String>,
}

impl Problem {
    fn new(param: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { param: param.into(), reason: reason.into(), hint: None, msg: None }
    }
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    fn msg(mut self, msg: String) -> Self {
        self.msg = Some(msg);
        self
    }

    /// The choices in the order in which Ansible's module of that name lists them.
    fn listing(mut self, property: &Value, module: &str) -> Self {
        let listed = &property["listed"];
        let words = listed.as_array().or_else(|| listed[short(module)].as_array());
        let words: Vec<&str> = words.into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some((name, got)) = self.msg.as_ref().filter(|_| !words.is_empty()).and_then(|msg| {
            let (name, rest) = msg.split_once(" must be one of: ")?;
            Some((name, rest.split_once(", got: ")?.1))
        }) {
            self.msg = Some(format!("{name} must be one of: {}, got: {got}", words.join(", ")));
        }
        self
    }
}

/// Unknown and missing names among those given.
pub(crate) fn check_names<'a>(schema: &Value, module: &str, given: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    let params = Params { schema };
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    for name in given {
        match params.canonical(name) {
            Some(canonical) => seen.push(canonical),
            None if params.takes_any() => {}
            None => {
                problems.push(params.unknown(module, name));
                // One mistake, one message: a misspelt parameter is not a missing one as well.
                seen.extend(params.nearest(name));
            }
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !seen.contains(&required) {
            problems.push(Problem::new("", format!("`{module}` needs the parameter `{required}`")));
        }
    }
    problems
}

/// A parameter's own name.
pub(crate) fn canonical(schema: &Value, name: &str) -> Option<String> {
    Params { schema }.canonical(name).map(str::to_owned)
}

/// Brings rendered parameters into the shape that the schema describes.
pub(crate) fn fit(schema: &Value, module: &str, params: Value) -> Result<Value, Problem> {
    let known = Params { schema };
    let Value::Object(given) = params else {
        return Err(Problem::new("", format!("the parameters of `{module}` must be a dictionary")));
    };
    let (mut fitted, mut unknown) = (Map::new(), None);
    for (name, value) in given {
        let Some(canonical) = known.canonical(&name) else {
            if known.takes_any() {
                fitted.insert(name, value);
            } else if !value.is_null() {
                unknown.get_or_insert_with(|| known.unknown(module, &name));
            }
            continue;
        };
        // As in Ansible, null means "not given", but to what shows whatever it is given.
        if value.is_null() {
            if schema["properties"][canonical]["null"] == true {
                fitted.insert(canonical.to_owned(), value);
            }
            continue;
        }
        let property = &schema["properties"][canonical];
        let value = convert(&name, property, value).map_err(|problem| problem.listing(property, module))?;
        if fitted.insert(canonical.to_owned(), value).is_some() {
            return Err(Problem::new(name, format!("given twice: it is another name for `{canonical}`")));
        }
    }
    let Some(problem) = unknown else { return Ok(Value::Object(fitted)) };
    // Ansible looks at the names that it knows first.
    let said = whole(schema, module, Value::Object(fitted)).err().and_then(|other| other.msg);
    Err(Problem { msg: said.or(problem.msg), ..problem })
}

/// Parameters of which none is missing.
pub(crate) fn whole(schema: &Value, module: &str, fitted: Value) -> Result<Value, Problem> {
    exclusive(schema, &fitted)?;
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut missing: Vec<&str> = required.filter(|name| fitted.get(*name).is_none()).collect();
    missing.sort_unstable();
    match missing.first() {
        None => Ok(fitted),
        // It may also be written without its name.
        Some(&"cmd") => Err(Problem::new("cmd", format!("`{module}` needs this parameter"))
            .msg("one of the following is required: _raw_params, cmd".into())),
        // Its own words in Ansible.
        Some(&"dest") if short(module) == "copy" => {
            Err(Problem::new("dest", format!("`{module}` needs this parameter")).msg("dest is required".into()))
        }
        Some(first) => Err(Problem::new(*first, format!("`{module}` needs this parameter"))
            .msg(format!("missing required arguments: {}", missing.join(", ")))),
    }
}

/// Of parameters that exclude each other only one may be given.
fn exclusive(schema: &Value, fitted: &Value) -> Result<(), Problem> {
    let known = Params { schema };
    let given = |name: &&str| known.canonical(name).is_some_and(|own| fitted.get(own).is_some());
    let groups = schema["exclusive"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let broken: Vec<&str> = groups.filter(|group| group.split('|').filter(given).nth(1).is_some()).collect();
    let Some(first) = broken.first() else { return Ok(()) };
    let mut names = first.split('|').filter(given);
    let (one, other) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let problem = Problem::new(other, format!("`{one}` is given too; give one of them"));
    Err(problem.msg(format!("parameters are mutually exclusive: {}", broken.join(", "))))
}

/// A name without its collection.
fn short(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}

/// A module's [`shape`]: computed once, read for every task of every host.
pub(crate) fn shape_of(entry: &Entry) -> Arc<Value> {
    static SHAPES: Mutex<BTreeMap<&str, Arc<Value>>> = Mutex::new(BTreeMap::new());
    let mut shapes = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shapes.entry(entry.name).or_insert_with(|| Arc::new(shape(&entry.schema()))))
}

/// A schema without its texts, and with what it refers to in place.
fn shape(schema: &Value) -> Value {
    let mut shape = schema.clone();
    for property in shape["properties"].as_object_mut().into_iter().flatten().map(|(_, property)| property) {
        *property = resolved(schema, property);
    }
    if let Some(whole) = shape.as_object_mut() {
        whole.retain(|key, _| ["properties", "required", "additionalProperties", "exclusive"].contains(&key.as_str()));
    }
    shape
}

/// A schema within another, without references and without "or null". Extensions beside a `$ref` are kept.
fn resolved(whole: &Value, schema: &Value) -> Value {
    let mut outer = schema.clone();
    let target = match (schema["$ref"].as_str(), schema["anyOf"].as_array()) {
        (Some(reference), _) => whole.pointer(reference.trim_start_matches('#')).map(|target| resolved(whole, target)),
        (None, Some(options)) => options.iter().find(|option| option["type"] != "null").map(|one| resolved(whole, one)),
        (None, None) => None,
    };
    let Some(fields) = outer.as_object_mut() else { return outer };
    if let Some(Value::Object(target)) = target {
        fields.remove("$ref");
        fields.remove("anyOf");
        for (key, value) in target {
            fields.entry(key).or_insert(value);
        }
    }
    fields.retain(|key, _| key != "description" && key != "default");
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            *inner = resolved(whole, inner);
        }
    }
    for property in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        *property.1 = resolved(whole, property.1);
    }
    outer
}

/// A module's parameters as its shape tells them.
struct Params<'a> {
    schema: &'a Value,
}

impl<'a> Params<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.schema["properties"].as_object().into_iter().flatten()
    }

    /// A module such as `set_fact` takes any name.
    fn takes_any(&self) -> bool {
        self.schema["additionalProperties"] != Value::Bool(false)
    }

    fn canonical(&self, name: &str) -> Option<&'a str> {
        let is_alias = |schema: &Value| {
            schema["aliases"].as_array().is_some_and(|aliases| aliases.iter().any(|alias| alias == name))
        };
        self.properties().find(|(key, schema)| *key == name || is_alias(schema)).map(|(key, _)| key.as_str())
    }

    /// The names that a person may write.
    fn written(&self) -> impl Iterator<Item = &'a str> {
        let written = self.properties().filter(|(_, schema)| schema["internal"] != true);
        written.map(|(key, _)| key.as_str())
    }

    /// All other names of parameters, as Ansible adds them.
    fn others(&self) -> String {
        let aliases = self.properties().filter_map(|(_, schema)| schema["aliases"].as_array()).flatten();
        let mut names: Vec<&str> = aliases.filter_map(Value::as_str).collect();
        names.sort_unstable();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    }

    fn nearest(&self, name: &str) -> Option<&'a str> {
        nearest(name, self.written())
    }

    fn unknown(&self, module: &str, name: &str) -> Problem {
        let mut supported: Vec<&str> = self.written().collect();
        supported.sort_unstable();
        // What `shell` refuses itself, it refuses in other words.
        let supported = match (short(module), name) {
            ("shell", "expand_argument_vars") => String::new(),
            _ => format!(". Supported parameters include: {}{}.", supported.join(", "), self.others()),
        };
        let msg = format!("Unsupported parameters for ({module}) module: {name}{supported}");
        let problem = Problem::new(name, format!("`{module}` has no parameter `{name}`")).msg(msg);
        match self.nearest(name) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("it takes {}", self.written().collect::<Vec<_>>().join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::param::{Content, Mode, Word};
    use crate::secret::Secret;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Sample {
        #[schemars(extend("aliases" = ["dest"]))]
        path: String,
        #[serde(default)]
        force: bool,
        count: Option<u32>,
        state: Option<State>,
        upgrade: Option<Upgrade>,
        #[serde(default)]
        names: Vec<String>,
        kinds: Option<Vec<State>>,
        share: Option<f64>,
        options: Option<BTreeMap<String, String>>,
        mode: Option<Mode>,
        password: Option<Secret>,
        line: Option<Content>,
        cmd: Option<Word>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum State {
        /// There.
        Present,
        /// Not there.
        Absent,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Upgrade {
        /// All.
        Yes,
        /// With more.
        Dist,
    }

    fn sample() -> Value {
        shape(&schemars::schema_for!(Sample).to_value())
    }

    #[test]
    fn values_are_fitted_as_ansible_does() {
        let table = [
            (json!({"dest": "/a"}), json!({"path": "/a"})),
            (json!({"path": 5}), json!({"path": "5"})),
            (json!({"force": "yes"}), json!({"force": true})),
            (json!({"force": 0}), json!({"force": false})),
            (json!({"count": "12"}), json!({"count": 12})),
            (json!({"count": " 12.0 "}), json!({"count": 12})),
            (json!({"count": true}), json!({"count": 1})),
            (json!({"share": "0.5"}), json!({"share": 0.5})),
            (json!({"options": "a=b, c='d e'"}), json!({"options": {"a": "b", "c": "d e"}})),
            (json!({"options": "{\"a\": 1}"}), json!({"options": {"a": "1"}})),
            (json!({"count": null}), json!({})),
            (json!({"names": "a, b"}), json!({"names": ["a", "b"]})),
            (json!({"names": 1}), json!({"names": ["1"]})),
            (json!({"state": "absent"}), json!({"state": "absent"})),
            (json!({"upgrade": true}), json!({"upgrade": "yes"})),
            (json!({"upgrade": "dist"}), json!({"upgrade": "dist"})),
            (json!({"path": {"$secret": "x"}}), json!({"path": "x"})),
            (json!({"password": {"$secret": "x"}}), json!({"password": {"$secret": "x"}})),
            (json!({"line": {"$secret": "x"}}), json!({"line": {"$secret": "x"}})),
        ];
        for (given, wanted) in table {
            assert_eq!(fit(&sample(), "sample", given.clone()), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let table = [
            (json!({"pth": "/a"}), "`sample` has no parameter `pth`; did you mean `path`?"),
            (json!({"force": "maybe"}), "must be true or false, not `maybe`; "),
            (json!({"state": "absnt"}), "must be one of present, absent, not `absnt`; did you mean `absent`?"),
            (json!({"path": ["a"]}), "must be a text, not a list; "),
            (json!({"path": "a", "dest": "b"}), "given twice: it is another name for `path`; "),
            (
                json!({"cmd": {"$secret": "x"}}),
                "is given a secret, but every user of the host can see it while it runs; hand it over by `stdin` or `environment`",
            ),
        ];
        for (given, wanted) in table {
            let problem = fit(&sample(), "sample", given).unwrap_err();
            assert_eq!(format!("{}; {}", problem.reason, problem.hint.unwrap_or_default()), wanted);
        }
    }

    /// As ansible-core 2.19 says it.
    #[test]
    fn what_ansible_registers_of_it() {
        let cannot = |name: &str, kind: &str, wanted: &str, why: &str| {
            Some(format!("argument '{name}' is of type {kind} and we were unable to convert to {wanted}: {why}"))
        };
        let table = [
            (json!({"count": "abc"}), cannot("count", "str", "int", "\"'abc'\" cannot be converted to an int")),
            (json!({"count": 1.5}), cannot("count", "float", "int", "\"1.5\" cannot be converted to an int")),
            (json!({"share": "x"}), cannot("share", "str", "float", "<class 'str'> cannot be converted to a float")),
            (json!({"force": []}), cannot("force", "list", "bool", "<class 'list'> cannot be converted to a bool")),
            (
                json!({"names": {"a": 1}}),
                cannot("names", "dict", "list", "<class 'dict'> cannot be converted to a list"),
            ),
            (json!({"options": 1}), cannot("options", "int", "dict", "<class 'int'> cannot be converted to a dict")),
            (
                json!({"options": "a"}),
                cannot("options", "str", "dict", "dictionary requested, could not parse JSON or key=value"),
            ),
            (json!({"state": "gone"}), Some("value of state must be one of: absent, present, got: gone".into())),
            (
                json!({"kinds": ["present", "gone"]}),
                Some("value of kinds must be one or more of: absent, present. Got no match for: gone".into()),
            ),
        ];
        for (given, wanted) in table {
            assert_eq!(fit(&sample(), "sample", given.clone()).unwrap_err().msg, wanted, "{given}");
        }
    }

    #[test]
    fn names_are_checked_before_values_are_known() {
        let (unknown, missing) = ("`sample` has no parameter", "`sample` needs the parameter `path`");
        let table = [
            ("forse", vec![format!("{unknown} `forse`"), missing.to_owned()]),
            ("pth", vec![format!("{unknown} `pth`")]),
            ("force", vec![missing.to_owned()]),
        ];
        for (given, wanted) in table {
            let problems = check_names(&sample(), "sample", [given]);
            assert_eq!(problems.into_iter().map(|problem| problem.reason).collect::<Vec<_>>(), wanted, "{given}");
        }
    }
}
