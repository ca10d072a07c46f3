/** What a changed policy changes. */
import { describe, expect, test } from 'vitest';
import { Diff } from '../../../src/traffic/diff/diff.ts';
import type { RecordedCall } from '../../../src/traffic/format.ts';
import { callAt, replayOf } from './replaying.ts';

async function diffOf(old: string | undefined, next: string, calls: readonly RecordedCall[], maxSamples = 1) {
  const diff = new Diff(old === undefined ? undefined : await replayOf(old), await replayOf(next), maxSamples);
  for (const [at, call] of calls.entries()) await diff.add({ file: 'calls.ndjson', line: at + 2, call });
  return diff;
}

const texts = ({ groups }: Diff): readonly (readonly [string, number])[] =>
  groups.map(({ text, calls }) => [text, calls] as const);

const page = (n: number) => callAt(n, { 'request.path': `/list?page=${n}`, 'request.authority': 'shop.example' });
const NOTHING = 'rules: [{ name: none, match: "false", deny: {} }]';
const PAGES = [page(1), page(2), page(3), page(2)];

describe('two policies', () => {
  test('are compared by outcome and rule, with a sample that names the request and the part that differs', async () => {
    const old = 'rules: [{ name: second, match: request.method == "POST" && "page" in request.query, deny: {} }]';
    const next =
      'rules: [{ name: second, match: \'request.method == "GET" && request.query[?"page"].orValue("") == "2"\', deny: {} }]';
    const diff = await diffOf(old, next, PAGES);
    expect(texts(diff)).toEqual([['allow -> deny by second', 2]]);
    expect([diff.compared, diff.differing]).toEqual([4, 2]);
    expect(diff.groups[0]).toMatchObject({
      before: { outcome: 'allow', rule: null, status: 200 },
      after: { outcome: 'deny', rule: 'second', status: 403 },
      samples: [
        {
          at: 'calls.ndjson:3',
          id: 'id-2',
          request: { method: 'GET', host: 'shop.example', path: '/list?page=2', client: '10.0.0.7' },
          rules: [
            { policy: 'old', rule: 'second', text: 'does not apply: request.method == "POST"' },
            { policy: 'new', rule: 'second' },
          ],
          values: { 'request.method': 'GET', 'request.query': { page: '2' } },
        },
      ],
    });
  });

  test('that are equal have no difference', async () => {
    const policy =
      'rules: [{ name: second, match: "true", onAllow: { request: { set: { x-a: "${request.path}" } } } }]';
    expect(texts(await diffOf(policy, policy, PAGES))).toEqual([]);
  });

  test('differ by status, by shadow mode, and by what an allowed call gets', async () => {
    const policy = (status: number, mode: string, header: string) => `
rules:
  - { name: second, match: 'request.query[?"page"].orValue("") == "2"', deny: { status: ${status} } }
  - { name: third, match: 'request.query[?"page"].orValue("") == "3"', mode: ${mode}, deny: {} }
  - { name: note, onAllow: { request: { set: { x-note: ${header} } } } }
`;
    expect(texts(await diffOf(policy(403, 'shadow', 'a'), policy(404, 'shadow', 'a'), PAGES))).toEqual([
      ['deny by second: status 403 -> 404', 2],
    ]);
    const withoutThird = policy(403, 'shadow', 'a').replace('"3"', '"4"');
    expect(texts(await diffOf(withoutThird, policy(403, 'shadow', 'a'), PAGES))).toEqual([
      ['allow: now refused in shadow mode by third', 1],
    ]);
    expect(texts(await diffOf(policy(403, 'shadow', 'a'), policy(403, 'shadow', 'b'), PAGES))).toEqual([
      ['allow: other request headers', 2],
    ]);
  });

  test('say how a rule is enforced where it is not for every call', async () => {
    const policy = (mode: string) =>
      `rules: [{ name: closed, match: request.method == "GET", deny: {}, mode: ${mode} }]`;
    const textsOf = async (mode: string): Promise<(string | undefined)[]> =>
      (await diffOf(policy('enforce'), policy(mode), [page(1)])).groups[0]?.samples[0]?.rules.map(({ text }) => text) ??
      [];
    expect(await textsOf('shadow')).toEqual([
      'applies: request.method == "GET"',
      'applies, in shadow mode: request.method == "GET"',
    ]);
    expect(await textsOf('{ percent: 0, by: request.path }')).toEqual([
      'applies: request.method == "GET"',
      'applies, enforced for 0 %: request.method == "GET"',
    ]);
  });

  test('name the allow rule behind a refusal of what nothing allowed', async () => {
    const policy = (method: string) => `
rules:
  - { name: readers, match: request.method == "${method}", allow: {} }
  - { name: others, match: request.method == "PUT", allow: {} }
  - { name: closed, deny: { unlessAllowed: true } }
`;
    const diff = await diffOf(policy('GET'), policy('HEAD'), [page(1)]);
    expect(texts(diff)).toEqual([['allow -> deny by closed', 1]]);
    expect(diff.groups[0]?.samples[0]?.rules).toEqual([
      expect.objectContaining({ policy: 'old', rule: 'closed' }),
      expect.objectContaining({ policy: 'new', rule: 'closed', reason: 'nothing allowed it' }),
      expect.objectContaining({ policy: 'old', rule: 'readers', text: 'applies: request.method == "GET"' }),
      expect.objectContaining({ policy: 'new', rule: 'readers', text: 'does not apply: request.method == "HEAD"' }),
    ]);
  });

  test('keep as many samples as are wanted, and count the rest', async () => {
    const calls = Array.from({ length: 50 }, (_, at) => page(at));
    const diff = await diffOf(NOTHING, 'rules: [{ name: closed, deny: {} }]', calls, 3);
    expect(diff.groups.map((group) => [group.calls, group.samples.length])).toEqual([[50, 3]]);
  });
});

describe('a policy and the recorded verdicts', () => {
  const verdict = { outcome: 'deny', rule: 'closed', status: 403, shadow: [], revision: 'r', reasons: [] } as const;

  test('differ where the policy decides otherwise; calls without a verdict are not compared', async () => {
    const calls = [
      callAt(0, {}, { verdict }),
      callAt(1, {}, { verdict: { ...verdict, rule: null, outcome: 'allow', status: 200 } }),
      callAt(2),
    ];
    const diff = await diffOf(undefined, NOTHING, calls);
    expect(texts(diff)).toEqual([['deny by closed -> allow', 1]]);
    expect([diff.compared, diff.differing, diff.notCompared]).toEqual([2, 1, 1]);
    expect(diff.groups[0]?.samples[0]?.rules).toEqual([
      expect.objectContaining({ policy: 'new', rule: 'closed', text: 'is not in the policy' }),
    ]);
  });
});
