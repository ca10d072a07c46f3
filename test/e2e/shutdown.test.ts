/** SIGTERM respects the grace period, and calls get answers, while a backend is away or hangs. */
import { writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { freePort } from '../parts/free-port.ts';
import { startRedis } from '../parts/redis.ts';
import { serveSluice, until } from './sluice.ts';

/** `serveSluice` has a grace of 3 s; the rest is for a busy machine. */
const SOON_MS = 15_000;

test('without Kafka, queued reports are given up in time, and logged', async () => {
  const sluice = await serveSluice(`
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
  const sluice = await serveSluice(policy(1000));
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
