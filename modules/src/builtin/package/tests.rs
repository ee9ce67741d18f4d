//! What apt-get is asked to do, and when.

use serde_json::{Value, json};

use super::*;
use crate::builtin;
use crate::edit::{Edit, Reach};
use crate::facts::Fact;
use crate::fake::Fake;
use crate::interpret;

const QUERY: &str =
    r"dpkg-query --show --showformat '${Package}\t${Architecture}\t${db:Status-Status}\t${Version}\n' --";
const FLAGS: &str = "--yes --option=DPkg::Lock::Timeout=120 \
                     --option=Dpkg::Options::=--force-confdef --option=Dpkg::Options::=--force-confold";
const UPDATE: &str = "apt-get --quiet --option=APT::Update::Error-Mode=any --option=DPkg::Lock::Timeout=120 \
                      '--option=APT::Update::Post-Invoke-Success::=touch /var/lib/apt/periodic/update-success-stamp' update";
const INST: &str = "Reading state information...\nInst nginx-common (1.22 Debian:12/stable [all])\n\
                    Inst nginx [1.18] (1.22 Debian:12/stable [amd64]) []\nConf nginx (1.22 Debian:12/stable [amd64])\n";

fn plan(params: Value, host: &Fake) -> Result<Plan, Error> {
    builtin::find("apt").unwrap().load(params).unwrap().plan(host)
}

fn host(query: &str, dpkg: &str) -> Fake {
    Fake::new().answer(&format!("{QUERY} {query}"), 0, dpkg)
}

fn shown(plan: &Plan) -> String {
    let show = |edit: &Edit| {
        let Edit::Run { command, .. } = edit else { panic!("only commands are planned") };
        let command = command.to_string().replace(FLAGS, "FLAGS").replace(UPDATE, "UPDATE");
        let diffs = edit.diffs();
        let diffs = diffs.iter().map(|diff| format!("  {} {:?} -> {:?}", diff.subject, diff.before, diff.after));
        std::iter::once(command).chain(diffs).collect::<Vec<_>>().join("\n")
    };
    plan.edits.iter().map(show).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_comes_along_is_shown() {
    let host = host("nginx", "").answer(
        &format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- nginx"),
        0,
        INST,
    );
    insta::assert_snapshot!(shown(&plan(json!({"name": "nginx"}), &host).unwrap()), @r#"
    apt-get FLAGS install -- nginx
      package nginx-common Absent -> Plain("1.22")
      package nginx Plain("1.18") -> Plain("1.22")
    "#);
}

#[test]
fn what_comes_along_is_stated_too() {
    let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- nginx");
    let plan = plan(json!({"name": "nginx"}), &host("nginx", "").answer(&simulation, 0, INST)).unwrap();
    let [Edit::Run { makes, reach, .. }] = &plan.edits[..] else { panic!("{plan:?}") };
    let package = |name: &str| Fact::Package(Package { name: name.into(), version: Some("1.22".into()) });
    assert_eq!(makes[..], [package("nginx-common"), package("nginx")]);
    // Its scripts may do anything.
    assert_eq!(*reach, Reach::Anything);
}

#[test]
fn versions_are_not_known_before_the_lists_are_refreshed() {
    let simulation = format!(
        "apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} --no-install-recommends install -- nginx 'tool=2.*'"
    );
    let params = json!({"name": ["nginx", "tool=2.*"], "update_cache": true, "install_recommends": false});
    let host = host("nginx tool", "tool\tamd64\tinstalled\t1.0\n");
    let lacks = host.clone().answer(&simulation, 100, "E: Unable to locate package nginx");
    insta::assert_snapshot!(shown(&plan(params.clone(), &lacks).unwrap()), @r#"
    UPDATE
      package lists Plain("outdated") -> Plain("refreshed")
    apt-get FLAGS --no-install-recommends install -- nginx 'tool=2.*'
      package nginx Absent -> Unknown
      package tool Plain("1.0") -> Unknown
    "#);
    let knows = host.answer(&simulation, 0, INST);
    insta::assert_snapshot!(shown(&plan(params, &knows).unwrap()), @r#"
    UPDATE
      package lists Plain("outdated") -> Plain("refreshed")
    apt-get FLAGS --no-install-recommends install -- nginx 'tool=2.*'
      package nginx-common Absent -> Unknown
      package nginx Plain("1.18") -> Unknown
      package tool Plain("1.0") -> Unknown
    "#);
}

#[test]
fn nothing_is_done_twice() {
    let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- a");
    let table = [
        (json!({"name": "a", "update_cache": true}), "provided by another: see the simulation"),
        (json!({"name": "a"}), "a\tamd64\tinstalled\t1.0\n"),
        (json!({"name": "a=1.0", "update_cache": true}), "a\tamd64\tinstalled\t1.0\n"),
        (json!({"name": "a=1.*"}), "a\tamd64\tinstalled\t1.0\n"),
        (json!({"name": "a", "state": "absent", "update_cache": true}), ""),
        (json!({"name": "a", "state": "removed"}), "a\tamd64\tconfig-files\t1.0\n"),
    ];
    for (params, dpkg) in table {
        let plan = plan(params.clone(), &host("a", dpkg).answer(&simulation, 0, "")).unwrap();
        assert!(plan.is_empty(), "{params}: {}", shown(&plan));
    }
}

#[test]
fn lists_are_refreshed_once_they_are_old() {
    let with_lists = || host("a", "a\tamd64\tinstalled\t1.0\n").file("/var/lib/apt/lists/x_InRelease", "", 0o644);
    let table = [
        (json!({"update_cache": true}), "3600", false),
        (json!({"update_cache": true}), "3601", true),
        (json!({"name": "a", "cache_valid_time": 60}), "60", false),
        (json!({"name": "a", "cache_valid_time": 60}), "61", true),
    ];
    for (params, now, wanted) in table {
        let plan = plan(params.clone(), &with_lists().answer("date +%s", 0, now)).unwrap();
        assert_eq!(!plan.is_empty(), wanted, "{params} at {now}");
    }
    let bare = plan(json!({"update_cache": true}), &Fake::new()).unwrap();
    assert_eq!(shown(&bare), "UPDATE\n  package lists Plain(\"outdated\") -> Plain(\"refreshed\")");
}

#[test]
fn removing_converges() {
    let remove = format!("apt-get {FLAGS} --auto-remove purge -- a");
    let mut host = host("a", "a\tamd64\tinstalled\t1.0\n")
        .answer(
            &format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} --auto-remove purge -- a"),
            0,
            "Purg a [1.0]\nPurg b [2.0]\n",
        )
        .effect(&remove, |host| host.set_answer(&format!("{QUERY} a"), 1, "no packages found"));
    let params = json!({"name": "a", "state": "absent", "purge": true, "autoremove": true});
    let first = plan(params.clone(), &host).unwrap();
    insta::assert_snapshot!(shown(&first), @r#"
    apt-get FLAGS --auto-remove purge -- a
      package a Plain("1.0") -> Absent
      package b Plain("2.0") -> Absent
    "#);
    interpret::apply(&first, &mut host, &mut |_| {}).unwrap();
    assert!(plan(params, &host).unwrap().is_empty());
}

#[test]
fn an_unknown_package_is_named() {
    let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- ngnix");
    let host = host("ngnix", "").answer(&simulation, 100, "E: Unable to locate package ngnix");
    let error = plan(json!({"name": "ngnix"}), &host).unwrap_err();
    assert_eq!(error.to_string(), "package ngnix: apt knows no package of that name");
    let error = plan(json!({"name": "a"}), &Fake::new()).unwrap_err();
    assert_eq!(error.to_string(), "this host has no dpkg-query: `package` knows Debian only");
}

/// What `apt-get update` says tells whether the lists are other ones than before.
#[test]
fn lists_that_are_as_new_as_before_are_no_change() {
    let said = |stdout: &str| Output { status: 0, stdout: stdout.into(), stderr: String::new(), time: None };
    let cases = [
        ("Hit:1 http://d.example/debian bookworm InRelease\nReading package lists...\n", Some(false)),
        ("Hit:1 http://a InRelease\nGet:2 http://b bookworm InRelease [151 kB]\n", Some(true)),
        (
            "Get:1 file:/srv/apt ./ InRelease\nIgn:1 file:/srv/apt ./ InRelease\nGet:2 file:/srv/apt ./ Release [179 B]\n",
            Some(false),
        ),
        ("Get:1 file:/srv/apt ./ Release\nGet:2 file:/srv/apt ./ Packages [3 kB]\n", Some(true)),
        ("Reading package lists...\nThe following NEW packages will be installed:\n", None),
    ];
    for (text, fetched) in cases {
        assert_eq!(fetched_lists(&said(text)), fetched, "{text}");
    }
    let load = |params: Value| builtin::find("apt").unwrap().load(params).unwrap();
    let applied = interpret::Applied { outputs: vec![said(cases[0].0)], ..Default::default() };
    assert_eq!(load(json!({"update_cache": true})).verdict(&applied), Ok(false));
    assert_eq!(load(json!({"update_cache": true, "name": "nginx"})).verdict(&applied), Ok(true));
    assert_eq!(load(json!({"update_cache": true})).report(&applied)["cache_updated"], json!(false));
}

/// Of lists that were outdated it is only known afterwards whether they have anything newer.
#[test]
fn what_is_the_newest_already_is_no_change() {
    let said = |stdout: &str| Output { status: 0, stdout: stdout.into(), stderr: String::new(), time: None };
    let load = |params: Value| builtin::find("apt").unwrap().load(params).unwrap();
    let run = |summary: &str| interpret::Applied {
        outputs: vec![said("Get:1 http://a Packages\n"), said(summary), said("nginx set to manually installed.\n")],
        ..Default::default()
    };
    let idle = run("nginx is the newest.\n0 upgraded, 0 newly installed, 0 to remove and 7 not upgraded.\n");
    let busy = run("1 upgraded, 0 newly installed, 0 to remove and 7 not upgraded.\n");
    let latest = json!({"update_cache": true, "name": "nginx", "state": "latest"});
    assert_eq!(load(latest.clone()).verdict(&idle), Ok(false));
    assert_eq!(load(latest.clone()).report(&idle).get("stdout"), None);
    assert_eq!(load(latest.clone()).report(&idle)["cache_updated"], json!(true));
    assert_eq!(load(latest.clone()).verdict(&busy), Ok(true));
    assert_eq!(load(latest).report(&busy)["stdout"], json!(busy.outputs[1].stdout));
    let upgrade = json!({"update_cache": true, "upgrade": "dist"});
    assert_eq!(load(upgrade.clone()).verdict(&idle), Ok(false));
    assert_eq!(load(upgrade).report(&idle)["msg"], json!(idle.outputs[1].stdout));
}
