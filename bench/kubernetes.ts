/**
 * `npm run bench:kubernetes [PODS]`: enrich-kubernetes with the pods of a large cluster: how long the first list takes, how long it holds
 * the event loop up, what a pod costs in memory, and what a lookup costs beside a read of a Map. The API server runs in a process of its
 * own.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveOwnModules } from '../src/adapters/loading/own-modules.ts';
import { openForTest, testCall } from '../src/adapters/testing/index.ts';
import type { Adapter } from '../src/adapters/contract.ts';
import { startChild, untilReady } from '../test/parts/child.ts';
import { crowdAddress, crowdPod } from '../test/parts/kube-crowd.ts';
import { TLS } from '../test/unit/transport/tls-of-tests.ts';

const pods = Number(process.argv[2] ?? 50_000);
const LOOKUPS = 5_000_000;

resolveOwnModules();
const { default: adapter } = (await import('../plugins/enrich-kubernetes/adapter.ts')) as { default: Adapter };

const folder = mkdtempSync(join(tmpdir(), 'bench-kubernetes-'));
writeFileSync(join(folder, 'token'), 'token');
writeFileSync(join(folder, 'ca.crt'), TLS.cert);
const server = startChild(process.execPath, [join(import.meta.dirname, '../test/parts/kube-crowd.ts'), String(pods)]);
await untilReady('the crowd', server, async () => /\d+\n/.test(server.printed()));

/** Bytes in use, once two collections in a row find nothing more to free. */
async function heap(): Promise<number> {
  for (let last = Infinity; ;) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 300));
    globalThis.gc?.();
    const { heapUsed } = process.memoryUsage();
    if (last - heapUsed < 20_000) return heapUsed;
    last = heapUsed;
  }
}
/** A function, so that nothing of the first run is in use when the second begins. */
async function run(isMeasured: boolean): Promise<void> {
  const beforeBytes = await heap();
  const began = process.threadCpuUsage();
  const beganMs = performance.now();
  let longestMs = 0;
  let over5 = 0;
  let turns = 0;
  let last = process.threadCpuUsage();
  const look = (): void => {
    const now = process.threadCpuUsage();
    const ms = (now.user + now.system - last.user - last.system) / 1000;
    last = now;
    turns++;
    longestMs = Math.max(longestMs, ms);
    if (ms > 5) over5++;
  };
  const timer = setInterval(look, 1);
  const opened = await openForTest(adapter, {
    config: { server: `https://127.0.0.1:${server.printed().trim()}`, serviceAccount: folder },
  });
  while (!opened.readiness().ready) await new Promise((resolve) => setTimeout(resolve, 20));
  clearInterval(timer);
  const cpu = process.threadCpuUsage(began);
  const tookMs = performance.now() - beganMs;
  const bytes = (await heap()) - beforeBytes;
  const lookup = opened.handler.lookup?.({ rule: 'bench', params: undefined });
  const call = testCall();
  const inputs = Array.from({ length: 1024 }, (_, at) => ({ ip: crowdAddress((at * 47) % pods) }));
  const map = new Map(inputs.map((input) => [input.ip, input]));
  const nsOf = (work: (at: number) => unknown): number => {
    for (let at = 0; at < 200_000; at++) work(at);
    const startMs = performance.now();
    for (let at = 0; at < LOOKUPS; at++) work(at);
    return ((performance.now() - startMs) * 1e6) / LOOKUPS;
  };
  for (let at = 0; at < pods; at++) void lookup?.({ ip: crowdAddress(at) }, call);
  const usedBytes = (await heap()) - beforeBytes;
  const lookupNs = nsOf((at) => lookup?.(inputs[at & 1023] ?? {}, call));
  const mapNs = nsOf((at) => map.get(inputs[at & 1023]?.ip ?? ''));
  await opened.close();
  if (isMeasured)
    console.log(
      [
        `${pods} pods of ${Math.round(JSON.stringify(crowdPod(0)).length / 100) / 10} KB: listed in ${(tookMs / 1000).toFixed(1)} s, with ${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU`,
        `event loop: longest turn ${longestMs.toFixed(1)} ms of CPU; ${over5} of ${turns} turns over 5 ms`,
        `memory: ${globalThis.gc === undefined ? '(run with --expose-gc) ' : ''}${Math.round(bytes / pods)} bytes a pod, ${Math.round(usedBytes / pods)} once it was looked up; ${(usedBytes / 1e6).toFixed(1)} MB in all`,
        `lookup: ${lookupNs.toFixed(0)} ns, ${(lookupNs / mapNs).toFixed(1)} of a read of a Map (${mapNs.toFixed(0)} ns)`,
      ].join('\n'),
    );
}
await run(false);
await run(true);
await server.stop();
rmSync(folder, { recursive: true });
process.exit(0);
