// Follows a value stream over NATS, and goes on where it was when it is started again.
//
//     node subscribe.mjs STREAM CHECKPOINT

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [stream, checkpoint] = process.argv.slice(2);

function handle(sequence, event) {
  console.log(sequence, event.type, event.subject ?? "");
}

function save(sequence) {
  writeFileSync(`${checkpoint}.new`, String(sequence));
  renameSync(`${checkpoint}.new`, checkpoint);
}

const client = await connect({
  servers: process.env.TAKT_NATS ?? "nats://127.0.0.1:4222",
  user: "subscriber",
  pass: process.env.TAKT_NATS_SUBSCRIBER_PASSWORD,
  inboxPrefix: "_INBOX_subscriber",
  maxReconnectAttempts: -1,
});
const seen = existsSync(checkpoint) ? Number(readFileSync(checkpoint, "utf8")) : 0;
// An ordered consumer. What is there comes first, then what happens: in order, for ever.
const log = await jetstream(client, { apiPrefix: "TAKTJS" }).consumers.get("TAKT_LOG", {
  filter_subjects: `takt.log.${stream}.>`,
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: seen + 1,
});
for await (const message of await log.consume()) {
  handle(message.seq, message.json());
  save(message.seq);
}
