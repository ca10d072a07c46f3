/**
 * SIGTERM respects the grace period, and calls get answers, while a backend is away or hangs, or a reader of the admin port does not read.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { freePort } from '../parts/free-port.ts';
import { startRedis } from '../parts/redis.ts';
import { peerClient } from './peer-client.ts';
import { serveSluice, until } from './sluice.ts';

/** `serveSluice` has a grace of 3 s; the rest is for a busy machine. */
const SOON_MS = 15_000;

test('without Kafka, queued reports are given up in time, and logged', async () => {
  await using sluice = await serveSluice(`
handlers: { audit: { adapter: log-kafka, config: { brokers: ["127.0.0.1:${await freePort()}"], topic: audit } } }
rules: [{ name: written, calls: [http], report: { handler: audit, input: { path: request.path } } }]
`);
  onTestFinished(async () => {
    await sluice.stop('SIGKILL');
  });
  expect(await burstOfChecks(sluice.grpcPort, 'ann', { calls: 250 })).toMatchObject({ passed: 250 });
  const beganAtMs = performance.now();
  expect(await sluice.stop()).toBe(0);
  expect(performance.now() - beganAtMs).toBeLessThan(SOON_MS);
  expect(sluice.log.filter((line) => line.includes('reports lost')).join('\n')).toMatch(/entries=250 .*rule written/);
}, 60_000);

test('with a hung Redis, calls end by their onError, reloads work, the outage is logged, and SIGTERM ends the process', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const policy = (limit: number): string => `
handlers: { limits: { adapter: quota-redis, config: { url: "${redis.url}" } } }
rules: [{ name: limited, quota: { handler: limits, limit: ${limit}, per: 1h, key: [] }, onError: { handler: deny } }]
`;
  await using sluice = await serveSluice(policy(1000));
  onTestFinished(async () => {
    await sluice.stop('SIGKILL');
  });
  expect(await burstOfChecks(sluice.grpcPort, 'ann', { calls: 5, timeoutMs: 10_000 })).toMatchObject({ passed: 5 });
  redis.freeze();
  const hung = burstOfChecks(sluice.grpcPort, 'ann', { calls: 200, timeoutMs: 10_000 });
  await writeFile(sluice.policyFile, policy(2000));
  sluice.child.kill('SIGHUP');
  expect(await hung).toEqual({ passed: 0, refused: 0, failed: { 'denied 503': 200 } });
  await until('the reload', () => (sluice.log.some((line) => line.includes('policy loaded')) ? true : undefined));
  await until('a line about the handler', async () => {
    await burstOfChecks(sluice.grpcPort, 'ann', { calls: 20, timeoutMs: 10_000 });
    return sluice.log.some((line) => line.includes('a handler does not answer')) ? true : undefined;
  });
  redis.thaw();
  await until('Redis to be asked again', async () =>
    (await burstOfChecks(sluice.grpcPort, 'ann', { calls: 5, timeoutMs: 10_000 })).passed === 5 ? true : undefined,
  );
  await until('a line that it answers', () =>
    sluice.log.some((line) => line.includes('a handler answers again')) ? true : undefined,
  );
  redis.freeze();
  expect((await burstOfChecks(sluice.grpcPort, 'ann', { calls: 50, timeoutMs: 10_000 })).passed).toBe(0);
  const beganAtMs = performance.now();
  expect(await sluice.stop()).toBe(0);
  expect(performance.now() - beganAtMs).toBeLessThan(SOON_MS);
  redis.thaw();
}, 60_000);

/** Of the kernel's table of sockets: bytes that the local port has sent and the remote port has not taken. */
function unsentBytes(localPort: number, remotePort: number): number {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const queues = new RegExp(`:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} 01 ([0-9A-F]{8}):`);
  return Number.parseInt(queues.exec(readFileSync('/proc/net/tcp', 'utf8'))?.[1] ?? '0', 16);
}

test.each([[[]], [['--workers', '2']]])(
  '%j: SIGTERM ends the process in its grace while one reader of decisions reads and one does not; calls in flight are answered',
  async (args) => {
    const asked = Promise.withResolvers<ServerResponse>();
    const door = createServer((_request, response) => asked.resolve(response));
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    onTestFinished(() => {
      door.close();
    });
    await using sluice = await serveSluice(
      `
handlers: { door: { adapter: check-http, config: { url: "http://127.0.0.1:${(door.address() as AddressInfo).port}/" }, deadline: 10s } }
rules: [{ name: door, match: request.url_path == "/in-flight", check: { handler: door } }]
`,
      { args },
    );
    onTestFinished(async () => {
      await sluice.stop('SIGKILL');
    });
    const envoy = peerClient(`127.0.0.1:${sluice.grpcPort}`);
    onTestFinished(() => envoy.close());

    const reader = await sluice.admin('/verdicts/stream');
    let read = 0;
    const ended = (async () => {
      for await (const chunk of reader.body ?? []) read += chunk.byteLength;
    })().catch(() => undefined); // the server may cut a stream off
    const stuck = connect({ host: '127.0.0.1', port: sluice.adminPort });
    onTestFinished(() => {
      stuck.destroy();
    });
    stuck.on('error', () => {}).pause();
    stuck.write('GET /verdicts/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    await once(stuck, 'connect');
    // Long lines, until the kernel takes no more for the one that does not read.
    let unsent = 0;
    await until('the server to wait for the reader', async () => {
      await Promise.all(
        Array.from({ length: 500 }, () => envoy.check({ path: `/${'x'.repeat(4000)}`, host: 'shop' }, 20_000)),
      );
      const before = unsent;
      unsent = unsentBytes(sluice.adminPort, stuck.localPort ?? 0);
      return unsent > 0 && unsent === before ? unsent : undefined;
    });
    expect(read).toBeGreaterThan(0);

    const inFlight = envoy.check({ path: '/in-flight', host: 'shop' }, 20_000);
    const response = await asked.promise;
    const exited = once(sluice.child, 'exit');
    const beganAtMs = performance.now();
    sluice.child.kill('SIGTERM');
    await until('the drain', () => (sluice.log.some((line) => line.includes('stopping')) ? true : undefined));
    response.end();
    expect((await inFlight).http_response).toBe('ok_response');
    expect(await exited).toEqual([0, null]);
    expect(performance.now() - beganAtMs).toBeLessThan(SOON_MS);
    await ended;
    expect(sluice.log.filter((line) => line.includes('internal error'))).toEqual([]);
  },
  60_000,
);
