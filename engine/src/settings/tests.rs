//! Which value counts, and what is said about wrong ones.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use super::*;
use crate::diagnostic::Paint;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["project", "home", "etc/ansible"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn load(&self, variables: &[(&str, &str)]) -> (Settings, String) {
        let at = |name: &str| self.0.path().join(name);
        let home = ("HOME".to_owned(), at("home").display().to_string());
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let around = Around { variables: variables.chain([home]).collect(), dir: at("project"), etc: at("etc") };
        let mut diagnostics = Diagnostics::new();
        let settings = Settings::load(&around, &mut diagnostics);
        (settings, self.plain(&diagnostics.render(Paint::Plain)))
    }

    fn plain(&self, text: &str) -> String {
        text.replace(&self.0.path().display().to_string(), "DIR")
    }

    fn shown(&self, settings: &Settings, name: &str) -> String {
        let found = settings.get(name);
        self.plain(&format!("{} ({})", found.value, found.origin))
    }
}

#[test]
fn the_strongest_counts() {
    let place = Place::new();
    let forks = |variables: &[(&str, &str)]| {
        let (settings, said) = place.load(variables);
        assert_eq!(said, "");
        place.shown(&settings, "forks")
    };
    assert_eq!(forks(&[]), "50 (default)");
    place.file("etc/ansible/ansible.cfg", "[defaults]\nforks = 2\n");
    assert_eq!(forks(&[]), "2 (DIR/etc/ansible/ansible.cfg:2)");
    place.file("home/.ansible.cfg", "[defaults]\nforks = 3\n");
    assert_eq!(forks(&[]), "3 (DIR/home/.ansible.cfg:2)");
    place.file("project/ansible.cfg", "[defaults]\n# c\nforks = 4\n");
    assert_eq!(forks(&[]), "4 (DIR/project/ansible.cfg:3)");
    place.file("named.cfg", "[defaults]\nforks = 5\n");
    assert_eq!(forks(&[("ANSIBLE_CONFIG", "../named.cfg")]), "5 (DIR/project/../named.cfg:2)");
    place.file("project/trueup.toml", "forks = 6\n");
    assert_eq!(forks(&[("ANSIBLE_CONFIG", "../named.cfg")]), "6 (DIR/project/trueup.toml:1)");
    assert_eq!(forks(&[("ANSIBLE_FORKS", "7")]), "7 (ANSIBLE_FORKS)");
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let place = Place::new();
    let cfg = "[defaults]\ninventory = hosts, /a/b\nvault_password_file = ~/pw\nvault_identity_list = a@x,b@prompt\n\
               roles_path = ./roles:~/more:/r\n";
    place.file("home/.ansible.cfg", cfg);
    let (settings, said) = place.load(&[("ANSIBLE_PRIVATE_KEY_FILE", "key")]);
    assert_eq!(said, "");
    let value = |name| place.plain(&settings.get(name).value);
    assert_eq!(value("inventory"), "DIR/home/hosts,/a/b");
    assert_eq!(value("vault_password_file"), "DIR/home/pw");
    assert_eq!(value("vault_identity_list"), "a@DIR/home/x,b@prompt");
    assert_eq!(value("private_key_file"), "DIR/project/key");
    let around = Around { variables: [("HOME".into(), "/h".into())].into(), ..Around::default() };
    let directories = |name| {
        settings
            .directories(name, &around)
            .iter()
            .map(|dir| place.plain(&dir.display().to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(directories("roles_path"), ["DIR/home/./roles", "DIR/home/more", "/r"]);
    assert_eq!(directories("collections_path"), ["/h/.ansible/collections", "/usr/share/ansible/collections"]);
}

#[test]
fn a_directory_open_to_everybody_is_not_trusted() {
    let place = Place::new();
    place.file("project/ansible.cfg", "[defaults]\nforks = 4\n").file("project/trueup.toml", "forks = 6\n");
    fs::set_permissions(place.0.path().join("project"), fs::Permissions::from_mode(0o777)).unwrap();
    let (settings, said) = place.load(&[]);
    assert_eq!(place.shown(&settings, "forks"), "50 (default)");
    assert_snapshot!(said, @r"
    warning: `DIR/project/ansible.cfg` is not read: everybody can write to its directory
    hint: take that permission away, or name the file: ANSIBLE_CONFIG=DIR/project/ansible.cfg

    warning: `DIR/project/trueup.toml` is not read: everybody can write to its directory
    hint: take that permission away, or name the file: TRUEUP_CONFIG=DIR/project/trueup.toml
    ");
    let (settings, _) = place.load(&[("ANSIBLE_CONFIG", "ansible.cfg")]);
    assert_eq!(place.shown(&settings, "forks"), "4 (DIR/project/ansible.cfg:2)");
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::new();
    place.file("project/ansible.cfg", "[defaults]\nforcs = 4\ngathering = smart\nhost_key_checking = maybe\n");
    place.file("project/trueup.toml", "forks = \"many\"\ninventry = \"x\"\n");
    let (_, said) = place.load(&[("ANSIBLE_TIMEOUT", "soon"), ("TRUEUP_CONFIG", "nowhere.toml")]);
    assert_snapshot!(said, @r#"
    warning: there is no setting `forcs` in [defaults]
     --> DIR/project/ansible.cfg:2:1
      |
    2 | forcs = 4
      | ^^^^^^^^^
    hint: did you mean `forks`?

    error: the setting `host_key_checking` must be true or false, not `maybe`
     --> DIR/project/ansible.cfg:4:1
      |
    4 | host_key_checking = maybe
      | ^^^^^^^^^^^^^^^^^^^^^^^^^

    warning: TRUEUP_CONFIG names `DIR/project/nowhere.toml`, which does not exist

    error: there is no setting `inventry`
     --> DIR/project/trueup.toml:2:1
      |
    2 | inventry = "x"
      | ^^^^^^^^
    hint: did you mean `inventory`?
    hint: `trueup config` lists them

    error: the setting `forks` must be a whole number, not `many`
     --> DIR/project/trueup.toml:1:9
      |
    1 | forks = "many"
      |         ^^^^^^

    error: the setting `timeout` must be a whole number, not `soon`
     --> ANSIBLE_TIMEOUT:1:1
      |
    1 | soon
      | ^^^^
    "#);
    place.file("project/trueup.toml", "forks = \n");
    let (_, said) = place.load(&[]);
    assert!(
        said.contains("error: failed to read the settings: ") && said.contains("--> DIR/project/trueup.toml:1:"),
        "{said}"
    );
}

#[test]
fn the_table_is_sorted_and_documented() {
    assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
    assert!(SETTINGS.iter().all(|setting| !setting.doc.is_empty() && setting.variable.starts_with("ANSIBLE_")));
}
