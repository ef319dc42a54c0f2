// Read a stream from Redis, from its start and then live, with the npm package `redis` alone.
//
// The log holds everything; the channel repeats each event once the log has it. So: listen first, then read the log, and
// read the log again whenever the channel may have left something out. What the names and events mean is told in
// docs/redis.md.
//
//     cd examples && npm install && node redis_subscriber.mjs STREAM [URL]

import { createHash } from "node:crypto";
import { createClient } from "redis";

const PAGE = 100;
const QUIET = 2; // seconds of silence after which the log is read again
const INBOX = 1000; // messages kept while the log is read; the log has the others, too
const PATIENCE = 30; // seconds without an answer after which Redis counts as gone

const [stream, url = process.env.REDIS_URL ?? "redis://localhost:6379/0"] = process.argv.slice(2);
if (!stream || stream.startsWith("-")) {
  console.error("usage: node redis_subscriber.mjs STREAM [URL]");
  process.exit(2);
}
const key = `streamfan:{${stream}}`;
const client = createClient({ url });
const listener = client.duplicate();
// Both come back by themselves, and so do subscriptions; what was missed meanwhile is in the log. But not for ever.
let away = null;
for (const each of [client, listener]) {
  each.on("error", (error) => {
    away ??= setTimeout(() => {
      console.error(`\nRedis is gone after ${position} bytes: ${error.message || error.code}`);
      process.exit(1);
    }, PATIENCE * 1000);
  });
  each.on("ready", () => {
    clearTimeout(away);
    away = null;
  });
}

let attempt;
let position = 0;
let end = null;
const hash = createHash("sha256");

// The event that a message is; null for anything else, for anybody may publish on a channel.
function parsed(message) {
  try {
    const event = JSON.parse(message);
    return event?.stream === stream ? event : null;
  } catch {
    return null;
  }
}

// Takes what is new of an event; false if something is missing before it.
function take(event) {
  if (event.v !== 1) throw new Error(`version ${event.v} is not known`);
  if (event.attempt > attempt) throw new Error("the stream was started again");
  if (event.attempt < attempt || event.type === "start") return true;
  if (event.offset > position) return false;
  if (event.type === "end") {
    end = event;
  } else if (event.end > position) {
    const data = Buffer.from(event.text).subarray(position - event.offset);
    hash.update(data);
    process.stdout.write(data);
    position = event.end;
  }
  return true;
}

// Takes all that the log has after the position; returns how much that was.
async function catchUp() {
  let count = 0;
  for (;;) {
    const page = await client.xRange(`${key}:log`, `(${attempt}-${position}`, "+", { COUNT: PAGE });
    for (const { message } of page) {
      if (!take(JSON.parse(message.event))) throw new Error(`history is gone after ${position} bytes`);
    }
    count += page.length;
    if (end || page.length < PAGE) return count;
  }
}

// Seconds within which the producer has to show that it lives.
async function leaseTime() {
  const [entry] = await client.xRevRange(`${key}:attempt`, "+", "-", { COUNT: 1 });
  return Number(entry?.message.lease ?? 20);
}

async function follow() {
  const inbox = [];
  let wake = () => {};
  // Returns when the server has acknowledged it: from now on nothing is missed.
  await listener.subscribe(`${key}:live`, (message) => {
    if (inbox.length < INBOX) inbox.push(message);
    wake();
  });
  const [newest] = await client.xRevRange(`${key}:log`, "+", "-", { COUNT: 1 });
  if (!newest) throw new Error(`there is no stream '${stream}'`);
  attempt = Number(newest.id.split("-")[0]);
  await catchUp();
  for (let quiet = 0; !end; ) {
    if (!inbox.length) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, QUIET * 1000);
        wake = () => resolve(clearTimeout(timer));
      });
    }
    if (inbox.length) {
      quiet = 0;
      for (const event of inbox.splice(0).map(parsed)) if (event && !take(event)) await catchUp();
    } else if ((await catchUp()) || (await client.exists(`${key}:lease`))) {
      quiet = 0;
    } else if ((quiet += QUIET) > (await leaseTime())) {
      throw new Error(`the producer is lost after ${position} bytes`);
    }
  }
  if (end.offset !== position || end.sha256 !== hash.digest("hex")) throw new Error("this is not the text that was written");
  if (end.error) throw new Error(`the producer failed: ${end.error.message}`);
}

try {
  await Promise.all([client.connect(), listener.connect()]);
  await follow();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
client.destroy();
listener.destroy();
