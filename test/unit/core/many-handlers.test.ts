/** Thousands of handlers are opened, and closed, in slices: calls are answered in between. */
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { SILENT } from '../../../src/log/log.ts';
import { handlerOpener } from '../../../src/serve/policy/handler-opener.ts';
import { turnsByLooks } from '../../parts/loop-turns.ts';

const COUNT = 500;
const adapters = await loadBuiltIns();

async function load(handlers: string): Promise<Policy> {
  const text = `handlers:\n${handlers}rules:\n  - { name: a, deny: {} }\n`;
  const { policy } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  if (policy === undefined) throw new Error('no policy');
  return policy;
}

const lists = (count: number): string =>
  Array.from({ length: count }, (_, at) => `  h${at}: { adapter: check-list, config: { values: [a] } }\n`).join('');

test.each([
  ['one of them fails', '  bad: { adapter: check-list, config: { file: missing.txt } }\n', /missing\.txt/],
  ['until the engine drains', '', undefined],
])('%s', async (_, last, error) => {
  let closed = 0;
  const { openHandlers } = handlerOpener(SILENT);
  const engine = createEngine({
    openHandlers: async (spec) => {
      const open = await openHandlers(spec);
      return {
        ...open,
        close: async () => {
          closed += 1;
          await open.close();
        },
      };
    },
  });
  onTestFinished(() => engine.drain());
  const many = await load(lists(COUNT) + last);
  const opening = await turnsByLooks(async () => {
    const used = engine.use(many);
    if (error === undefined) await used;
    else await expect(used).rejects.toThrow(error);
  });
  // A look for each: as it is opened and as it is kept, or closed again.
  expect(opening).toBeGreaterThan((COUNT / 5) * 1.5);
  if (error === undefined) expect(await turnsByLooks(async () => engine.drain())).toBeGreaterThan((COUNT / 5) * 0.9);
  expect(closed).toBe(COUNT);
});
