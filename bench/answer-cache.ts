/**
 * Cost of a kept answer: checks of one rule whose handler answers by promise, in process, in CPU time. Beside it the same rule with a
 * handler that answers at once, and with one whose answers have no validity, in turns; the minimum counts, since other load on the machine
 * can only add time.
 *
 *   node bench/answer-cache.ts [RUNS]
 */
import { z } from 'zod';
import { allow, type CheckAnswer, defineAdapter } from '../src/adapters/contract.ts';
import { createRegistry } from '../src/adapters/registry.ts';
import { plainWire } from '../src/attributes/plain-wire.ts';
import { NO_CALLER } from '../src/core/call.ts';
import { createEngine } from '../src/core/engine.ts';
import { loadPolicyText } from '../src/core/rules/load.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';

const RUNS = Number(process.argv[2] ?? 30);
const CALLS_A_RUN = 20_000;
const KEYS = 1000;

const ANSWERS: Readonly<Record<string, () => CheckAnswer | Promise<CheckAnswer>>> = {
  'no handler': () => allow(),
  'an answer at once': () => allow(),
  'a kept answer': () => Promise.resolve(allow({ validForMs: 3_600_000 })),
  'a promise, not kept': () => Promise.resolve(allow()),
};

async function prepared(kind: string): Promise<() => Promise<number>> {
  const adapter = defineAdapter({
    name: 'check-fixed',
    summary: 'Allows.',
    config: z.strictObject({}),
    serves: { check: { input: { value: 'string' } } },
    open: async () => ({ check: () => ANSWERS[kind] ?? (() => allow()) }),
  });
  const registry = createRegistry([adapter]);
  const rule =
    kind === 'no handler'
      ? 'deny: {}, match: request.path == ""'
      : 'check: { handler: h, input: { value: request.path } }';
  const text = `handlers: { h: { adapter: check-fixed } }\nrules: [{ name: asked, ${rule} }]\n`;
  const { policy, findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters: registry, env: {} });
  if (policy === undefined) throw new Error(JSON.stringify(findings));
  const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
  await engine.use(policy);
  const wires = Array.from({ length: KEYS }, (_, n) =>
    plainWire(policy.attributes, { 'request.path': `/ratings/${n}`, 'request.method': 'GET' }, {}, 'http'),
  );
  return async () => {
    const before = process.cpuUsage();
    for (let n = 0; n < CALLS_A_RUN; n++) {
      const verdict = engine.check('http', wires[n % KEYS] ?? (wires[0] as never), NO_CALLER);
      if ((verdict instanceof Promise ? await verdict : verdict).outcome !== 'allow') throw new Error('not allowed');
    }
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1000) / CALLS_A_RUN;
  };
}

const kinds = new Map<string, { readonly run: () => Promise<number>; least: number }>();
for (const kind of Object.keys(ANSWERS)) kinds.set(kind, { run: await prepared(kind), least: Infinity });
for (let run = 0; run < RUNS; run++) for (const one of kinds.values()) one.least = Math.min(one.least, await one.run());
const base = kinds.get('no handler')?.least ?? 0;
for (const [kind, { least }] of kinds)
  console.log(
    `${kind.padEnd(22)} ${least.toFixed(0).padStart(6)} ns a check  ${(least - base).toFixed(0).padStart(6)} more than without a handler`,
  );
process.exit(0);
