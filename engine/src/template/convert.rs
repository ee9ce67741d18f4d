//! From minijinja's values to ours, leaf by leaf, so that a list that holds one secret holds just one.

use std::sync::Arc;

use minijinja::value::{Value as Mj, ValueKind};
use trueup_modules::secret::Secret;

use crate::source::Span;
use crate::value::{Map, Value};

use super::error::{Problem, TemplateError};
use super::lazy::{Context, LazyList, LazyMap, Place, is_omit};
use super::python::text;
use super::python::time::{DateTime, Delta};
use super::scope::Flags;

/// The result of an evaluation that has read what `flags` say. `span` is where errors point.
pub(crate) fn to_value(ctx: &Arc<Context>, value: &Mj, flags: &Flags, span: &Span) -> Result<Value, TemplateError> {
    if let Some(why) = &flags.unknown {
        return Ok(Value::Unknown(why.clone()));
    }
    if is_omit(value) {
        return Ok(Value::Omit);
    }
    let fail = |message: String| TemplateError::new(Problem::Failed(message), span.clone());
    let plain = match value.kind() {
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => {
            Value::Int(value.as_i64().ok_or_else(|| fail("a whole number does not fit 64 bits".into()))?)
        }
        ValueKind::Number => Value::Float(f64::try_from(value.clone()).map_err(|e| fail(e.to_string()))?),
        ValueKind::String => Value::Str(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Map => return map(ctx, value, flags, span),
        ValueKind::Seq | ValueKind::Iterable => return list(ctx, value, flags, span),
        ValueKind::Undefined => {
            return Err(TemplateError::new(Problem::Nothing, span.clone()).hint("an inline 'if' needs an 'else'"));
        }
        // A variable holds a time as a text.
        _ if value.downcast_object_ref::<DateTime>().is_some() => {
            Value::Str(value.downcast_object_ref::<DateTime>().map_or_else(String::new, |t| t.isoformat("T")))
        }
        _ if value.downcast_object_ref::<Delta>().is_some() => Value::Str(value.to_string()),
        _ => return Err(fail(format!("a value of type {} cannot be stored", text::type_name(value)))),
    };
    Ok(if flags.tainted { redact(plain) } else { plain })
}

/// A leaf that was made from a secret. Truth and nothing say too little to need hiding.
fn redact(leaf: Value) -> Value {
    match leaf {
        Value::Str(text) => Value::Secret(Secret::new(text)),
        Value::Int(number) => Value::Secret(Secret::new(number.to_string())),
        Value::Float(number) => Value::Secret(Secret::new(text::float(number))),
        other => other,
    }
}

fn map(ctx: &Arc<Context>, value: &Mj, flags: &Flags, span: &Span) -> Result<Value, TemplateError> {
    if let (false, Some(lazy)) = (flags.tainted, value.downcast_object_ref::<LazyMap>())
        && let Some(raw) = lazy.0.raw()
    {
        return resolve(&lazy.0.ctx, raw, &lazy.0.place);
    }
    let mut out = Map::new();
    let keys = value.try_iter().map_err(|e| failed(ctx, &e, span))?;
    for key in keys.checked() {
        let key = key.map_err(|e| failed(ctx, &e, span))?;
        let (item, read) = ctx.scope.apart(|| text::item(value, &key));
        let item = to_value(ctx, &item.map_err(|e| failed(ctx, &e, span))?, &union(flags, read), span)?;
        if item != Value::Omit {
            out.insert(text::str(&key).map_err(|e| failed(ctx, &e, span))?, item);
        }
    }
    Ok(Value::Map(out))
}

fn list(ctx: &Arc<Context>, value: &Mj, flags: &Flags, span: &Span) -> Result<Value, TemplateError> {
    if let (false, Some(lazy)) = (flags.tainted, value.downcast_object_ref::<LazyList>())
        && let Some(raw) = lazy.0.raw()
    {
        return resolve(&lazy.0.ctx, raw, &lazy.0.place);
    }
    let mut out = Vec::new();
    let mut items = value.try_iter().map_err(|e| failed(ctx, &e, span))?.checked();
    loop {
        let (item, read) = ctx.scope.apart(|| items.next());
        let Some(item) = item else { return Ok(Value::List(out)) };
        let item = to_value(ctx, &item.map_err(|e| failed(ctx, &e, span))?, &union(flags, read), span)?;
        if item != Value::Omit {
            out.push(item);
        }
    }
}

fn union(flags: &Flags, read: Flags) -> Flags {
    Flags { tainted: flags.tainted || read.tainted, unknown: read.unknown }
}

fn failed(ctx: &Arc<Context>, error: &minijinja::Error, span: &Span) -> TemplateError {
    let problem = match error.detail() {
        Some(detail) if !ctx.scope.flags().tainted => Problem::Failed(detail.to_owned()),
        _ => Problem::Failed("a value in the result cannot be read".into()),
    };
    ctx.scope.take_failure().unwrap_or_else(|| TemplateError::new(problem, span.clone()))
}

/// A raw value with all templates in it rendered, each leaf for itself. Entries that are omitted are dropped.
pub(crate) fn resolve(ctx: &Arc<Context>, raw: &Value, place: &Arc<Place>) -> Result<Value, TemplateError> {
    match raw {
        Value::Template(template) => leaf(ctx, raw, place, &template.span),
        Value::Map(map) => {
            let mut out = Map::with_capacity(map.len());
            for (key, item) in map {
                let item = resolve(ctx, item, &place.key(key))?;
                if item != Value::Omit {
                    out.insert(key.clone(), item);
                }
            }
            Ok(Value::Map(out))
        }
        Value::List(list) => {
            let mut out = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                let item = resolve(ctx, item, &place.index(index))?;
                if item != Value::Omit {
                    out.push(item);
                }
            }
            Ok(Value::List(out))
        }
        plain => Ok(plain.clone()),
    }
}

fn leaf(ctx: &Arc<Context>, raw: &Value, place: &Arc<Place>, span: &Span) -> Result<Value, TemplateError> {
    let (value, flags) = ctx.scope.apart(|| ctx.read(raw, || Arc::clone(place)));
    if let Some(why) = flags.unknown {
        return Ok(Value::Unknown(why));
    }
    if let Some(error) = ctx.scope.take_failure() {
        return Err(error);
    }
    let Some(value) = value else {
        let name = place.to_string();
        let undefined = || TemplateError::new(Problem::Undefined(name.clone()), span.clone());
        return Err(ctx.scope.why_undefined(&name).unwrap_or_else(undefined));
    };
    to_value(ctx, &value, &flags, span)
}
