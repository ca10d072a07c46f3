/** Bursts, debts beyond any number, long keys, invalid replies. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Algorithm,
  type AnyHandler,
  type QuotaAnswer,
  type QuotaAsk,
  type Spend,
  Unavailable,
} from 'sluice/plugin';
import { eventually, openForTest, testCall } from 'sluice/plugin/testing';
import { type RedisPart, startRedis } from '../../test/parts/redis.ts';
import adapter from './adapter.ts';

let redis: RedisPart;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

const DAY_MS = 86_400_000;
async function open(config: object = {}) {
  const opened = await openForTest(adapter, { config: { url: redis.url, timeoutMs: 10_000, ...config } });
  const charger = (counter: string, algorithm: Algorithm, limit: number) => {
    const bucket = opened.handler.bucket?.({ rule: counter, counter, algorithm, perMs: DAY_MS, params: undefined });
    return async (
      ask: Partial<Pick<Spend, 'key' | 'cost' | 'idempotencyKey'>> & { readonly kind?: 'spend' | 'owe' },
    ): Promise<QuotaAnswer> =>
      (
        (await (opened.handler as Required<AnyHandler>).charge(
          [{ kind: 'spend', bucket, key: 'k', cost: 1, limit, burst: limit, perMs: DAY_MS, ...ask } as QuotaAsk],
          testCall(60_000),
        )) as QuotaAnswer[]
      )[0] as QuotaAnswer;
  };
  return { ...opened, charger };
}

describe.each([
  ['each ask charged', {}],
  ['escrow', { escrow: true }],
])('%s', (name, config) => {
  test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])(
    '%s: two bursts of 3000 asks are granted exactly the limit',
    async (algorithm) => {
      const { charger, close } = await open(config);
      const charge = charger(`burst ${name} ${algorithm}`, algorithm, 5);
      let passed = 0;
      for (let round = 0; round < 2; round++) {
        const answers = await Promise.all(
          Array.from({ length: 3000 }, async (_, at) =>
            charge(algorithm === 'concurrency' ? { idempotencyKey: `request ${round} ${at}` } : {}),
          ),
        );
        passed += answers.filter(({ granted }) => granted).length;
      }
      expect(passed).toBe(5);
      await close();
    },
    60_000,
  );
});

describe('a debt', () => {
  test.each([
    ['of the largest integer', Number.MAX_SAFE_INTEGER, 5],
    ['of a low limit', 1.2e9, 1],
    ['of a large burst', Number.MAX_SAFE_INTEGER, 1e15],
  ])('%s is charged, refuses later asks, and affects no other key', async (name, cost, limit) => {
    const { charger, close, readiness } = await open();
    const charge = charger(`debt ${name}`, 'gcra', limit);
    for (let call = 0; call < 20; call++) await charge({ kind: 'owe', cost });
    expect((await charge({ cost: 1 })).granted).toBe(false);
    expect((await charge({ key: 'other' })).granted).toBe(true);
    expect(readiness().ready).toBe(true);
    const admin = new Redis(redis.url);
    const [key] = (await admin.keys('sluice:g:*')).filter((one) => one.includes(`debt ${name}`) && one.endsWith('=k'));
    expect(await admin.pttl(key ?? '')).toBeGreaterThan(DAY_MS);
    admin.disconnect();
    await close();
  });

  test('of a fixed window refuses later asks', async () => {
    const { charger, close } = await open();
    const charge = charger('debt fixed', 'fixed', 5);
    for (let call = 0; call < 3000; call += 100)
      await Promise.all(
        Array.from({ length: 100 }, async () => charge({ kind: 'owe', cost: Number.MAX_SAFE_INTEGER })),
      );
    expect((await charge({})).granted).toBe(false);
    await close();
  });
});

test('after the clock of Redis is set back, a counter that ends later than any charge could end it is over', async () => {
  const { charger, close } = await open({ clock: 'local' });
  const admin = new Redis(redis.url);
  for (const [algorithm, value] of [
    ['fixed', '9e15 5'],
    ['gcra', '9e15'],
    ['sliding', '9e15 5 5'],
  ] as const) {
    const charge = charger('ahead', algorithm, 5);
    await charge({});
    const [key = ''] = await admin.keys(`sluice:${algorithm[0]}:*:ahead:*`);
    await admin.set(key, value);
    expect([algorithm, (await charge({})).granted]).toEqual([algorithm, true]);
  }
  admin.disconnect();
  await close();
});

test('escrow takes no lease for a long key', async () => {
  const { charger, close, metrics } = await open({ escrow: true });
  const charge = charger('long', 'fixed', 1000);
  for (let call = 0; call < 50; call++) expect((await charge({ key: 'k'.repeat(50_000) })).granted).toBe(true);
  expect(await metrics()).toMatch(/escrow_taken_total\{.*\} 0/);
  await close();
});

test.each(['+OK', ':1', '*1\r\n:1', '*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n+x', '*5\r\n:7\r\n:1\r\n:1\r\n:1\r\n:1'])(
  'a server that answers %s is Unavailable',
  async (reply) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (octets) => {
        const commands = octets.toString().match(/\*\d+\r\n\$\d+\r\n\w+/g) ?? [];
        for (const command of commands) socket.write(`${/evalsha/i.test(command) ? reply : '+OK'}\r\n`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { charger, close } = await open({ url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const charge = charger('fake', 'fixed', 5);
    await eventually(async () => {
      const error = await charge({}).catch((thrown: unknown) => thrown);
      expect([error instanceof Unavailable, String(error)]).toEqual([
        true,
        expect.stringMatching(/unexpected reply to a script/),
      ]);
    });
    await close();
    server.close();
  },
);
