// Publishes a card's move to NATS, and tells what the inbox has stored.
//
//     node publish.mjs STREAM CARD COLUMN

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [stream, card, column] = process.argv.slice(2);
const client = await connect({
  servers: process.env.TAKT_NATS ?? "nats://127.0.0.1:4222",
  user: "publisher",
  pass: process.env.TAKT_NATS_PUBLISHER_PASSWORD,
});
const now = new Date().toISOString();
// Made once: whoever tries again sends the same id, time and data, so that it counts once.
const event = {
  specversion: "1.0",
  id: `${card}/${column}/${now}`,
  source: "/examples/javascript",
  type: "dev.takt.report.card.v1",
  time: now,
  data: { card, column },
};
const stored = await jetstream(client).publish(`takt.in.${stream}.card`, JSON.stringify(event));
console.log(`stored in the inbox at ${stored.seq}`);
await client.close();
