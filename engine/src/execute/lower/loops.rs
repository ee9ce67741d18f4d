//! The variables that a loop gives its items.

use std::sync::Arc;

use super::{Lower, LowerError, truthy};
use crate::playbook::{Field, LoopControl, Opt};
use crate::template::Lookup;
use crate::value::{Map, Value};

/// Whether `ansible_loop` is set, and with all items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extended {
    No,
    Yes,
    WithItems,
}

impl Lower<'_> {
    /// `extended` and `extended_allitems`.
    pub(super) fn extended(&self, control: &LoopControl, vars: &Arc<dyn Lookup>) -> Result<Extended, LowerError> {
        let flag = |field: &Opt<bool>, otherwise: bool| match field.as_ref().map(|field| &field.value) {
            None => Ok(otherwise),
            Some(Field::Known(flag)) => Ok(*flag),
            Some(Field::Template(template)) => self.render(template, vars).map(|value| truthy(&value)),
        };
        Ok(match (flag(&control.extended, false)?, flag(&control.extended_allitems, true)?) {
            (false, _) => Extended::No,
            (true, false) => Extended::Yes,
            (true, true) => Extended::WithItems,
        })
    }
}

/// The variables of the item at a position.
pub(super) fn magic(control: &LoopControl, list: &[Value], at: usize, extended: Extended) -> Map {
    let name = control.loop_var.as_ref().map_or("item", |name| &name.value);
    let mut magic = Map::new();
    if let Some(index) = &control.index_var {
        magic.insert(index.value.clone(), number(at));
        magic.insert("ansible_index_var".into(), Value::Str(index.value.clone()));
    }
    if extended != Extended::No {
        magic.insert("ansible_loop".into(), Value::Map(place(list, at, extended)));
    }
    magic.insert("ansible_loop_var".into(), Value::Str(name.into()));
    magic.insert(name.into(), list[at].clone());
    magic
}

/// `ansible_loop`.
fn place(list: &[Value], at: usize, extended: Extended) -> Map {
    let left = list.len() - at;
    let mut place = Map::from_iter([
        ("index".to_owned(), number(at + 1)),
        ("index0".to_owned(), number(at)),
        ("first".to_owned(), Value::Bool(at == 0)),
        ("last".to_owned(), Value::Bool(left == 1)),
        ("length".to_owned(), number(list.len())),
        ("revindex".to_owned(), number(left)),
        ("revindex0".to_owned(), number(left - 1)),
    ]);
    if extended == Extended::WithItems {
        place.insert("allitems".into(), Value::List(list.to_vec()));
    }
    place.extend(list.get(at + 1).map(|next| ("nextitem".to_owned(), next.clone())));
    let before = at.checked_sub(1).and_then(|before| list.get(before));
    place.extend(before.map(|before| ("previtem".to_owned(), before.clone())));
    place
}

/// The names of the variables that a loop gives its items.
pub(in crate::execute) fn names(control: &LoopControl) -> impl Iterator<Item = &str> {
    let own = control.loop_var.as_ref().map_or("item", |name| &name.value);
    let index = control.index_var.as_ref().map(|name| name.value.as_str());
    let extended = control.extended.as_ref().map(|_| "ansible_loop");
    let of_index = index.map(|_| "ansible_index_var");
    [Some(own), Some("ansible_loop_var"), extended, index, of_index].into_iter().flatten()
}

fn number(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
