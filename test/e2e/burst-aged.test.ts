/**
 * Connections reach their maximum age in the midst of a burst: each call is answered once, or sent again by its client, and charged once.
 * CALLS=10000 for more.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { burstOfChecks } from '../parts/burst.ts';
import { type RedisPart, startRedisWithClient } from '../parts/redis.ts';
import { serveSluice, type ServedSluice } from './sluice.ts';

const CALLS = Number(process.env['CALLS'] ?? 4000);
const POLICY = `
handlers:
  redis: { adapter: quota-redis, deadline: 30s, config: { url: { $env: REDIS_URL }, timeoutMs: 5000 } }
rules:
  - name: r
    quota: { handler: redis, limit: 1000000, per: 24h, key: ['request.headers["x-user"]'] }
    onError: { handler: deny }
`;

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
});
afterAll(() => redis.stop());

async function served(): Promise<ServedSluice> {
  const sluice = await serveSluice(POLICY, { env: { REDIS_URL: redis.url }, args: ['--max-connection-age', '1'] });
  onTestFinished(async () => {
    await sluice.stop();
  });
  return sluice;
}

/** Of all windows of a user: the value is END USED. */
async function chargedTo(user: string): Promise<number> {
  const values = await Promise.all((await admin.keys(`sluice:f:*:${user}`)).map(async (key) => admin.get(key)));
  return values.reduce((sum, value) => sum + Number(value?.split(' ')[1]), 0);
}

test('our own client, which goes on until the last GOAWAY', async () => {
  const { grpcPort } = await served();
  let passed = 0;
  let again = 0;
  for (let left = CALLS; left > 0; left = CALLS - passed) {
    const result = await burstOfChecks(grpcPort, 'own', {
      calls: left,
      connections: 2,
      atOnce: 1, // so that the connections become old
      isHasty: true,
      timeoutMs: 20_000,
    });
    const { 'grpc retryable': retryable = 0, ...failed } = result.failed;
    expect(failed).toEqual({});
    passed += result.passed;
    again += retryable;
  }
  expect(again).toBeGreaterThan(0);
  expect([passed, await chargedTo('own')]).toEqual([CALLS, CALLS]);
}, 60_000);

test('grpc-js', async () => {
  const { grpcPort } = await served();
  const clients = Array.from({ length: 3 }, () => dialGrpc(`127.0.0.1:${grpcPort}`));
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  const message = toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, {
      attributes: { request: { http: { method: 'GET', path: '/a', host: 'h', headers: { 'x-user': 'grpc-js' } } } },
    }),
  );
  const codes: Record<string, number> = {};
  let asked = 0;
  const oneByOne = async (client: (typeof clients)[number]): Promise<void> => {
    while (asked++ < CALLS) {
      const code = await client
        .unary('/envoy.service.auth.v3.Authorization/Check', message, { timeoutMs: 20_000 })
        .then(
          (bytes) => String(fromBinary(CheckResponseSchema, bytes).status?.code ?? 0),
          (error: Error) => error.message,
        );
      codes[code] = (codes[code] ?? 0) + 1;
    }
  };
  await Promise.all(clients.flatMap((client) => Array.from({ length: 30 }, () => oneByOne(client))));
  expect(codes).toEqual({ 0: CALLS });
  expect(await chargedTo('grpc-js')).toBe(CALLS);
}, 60_000);
