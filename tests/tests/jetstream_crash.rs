//! kill -9 of nodes, of the nats-server and of all at once, under load on two nodes: nothing
//! acknowledged is lost or doubled, and both nodes know the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::path::Path;
use std::time::Duration;

use takt_tests::crash::{Writers, in_folders};
use takt_tests::inbox::until;
use takt_tests::nats::Nats;
use takt_tests::server::steady_address;
use takt_tests::{Random, Server, summary};

/// After so many rounds the folders have seen enough, and new ones are taken.
const ROUNDS_A_FOLDER: u64 = 10;

/// What was found over all rounds.
#[derive(Default)]
struct Found {
    restarts: Vec<Duration>,
    acknowledged: u64,
    events: u64,
    nodes_killed: u64,
    nats_killed: u64,
}

struct House {
    nats: Nats,
    nodes: Vec<Server>,
}

impl House {
    fn open(data: &Path) -> Self {
        let nats = Nats::start();
        let start =
            |name: &str| Server::start_node(&data.join(name), &steady_address(), &nats.url());
        let nodes = vec![start("one"), start("other")];
        Self { nats, nodes }
    }

    /// Kills what the turn says, all in the same moment, and starts it again.
    fn kill(&mut self, random: &mut Random, found: &mut Found) {
        let turn = random.below(5);
        let nodes: &[usize] = [&[0][..], &[1], &[], &[0], &[0, 1]][usize::try_from(turn).unwrap()];
        let nats = turn >= 2;
        for node in nodes {
            self.nodes[*node].kill();
        }
        if nats {
            self.nats.kill();
            self.nats.restart();
        }
        found.nats_killed += u64::from(nats);
        found.nodes_killed += nodes.len() as u64;
        for node in nodes {
            let (data, address) = {
                let old = &self.nodes[*node];
                (old.data().to_path_buf(), old.address())
            };
            self.nodes[*node] = Server::start_node(&data, &address, &self.nats.url());
            found.restarts.push(self.nodes[*node].ready_in);
        }
    }

    /// Both nodes are at one sequence with one hash, which is that of a replay.
    fn agree(&self, round: u64) {
        let seen = || {
            [0, 1].map(|node| self.nodes[node].takt(&["projection", "status", "-o", "json"]).out)
        };
        let hash = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
        until("one hash on both nodes", seen, |[one, other]| {
            let (one, other) = (hash(one), hash(other));
            one.is_some()
                && one.map(|it| (it["head"].clone(), it["hash"].clone()))
                    == other.map(|it| (it["applied"].clone(), it["hash"].clone()))
        });
        let verified = self.nodes[0].takt(&["projection", "verify", "-o", "json"]);
        assert_eq!(verified.code, 0, "round {round}: {verified:?}\n{}", self.nodes[0].said());
    }
}

fn rounds_on_one_folder(rounds: u64, random: &mut Random, found: &mut Found) {
    let data = tempfile::tempdir().unwrap();
    let mut house = House::open(data.path());
    let nodes: Vec<&Server> = house.nodes.iter().collect();
    let mut writers = Writers::start(&nodes, Some(&house.nats.url()));
    for round in 0..rounds {
        writers.write_for_a_moment(random);
        house.kill(random, found);
        writers.check(round + 1 == rounds);
        house.agree(round);
        let log = house.nodes[1].takt(&["log", "verify", "-o", "json"]);
        assert_eq!(log.code, 0, "round {round}: {log:?}");
        if round + 1 < rounds {
            writers.go_on();
        }
    }
    let [events, acknowledged] = writers.end();
    found.events += events;
    found.acknowledged += acknowledged;
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_nodes_and_nats_are_killed_under_load() {
    let rounds = takt_tests::number("TAKT_CRASH_ROUNDS", 10);
    let mut random = Random::said("the crash rounds on NATS");
    let mut found = Found::default();
    in_folders(rounds, ROUNDS_A_FOLDER, |now| rounds_on_one_folder(now, &mut random, &mut found));
    assert!(found.acknowledged > rounds, "there was no load: {}", found.acknowledged);
    let Found { restarts, acknowledged, events, nodes_killed, nats_killed } = found;
    let measured = format!(
        "{acknowledged} acknowledged of {events} events, {nodes_killed} nodes and {nats_killed} \
         nats-servers killed, restart of a node {}",
        summary::spans(restarts)
    );
    summary::row("kill -9 under load on NATS, two nodes", rounds, &measured);
}
