/** Whether a verdict holds for equal calls, as shown by `sluice explain`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../../e2e/command.ts';

async function validityOf(rules: string): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-explain-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, 'adapter.ts'),
    `import { allow, defineAdapter, found } from 'sluice/plugin';
    import { z } from 'zod';
    export default defineAdapter({
      name: 'check-both', summary: 'Answers.', config: z.strictObject({}),
      serves: { check: { input: { path: 'string' } }, enrich: { input: { path: 'string' }, output: { plan: 'string?' } } },
      open: async () => ({
        check: () => async () => allow({ validForMs: 5000 }),
        lookup: () => async () => found({ plan: 'gold' }, { validForMs: 3000 }),
      }),
    });`,
  );
  writeFileSync(
    join(folder, 'policy.yaml'),
    `plugins: [./adapter.ts]
handlers: { h: { adapter: check-both }, m: { adapter: quota-memory } }
rules:
  - { name: asked, check: { handler: h, input: { path: request.path } } }
${rules}`,
  );
  writeFileSync(join(folder, 'get.yaml'), 'request.method: GET\nrequest.path: /a\nrequest.id: r-1\n');
  const { out, err } = await run(['explain', 'policy.yaml', '--request', 'get.yaml'], { cwd: folder });
  if (!out.startsWith('allow')) throw new Error(out + err);
  return /the verdict (.*)/.exec(out)?.[1];
}

test.each([
  ['', 'holds for 5000 ms for calls that are equal in the attributes below'],
  [
    '  - { name: known, enrich: { handler: h, input: { path: request.path }, as: my.row } }\n',
    'holds for 3000 ms for calls that are equal in the attributes below',
  ],
  [
    '  - { name: counted, quota: { handler: m, limit: 5, per: 1m, key: [request.path] } }\n',
    'is for this call alone: the rule counted charges a quota',
  ],
  [
    '  - { name: drawn, match: request.path == "/a", deny: {}, mode: { percent: 0 } }\n',
    'is for this call alone: the rule drawn draws each call at random',
  ],
  [
    '  - { name: own, match: request.id == "r-2", deny: {} }\n',
    'is for this call alone: request.id, which is read, differs in each call',
  ],
])('with %j the verdict %s', async (rules, says) => {
  expect(await validityOf(rules)).toBe(says);
});
