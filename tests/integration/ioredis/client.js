// One ioredis client that a test drives: each line of standard input is a JSON array, the name of a step and its
// arguments; each line of standard output is {"ok": …} or {"error": …}. The first argument is the client's options.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");

const options = JSON.parse(process.argv[2]);
const Redis = require(options.module);
const { addresses } = options;

let at = 0;
let ready = 0;

// What an application without a proxy does: when a node only reads, or is gone, it asks the next one.
function turn() {
  at = (at + 1) % addresses.length;
  [redis.options.host, redis.options.port] = addresses[at];
}

const file = (name) => name && fs.readFileSync(name);
// With `sentinels` it asks them for the node of that role, and follows what they publish; it is told nothing else.
const asksSentinels = options.sentinels && {
  sentinels: options.sentinels.map(([host, port]) => ({ host, port })),
  name: options.name,
  role: options.role,
  failoverDetector: options.failoverDetector ?? true,
};
const asksAddresses = addresses && {
  host: addresses[0][0],
  port: addresses[0][1],
  // Before each new connection.
  retryStrategy() {
    turn();
    return 50;
  },
  reconnectOnError(error) {
    return error.message.startsWith("READONLY") && 2; // connects again, and sends the command again
  },
};
const redis = new Redis({
  ...asksSentinels,
  ...asksAddresses,
  username: options.username,
  password: options.password,
  ...(options.protocol && { protocol: options.protocol }),
  ...(options.ca && { tls: { ca: file(options.ca), cert: file(options.cert), key: file(options.key) } }),
  enableReadyCheck: true,
  maxRetriesPerRequest: null,
});
redis.on("ready", () => (ready += 1));
redis.on("error", () => {});

const steps = {
  // How often the ready check, which reads INFO, has passed.
  ready: async () => {
    await redis.ping();
    return ready;
  },
  call: (...command) => redis.call(...command),
  role: async () => (await redis.info("replication")).match(/role:(\w+)/)[1],
  port: async () => redis.options.port,
  // Of the node that it is connected to.
  connectedTo: async () => {
    await redis.ping();
    return redis.stream.remotePort;
  },
  set: (key, value) => redis.set(key, value),
  get: (key) => redis.get(key),
  // Any byte in key and value.
  bytes: async () => {
    const key = Buffer.concat([Buffer.from("bytes:"), Buffer.from([0, 13, 10, 255])]);
    const value = Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256));
    await redis.set(key, value);
    return value.equals(await redis.getBuffer(key));
  },
  pipeline: async (count) => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < count; i += 1) pipeline.set(`pipeline:${i}`, i).get(`pipeline:${i}`);
    const replies = await pipeline.exec();
    return replies.every(([error, value], i) => error === null && value === (i % 2 ? String((i - 1) / 2) : "OK"));
  },
  multi: async () => {
    await redis.set("counter", 5);
    const replies = await redis.multi().incr("counter").set("in multi", "x").get("in multi").exec();
    return replies.map(([error, value]) => (error ? error.message : value));
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...rest] = JSON.parse(line);
    let reply;
    try {
      reply = { ok: await steps[name](...rest) };
    } catch (error) {
      reply = { error: error.message };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
  redis.disconnect();
}

main();
