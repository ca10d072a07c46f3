/**
 * A burst is interrupted. Escrow leases units meanwhile: Redis has counted what passed in the end, and nothing else. A stop loses no call
 * of a connection that waits to be accepted.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { freePort } from '../parts/free-port.ts';
import { sendRaw } from '../parts/raw-http.ts';
import { type RedisPart, startRedisWithClient } from '../parts/redis.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const CALLS = 2000;
const PATIENT = { calls: CALLS, timeoutMs: 60_000 };
const ALL_PASS = { passed: CALLS, refused: 0, failed: {} };

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
});
afterAll(() => redis.stop());

/** `timeoutMs` of the handler, which decides whether a reload keeps it. */
const policy = (timeoutMs: number, limit: number): string => `
handlers:
  redis: { adapter: quota-redis, deadline: 30s, config: { url: { $env: REDIS_URL }, escrow: true, timeoutMs: ${timeoutMs} } }
rules:
  - name: r
    quota: { handler: redis, limit: ${limit}, per: 24h, key: ['request.headers[?"x-user"].orValue("")'] }
    onError: { handler: deny } # a slow Redis passes nothing uncounted
`;

async function served(): Promise<ServedSluice> {
  const sluice = await serveSluice(policy(5000, 1_000_000), {
    env: { REDIS_URL: redis.url },
    args: ['--grace', '60'], // on a busy machine the burst takes long
  });
  onTestFinished(async () => {
    await sluice.stop();
  });
  return sluice;
}

/** Of all windows of a user: the value is END USED. */
async function usedBy(user: string): Promise<number> {
  const keys = await admin.keys(`sluice:f:*:${user}`);
  const values = await Promise.all(keys.map(async (key) => admin.get(key)));
  return values.reduce((sum, value) => sum + Number(value?.split(' ')[1]), 0);
}

/** Units were leased, and calls wait for more. */
const isInTheMidst = async (user: string): Promise<number> =>
  until('a first charge', async () => ((await usedBy(user)) > 0 ? 1 : undefined));

test('by SIGTERM: what is leased is given back before the server ends', async () => {
  const sluice = await served();
  const burst = burstOfChecks(sluice.grpcPort, 'ended', PATIENT);
  await isInTheMidst('ended');
  const ended = sluice.stop('SIGTERM');
  const { passed } = await burst;
  expect(await ended).toBe(0);
  expect(passed).toBeGreaterThan(0);
  expect(await usedBy('ended')).toBe(passed);
}, 120_000);

test.each([
  ['that keeps the handler', 5000, 1_000_000],
  ['that opens another handler', 6000, 1_000_000],
  ['that changes the limit', 5000, 2_000_000],
])(
  'by a reload %s: no call fails, no unit is lost, nothing is logged',
  async (name, timeoutMs, limit) => {
    const sluice = await served();
    const user = name.replaceAll(' ', '-');
    const burst = burstOfChecks(sluice.grpcPort, user, PATIENT);
    await isInTheMidst(user);
    await writeFile(sluice.policyFile, `${policy(timeoutMs, limit)}# changed\n`);
    expect(await burst).toEqual(ALL_PASS);
    await until('a reload', () => sluice.log.find((line) => line.includes('policy loaded')));
    expect(await burstOfChecks(sluice.grpcPort, user, PATIENT)).toEqual(ALL_PASS);
    await until('the return of what is leased', async () => ((await usedBy(user)) === 2 * CALLS ? 1 : undefined));
    expect(sluice.log.filter((line) => / error /.test(line))).toEqual([]);
  },
  120_000,
);

/** Connections to a port that the server has not accepted, of the kernel's table of sockets. */
function waitingAt(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const queues = readFileSync('/proc/net/tcp', 'utf8').matchAll(
    new RegExp(`:${hex} 00000000:0000 0A \\w+:(\\w+)`, 'g'),
  );
  return [...queues].reduce((sum, [, waiting]) => sum + Number.parseInt(waiting ?? '', 16), 0);
}

test.each([[[]], [['--workers', '2']], [['--transport', 'http2']]])(
  'by SIGTERM, %j, before its connections are accepted: each call is answered, or told that it was not handled',
  async (args) => {
    await using sluice = await serveSluice(
      'rules: [{ name: r, match: request.url_path == "/b", deny: { status: 403 } }]',
      {
        args: [...args, '--http', `127.0.0.1:${await freePort()}`, '--grace', '20'],
      },
    );
    const { child, grpcPort, httpPort = 0 } = sluice;
    child.kill('SIGSTOP');
    const burst = burstOfChecks(grpcPort, 'waits', { calls: CALLS, connections: 20, isHasty: true });
    const requests = Promise.all(Array.from({ length: 20 }, () => sendRaw(httpPort, 'GET /envoy/a HTTP/1.1')));
    await until('connections to wait', () => waitingAt(grpcPort) >= 20 && waitingAt(httpPort) === 20);
    const ended = sluice.stop('SIGTERM'); // and SIGCONT
    const { passed, failed } = await burst;
    const retryable = failed['grpc retryable'] ?? 0;
    expect([passed + retryable, passed > 0]).toEqual([CALLS, true]);
    expect(new Set((await requests).map(({ status }) => status))).toEqual(new Set([200]));
    expect(await ended).toBe(0);
  },
  60_000,
);
