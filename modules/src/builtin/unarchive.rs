//! `unarchive`: what is in an archive.

mod listing;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::listing::Listing;
use super::common;
use super::http;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Input, Output, Stat};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Mode, Word};
use crate::plan::{Data, Plan};

with_file_parameters! {
    /// Unpacks an archive, of the controller or of the host, by the host's tar(1) or unzip(1). What is unpacked already and is the
    /// same stays. An address as `src` is not known: fetch it with `get_url`. Owner and permissions are those of all that is unpacked.
    #[derive(Deserialize, JsonSchema)]
    #[schemars(extend("exclusive" = ["include|exclude"]))]
    #[serde(deny_unknown_fields)]
    pub(super) struct Unarchive {
        /// The archive: tar, also compressed, or zip.
        src: PathBuf,
        /// The directory to unpack it in, absolute. It must exist.
        dest: PathBuf,
        /// Whether `src` is on the host already.
        #[serde(default)]
        remote_src: bool,
        /// The opposite of `remote_src`.
        copy: Option<bool>,
        /// The content of a controller's file, by its SHA-256; Trueup fills it in from `src`.
        #[schemars(extend("internal" = true))]
        sha256: Option<String>,
        /// A path: nothing is unpacked if it exists.
        creates: Option<PathBuf>,
        /// Whether the names in the archive are registered, as `files`.
        #[serde(default)]
        list_files: bool,
        /// Whether files that are newer than those in the archive stay.
        #[serde(default)]
        keep_newer: bool,
        /// Names and patterns that are left out.
        #[serde(default)]
        exclude: Vec<Word>,
        /// The names that are unpacked; all by default.
        #[serde(default)]
        include: Vec<Word>,
        /// Options for tar or unzip.
        #[serde(default)]
        extra_opts: Vec<Word>,
        /// Taken for Ansible's sake: nothing is fetched.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "nothing is fetched")]
        validate_certs: bool,
        /// Taken for Ansible's sake.
        #[expect(dead_code, reason = "it is for Ansible's own reading of archives")]
        io_buffer_size: Option<u64>,
        /// Taken for Ansible's sake: an archive that is sealed by its vault is not opened.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "it is not opened")]
        decrypt: bool,
    }
}

/// What stands for the archive among the arguments.
const ARCHIVE: &str = "{archive}";

/// Keeps an archive from standard input, in base64, in a file while a program runs.
const KEEP: &str = r#"file=$(mktemp) && trap 'rm -f "$file"' EXIT && base64 -d >"$file" || exit 1
for arg do shift; [ "$arg" != '{archive}' ] || arg=$file; set -- "$@" "$arg"; done
"$@""#;

/// How many paths a program is given at a time.
const CHUNK: usize = 500;

/// As many differences are shown.
const MAX_SHOWN: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Zip,
    /// Ansible's name for how it is compressed; tar itself finds out.
    Tar(&'static str),
}

impl Module for Unarchive {
    const NAME: &'static str = "unarchive";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if let Some(creates) = &self.creates
            && common::exists(host, creates)?
        {
            let plan = Plan::nothing().returning("skipped", true);
            return Ok(plan.returning("msg", format!("skipped, since {} exists", creates.display())));
        }
        let (dest, now) = common::resolve(host, &self.dest)?;
        if !now.as_ref().is_some_and(Stat::is_dir) {
            let shown = self.dest.display().to_string();
            let msg = format!("dest '{shown}' must be an existing dir");
            let error =
                Error::refused(shown, "is not a directory", "make it with a `file` task that says `state: directory`");
            return Err(error.telling("msg", msg));
        }
        let archive = self.archive(host)?;
        let listing = self.listing(host, &archive, &dest)?;
        let plan = Plan::nothing()
            .returning("dest", self.dest.display().to_string())
            .returning("src", self.src.display().to_string())
            .returning("handler", archive.form.handler());
        let plan = if self.list_files { plan.returning("files", listing.names.clone()) } else { plan };
        let attributes = self.attributes();
        if listing.differing.is_empty() {
            let mut edits = Vec::new();
            for path in listing.paths(&dest) {
                if let Some(stat) = host.stat(&path)? {
                    edits.extend(attributes.edits(host, &path, &stat)?);
                }
            }
            return Ok(Plan { edits, ..plan });
        }
        attributes.owner(host)?;
        let mut effect: Vec<Diff> = listing.differing.iter().take(MAX_SHOWN).map(|one| one.diff(&dest)).collect();
        if listing.differing.len() > MAX_SHOWN {
            let more = format!("{} more files", listing.differing.len() - MAX_SHOWN);
            effect.push(Diff::new(dest.display().to_string(), "content", Shown::Unknown, more));
        }
        let extract = archive.run(self.extract(archive.form, &dest));
        let edits = [Edit::run(extract, effect, Reach::Anything)].into_iter().chain(self.given(&listing, &dest));
        Ok(Plan { edits: edits.collect(), ..plan })
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new(self.dest.display().to_string(), "content", Shown::Unknown, Shown::Unknown)]
    }

    fn report(&self, applied: &Applied) -> Data {
        let told = |output: &Output| json!({"rc": output.status, "out": output.stdout, "err": output.stderr});
        applied.outputs.first().map(|output| ("extract_results".to_owned(), told(output))).into_iter().collect()
    }
}

/// An archive, how it is packed, and how programs get at it.
struct Archive {
    form: Form,
    path: String,
    /// In base64, if it is not on the host.
    content: Option<String>,
}

impl Archive {
    /// A program that reads it.
    fn run(&self, words: Vec<String>) -> Command {
        match &self.content {
            None => {
                let words: Vec<String> =
                    words.into_iter().map(|word| if word == ARCHIVE { self.path.clone() } else { word }).collect();
                Command::new(words[0].as_str(), &words[1..])
            }
            Some(content) => {
                let args = ["-c".to_owned(), KEEP.into(), "unarchive".into()].into_iter().chain(words);
                Command { stdin: Some(Input::Plain(content.clone())), ..Command::new("/bin/sh", args) }
            }
        }
    }
}

impl Unarchive {
    fn archive(&self, host: &dyn Host) -> Result<Archive, Error> {
        let path = self.src.display().to_string();
        let missing = |msg: String, reason: &str| Err(Error::path("read", &self.src, reason).telling("msg", msg));
        if path.contains("://") {
            return Err(Error::refused(
                http::masked(&path),
                "is an address",
                "fetch it with a `get_url` task, and name the file",
            ));
        }
        if let Some(sha256) = &self.sha256 {
            let content = host.blob(sha256)?;
            return match Form::of(&content) {
                Some(form) => Ok(Archive { form, path, content: Some(STANDARD.encode(content)) }),
                None => missing(format!("Invalid archive '{path}', the file is 0 bytes"), "it is empty"),
            };
        }
        if !self.remote_src && self.copy != Some(false) {
            return Err(Error::param("src", "names no file of the controller"));
        }
        if !common::resolve(host, &self.src)?.1.is_some_and(|stat| stat.is_file()) {
            return missing(format!("Source '{path}' does not exist"), "No such file");
        }
        let magic = host.query(&Command::new("od", ["-A", "n", "-t", "x1", "-N", "6", "--", &path]))?.stdout;
        let bytes: Vec<u8> = magic.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        match Form::of(&bytes) {
            Some(form) => Ok(Archive { form, path, content: None }),
            None => missing(format!("Invalid archive '{path}', the file is 0 bytes"), "it is empty"),
        }
    }

    fn words<'a>(words: &'a [Word], prefix: &'a str) -> impl Iterator<Item = String> + 'a {
        words.iter().map(move |Word(word)| format!("{prefix}{word}"))
    }

    /// tar with what it is to do.
    fn tar(&self, action: &str, dest: &Path) -> Vec<String> {
        let mut words: Vec<String> = ["tar", action, "-C"].map(str::to_owned).into();
        words.push(dest.display().to_string());
        if !self.extra_opts.is_empty() {
            words.push("--show-transformed-names".into());
            words.extend(Self::words(&self.extra_opts, ""));
        }
        words.extend((self.keep_newer && action == "--extract").then(|| "--keep-newer-files".to_owned()));
        let exclude = self.exclude.iter().map(|Word(name)| format!("--exclude={}", name.trim_end_matches('/')));
        words.extend(exclude);
        words.extend(["-f".to_owned(), ARCHIVE.into()]);
        words.extend(Self::words(&self.include, ""));
        words
    }

    fn extract(&self, form: Form, dest: &Path) -> Vec<String> {
        if form != Form::Zip {
            return self.tar("--extract", dest);
        }
        let mut words: Vec<String> = ["unzip", "-o"].map(str::to_owned).into();
        words.extend(Self::words(&self.extra_opts, ""));
        words.push(ARCHIVE.into());
        words.extend(Self::words(&self.include, ""));
        if !self.exclude.is_empty() {
            words.push("-x".into());
            words.extend(Self::words(&self.exclude, ""));
        }
        words.extend(["-d".to_owned(), dest.display().to_string()]);
        words
    }

    /// What is in the archive, and what of it is not there or is not the same.
    fn listing(&self, host: &dyn Host, archive: &Archive, dest: &Path) -> Result<Listing, Error> {
        let ask = |words: Vec<String>| host.query(&archive.run(words));
        let failed = |output: Output| {
            let path = &archive.path;
            let said = output.last_words();
            let error = Error::Failed(format!("cannot read the archive {path}{said}"));
            error.telling("msg", format!("Failed to find handler for \"{path}\". Make sure the required command to extract the file is installed.{said}"))
        };
        if archive.form == Form::Zip {
            let output = ask(["unzip", "-v", ARCHIVE].map(str::to_owned).into())?;
            if !output.success() {
                return Err(failed(output));
            }
            return Listing::zip(host, &output.stdout, dest, &|name| self.means(name));
        }
        let list = ask(self.tar("--list", dest))?;
        if !list.success() {
            return Err(failed(list));
        }
        let diff = ask(self.tar("--diff", dest))?;
        // Only root gives files to others.
        let owners = match format!("{}{}", diff.stdout, diff.stderr).contains("id differs") {
            true => host.query(&Command::new("id", ["-u"]))?.stdout.trim() == "0",
            false => false,
        };
        let heeds = |what: &str| match what {
            "Uid" => owners && self.owner.is_none(),
            "Gid" => owners && self.group.is_none(),
            "Mode" => self.mode.is_none(),
            _ => true,
        };
        Ok(Listing::tar(&list.stdout, &format!("{}\n{}", diff.stdout, diff.stderr), &heeds))
    }

    /// Whether a name in a zip is unpacked.
    fn means(&self, name: &str) -> bool {
        let matches = |Word(pattern): &Word| {
            pattern == name
                || common::regex("exclude", &common::glob(pattern))
                    .is_ok_and(|regex| regex.is_match(name).unwrap_or(false))
        };
        (self.include.is_empty() || self.include.iter().any(matches)) && !self.exclude.iter().any(matches)
    }

    /// Owners and permissions of what was unpacked.
    fn given(&self, listing: &Listing, dest: &Path) -> Vec<Edit> {
        let who = common::chown(self.owner.as_deref(), self.group.as_deref());
        let who = (!who.is_empty()).then(|| vec!["chown".to_owned(), "-h".into(), who]);
        let bits = self.mode.as_ref().map(|mode| {
            let mode = match mode {
                Mode::Bits(bits) => format!("{bits:04o}"),
                Mode::Symbolic(clauses) => clauses.clone(),
            };
            vec!["chmod".to_owned(), mode]
        });
        let paths: Vec<String> = listing.paths(dest).iter().map(|path| path.display().to_string()).collect();
        let mut edits = Vec::new();
        for words in who.into_iter().chain(bits) {
            for some in paths.chunks(CHUNK) {
                let args = words[1..].iter().cloned().chain(["--".to_owned()]).chain(some.iter().cloned());
                let aspect = if words[0] == "chmod" { "mode" } else { "owner" };
                let last = words.last().map(String::as_str).unwrap_or_default();
                let effect =
                    vec![Diff::new(format!("{} (what is unpacked)", dest.display()), aspect, Shown::Unknown, last)];
                edits.push(Edit::run(Command::new(words[0].as_str(), args), effect, Reach::Anything));
            }
        }
        edits
    }
}

impl Form {
    /// By the first bytes; `None`: there are none.
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [] => return None,
            [b'P', b'K', ..] => Self::Zip,
            [0x1f, 0x8b, ..] => Self::Tar("TgzArchive"),
            [b'B', b'Z', b'h', ..] => Self::Tar("TarBzipArchive"),
            [0xfd, b'7', b'z', ..] => Self::Tar("TarXzArchive"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Tar("TarZstdArchive"),
            _ => Self::Tar("TarArchive"),
        })
    }

    /// Ansible's name for it.
    fn handler(self) -> Value {
        match self {
            Self::Zip => "ZipArchive".into(),
            Self::Tar(handler) => handler.into(),
        }
    }
}
