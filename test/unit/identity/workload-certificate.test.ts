/** Renewal of the certificate of a workload, by a clock of the test. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import {
  type Clock,
  WorkloadCertificate,
  type WorkloadCertificateOptions,
} from '../../../src/identity/workload-certificate.ts';
import { newKey } from '../../../src/identity/certificate.ts';
import { lines as linesOf } from '../../parts/identity/lines.ts';
import { newRoot } from '../../parts/identity/test-roots.ts';
import { type TestSigner, testSigner } from '../../parts/identity/test-signer.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

class TestClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  readonly #timers = new Set<{ readonly atMs: number; readonly call: () => void }>();

  nowMs = (): number => this.#nowMs;
  after(ms: number, call: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  get waits(): number {
    return this.#timers.size;
  }
  /** Fires timers in order, and waits for the work that each begins. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const [next] = [...this.#timers].toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers.delete(next);
      next.call();
    }
    this.#nowMs = endMs;
  }
}

/** A renewal in this process takes a few turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

interface Kept {
  readonly certificate: WorkloadCertificate;
  readonly clock: TestClock;
  readonly signer: TestSigner;
  readonly lines: readonly string[];
  readonly changes: () => number;
}

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

function keep(options: Partial<WorkloadCertificateOptions> = {}, ttlMs = HOUR_MS): Kept {
  const clock = new TestClock();
  const signer = testSigner(clock.nowMs, { ttlMs });
  const log = linesOf();
  const certificate = new WorkloadCertificate({
    signer,
    clock,
    log,
    random: () => 0.5,
    ...options,
  });
  let changes = 0;
  certificate.onChange(() => changes++);
  ends.push(() => certificate[Symbol.dispose]());
  return { certificate, clock, signer, lines: log.all, changes: () => changes };
}

test('the first certificate is asked for at once, and its key is its own', async () => {
  const { certificate, clock, lines, changes } = keep();
  await clock.advance(0);
  const secret = await certificate.first;
  expect(new X509Certificate(secret.chainPem).checkPrivateKey(createPrivateKey(secret.keyPem))).toBe(true);
  expect(secret.expiresAtMs).toBe(clock.nowMs() + HOUR_MS);
  expect(changes()).toBe(1);
  expect(lines).toEqual([]);
});

test.for([
  [0, 0.49],
  [0.5, 0.5],
  [1, 0.51],
] as const)('with a jitter of %d it is renewed at %d of its lifetime, by a new key', async ([random, share]) => {
  const { certificate, clock, changes } = keep({ random: () => random });
  await clock.advance(0);
  const first = await certificate.first;
  await clock.advance(HOUR_MS * share - 1000);
  expect(changes()).toBe(1);
  await clock.advance(2000);
  expect(changes()).toBe(2);
  expect(certificate.secret?.keyPem).not.toBe(first.keyPem);
});

test('a lifetime of 30 days is renewed on its 15th, though a timer cannot wait so long', async () => {
  const { clock, changes } = keep({}, 30 * 24 * HOUR_MS);
  await clock.advance(15 * 24 * HOUR_MS - MINUTE_MS);
  expect(changes()).toBe(1);
  await clock.advance(2 * MINUTE_MS);
  expect(changes()).toBe(2);
}, 30_000);

test('while nobody signs, the certificate stays, tries get rarer, and one line tells the failure and one the recovery', async () => {
  const { certificate, clock, signer, lines, changes } = keep();
  await clock.advance(0);
  const first = await certificate.first;
  signer.failure = new Error('connect ECONNREFUSED');
  await clock.advance(HOUR_MS / 2 + 1);
  expect(signer.asked).toHaveLength(2);
  await clock.advance(10 * MINUTE_MS);
  expect(signer.asked.length).toBeGreaterThan(20);
  expect(signer.asked.length).toBeLessThan(50);
  expect(certificate.secret).toBe(first);
  expect(lines).toMatchObject([expect.stringMatching(/^warn .*cannot be renewed.*ECONNREFUSED.*"endsAt":"2026/)]);
  signer.failure = undefined;
  await clock.advance(MINUTE_MS);
  expect(changes()).toBe(2);
  expect(lines.slice(1)).toMatchObject([expect.stringMatching(/^info .*renewed again.*"failures":\d\d/)]);
  signer.failure = new Error('again');
  await clock.advance(HOUR_MS / 2 + 1000);
  expect(lines[2]).toContain('warn');
});

test('the end of a certificate is an error in the log, once a minute, and the certificate stays until a new one is there', async () => {
  const { certificate, clock, signer, lines } = keep();
  await clock.advance(0);
  signer.failure = new Error('away');
  const errors = (): readonly string[] => lines.filter((line) => line.startsWith('error'));
  await clock.advance(HOUR_MS - 1);
  expect(errors()).toEqual([]);
  await clock.advance(1);
  expect(errors()).toMatchObject([expect.stringContaining('has ended: its peers refuse it')]);
  await clock.advance(10 * MINUTE_MS);
  expect(errors().length).toBeGreaterThan(5);
  expect(errors().length).toBeLessThan(12);
  expect(certificate.secret?.expiresAtMs).toBeLessThan(clock.nowMs());
  signer.failure = undefined;
  await clock.advance(MINUTE_MS);
  expect(certificate.secret?.expiresAtMs).toBeGreaterThan(clock.nowMs());
});

test('a first certificate that nobody signs keeps its waiters waiting, and is there as soon as somebody does', async () => {
  const { certificate, clock, signer } = keep();
  signer.failure = new Error('away');
  let isThere = false;
  void certificate.first.then(() => (isThere = true));
  await clock.advance(5 * MINUTE_MS);
  expect(isThere).toBe(false);
  signer.failure = undefined;
  await clock.advance(MINUTE_MS);
  expect(isThere).toBe(true);
});

test('changed roots renew at once, and again if the renewal under way may still be by the old ones', async () => {
  const { certificate, clock, signer, changes } = keep();
  await clock.advance(0);
  const rotate = (): void => {
    const next = newRoot(clock.nowMs());
    signer.issuer = next.signer;
    signer.trusted = [...signer.trusted, next.pem];
    certificate.renew();
  };
  rotate();
  await clock.advance(0);
  expect(changes()).toBe(2);
  expect(certificate.secret?.rootsPem.match(/BEGIN/g)).toHaveLength(2);
  const gate = Promise.withResolvers<void>();
  signer.gate = gate.promise;
  certificate.renew();
  await clock.advance(0);
  rotate();
  gate.resolve();
  await clock.advance(0);
  expect(certificate.secret?.rootsPem.match(/BEGIN/g)).toHaveLength(3);
  expect(changes()).toBe(4);
});

test.for([
  ['of another key', { ofKey: newKey() }, 'signed another key'],
  ['that has ended', { clockBehindMs: HOUR_MS * 2 }, 'compare the clocks'],
  ['without roots', { trusted: [] }, 'no roots'],
] as const)('a certificate %s is a failure, and is not shown', async ([, change, why]) => {
  const { certificate, clock, signer, lines } = keep();
  Object.assign(signer, change);
  await clock.advance(0);
  expect(lines).toMatchObject([expect.stringContaining(why)]);
  expect(certificate.secret).toBeUndefined();
});

test('a signer whose certificates end at once is not asked in a loop', async () => {
  const { clock, signer } = keep({}, 1);
  await clock.advance(10_000);
  expect(signer.asked.length).toBeLessThan(30);
});

test('closing ends the renewals, and those who wait for the first certificate', async () => {
  const { certificate, clock, signer, changes } = keep();
  const gate = Promise.withResolvers<void>();
  signer.gate = gate.promise;
  await clock.advance(0);
  certificate[Symbol.dispose]();
  await expect(certificate.first).rejects.toThrow('closed before');
  gate.resolve();
  await clock.advance(HOUR_MS);
  expect(clock.waits).toBe(0);
  expect(changes()).toBe(0);
  expect(certificate.secret).toBeUndefined();
});
