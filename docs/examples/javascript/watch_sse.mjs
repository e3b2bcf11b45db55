// Follows a value stream by server-sent events, with nothing but Node. In a browser on Takt's own
// pages `new EventSource(url)` does all of this.
//
//     node watch_sse.mjs STREAM [LAST_SEQUENCE]

const [stream, last = "0"] = process.argv.slice(2);
const server = process.env.TAKT_SERVER ?? "http://127.0.0.1:7420";

async function* lines(body) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    const whole = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = whole.pop();
    yield* whole;
  }
}

async function* events(last) {
  const url = `${server}/v1/streams/${encodeURIComponent(stream)}/events/watch`;
  for (;;) {
    try {
      const answer = await fetch(url, { headers: { "last-event-id": String(last) } });
      if (!answer.ok && answer.status < 500) {
        console.error(await answer.text());
        process.exit(1);
      }
      for await (const line of lines(answer.body)) {
        if (!line.startsWith('data: {"taktseq":')) continue;
        const event = JSON.parse(line.slice("data: ".length));
        last = event.taktseq;
        yield event;
      }
    } catch {
      // It is away; what happens meanwhile is not missed.
    }
    await new Promise((again) => setTimeout(again, 1000));
  }
}

for await (const event of events(Number(last))) {
  console.log(event.taktseq, event.type, event.subject ?? "");
}
