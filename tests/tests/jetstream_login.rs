//! Who is let in by a nats-server: every way of saying who we are, TLS, and the accounts of the
//! local stack with the rights that each has and has not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use nkeys::KeyPair;
use serde_json::{Value, json};
use takt_nats::{
    ConnectError, Connection, LEASE_TTL, Login, NatsBlobs, NatsDeadLetters, NatsInbox,
    NatsJobQueue, NatsLease, NatsLog, NatsOutbox, NatsRelay, OpenError, Secret, Settings, Tls,
};
use takt_ports::{Append, BlobStore, EventLog, Inbox, JobQueue, Lease, Outbox, Relay};
use takt_testkit::{board, dead_letters_contract, entry, out_message};
use takt_tests::Nats;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer is waited for that must not come: what is forbidden is not answered.
const MOMENT: Duration = Duration::from_secs(1);

fn settings(nats: &Nats, login: Login) -> Settings {
    Settings { login, ..Settings::new(nats.url()) }
}

fn user(name: &str, password: &str) -> Login {
    Login::User { name: name.to_owned(), password: Secret::new(password) }
}

/// Opens the log and appends to it.
async fn works(settings: &Settings) {
    let connection = Connection::open(settings, "test").await.unwrap();
    let log = NatsLog::open(connection, 1).await.unwrap();
    let append = Append { conditions: vec![], entries: vec![entry(&board("a"), "1")] };
    assert!(log.append(append).await.unwrap() > 0);
}

/// How it is refused, which never shows a secret.
async fn refused(settings: &Settings) -> ConnectError {
    let error = Connection::open(settings, "test").await.map(drop).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_let_in_by_its_password_and_by_no_other() {
    let nats = Nats::start_with("authorization { user: takt, password: secret }");
    works(&settings(&nats, user("takt", "secret"))).await;
    for login in [user("takt", "secret2"), Login::Token(Secret::new("secret")), Login::Nobody] {
        let error = refused(&settings(&nats, login)).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_the_seed_of_an_nkey_let_in() {
    let nats = Nats::start_with("authorization { token: secret }");
    works(&settings(&nats, Login::Token(Secret::new("secret")))).await;
    let (known, other) = (KeyPair::new_user(), KeyPair::new_user());
    let key = known.public_key();
    let nats = Nats::start_with(&format!("authorization {{ users: [ {{ nkey: {key} }} ] }}"));
    works(&settings(&nats, Login::Nkey(Secret::new(known.seed().unwrap())))).await;
    let error = refused(&settings(&nats, Login::Nkey(Secret::new(other.seed().unwrap())))).await;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
}

/// A JWT as `nsc` makes it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let claims = json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(),
        "sub": subject.public_key(), "name": "test", "nats": nats,
    });
    let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_lets_in() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1,
        "consumer": -1,
    });
    let of_account = json!({ "limits": limits, "type": "account", "version": 2 });
    let of_account = jwt(&operator, &account, &of_account);
    let system = KeyPair::new_account();
    let of_system = jwt(&operator, &system, &json!({ "type": "account", "version": 2 }));
    let of_operator = jwt(&operator, &operator, &json!({ "type": "operator", "version": 2 }));
    let nats = Nats::start_with(&format!(
        "operator: {of_operator}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{\n{}: {of_account}\n{}: {of_system}\n}}",
        system.public_key(),
        account.public_key(),
        system.public_key()
    ));
    let me = KeyPair::new_user();
    let of_user = json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
    let (of_user, seed) = (jwt(&account, &me, &of_user), me.seed().unwrap());
    let file = nats.folder().join("takt.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    fs::write(&file, text).unwrap();
    works(&settings(&nats, Login::Credentials(file.clone()))).await;
    let gone = nats.folder().join("gone.creds");
    let error = refused(&settings(&nats, Login::Credentials(gone.clone()))).await;
    assert!(error.to_string().contains(&gone.display().to_string()), "{error}");
}

fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let ended = command.args(args.split(' ')).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "`openssl {args}`: {said}; install `openssl`");
}

/// An authority, and what it has signed for a name.
fn certificates(folder: &Path, authority: &str, names: &[&str]) -> PathBuf {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let ca = format!("req -x509 {KEY} -keyout {authority}.key -out {authority}.pem");
    openssl(folder, &format!("{ca} -days 2 -subj /CN={authority}"));
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for name in names {
        let asked = format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}");
        openssl(folder, &asked);
        let signed = format!("x509 -req -in {name}.csr -out {name}.pem -days 2 -extfile names");
        openssl(
            folder,
            &format!("{signed} -CA {authority}.pem -CAkey {authority}.key -CAcreateserial"),
        );
    }
    folder.join(format!("{authority}.pem"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_each_side_knows_the_other_by_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path(), "ca", &["server", "takt"]);
    let other = certificates(folder.path(), "other", &[]);
    let file = |name: &str| folder.path().join(name);
    let nats = Nats::start_with(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {ca:?}, verify: true }}",
        file("server.pem"),
        file("server.key"),
    ));
    let own = Some((file("takt.pem"), file("takt.key")));
    let with = |ca: &Path, own: Option<(PathBuf, PathBuf)>| Settings {
        tls: Tls { ca: Some(ca.to_owned()), own },
        ..Settings::new(nats.url())
    };
    works(&with(&ca, own.clone())).await;
    refused(&with(&other, own)).await;
    refused(&with(&ca, None)).await;
    refused(&Settings::new(nats.url())).await;
}

/// The accounts of the local stack, each with the password `secret`.
fn stack() -> Nats {
    let config = takt_tests::repository().join("deploy/nats/nats-server.conf");
    let config = fs::read_to_string(config).unwrap();
    let (_, accounts) = config.split_once("accounts {").unwrap();
    let mut accounts = format!("accounts {{{accounts}");
    for account in ["SERVER", "SUBSCRIBER", "PUBLISHER"] {
        accounts = accounts.replace(&format!("$TAKT_NATS_{account}_PASSWORD"), "secret");
    }
    Nats::start_with(&accounts)
}

async fn client(nats: &Nats, name: &str, inbox: &str) -> Client {
    let options = ConnectOptions::with_user_and_password(name.to_owned(), "secret".to_owned());
    let options = options.custom_inbox_prefix(inbox).request_timeout(Some(MOMENT));
    options.connect(nats.url()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_server_account_suffice_for_every_port() {
    let nats = stack();
    let connection =
        Connection::open(&settings(&nats, user("takt", "secret")), "test").await.unwrap();
    let context = connection.context();
    let log = NatsLog::open(connection.clone(), 1).await.unwrap();
    let mut tail = log.tail(1);
    for entries in [vec!["1"], vec!["2", "3"]] {
        let entries = entries.into_iter().map(|text| entry(&board("a"), text)).collect();
        log.append(Append { conditions: vec![], entries }).await.unwrap();
    }
    let again = NatsLog::open(connection.clone(), 1).await.unwrap();
    assert_eq!(again.read(1, 10).await.unwrap().len(), 3);
    assert_eq!(again.read_subject(&board("a"), 2, 10).await.unwrap().len(), 2);
    let brought = timeout(PATIENCE, again.tail(1).next(10)).await.unwrap().unwrap();
    assert!(!brought.is_empty() && !tail.next(10).await.unwrap().is_empty());

    let letters = NatsDeadLetters::open(context.clone(), 1).await.unwrap();
    dead_letters_contract(async || Arc::new(letters.clone()) as _).await;
    let inbox = NatsInbox::open(context.clone(), 1, 1 << 20).await.unwrap();
    let publisher = jetstream::new(client(&nats, "publisher", "_INBOX").await);
    publish(&publisher, "takt.in.shop.x").await.unwrap();
    let mut incoming = inbox.follow(&"shop".into(), 0);
    let came = timeout(PATIENCE, incoming.next(10, 1000)).await.unwrap().unwrap();
    assert_eq!(came.len(), 1);
    assert_eq!(inbox.read("shop", 0, 10, 1000).await.unwrap().len(), 1);
    assert_eq!(inbox.tokens().await.unwrap(), ["shop"]);
    inbox.purge("shop", 1).await.unwrap();

    let outbox = NatsOutbox::open(context.clone(), 1).await.unwrap();
    outbox.send(vec![out_message(1, b"{}")]).await.unwrap();
    let node = Uuid::from_u128(1);
    let leases = NatsLease::open(context.clone(), node, LEASE_TTL, 1).await.unwrap();
    assert!(leases.hold("shop").await.unwrap().is_some());
    assert_eq!(leases.holders().await.unwrap(), [("shop".into(), node)]);
    leases.release("shop").await.unwrap();
    let jobs = NatsJobQueue::open(context.clone(), 1).await.unwrap();
    assert!(jobs.put("build", "a", Bytes::from_static(b"do")).await.unwrap());
    let job = jobs.take("build", PATIENCE, PATIENCE).await.unwrap().unwrap();
    jobs.done("build", &job).await.unwrap();
    let blobs = NatsBlobs::open(context.clone(), 1).await.unwrap();
    let id = blobs.put(Bytes::from(vec![7; 300_000])).await.unwrap();
    assert_eq!(blobs.get(id).await.unwrap().unwrap().len(), 300_000);
    assert!(blobs.remove(id).await.unwrap());
    let relay = NatsRelay::new(connection.clone());
    let mut serving = relay.serve("shop").await.unwrap();
    let answering = tokio::spawn(async move {
        let called = serving.next().await.unwrap();
        called.answer(Bytes::from_static(b"heard")).await;
    });
    let answer = relay.ask("shop", Bytes::from_static(b"moved"), PATIENCE).await.unwrap();
    assert_eq!(answer, "heard");
    answering.await.unwrap();
    // What even the server may not do.
    assert!(context.delete_stream("TAKT_LOG").await.is_err());
}

async fn publish(context: &Context, subject: &str) -> Result<u64, String> {
    let sent = context.publish(subject.to_owned(), Bytes::from_static(b"{}")).await;
    let acked = timeout(MOMENT, sent.map_err(|error| error.to_string())?).await;
    let acked = acked.map_err(|error| error.to_string())?;
    acked.map(|ack| ack.sequence).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_and_a_subscriber_can_do_what_they_must_and_no_more() {
    let nats = stack();
    let server = Connection::open(&settings(&nats, user("takt", "secret")), "test").await.unwrap();
    let log = NatsLog::open(server.clone(), 1).await.unwrap();
    let inbox = NatsInbox::open(server.context(), 1, 1 << 20).await.unwrap();
    NatsOutbox::open(server.context(), 1).await.unwrap();
    let publisher = jetstream::new(client(&nats, "publisher", "_INBOX").await);
    let subscriber = client(&nats, "subscriber", "_INBOX_subscriber").await;
    let subscriber = jetstream::with_prefix(subscriber, "TAKTJS");
    assert_eq!(publish(&publisher, "takt.in.shop.x").await, Ok(1));
    for subject in ["takt.log.shop.line", "takt.dead.shop.x", "takt.andon.shop", "takt.node.shop"] {
        publish(&publisher, subject).await.unwrap_err();
        publish(&subscriber, subject).await.unwrap_err();
    }
    publish(&subscriber, "takt.in.shop.x").await.unwrap_err();
    assert_eq!((log.head().await.unwrap(), inbox.count().await.unwrap()), (0, 1));
    publisher.get_stream("TAKT_LOG").await.unwrap_err();
    subscriber.get_stream("TAKT_LOG").await.unwrap();
    subscriber.get_stream("TAKT_IN").await.unwrap_err();
    assert!(subscriber.delete_stream("TAKT_OUT").await.is_err());
    server.context().get_stream("TAKT_OUT").await.unwrap();
}

/// The subjects of Takt and of JetStream that would do harm to whoever gets a message there.
const HARMFUL: [&str; 7] = [
    "takt.log.shop.board.main",
    "takt.in.shop.x",
    "takt.andon.shop",
    "takt.node.shop",
    "takt.node.shop.call",
    "$KV.TAKT_LEASES.shop",
    "$JS.API.STREAM.DELETE.TAKT_LOG",
];

/// The streams with an entry in each, and the server's account to look at them.
struct Stage {
    nats: Nats,
    server: Connection,
}

impl Stage {
    async fn new() -> Self {
        let nats = stack();
        let server = settings(&nats, user("takt", "secret"));
        let server = Connection::open(&server, "test").await.unwrap();
        let log = NatsLog::open(server.clone(), 1).await.unwrap();
        let append = Append { conditions: vec![], entries: vec![entry(&board("a"), "1")] };
        log.append(append).await.unwrap();
        NatsInbox::open(server.context(), 1, 1 << 20).await.unwrap();
        let outbox = NatsOutbox::open(server.context(), 1).await.unwrap();
        outbox.send(vec![out_message(1, b"{}")]).await.unwrap();
        NatsLease::open(server.context(), Uuid::from_u128(1), LEASE_TTL, 1).await.unwrap();
        Self { nats, server }
    }

    /// Each stream with when it was made and how far it is.
    async fn streams(&self) -> Vec<(&'static str, String, u64)> {
        let mut streams = vec![];
        for name in ["TAKT_LOG", "TAKT_IN", "TAKT_OUT", "KV_TAKT_LEASES"] {
            let stream = self.server.context().get_stream(name).await.unwrap();
            let info = stream.get_info().await.unwrap();
            streams.push((name, info.created.to_string(), info.state.last_sequence));
        }
        streams
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_an_answer_is_to_go_gives_nobody_more_rights() {
    let stage = Stage::new().await;
    let mut before = stage.streams().await;
    let relay = NatsRelay::new(stage.server.clone());
    let mut node = relay.serve("shop").await.unwrap();
    let subscriber = client(&stage.nats, "subscriber", "_INBOX_subscriber").await;
    let publisher = client(&stage.nats, "publisher", "_INBOX").await;
    let asked = [("STREAM.INFO.TAKT_OUT", ""), ("DIRECT.GET.TAKT_LOG", r#"{"seq":999}"#)];
    let prefixes = ["$JS.API", "TAKTJS"];
    for reply in HARMFUL {
        for (prefix, (asked, body)) in prefixes.iter().flat_map(|it| asked.map(|ask| (it, ask))) {
            let subject = format!("{prefix}.{asked}");
            let sent = subscriber.publish_with_reply(subject, reply, body.into());
            sent.await.unwrap();
        }
        let sent = publisher.publish_with_reply("takt.in.shop.y", reply, Bytes::new());
        sent.await.unwrap();
    }
    subscriber.flush().await.unwrap();
    publisher.flush().await.unwrap();
    assert!(timeout(MOMENT, node.next()).await.is_err(), "a node is called");
    // The publisher's own messages are there, and nothing else.
    before[1].2 += HARMFUL.len() as u64;
    assert_eq!(stage.streams().await, before);
}

/// Makes a consumer of all that a stream has, which delivers to a subject.
async fn deliver(subscriber: &Client, stream: &str, subject: &str) {
    let name = Uuid::new_v4().simple().to_string();
    let config = json!({
        "name": name, "deliver_policy": "all", "ack_policy": "none", "deliver_subject": subject,
        "mem_storage": true, "inactive_threshold": 60_000_000_000_u64,
    });
    let body = json!({ "stream_name": stream, "config": config }).to_string();
    let asked = format!("TAKTJS.CONSUMER.CREATE.{stream}.{name}");
    let made = subscriber.request(asked, body.into()).await.unwrap();
    let made: Value = serde_json::from_slice(&made.payload).unwrap();
    assert!(made.get("error").is_none(), "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_a_subscriber_delivers_to_subscribers_alone() {
    let stage = Stage::new().await;
    let before = stage.streams().await;
    let relay = NatsRelay::new(stage.server.clone());
    let mut node = relay.serve("shop").await.unwrap();
    let subscriber = client(&stage.nats, "subscriber", "_INBOX_subscriber").await;
    for subject in HARMFUL {
        // A consumer delivers where somebody listens, were it the attacker.
        let _listening = subscriber.subscribe(subject).await.unwrap();
        let other = if subject.starts_with("takt.log") { "TAKT_OUT" } else { "TAKT_LOG" };
        deliver(&subscriber, other, subject).await;
    }
    let mut own = subscriber.subscribe("_INBOX_subscriber.own").await.unwrap();
    deliver(&subscriber, "TAKT_LOG", "_INBOX_subscriber.own").await;
    let came = timeout(PATIENCE, own.next()).await.unwrap().unwrap();
    assert!(came.subject.starts_with("takt.log."), "{}", came.subject);
    assert!(timeout(MOMENT, node.next()).await.is_err(), "a node is called");
    assert_eq!(stage.streams().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_stream_with_other_settings_is_refused_with_the_difference() {
    let nats = Nats::start();
    let client = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let strange = jetstream::stream::Config {
        name: "TAKT_LOG".to_owned(),
        subjects: vec!["takt.log.>".to_owned()],
        ..Default::default()
    };
    client.create_stream(strange).await.unwrap();
    let connection = Connection::open(&Settings::new(nats.url()), "test").await.unwrap();
    let refused = NatsLog::open(connection, 1).await.map(drop).unwrap_err();
    let OpenError::Differs { differences, .. } = &refused else { panic!("{refused}") };
    let settings: Vec<_> = differences.iter().map(|it| it.setting.as_str()).collect();
    for setting in ["duplicate_window", "allow_atomic", "deny_delete", "metadata.takt-log-id"] {
        assert!(settings.contains(&setting), "`{setting}` is not in {settings:?}");
    }
}
