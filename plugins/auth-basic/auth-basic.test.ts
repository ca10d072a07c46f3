import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import bcrypt from 'bcryptjs';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, Rejected } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'auth-basic-'));
afterAll(() => rmSync(folder, { recursive: true }));
/** `bob:pass` as htpasswd -s writes it. */
const SHA = 'bob:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=';
const users = `ann:${await bcrypt.hash('secret:1', 4)}\n${SHA}\n`;
writeFileSync(join(folder, 'users'), users);
writeFileSync(join(folder, 'changing'), users);
writeFileSync(join(folder, 'plain'), 'ann:secret\n');
writeFileSync(join(folder, 'costly'), `ann:$2y$20$${'a'.repeat(53)}\n`);
const basic = (text: string) => ({ 'headers.authorization': `Basic ${Buffer.from(text).toString('base64')}` });

testAdapter(adapter, {
  runner: { describe, test },
  folder,
  config: { file: 'users' },
  badConfigs: [
    { config: { file: 'plain' }, says: /plain: line 1: the hash is neither bcrypt \(htpasswd -B\) nor \{SHA\}/ },
    { config: { file: 'costly' }, says: /the cost of the hash is 20; at most 13 is accepted/ },
  ],
  check: {
    allowed: [basic('ann:secret:1'), basic('bob:pass')],
    denied: [
      {},
      basic('ann:secret'),
      basic('bob:other'),
      basic('eve:secret:1'),
      basic('ann'),
      { 'headers.authorization': 'Basic !' },
    ],
  },
  enrich: {
    known: [{ input: basic('ann:secret:1'), output: { user: 'ann' } }],
    unknown: [{}, basic('ann:wrong')],
  },
});

async function opened(file: string) {
  const { handler, close } = await openForTest(adapter, { folder, config: { file } });
  onTestFinished(() => close());
  const check = handler.check?.({ rule: 'r', params: { required: true } }) as NonNullable<
    ReturnType<NonNullable<typeof handler.check>>
  >;
  return (input: Record<string, unknown>) => check(input, testCall()) as CheckAnswer | Promise<CheckAnswer>;
}

test('a password that was right is verified at once, until the file changes', async () => {
  const ask = await opened('changing');
  expect(await ask(basic('ann:secret:1'))).toMatchObject({ kind: 'allow' });
  expect(ask(basic('ann:secret:1'))).toMatchObject({ kind: 'allow' });
  writeFileSync(join(folder, 'changing'), `ann:${await bcrypt.hash('another', 4)}\n`);
  await eventually(async () => expect(await ask(basic('ann:secret:1'))).toMatchObject({ kind: 'deny' }));
});

test('a flood of passwords fails beyond those that may wait, and refuses no right one', async () => {
  const ask = await opened('users');
  const asked = Array.from({ length: 40 }, async (_, at) => ask(basic(`ann:wrong-${at}`)));
  const settled = await Promise.allSettled(asked);
  const failed = settled.filter((one) => one.status === 'rejected');
  expect(failed.length).toBe(8);
  expect(failed.every(({ reason }) => reason instanceof Rejected)).toBe(true);
  expect(await ask(basic('ann:secret:1'))).toMatchObject({ kind: 'allow' });
});

test('two Authorization headers are refused, with the challenge', async () => {
  const ask = await opened('users');
  const header = basic('bob:pass')['headers.authorization'];
  expect(await ask({ 'headers.authorization': `Bearer x, ${header}` })).toMatchObject({
    kind: 'deny',
    headers: { 'www-authenticate': 'Basic realm="sluice", charset="UTF-8"' },
  });
});
