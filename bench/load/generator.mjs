// Fires prepared bodies at one address and prints what came of it as JSON.  Usage: node generator.mjs <plan.json>
// plan: {url, headers, connections, bodies: file of one JSON text per line, warm: how many of them first, good: a text that is
// in every answer that says it was done}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import process from "node:process";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const autocannon = createRequire(plan.modules + "/")("autocannon");
const bodies = readFileSync(plan.bodies, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

async function fire(some) {
  let next = 0;
  let good = 0;
  let began = 0;
  let ended = 0;
  const times = [];
  const share = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  return await new Promise((resolve, reject) => {
    const run = autocannon(
      {
        url: plan.url,
        connections: Math.min(plan.connections, some.length),
        amount: some.length,
        timeout: 60,
        requests: [{
          method: "POST",
          headers: plan.headers,
          setupRequest: (request) => {
            began ||= performance.now();
            return { ...request, body: some[next++ % some.length] };
          },
          onResponse: (status, body) => { if (status === 200 && body.includes(plan.good)) good += 1; },
        }],
      },
      (error, result) => {
        if (error) { reject(error); return; }
        times.sort((one, other) => one - other);
        resolve({
          seconds: (ended - began) / 1000, sent: some.length, good,
          errors: result.errors, p50_ms: share(0.5), p99_ms: share(0.99),
        });
      },
    );
    run.on("response", (client, status, bytes, ms) => { times.push(ms); ended = performance.now(); });
  });
}

if (plan.warm) { await fire(bodies.slice(0, plan.warm)); }
process.stdout.write(JSON.stringify({ warm: true }) + "\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdout.write(JSON.stringify(await fire(bodies.slice(plan.warm || 0))) + "\n");
process.exit(0);
