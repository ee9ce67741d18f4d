//! Where rules go.

use super::cover::{covers, shadow};
use super::file::{Line, Meaning};
use super::rule::{self, Address, Name, Rule, Type, fields};

/// The first fields of a rule, to name one by; `*` stands for any value.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    kind: Option<Type>,
    databases: Option<Vec<Name>>,
    users: Option<Vec<Name>>,
    address: Option<Address>,
    method: Option<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pattern = Self::default();
        let fields = fields(text)?;
        if fields.is_empty() {
            return Err("is empty; `*` means every rule".into());
        }
        for (at, field) in fields.into_iter().enumerate() {
            if matches!(&field[..], [any] if any.is_keyword("*")) {
                continue;
            }
            // There is no address in a `local` rule.
            let at = if at > 2 && pattern.kind == Some(Type::Local) { at + 1 } else { at };
            let text = field.first().map(|name| name.text.clone()).unwrap_or_default();
            match at {
                0 => pattern.kind = Some(rule::kind(&text)?),
                1 => pattern.databases = Some(field),
                2 => pattern.users = Some(field),
                3 => pattern.address = Some(rule::address(&text, None)?),
                4 => pattern.method = Some(text),
                _ => return Err(format!("`{text}` is too much: type, databases, users, address, method")),
            }
        }
        Ok(pattern)
    }

    fn matches(&self, rule: &Rule) -> bool {
        let like = Rule {
            kind: self.kind.unwrap_or(rule.kind),
            databases: self.databases.clone().unwrap_or_else(|| rule.databases.clone()),
            users: self.users.clone().unwrap_or_else(|| rule.users.clone()),
            address: self.address.clone().or_else(|| rule.address.clone()),
            ..rule.clone()
        };
        like.same_connections(rule) && self.method.as_ref().is_none_or(|method| *method == rule.method)
    }
}

/// A rule that shall be there, and a comment behind it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) rule: Rule,
    pub(super) comment: Option<String>,
}

/// Between which rules.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    pub(super) before: Option<Pattern>,
    pub(super) after: Option<Pattern>,
}

/// The lines with the wanted rules among them, in their order. A rule that is there stays where it is, if it decides
/// there; else it goes before the first rule that would leave nothing for it, else to the end.
pub(super) fn arrange(mut lines: Vec<Line>, wanted: &[Wanted], anchors: &Anchors) -> Result<Vec<Line>, String> {
    let mut former = None;
    for one in wanted {
        let at = put(&mut lines, one, wanted, anchors, former)?;
        former = Some(at);
    }
    Ok(lines)
}

fn put(
    lines: &mut Vec<Line>,
    one: &Wanted,
    wanted: &[Wanted],
    anchors: &Anchors,
    former: Option<usize>,
) -> Result<usize, String> {
    let ours = |line: &Line| line.rule().is_some_and(|rule| rule.same_connections(&one.rule));
    let (low, high) = bounds(lines, wanted, anchors, former)?;
    let reached =
        |at: usize| shadow(lines[..at].iter().filter(|line| !ours(line)).filter_map(Line::rule), &one.rule).is_none();
    let kept = (low..high).find(|at| ours(&lines[*at])).filter(|at| reached(*at));
    if let Some(kept) = kept {
        let same = lines[kept].rule().is_some_and(|rule| rule.same_answer(&one.rule));
        if !same {
            lines[kept] = Line::of(one.rule.clone(), one.comment.as_deref());
        }
        let line = lines[kept].clone();
        let before = lines[..kept].iter().filter(|line| !ours(line)).count();
        lines.retain(|line| !ours(line));
        lines.insert(before, line);
        return Ok(before);
    }
    let removed = lines[..former.map_or(0, |at| at + 1)].iter().filter(|line| ours(line)).count();
    lines.retain(|line| !ours(line));
    let (low, high) = bounds(lines, wanted, anchors, former.map(|at| at - removed))?;
    let covered = |line: &Line| line.rule().is_some_and(|rule| covers(rule, &one.rule));
    let end = if anchors.after.is_some() && anchors.before.is_none() { low } else { high };
    let at = (low..high).find(|at| covered(&lines[*at])).unwrap_or(end);
    lines.insert(at, Line::of(one.rule.clone(), one.comment.as_deref()));
    Ok(at)
}

/// The first place where a rule may stand, and the first where it may not.
fn bounds(
    lines: &[Line],
    wanted: &[Wanted],
    anchors: &Anchors,
    former: Option<usize>,
) -> Result<(usize, usize), String> {
    let other = |rule: &Rule| !wanted.iter().any(|one| one.rule.same_connections(rule));
    let is = |line: &Line, pattern: &Pattern| line.rule().is_some_and(|rule| other(rule) && pattern.matches(rule));
    let after = anchors.after.as_ref().and_then(|pattern| lines.iter().rposition(|line| is(line, pattern)));
    let before = anchors.before.as_ref().and_then(|pattern| lines.iter().position(|line| is(line, pattern)));
    let low = after.map_or(0, |at| at + 1).max(former.map_or(0, |at| at + 1));
    let high = before.unwrap_or(lines.len());
    match low <= high {
        true => Ok((low, high)),
        false => Err("`before` and `after` leave no place: the rule to be before comes first".into()),
    }
}

/// Nothing but the wanted rules; the comments at the head of the file stay, and so does how a rule is written.
pub(super) fn only(lines: &[Line], wanted: &[Wanted]) -> Vec<Line> {
    let head = lines.iter().take_while(|line| line.meaning == Meaning::Comment).cloned();
    let there = |one: &Wanted| {
        let same = |rule: &Rule| rule.same_connections(&one.rule) && rule.same_answer(&one.rule);
        lines.iter().find(|line| line.rule().is_some_and(same)).cloned()
    };
    let rules =
        wanted.iter().map(|one| there(one).unwrap_or_else(|| Line::of(one.rule.clone(), one.comment.as_deref())));
    head.chain(rules).collect()
}

/// A rule that never decides, because a former one matches all of its connections and does something else with them.
#[derive(Debug, PartialEq)]
pub(super) struct Shadowed<'a> {
    pub(super) rule: &'a Rule,
    pub(super) by: &'a Rule,
}

/// The first such rule that is ours, or that was not one before.
pub(super) fn shadowed<'a>(before: &[Line], after: &'a [Line], wanted: &[Wanted]) -> Option<Shadowed<'a>> {
    let ours = |rule: &Rule| wanted.iter().any(|one| one.rule == *rule);
    let find = |lines: &'a [Line]| -> Vec<Shadowed<'a>> {
        let rules: Vec<&Rule> = lines.iter().filter_map(Line::rule).collect();
        let by = |(at, rule): (usize, &&'a Rule)| {
            let by = shadow(rules[..at].iter().copied(), rule)?;
            (!by.same_answer(rule)).then_some(Shadowed { rule, by })
        };
        rules.iter().enumerate().filter_map(by).collect()
    };
    let was = |rule: &Rule| {
        let rules: Vec<&Rule> = before.iter().filter_map(Line::rule).collect();
        let at = rules.iter().position(|other| *other == rule);
        at.is_some_and(|at| shadow(rules[..at].iter().copied(), rule).is_some())
    };
    find(after).into_iter().find(|found| ours(found.rule) || !was(found.rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::postgres::pg_hba::file::{parse, render};

    const STOCK: &str = "local all all peer\nhost all all 10.0.0.0/8 md5\nhost replication all 10.0.0.0/8 reject\n";

    fn place(file: &str, rules: &[&str], before: Option<&str>, after: Option<&str>) -> Result<String, String> {
        let wanted: Vec<Wanted> =
            rules.iter().map(|rule| Wanted { rule: Rule::parse(rule).unwrap(), comment: None }).collect();
        let pattern = |text: Option<&str>| text.map(Pattern::parse).transpose();
        let anchors = Anchors { before: pattern(before)?, after: pattern(after)? };
        let lines = parse(file);
        let placed = arrange(lines.clone(), &wanted, &anchors)?;
        if let Some(Shadowed { rule, by }) = shadowed(&lines, &placed, &wanted) {
            return Err(format!("{} | {}", rule.brief(), by.brief()));
        }
        let again = arrange(placed.clone(), &wanted, &anchors)?;
        assert_eq!(render(&again), render(&placed), "a second time");
        let brief = |line: &Line| line.rule().map_or_else(|| line.raw.clone(), Rule::brief);
        Ok(placed.iter().map(brief).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_rule_goes_where_it_decides() {
        let ours = "host replication rep 10.0.0.7/32 scram-sha-256";
        let wanted = "local all all peer\nhost all all 10.0.0.0/8 md5\nhost replication rep 10.0.0.7/32 scram-sha-256\n\
                      host replication all 10.0.0.0/8 reject";
        assert_eq!(place(STOCK, &[ours], None, None).unwrap(), wanted);
        // Where it is, but never reached: it moves.
        assert_eq!(place(&format!("{STOCK}{ours}\n"), &[ours], None, None).unwrap(), wanted);
        // Where it is and reached, with another method: it stays and changes.
        let other =
            STOCK.replace("host replication all", "host replication rep 10.0.0.7/32 trust\nhost replication all");
        assert_eq!(place(&other, &[ours], None, None).unwrap(), wanted);
        // Nothing would shadow it: the end.
        let free = "host replication rep 11.0.0.7/32 scram-sha-256";
        assert_eq!(place(STOCK, &[free], None, None).unwrap(), format!("{}{free}", STOCK));
        assert_eq!(
            place(STOCK, &[free], Some("host all"), None).unwrap().lines().nth(1),
            Some("host replication rep 11.0.0.7/32 scram-sha-256")
        );
        assert_eq!(place(STOCK, &[free], Some("*"), None).unwrap().lines().next(), Some(free));
        assert_eq!(place(STOCK, &[free], None, Some("local")).unwrap().lines().nth(1), Some(free));
    }

    #[test]
    fn a_list_keeps_its_order() {
        let rules = ["host app bob 10.0.0.1/32 trust", "host app all 10.0.0.0/24 md5", "host app all all reject"];
        let placed = place("host app all 10.0.0.0/24 md5\nhost app all all reject\n", &rules, None, None);
        assert_eq!(placed.unwrap(), rules.join("\n"));
        let placed = place("", &rules, None, None);
        assert_eq!(placed.unwrap(), rules.join("\n"));
        let reversed: Vec<&str> = rules.iter().rev().copied().collect();
        assert_eq!(
            place("", &reversed, None, None).unwrap_err(),
            "host app all 10.0.0.0/24 md5 | host app all all reject"
        );
    }

    #[test]
    fn what_never_decides_is_found() {
        let ours = "host replication rep 10.0.0.7/32 scram-sha-256";
        assert_eq!(
            place(STOCK, &[ours], None, Some("host replication")).unwrap_err(),
            format!("{ours} | host replication all 10.0.0.0/8 reject")
        );
        assert_eq!(
            place(STOCK, &["host all all all trust"], Some("host all"), None).unwrap_err(),
            "host all all 10.0.0.0/8 md5 | host all all all trust"
        );
        // What was so already is not ours to judge, and what does the same does no harm.
        let old = "local all all peer\nlocal all bob md5\nlocal all postgres peer\n";
        assert!(place(old, &["host all all all md5"], None, None).is_ok());
        assert_eq!(place(STOCK, &["local all all peer"], Some("local"), Some("host all")).unwrap().lines().count(), 3);
        assert_eq!(
            place(STOCK, &["local all bob md5"], Some("local"), Some("host all")).unwrap_err(),
            "`before` and `after` leave no place: the rule to be before comes first"
        );
    }
}
