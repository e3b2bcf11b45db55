//! CDEvents of both versions: recorded once each, and the line stands for what is broken.

#![expect(clippy::indexing_slicing, reason = "what is not there fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use takt_proto::v1::andon_service_client::AndonServiceClient;
use takt_proto::v1::event_service_client::EventServiceClient;
use takt_proto::v1::publish_result::Result as Outcome;
use takt_proto::v1::{ListAlertsRequest, ReadRequest};
use tonic::transport::Channel;

use super::{Server, card, publish};

const SAMPLES: &str = include_str!("../../../takt-intake/samples/cdevents.jsonl");
/// The conformance examples of the project CDEvents, which lie beside the repository or not.
const CONFORMANCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/cdevents");

/// Events by the name that their id is made of.
type Named = BTreeMap<String, Value>;

fn samples() -> Named {
    let events = SAMPLES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| (event["context"]["id"].as_str().unwrap().to_owned(), event)).collect()
}

/// Every example, with an id of its own that is the name of its file.
fn conformance() -> Option<Named> {
    let mut examples = Named::new();
    for version in ["v0.4.1", "v0.5.1"] {
        let folder = std::fs::read_dir(Path::new(CONFORMANCE).join(version)).ok()?;
        for entry in folder {
            let path = entry.unwrap().path();
            let mut event: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = format!("{version}/{}", path.file_name().unwrap().to_str().unwrap());
            event["context"]["id"] = Value::from(name.as_str());
            examples.insert(name, event);
        }
    }
    Some(examples)
}

async fn counts(channel: &Channel, events: Vec<Vec<u8>>) -> [usize; 3] {
    let mut client = EventServiceClient::new(channel.clone());
    let answer = client.publish(publish(events)).await.unwrap().into_inner();
    let mut counts = [0; 3];
    for result in answer.results {
        counts[match result.result.unwrap() {
            Outcome::Recorded(_) => 0,
            Outcome::Duplicate(_) => 1,
            Outcome::Dead(dead) => {
                assert!(dead.reason.starts_with("identity reused"), "{dead:?}");
                2
            }
        }] += 1;
    }
    counts
}

async fn stops(channel: &Channel) -> Vec<takt_proto::v1::Alert> {
    let mut client = AndonServiceClient::new(channel.clone());
    let request = ListAlertsRequest { stream: "shop".to_owned(), ..Default::default() };
    let alerts = client.list_alerts(request).await.unwrap().into_inner().alerts;
    alerts.into_iter().filter(|alert| alert.effect == "stop").collect()
}

/// The events of the log, as JSON.
async fn log(channel: &Channel) -> Vec<Value> {
    let mut client = EventServiceClient::new(channel.clone());
    let request = ReadRequest { stream: "shop".to_owned(), ..Default::default() };
    let mut events = client.read(request).await.unwrap().into_inner();
    let mut read = vec![];
    while let Some(event) = events.message().await.unwrap() {
        read.push(serde_json::from_slice(&event.event).unwrap());
    }
    read
}

/// By the kind of the open stops: what has pulled and joined each.
fn behind(log: &[Value]) -> BTreeMap<String, Vec<String>> {
    let fact = |id: &Value| {
        let event = log.iter().find(|event| event["id"] == *id).unwrap();
        event["data"]["cdevent"]["context"]["id"].as_str().unwrap().to_owned()
    };
    let about = |alert: &Value| {
        let told = log.iter().filter(|it| it["data"]["alert"] == *alert);
        let mut triggers: Vec<String> =
            told.filter_map(|it| it["data"].pointer("/trigger/event")).map(fact).collect();
        triggers.sort();
        triggers
    };
    let pulled = log.iter().filter(|event| event["type"] == "dev.takt.andon.pulled.v1");
    pulled
        .map(|it| {
            let kind = it["data"]["cause"]["kind"].as_str().unwrap().to_owned();
            (kind, about(&it["data"]["alert"]))
        })
        .collect()
}

/// What subscribers are told of every event of the log.
async fn told(channel: &Channel) -> Vec<Vec<u8>> {
    let log = log(channel).await;
    let pulled = log.iter().find(|event| event["type"] == "dev.takt.andon.pulled.v1").unwrap();
    let takt = pulled["source"].as_str().unwrap();
    let sent = (1..).zip(&log).filter_map(|(seq, event)| {
        let recorded = takt_events::decode(seq, event.to_string().as_bytes()).unwrap();
        let telling = takt_ports::Telling { recorded: &recorded, source: takt, alert: None };
        takt_intake::outlet::cdevent(&telling)
    });
    sent.map(|message| message.bytes.to_vec()).collect()
}

/// Publishes events twice, the second time backwards, and returns what stands behind each stop.
async fn published(server: &Server, events: &Named) -> BTreeMap<String, Vec<String>> {
    let channel = server.shop().await;
    let bytes: Vec<Vec<u8>> = events.values().map(|it| it.to_string().into_bytes()).collect();
    assert_eq!(counts(&channel, bytes.clone()).await, [events.len(), 0, 0]);
    let again = bytes.into_iter().rev().collect();
    assert_eq!(counts(&channel, again).await, [0, events.len(), 0]);
    assert_eq!(stops(&channel).await.len(), 4);
    let log = log(&channel).await;
    for event in events.values() {
        let kept = log.iter().filter(|entry| {
            let data = &entry["data"];
            data["cdevent"] == *event || data["data"] == *event
        });
        assert_eq!(kept.count(), 1, "{event}");
    }
    behind(&log)
}

fn both(names: &[&str], of: fn(&str, &str) -> String) -> Vec<String> {
    let versions = ["0.4.1", "0.5.1"];
    let mut all: Vec<String> =
        names.iter().flat_map(|name| versions.map(|version| of(name, version))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn every_event_is_recorded_once_and_four_alerts_stop_the_line() {
    let server = Server::start().await;
    let behind = published(&server, &samples()).await;
    let of = |names: &[&str]| both(names, |name, version| format!("{name}-{version}"));
    let expected = BTreeMap::from([
        ("test".to_owned(), of(&["testsuiterun.finished", "testcaserun.finished"])),
        ("pipeline".to_owned(), of(&["pipelinerun.finished", "taskrun.finished"])),
        ("rollback".to_owned(), of(&["service.rolledback"])),
        ("incident".to_owned(), of(&["incident.detected", "incident.reported"])),
    ]);
    assert_eq!(behind, expected);
    server.stopped().await;
}

#[tokio::test]
async fn what_subscribers_were_told_is_not_recorded_when_it_comes_back() {
    let server = Server::start().await;
    let samples = samples();
    published(&server, &samples).await;
    let channel = server.channel().await;
    let own = [card("1", "t"), card("2", "t")];
    assert_eq!(counts(&channel, own.to_vec()).await, [2, 0, 0]);
    let told = told(&channel).await;
    assert_eq!(told.len(), samples.len() + 2);
    let before = log(&channel).await.len();
    assert_eq!(counts(&channel, told).await, [0, samples.len() + 2, 0]);
    assert_eq!(log(&channel).await.len(), before);
    server.stopped().await;
}

#[tokio::test]
async fn the_conformance_examples_as_they_stand_have_three_identities() {
    let Some(examples) = conformance() else {
        println!("SKIPPED: `{CONFORMANCE}` is not there, so its examples were not published");
        return;
    };
    let server = Server::start().await;
    let channel = server.shop().await;
    let as_they_stand = |name: &String| std::fs::read(Path::new(CONFORMANCE).join(name)).unwrap();
    let events = examples.keys().map(as_they_stand).collect();
    assert_eq!(counts(&channel, events).await, [3, 0, 89]);
    server.stopped().await;
}

#[tokio::test]
async fn the_conformance_examples_pull_for_a_suite_a_pipeline_a_rollback_and_an_incident() {
    let Some(examples) = conformance() else {
        println!("SKIPPED: `{CONFORMANCE}` is not there, so its examples were not published");
        return;
    };
    assert_eq!(examples.len(), 92);
    let server = Server::start().await;
    let behind = published(&server, &examples).await;
    let of = |names: &[&str]| both(names, |name, version| format!("v{version}/{name}.json"));
    let expected = BTreeMap::from([
        ("test".to_owned(), of(&["testsuiterun_finished"])),
        ("pipeline".to_owned(), of(&["pipelinerun_finished", "taskrun_finished"])),
        ("rollback".to_owned(), of(&["service_rolledback"])),
        ("incident".to_owned(), of(&["incident_detected", "incident_reported"])),
    ]);
    assert_eq!(behind, expected);
    server.stopped().await;
}
