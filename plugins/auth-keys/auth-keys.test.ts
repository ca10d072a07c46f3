import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { CheckAnswer, LookupAnswer } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'auth-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));
const digest = (key: string) => createHash('sha256').update(key).digest('hex');
const KEY = 'k-4f9c2a7e51d8';
writeFileSync(join(folder, 'keys.txt'), `# of the shop\n${digest(KEY)} ann plan=gold team=web\n`);
writeFileSync(join(folder, 'plain.txt'), `${KEY} ann\n`);
const of = (key: string) => ({ 'headers.x-api-key': key });

testAdapter(adapter, {
  runner: { describe, test },
  folder,
  config: { file: 'keys.txt' },
  badConfigs: [
    { config: {}, says: /expected either file or redis/ },
    { config: { file: 'plain.txt' }, says: /plain\.txt: line 1: expected the SHA-256 of the key in hex, 64 digits/ },
  ],
  unreachable: { redis: { url: 'redis://127.0.0.1:1' } },
  check: { allowed: [of(KEY)], denied: [{}, of('wrong'), of(digest(KEY)), of('x'.repeat(2000))] },
  enrich: {
    known: [{ input: of(KEY), output: { owner: 'ann', labels: { plan: 'gold', team: 'web' } } }],
    unknown: [{}, of('wrong')],
  },
});

test('a key that is withdrawn from the file works no longer', async () => {
  const { handler, close } = await openForTest(adapter, { folder, config: { file: 'keys.txt' } });
  onTestFinished(() => close());
  const check = handler.check?.({ rule: 'r', params: { required: true } });
  const kind = () => ((check as NonNullable<typeof check>)(of(KEY), testCall()) as CheckAnswer).kind;
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  expect(kind()).toBe('allow');
  writeFileSync(join(folder, 'keys.txt'), `${digest('another')} bob\n`);
  await eventually(() => expect(kind()).toBe('deny'));
  expect(lookup?.(of(KEY), testCall()) as LookupAnswer).toBeUndefined();
});
