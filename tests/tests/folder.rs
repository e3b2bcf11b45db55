//! The data folder: it belongs to one process, and it may be full or read-only for a while.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use takt_tests::{Ended, Server, binary, tools};

#[test]
fn a_second_process_on_a_folder_is_refused_and_the_first_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    let second = Command::new(binary::takt());
    let refused = Server::start_as(second, data.path(), "127.0.0.1:0").unwrap_err();
    assert_eq!(refused.code, 2, "{refused:?}");
    let folder = data.path().join("log").display().to_string();
    for words in [&folder, "in use by another process", "hint: stop it or choose another"] {
        assert!(refused.err.contains(words), "{refused:?}");
    }
    server.ok(&["card", "add", "--column", "Todo", "still here"]);
}

#[test]
fn a_second_server_at_a_taken_address_is_refused_with_the_address() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(one.path());
    let second = Command::new(binary::takt());
    let refused = Server::start_as(second, other.path(), &server.address()).unwrap_err();
    assert!(refused.code != 0 && refused.err.contains(&server.address()), "{refused:?}");
}

/// A file system of a few megabytes in memory, unmounted when it goes out of scope.
struct Small(PathBuf);

impl Small {
    /// None where only root may mount.
    fn mount(at: &Path) -> Option<Self> {
        let mount = |args: &[&str]| {
            Command::new("mount").args(args).arg(at).output().is_ok_and(|it| it.status.success())
        };
        mount(&["-t", "tmpfs", "-o", "size=4m", "takt-test"]).then(|| Self(at.to_path_buf()))
    }

    fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &how]).arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A server that still runs holds it; lazily it goes with it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn add(server: &Server, number: u32) -> Ended {
    let title = "a title that takes its room ".repeat(140);
    let id = format!("C-{number}");
    server.takt(&["card", "add", "--id", &id, "--column", "Todo", &title, "-o", "json"])
}

/// Adds cards until the folder is full: those that were acknowledged, and the refusal.
fn fill(server: &Server) -> (u32, Ended) {
    for number in 0..5000 {
        let ended = add(server, number);
        if ended.code != 0 {
            return (number, ended);
        }
    }
    panic!("the folder never filled up");
}

fn refused_for_want_of_room(refused: &Ended) {
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("hint: "), "{refused:?}");
    assert!(refused.err.contains("nothing that was acknowledged is lost"), "{refused:?}");
}

fn holds(server: &Server, acknowledged: u32) {
    let cards = server.json(&["card", "list"]);
    let cards: Vec<&str> =
        cards.as_array().unwrap().iter().map(|card| card["card"].as_str().unwrap()).collect();
    for number in 0..acknowledged {
        assert!(cards.contains(&format!("C-{number}").as_str()), "C-{number} is lost");
    }
    assert_eq!(server.json(&["log", "verify"])["ok"], true);
    assert_eq!(server.json(&["projection", "verify"])["ok"], true);
}

#[test]
fn a_full_disk_refuses_with_exit_code_3_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(folder.path()) else {
        // The next test fills a file instead of a disk, and needs no right to mount.
        tools::say("SKIPPED: only root may mount a small file system; the limit of a file stays");
        return;
    };
    let mut server = Server::start(&folder.path().join("data"));
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    let (acknowledged, refused) = fill(&server);
    refused_for_want_of_room(&refused);
    assert!(acknowledged > 5, "{acknowledged}");
    small.remount("size=64m");
    server.kill_and_restart();
    holds(&server, acknowledged);
    assert_eq!(add(&server, 10_000).code, 0, "{}", server.said());

    // What is read-only from the start is refused by name, and nothing of it is harmed.
    server.kill();
    small.remount("ro");
    let data = folder.path().join("data");
    let refused = Server::start_as(Command::new(binary::takt()), &data, "127.0.0.1:0").unwrap_err();
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains(&data.display().to_string()), "{refused:?}");
    assert!(refused.err.to_lowercase().contains("read-only"), "{refused:?}");
    small.remount("rw");
    let server = Server::start(&data);
    holds(&server, acknowledged);
    assert_eq!(add(&server, 10_001).code, 0, "{}", server.said());
}

#[test]
fn there_is_room_again_and_the_same_server_writes_again() {
    let folder = tempfile::tempdir().unwrap();
    // The limit is on the length of a file: a write past it fails as on a full disk.
    let mut limited = Command::new("sh");
    let start = "trap '' XFSZ; ulimit -S -f 4000; exec \"$0\" \"$@\"";
    limited.args(["-c", start]).arg(binary::takt());
    let server = Server::start_as(limited, folder.path(), "127.0.0.1:0").unwrap();
    server.ok(&["stream", "create", "shop"]);
    server.ok(&["column", "set", "Todo"]);
    let (acknowledged, refused) = fill(&server);
    refused_for_want_of_room(&refused);
    let lifted = Command::new("prlimit")
        .args(["--pid", &server.id().to_string(), "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    let again = add(&server, 10_000);
    assert_eq!(again.code, 0, "{again:?}\n{}", server.said());
    holds(&server, acknowledged);
}
