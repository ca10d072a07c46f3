/** Lists of thousands of values are made in slices, and mean what short ones do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type CheckAnswer } from 'sluice/plugin';
import { type OpenedForTest, openForTest, testCall } from 'sluice/plugin/testing';
import { turnsByLooks } from '../../test/parts/loop-turns.ts';
import adapter from './adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'long-list-'));
afterAll(() => rmSync(folder, { recursive: true }));
const COUNT = 5000;

test.each([
  ['string', (at: number) => `user-${at}`, `user-${COUNT - 1}`, 'user-x', 1],
  ['prefix', (at: number) => `/${(at * 7919) % COUNT}/`, '/4998/x', '/4998', 1],
  ['host', (at: number) => `h${at}.example.com`, 'H7.example.com:80', 'example.com', 1],
  [
    'cidr',
    (at: number) => `10.${((at * 7919) % COUNT) >> 8}.${((at * 7919) % COUNT) & 255}.0/25`,
    '10.3.9.127',
    '10.3.9.128',
    1,
  ],
  ['regex', (at: number) => `^/${at % 500}$`, '/77', '/777', 0.1],
])('%s', async (kind, value, listed, unlisted, looks) => {
  const values = Array.from({ length: kind === 'regex' ? 500 : COUNT }, (_, at) => value(at));
  writeFileSync(join(folder, kind), `${values.join('\r\n')}\n# end`);
  for (const source of [{ values }, { file: kind }]) {
    let opened: OpenedForTest | undefined;
    const turns = await turnsByLooks(async () => {
      opened = await openForTest(adapter, { config: { kind, maxLength: 100, ...source }, folder });
    });
    expect(turns).toBeGreaterThan((COUNT / 5) * looks * 0.9);
    const check = opened?.handler.check?.({ rule: 'r', params: undefined });
    const has = (text: string): boolean => {
      const answer = check?.({ value: text }, testCall()) as CheckAnswer | undefined;
      return answer?.kind === 'allow';
    };
    expect([has(listed), has(unlisted)]).toEqual([true, false]);
    expect(values.filter((one) => kind !== 'regex' && kind !== 'cidr' && !has(one))).toEqual([]);
    await opened?.close();
  }
});

test('more than 2000 patterns are refused', async () => {
  const config = { kind: 'regex', maxLength: 1, values: Array.from({ length: 2001 }, (_, at) => `a${at}`) };
  expect(adapter.config.safeParse(config).error?.issues).toMatchObject([
    {
      path: ['values'],
      message: 'the list has 2001 patterns; at most 2000 are taken; write prefixes, or fewer patterns',
    },
  ]);
});
