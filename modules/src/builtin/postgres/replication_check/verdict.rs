//! What of both sides is not as it should be, in words, and the table of what was seen.

use super::seen::{Key, OnPrimary, OnStandby, Slot};

/// The end of the matter.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Why it is not healthy; none: it is.
    pub(super) reasons: Vec<String>,
    /// What was seen on both sides, for people.
    pub(super) table: Vec<String>,
    /// How far the standby is behind; `None` if that can't be told.
    pub(super) lag_bytes: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
}

/// Judges both sides. `most`: bytes and seconds of lag.
pub(super) fn judge(primary: &OnPrimary, standby: &OnStandby, slot: &str, most: (Option<u64>, Option<f64>)) -> Verdict {
    let (theirs, ours) = (position(primary.lsn.as_ref()), position(standby.replay_lsn.as_ref()));
    let lag_bytes = theirs.zip(ours).and_then(|(theirs, ours)| theirs.checked_sub(ours));
    let mut reasons = identity(primary, standby);
    reasons.extend(stream(primary, standby, slot));
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if ours > theirs => reasons.push(
            "it has replayed WAL that the primary has not written: it once ran read-write, and must be copied anew"
                .into(),
        ),
        (Some(_), Some(_)) => {}
        _ => reasons.push("how far it is can't be told".into()),
    }
    if let (Some(lag), Some(most)) = (lag_bytes, most.0.filter(|most| lag_bytes.is_some_and(|lag| lag > *most))) {
        reasons.push(format!("it lags {lag} bytes behind, more than {most}"));
    }
    if let (Some(lag), Some(most)) = (standby.lag_seconds, most.1)
        && lag > most
    {
        reasons.push(format!("it lags {lag:.1} s behind, more than {most}"));
    }
    let problem = |side: &'static str| {
        move |key: &Key| key.problem.as_ref().map(|problem| format!("{side}, the {} can't be had: {problem}", key.key))
    };
    reasons.extend(primary.keys.iter().filter_map(problem("on the primary")));
    reasons.extend(standby.keys.iter().filter_map(problem("on the standby")));
    Verdict { reasons, table: table(primary, standby, slot, lag_bytes), lag_bytes, lag_seconds: standby.lag_seconds }
}

fn identity(primary: &OnPrimary, standby: &OnStandby) -> Vec<String> {
    let mut reasons = Vec::new();
    if primary.system != standby.system {
        reasons.push(format!(
            "it is another cluster: its system identifier is {}, that of the primary is {}",
            standby.system, primary.system
        ));
    }
    if standby.timeline > primary.timeline {
        reasons.push(format!(
            "it was promoted: its timeline is {}, and the primary is on {}",
            standby.timeline, primary.timeline
        ));
    }
    if !standby.in_recovery {
        reasons.push("it is not in recovery: it is a server of its own, open for writing".into());
    }
    reasons
}

fn stream(primary: &OnPrimary, standby: &OnStandby, name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    match standby.receiver.as_deref() {
        Some("streaming") => {}
        Some(other) => reasons.push(format!("its WAL receiver is `{other}`, not `streaming`")),
        None => reasons.push("it has no WAL receiver: its log says why it can't connect".into()),
    }
    if let Some(other) = standby.slot.as_deref().filter(|slot| *slot != name) {
        reasons.push(format!("it uses the slot {other}, not {name}"));
    } else if standby.slot.is_none() && standby.receiver.is_some() {
        reasons.push(format!("it uses no slot, not {name}: the primary may remove WAL that it needs"));
    }
    match &primary.slot {
        None => reasons.push(format!("the primary has no slot {name}")),
        Some(slot) => reasons.extend(held(slot, name)),
    }
    reasons
}

/// Whether the slot is held by a process that streams to a standby.
fn held(slot: &Slot, name: &str) -> Option<String> {
    if slot.kind != "physical" {
        return Some(format!("the slot {name} is {}, not physical", slot.kind));
    }
    if slot.wal_status.as_deref() == Some("lost") {
        return Some(format!(
            "the primary no longer has the WAL that the slot {name} should keep: copy the standby anew"
        ));
    }
    let Some(pid) = slot.active_pid else { return Some(format!("nobody holds the slot {name} on the primary")) };
    match (slot.application.as_deref(), slot.state.as_deref()) {
        (Some("pg_basebackup" | "pg_tde_basebackup"), _) => {
            Some(format!("a base backup (PID {pid}) holds the slot {name}, perhaps one whose parent was killed"))
        }
        (_, Some("streaming")) => None,
        (_, state) => {
            Some(format!("on the primary, PID {pid} holds the slot {name} but is `{}`", state.unwrap_or("gone")))
        }
    }
}

/// `0/3000060` as a number of bytes.
fn position(lsn: Option<&String>) -> Option<u64> {
    let (high, low) = lsn?.split_once('/')?;
    let part = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
    Some(part(high)? << 32 | part(low)?)
}

fn table(primary: &OnPrimary, standby: &OnStandby, name: &str, lag: Option<u64>) -> Vec<String> {
    let say = |value: Option<&String>| value.cloned().unwrap_or_else(|| "-".into());
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let slot = primary.slot.clone().unwrap_or_default();
    let holder = match slot.active_pid {
        Some(pid) => format!("{name}: PID {pid}, {} at {}", say(slot.application.as_ref()), say(slot.address.as_ref())),
        None if primary.slot.is_some() => format!("{name}: nobody"),
        None => "-".into(),
    };
    let keys = |keys: &[Key]| {
        let word = |key: &Key| format!("{} {}", key.key, if key.problem.is_none() { "verified" } else { "MISSING" });
        if keys.is_empty() { "-".into() } else { keys.iter().map(word).collect::<Vec<_>>().join(", ") }
    };
    let behind = match (lag, standby.lag_seconds) {
        (Some(bytes), Some(seconds)) => format!("{bytes} bytes, {seconds:.1} s behind"),
        (Some(bytes), None) => format!("{bytes} bytes behind"),
        _ => "-".into(),
    };
    let rows = [
        ("", "primary".to_owned(), "standby".to_owned()),
        ("system identifier", primary.system.clone(), standby.system.clone()),
        ("timeline", primary.timeline.to_string(), standby.timeline.to_string()),
        ("in recovery", yes(primary.in_recovery), yes(standby.in_recovery)),
        ("stream", say(slot.state.as_ref()), say(standby.receiver.as_ref())),
        ("slot", holder, say(standby.slot.as_ref())),
        (
            "WAL",
            format!("{} written", say(primary.lsn.as_ref())),
            format!("{} replayed", say(standby.replay_lsn.as_ref())),
        ),
        ("lag", String::new(), behind),
        ("keys", keys(&primary.keys), keys(&standby.keys)),
    ];
    let width = rows.iter().map(|(_, primary, _)| primary.chars().count()).max().unwrap_or_default();
    rows.iter()
        .map(|(what, primary, standby)| format!("{what:<17}  {primary:<width$}  {standby}").trim_end().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> (OnPrimary, OnStandby) {
        let some = |text: &str| Some(text.to_owned());
        let slot = Slot {
            kind: "physical".into(),
            wal_status: some("reserved"),
            active_pid: Some(7),
            application: some("db2"),
            address: some("10.0.0.2"),
            state: some("streaming"),
        };
        let key = Key { key: "server key k".into(), problem: None };
        let primary = OnPrimary {
            system: "74".into(),
            timeline: 1,
            in_recovery: false,
            lsn: some("0/3000060"),
            slot: Some(slot),
            keys: vec![key.clone()],
        };
        let standby = OnStandby {
            system: "74".into(),
            timeline: 1,
            in_recovery: true,
            receiver: some("streaming"),
            slot: some("s"),
            receive_lsn: some("0/3000060"),
            replay_lsn: some("0/3000000"),
            lag_seconds: Some(0.25),
            keys: vec![key],
        };
        (primary, standby)
    }

    #[test]
    fn a_healthy_pair() {
        let (primary, standby) = healthy();
        let verdict = judge(&primary, &standby, "s", (Some(96), Some(1.0)));
        assert_eq!(verdict.reasons, Vec::<String>::new());
        assert_eq!(verdict.lag_bytes, Some(0x60));
        insta::assert_snapshot!(verdict.table.join("\n"), @r"
                           primary                    standby
        system identifier  74                         74
        timeline           1                          1
        in recovery        no                         yes
        stream             streaming                  streaming
        slot               s: PID 7, db2 at 10.0.0.2  s
        WAL                0/3000060 written          0/3000000 replayed
        lag                                           96 bytes, 0.2 s behind
        keys               server key k verified      server key k verified
        ");
    }

    /// What makes a healthy pair an unhealthy one, and the word that must be in the one reason.
    type Harm = (fn(&mut OnPrimary, &mut OnStandby), &'static str);

    #[test]
    fn each_thing_that_can_be_wrong_is_said() {
        let table: &[Harm] = &[
            (|_, standby| standby.system = "75".into(), "another cluster"),
            (|_, standby| standby.timeline = 2, "it was promoted"),
            (|_, standby| standby.in_recovery = false, "not in recovery"),
            (|_, standby| standby.receiver = Some("stopping".into()), "`stopping`, not `streaming`"),
            (|_, standby| (standby.receiver, standby.slot) = (None, None), "no WAL receiver"),
            (|_, standby| standby.slot = Some("t".into()), "uses the slot t, not s"),
            (|_, standby| standby.slot = None, "uses no slot"),
            (|primary, _| primary.slot = None, "the primary has no slot s"),
            (|primary, _| primary.slot.as_mut().unwrap().kind = "logical".into(), "is logical, not physical"),
            (|primary, _| primary.slot.as_mut().unwrap().wal_status = Some("lost".into()), "no longer has the WAL"),
            (|primary, _| primary.slot.as_mut().unwrap().active_pid = None, "nobody holds the slot"),
            (
                |primary, _| primary.slot.as_mut().unwrap().application = Some("pg_basebackup".into()),
                "a base backup (PID 7) holds",
            ),
            (|primary, _| primary.slot.as_mut().unwrap().state = Some("catchup".into()), "but is `catchup`"),
            (|_, standby| standby.replay_lsn = Some("1/0".into()), "once ran read-write"),
            (|_, standby| standby.replay_lsn = None, "can't be told"),
            (|primary, _| primary.lsn = Some("0/3000061".into()), "97 bytes behind, more than 96"),
            (|_, standby| standby.lag_seconds = Some(1.5), "1.5 s behind, more than 1"),
            (
                |primary, _| primary.keys[0].problem = Some("gone".into()),
                "on the primary, the server key k can't be had: gone",
            ),
            (
                |_, standby| standby.keys[0].problem = Some("gone".into()),
                "on the standby, the server key k can't be had: gone",
            ),
        ];
        for (harm, word) in table {
            let (mut primary, mut standby) = healthy();
            harm(&mut primary, &mut standby);
            let reasons = judge(&primary, &standby, "s", (Some(96), Some(1.0))).reasons;
            assert!(reasons.len() == 1 && reasons[0].contains(word), "{word}: {reasons:?}");
        }
    }
}
