/**
 * Cost of an access log entry through the access log method, without sockets: CPU of reading, deciding and counting, with garbage
 * collection; and the turns of the event loop, in which checks wait.
 *
 *   node --import ./src/adapters/register.ts bench/log-cost.ts [SECONDS OF A RUN] [RUNS] [STREAMS] [POLICY]
 *
 * The streams send as much as is taken. Only for handlers that answer at once: counting turns takes CPU while the process waits.
 */
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { load } from '../src/cli/load.ts';
import { createEngine } from '../src/core/engine.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { methodsOf } from '../src/serve/policy/methods.ts';
import type { CallContext } from '../src/transport/transport.ts';
import { PER_MESSAGE, proxyMessage } from './log-message.ts';

const SECONDS = Number(process.argv[2] ?? 2);
const RUNS = Number(process.argv[3] ?? 5);
const STREAMS = Number(process.argv[4] ?? 1);
const POLICY = process.argv[5] ?? 'bench/policy/log.yaml';
const { signal } = new AbortController();
const CONTEXT: CallContext = {
  peer: '127.0.0.1:40000',
  signal,
  draining: signal,
  ending: signal,
  arrivedAtMs: undefined as never,
  remainingMs: undefined,
  metadata: () => undefined,
};

const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
const { policy, findings } = await load([POLICY], await loadBuiltIns());
if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
await engine.use(policy);
const method = methodsOf(engine, () => true).get('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs');
if (method?.kind !== 'stream') throw new Error('StreamAccessLogs is no stream');
const { handle } = method;
const bytes = proxyMessage(POLICY.includes('istio'));

const at = (sorted: readonly number[], part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
const PARTS = [0.5, 0.9, 0.99, 1];

console.log(
  `${bytes.length / PER_MESSAGE} octets an entry, ${STREAMS} streams\n\n| CPU us/entry | turns of the loop, ms: p50, p90, p99, longest | entries in a turn |\n|---:|---:|---:|`,
);
for (let run = 0; run < RUNS; run++) {
  const endsAtMs = performance.now() + SECONDS * 1000;
  let [sent, isSending] = [0, true];
  const turnsMs: number[] = [];
  const entries: number[] = [];
  let [lastMs, lastSent] = [performance.now(), 0];
  const turn = (): void => {
    const nowMs = performance.now();
    turnsMs.push(nowMs - lastMs);
    entries.push(sent - lastSent);
    [lastMs, lastSent] = [nowMs, sent];
    if (isSending) setImmediate(turn);
  };
  const before = process.cpuUsage();
  setImmediate(turn);
  const send = async (): Promise<void> => {
    async function* messages(): AsyncGenerator<Uint8Array> {
      for (; performance.now() < endsAtMs; sent += PER_MESSAGE) yield bytes;
    }
    for await (const _ of handle(messages(), CONTEXT));
  };
  await Promise.all(Array.from({ length: STREAMS }, send));
  isSending = false;
  await engine.flush();
  const { user, system } = process.cpuUsage(before);
  const [ms, counts] = [turnsMs, entries].map((values) => values.toSorted((a, b) => a - b)) as [number[], number[]];
  console.log(
    `| ${((user + system) / sent).toFixed(2)} | ${PARTS.map((part) => at(ms, part).toFixed(1)).join(', ')} | ${PARTS.map((part) => at(counts, part)).join(', ')} |`,
  );
}
await engine.drain();
