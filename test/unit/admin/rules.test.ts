/** `/rules` in whole, in slices and by counts, and the tags by which a client that polls is sent nothing twice. */
import { afterEach, expect, test } from 'vitest';
import type { HttpPort } from '../../../src/admin/http-app.ts';
import { startAdmin } from '../../../src/admin/server.ts';
import type { RuleCounts } from '../../../src/core/metrics/rule-counts.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { policyOf } from '../envoy/load.ts';
import { EMPTY_SOURCES } from './empty-sources.ts';

const RULES = 3000;
const yaml = (many: number): string =>
  `rules:\n${Array.from({ length: many }, (_, at) => `  - { name: r-${at}, match: 'request.path == "/${'x'.repeat(100)}${at}"', deny: {} }`).join('\n')}`;
const FIELDS = 5;

let admin: HttpPort | undefined;
afterEach(() => admin?.close());

async function started(policy: Policy | undefined, counts: () => RuleCounts | undefined) {
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    onReset: () => {},
    onLetters: () => {},
    onFault: () => {},
    sources: { ...EMPTY_SOURCES, policy: () => policy, ruleCounts: counts },
  });
  const { port } = admin;
  return async (path: string, kept?: string | null) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      headers: typeof kept === 'string' ? { 'if-none-match': kept } : {},
    });
    const text = await answer.text();
    return { status: answer.status, tag: answer.headers.get('etag'), text, json: () => JSON.parse(text) as never };
  };
}

interface Slice {
  readonly revision: string;
  readonly total: number;
  readonly from: number;
  readonly next: number | null;
  readonly rules: readonly { readonly name: string }[];
}

test('the slices are the whole, and none is long', async () => {
  const policy = await policyOf(yaml(RULES));
  const get = await started(policy, () => undefined);
  const names: string[] = [];
  let slices = 0;
  for (let from: number | null = 0; from !== null; slices++) {
    const answer = await get(`/rules?from=${from}`);
    expect(answer.text.length).toBeLessThan(200_000);
    const slice: Slice = answer.json();
    expect([slice.revision, slice.total, slice.from]).toEqual([policy.revision, RULES, from]);
    names.push(...slice.rules.map(({ name }) => name));
    from = slice.next;
  }
  expect(slices).toBeGreaterThan(2);
  const whole = (await get('/rules')).json() as { readonly rules: readonly { name: string; counts: null }[] };
  expect(whole.rules.map(({ name }) => name)).toEqual(names);
  expect(names).toEqual(policy.rules.map(({ name }) => name));
  expect(whole.rules[0]?.counts).toBeNull();
  expect((await get(`/rules?from=${RULES + 5}`)).json()).toMatchObject({ rules: [], next: null, total: RULES });
  for (const wrong of ['-1', 'x', '', '1&from=2']) expect((await get(`/rules?from=${wrong}`)).status, wrong).toBe(400);
});

test('a client that has an answer is sent it again only when a rule has applied since', async () => {
  const policy = await policyOf(yaml(100));
  const numbers = new Float64Array(policy.rules.length * FIELDS);
  const get = await started(policy, () => ({ revision: policy.revision, numbers }));
  for (const path of ['/rules', '/rules/counts', '/rules?from=0', '/handlers', '/']) {
    const first = await get(path);
    expect([first.status, first.tag], path).toEqual([200, expect.stringMatching(/^"[^"]+"$/)]);
    for (const kept of [first.tag, `"other", W/${first.tag}`, '*']) {
      const again = await get(path, kept);
      expect([again.status, again.text, again.tag], `${path} ${kept}`).toEqual([304, '', first.tag]);
    }
    expect((await get(path, '"other"')).text, path).toBe(first.text);
  }
  const [whole, counts, slice] = [await get('/rules'), await get('/rules/counts'), await get('/rules?from=0')];
  expect(counts.json()).toEqual({ revision: policy.revision, counts: [] });
  numbers.set([7, 6, 1, 2, 1_700_000_000_000.25], 42 * FIELDS);
  expect((await get('/rules/counts', counts.tag)).json()).toMatchObject({
    counts: [[42, 7, 6, 1, 2, 1_700_000_000_000]],
  });
  const changed = await get('/rules', whole.tag);
  expect(changed.json()).toMatchObject({
    rules: expect.arrayContaining([
      expect.objectContaining({
        name: 'r-42',
        counts: { applied: 7, denied: 6, failed: 1, shadowDenied: 2, lastAt: '2023-11-14T22:13:20.000Z' },
      }),
    ]),
  });
  expect((await get('/rules?from=0', slice.tag)).status).toBe(304);
  numbers[43 * FIELDS - 1] = 1_700_000_000_000.75; // as two readings of the clock differ
  expect((await get('/rules', changed.tag)).status).toBe(304);
});

test('counts of another policy than the one in force are not shown, and without a policy nothing is', async () => {
  const policy = await policyOf(yaml(1));
  const get = await started(policy, () => ({ revision: 'before', numbers: new Float64Array(FIELDS).fill(9) }));
  expect((await get('/rules/counts')).json()).toEqual({ revision: policy.revision, counts: null });
  await admin?.close();
  const without = await started(undefined, () => undefined);
  expect((await without('/rules')).json()).toEqual({ revision: null, rules: [] });
  expect((await without('/rules?from=0')).json()).toEqual({ revision: null, total: 0, from: 0, next: null, rules: [] });
});
