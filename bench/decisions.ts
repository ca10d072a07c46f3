/**
 * Cost of the decision log: CPU of a denial through the ext_authz method, without sockets, with garbage collection and the writing of
 * the report; and of an allowed call beside it.
 *
 *   node bench/decisions.ts [RUNS]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { load } from '../src/cli/load.ts';
import { createEngine } from '../src/core/engine.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { methodsOf } from '../src/serve/policy/methods.ts';
import type { CallContext } from '../src/transport/transport.ts';
import { checkRequest } from './check-request.ts';

const CALLS = 8192;
const CALLS_A_TURN = 32;
const RUNS = Number(process.argv[2] ?? 12);
const { signal } = new AbortController();
const CONTEXT: CallContext = {
  peer: '127.0.0.1:40000',
  signal,
  draining: signal,
  ending: signal,
  arrivedAtMs: undefined as never,
  remainingMs: 1000,
  metadata: () => undefined,
};

const POLICIES: Readonly<Record<string, string>> = {
  'no decision log': '',
  'eight fields':
    '{ id: verdict.id, rule: verdict.rule, outcome: verdict.outcome, reasons: verdict.reasons, method: request.method, path: request.url_path, host: request.host, client: origin.ip }',
  'verdict.record': '{ decision: verdict.record }',
};

const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const registry = await loadBuiltIns();

async function measured(input: string, path: string): Promise<number> {
  const file = join(folder, 'policy.yaml');
  await writeFile(
    file,
    `handlers: { lines: { adapter: log-file, config: { path: ${join(folder, 'decisions.log')} } } }
rules:
  - { name: admin-is-closed, match: request.url_path.startsWith("/admin"), deny: { status: 403 } }
  - { name: decided, calls: [${input === '' ? 'tcp-log' : 'decision'}], report: { handler: lines, input: ${input === '' ? '{}' : input} } }
`,
  );
  const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
  const { policy, findings } = await load([file], registry);
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  await engine.use(policy);
  const method = methodsOf(engine, () => true).get('/envoy.service.auth.v3.Authorization/Check');
  if (method?.kind !== 'unary') throw new Error('Check is no unary method');
  const bytes = checkRequest({ path });
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    for (let at = 0; at < CALLS;) {
      for (const end = at + CALLS_A_TURN; at < end; at++)
        void method.handle({ bytes, from: 0, to: bytes.length }, CONTEXT);
      await new Promise((next) => {
        setImmediate(next);
      });
    }
    await engine.flush();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / CALLS);
  }
  const lost = engine.meters.ofRule('decided').dropped;
  await engine.drain();
  if (lost > 0) throw new Error(`${lost} reports were dropped, so their cost is not measured`);
  return best;
}

console.log('| decision log | us of CPU a denial | an allowed call |\n|---|---:|---:|');
for (const [name, input] of Object.entries(POLICIES)) {
  const denial = await measured(input, '/admin/users?page=3');
  const allowed = await measured(input, '/ratings/42?page=3');
  console.log(`| ${name} | ${denial.toFixed(2)} | ${allowed.toFixed(2)} |`);
}
await rm(folder, { recursive: true });
