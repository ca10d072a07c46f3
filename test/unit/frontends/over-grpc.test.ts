/** The frontends over the real transport, with a client on the protos of grpc-js-xds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NO_CHANGES, NO_HEADERS, type Verdict } from '../../../src/core/call.ts';
import { frontendMethods } from '../../../src/frontends/index.ts';
import { listen, Status, type Transport } from '../../../src/transport/index.ts';
import { type PeerClient, peerClient } from '../../e2e/peer-client.ts';
import { ALLOW, DENY, fixedEngine, GRANT } from '../../parts/fixed-engine.ts';
import { readerOf } from './call.ts';

let server: Transport;
let client: PeerClient;
const faults: unknown[] = [];

beforeAll(async () => {
  const answers = new Map<unknown, Verdict>([
    ['/no', { ...DENY, status: 429, body: 'slow down' }],
    ['/failed', { ...DENY, outcome: 'failed' }],
    ['/error', { ...DENY, outcome: 'error' }],
    ['/go', { ...ALLOW, changes: { ...NO_CHANGES, request: { ...NO_HEADERS, set: [['x-plan', 'free']] } } }],
  ]);
  const engine = fixedEngine({
    check: (_, wire) => answers.get(readerOf(wire)('request.url_path')) ?? ALLOW,
    limit: async (wires) => ({
      ...GRANT,
      outcome: 'deny',
      rule: 'per-user',
      statuses: wires.map(() => ({ over: true, rule: 'per-user', limit: 5, perMs: 60_000, remaining: 0, resetMs: 1 })),
    }),
  });
  server = await listen(new Map(frontendMethods(engine)), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (_, error) => void faults.push(error),
  });
  client = peerClient(`127.0.0.1:${server.port}`);
});
afterAll(async () => {
  client.close();
  await server.drain(100);
});

test('a check is allowed with changes, denied, failed', async () => {
  const go = await client.check({ path: '/go' });
  expect([go.status?.code, go.ok_response?.headers.map(({ header }) => [header.key, header.value])]).toEqual([
    0,
    [['x-plan', 'free']],
  ]);
  const no = await client.check({ path: '/no' });
  expect([no.status?.code, no.denied_response?.status.code, no.denied_response?.body]).toEqual([
    7,
    'TooManyRequests',
    'slow down',
  ]);
  const failed = await client.check({ path: '/failed' });
  expect([failed.status?.code, failed.denied_response?.status.code]).toEqual([14, 'ServiceUnavailable']);
});

test('an error is the status of the call', async () => {
  await expect(client.check({ path: '/error' })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
});

test('a limit is answered with its numbers', async () => {
  expect(await client.limit('shop', { user: 'ann' })).toMatchObject({
    overall_code: 'OVER_LIMIT',
    statuses: [
      {
        code: 'OVER_LIMIT',
        limit_remaining: 0,
        current_limit: { requests_per_unit: 5, unit: 'MINUTE', name: 'per-user' },
        duration_until_reset: { seconds: 1 },
      },
    ],
  });
});

test.each([
  '/envoy.service.auth.v3.Authorization/Check',
  '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
])('no bytes, or half a message, to %s is not an empty OK', async (path) => {
  expect(await client.raw(path, Buffer.alloc(0))).toBe(Status.INVALID_ARGUMENT);
  expect(await client.raw(path, Buffer.from([0x0a, 0x7f, 0x01]))).toBe(Status.INVALID_ARGUMENT);
  expect(faults).toEqual([]);
});
