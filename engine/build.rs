//! Builds the agent for the architectures of the targets and embeds it, compressed.
//!
//! - `TRUEUP_AGENT=none` embeds nothing: for checks and lints, and while working on the engine.
//! - `TRUEUP_AGENT=own` embeds that of this machine's architecture: to measure, where time is short.
//! - `TRUEUP_AGENT_DIR=dir` takes the files `trueup-agent-ARCH` from there, and `trueup-agent-ARCH-small` if they exist.
//! - Otherwise a release build carries agents for x86_64 and aarch64, each with PostgreSQL and (small) without; any other
//!   build one for this machine's architecture.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

#[path = "src/connect/calls.rs"]
mod calls;

const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// What an agent can do: all, or all but the modules for PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Small,
}

impl Extent {
    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Small => "-small",
        }
    }
}

fn main() {
    for name in ["TRUEUP_AGENT", "TRUEUP_AGENT_DIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for path in [
        "build.rs",
        "src/connect/calls.rs",
        "../modules/src",
        "../modules/agent",
        "../modules/Cargo.toml",
        "../Cargo.toml",
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut entries = String::new();
    for (arch, extent, binary) in agents(&out) {
        let bytes = fs::read(&binary).unwrap_or_else(|error| panic!("failed to read {}: {error}", binary.display()));
        let packed = out.join(format!("trueup-agent-{arch}{}.zst", extent.suffix()));
        // The best that can be had takes seconds; a build that is made often has no use for it.
        let level = if variable("PROFILE") == "release" { 19 } else { 3 };
        let mut program = bytes.clone();
        calls::pack(&mut program);
        let compressed = zstd::encode_all(program.as_slice(), level).expect("compressing in memory");
        calls::unpack(&mut program);
        assert!(program == bytes, "{} does not come back as it was packed", binary.display());
        fs::write(&packed, compressed).unwrap_or_else(|error| panic!("failed to write {}: {error}", packed.display()));
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let size = bytes.len();
        let whole = extent == Extent::Whole;
        writeln!(entries, "    ({arch:?}, {whole}, {sha256:?}, {size}, include_bytes!({packed:?})),")
            .expect("writing to a string");
    }
    let table = format!("static EMBEDDED: &[(&str, bool, &str, usize, &[u8])] = &[\n{entries}];\n");
    fs::write(out.join("agents.rs"), table).expect("OUT_DIR can be written to");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Architectures, and where their agents are.
fn agents(out: &Path) -> Vec<(&'static str, Extent, PathBuf)> {
    if env::var("TRUEUP_AGENT").is_ok_and(|value| value == "none") {
        return Vec::new();
    }
    let extents = |arch| [(arch, Extent::Small), (arch, Extent::Whole)];
    if let Some(dir) = env::var_os("TRUEUP_AGENT_DIR") {
        println!("cargo::rerun-if-changed={}", Path::new(&dir).display());
        let file = |arch, extent: Extent| Path::new(&dir).join(format!("trueup-agent-{arch}{}", extent.suffix()));
        let files =
            ARCHITECTURES.into_iter().flat_map(extents).map(|(arch, extent)| (arch, extent, file(arch, extent)));
        return files.filter(|(_, _, path)| path.exists()).collect();
    }
    let here = variable("CARGO_CFG_TARGET_ARCH");
    let release = variable("PROFILE") == "release";
    let own = env::var("TRUEUP_AGENT").is_ok_and(|value| value == "own");
    let wanted = |(arch, extent): &(&str, Extent)| match release {
        true => !own || *arch == here,
        false => *arch == here && *extent == Extent::Whole,
    };
    let all = ARCHITECTURES.into_iter().flat_map(extents).filter(wanted);
    all.filter_map(|(arch, extent)| Some((arch, extent, build(arch, extent, out, arch == here)?))).collect()
}

/// Builds one; `None`, with a warning, if this machine cannot and the agent can be done without.
fn build(arch: &str, extent: Extent, out: &Path, needed: bool) -> Option<PathBuf> {
    let triple = format!("{arch}-unknown-linux-musl");
    let give_up = |why: String| {
        assert!(!needed, "no agent for {arch}: {why} (TRUEUP_AGENT=none builds without)");
        println!("cargo::warning=no agent for {arch}: {why}");
        None
    };
    if !has_std(&triple) {
        return give_up(format!("the target {triple} is not installed (rustup target add {triple})"));
    }
    let profile = if variable("PROFILE") == "release" { "agent" } else { "agent-dev" };
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out. A target directory of its own has a lock of its own.
    let target = out.ancestors().nth(4).expect("OUT_DIR lies deep in the target directory").join("agent");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--quiet", "--package", "trueup-agent"])
        .args(if extent == Extent::Whole { ["--features", "postgres"].as_slice() } else { &[] })
        .args(["--target", &triple, "--profile", profile])
        .arg("--target-dir")
        .arg(&target);
    clean(&mut cargo);
    let screaming = triple.to_uppercase().replace('-', "_");
    // Rust brings a linker and musl's start files; no cross compiler is needed.
    cargo.env(format!("CARGO_TARGET_{screaming}_LINKER"), "rust-lld");
    cargo.env(format!("CARGO_TARGET_{screaming}_RUSTFLAGS"), rustflags());
    if let Some(compiler) = c_compiler(arch) {
        cargo.env(format!("CC_{}", triple.replace('-', "_")), compiler);
    }
    match cargo.output() {
        Ok(output) if output.status.success() => {
            // The next one is built in the same place.
            let built = target.join(&triple).join(profile).join("trueup-agent");
            let kept = out.join(format!("trueup-agent-{arch}{}", extent.suffix()));
            fs::copy(&built, &kept).unwrap_or_else(|error| panic!("failed to copy {}: {error}", built.display()));
            Some(kept)
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if needed {
                return give_up(text);
            }
            give_up(text.lines().find(|line| line.contains("error")).unwrap_or("the build failed").to_owned())
        }
        Err(error) => give_up(error.to_string()),
    }
}

/// Static, relocations packed (7 of 100 bytes), no tables for unwinding (12 of 100), and functions that came out the same once.
fn rustflags() -> String {
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../modules/agent/link.ld");
    let linker = ["--pack-dyn-relocs=relr", "--no-eh-frame-hdr", "--icf=all", &format!("-T{}", script.display())]
        .map(|argument| format!("-Clink-arg={argument}"));
    format!("-Clink-self-contained=yes -Ctarget-feature=+crt-static {}", linker.join(" "))
}

/// A compiler for the C that some dependencies have in them (ring), where the usual one, `ARCH-linux-musl-gcc`, is
/// missing. They need no libc from it, so that one for glibc will do.
fn c_compiler(arch: &str) -> Option<String> {
    let here = arch == env::consts::ARCH;
    let compilers = [format!("{arch}-linux-musl-gcc"), format!("{arch}-linux-gnu-gcc")];
    let native = ["musl-gcc".to_owned(), "cc".to_owned()].into_iter().filter(|_| here);
    native
        .chain(compilers)
        .chain(["clang".to_owned()])
        .find(|name| Command::new(name).arg("--version").output().is_ok())
}

fn has_std(triple: &str) -> bool {
    let rustc = Command::new(variable("RUSTC")).args(["--print", "target-libdir", "--target", triple]).output();
    rustc.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Keeps what belongs to the outer build (its flags, its target, lints' wrappers) out of the inner one, but for how to
/// reach registries and how many jobs to run.
fn clean(cargo: &mut Command) {
    const KEEP: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_MAKEFLAGS"];
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let kept = KEEP.iter().any(|keep| name.starts_with(keep));
        let of_rust = ["RUSTFLAGS", "RUSTC", "RUSTDOC", "RUSTC_WORKSPACE_WRAPPER", "TARGET", "HOST", "PROFILE"];
        if (name.starts_with("CARGO") && !kept) || of_rust.contains(&name.as_str()) {
            cargo.env_remove(name);
        }
    }
}
