/**
 * The certificate of one workload, renewed long before it ends.
 * **In**: a signer. **Out**: the certificate in force, with key and roots, and a call to listeners when it is replaced.
 * **Fails**: never; while the signer fails, the last certificate stays, even past its end, and the log says so.
 */
import { X509Certificate } from 'node:crypto';
import type { Log } from '../adapters/contract.ts';
import { messageOf } from '../text/message-of.ts';
import { Backoff, type BackoffOptions } from '../time/backoff.ts';
import { Throttle } from '../time/throttle.ts';
import type { Signer, WorkloadSecret } from './contract.ts';

export interface WorkloadCertificateOptions {
  readonly signer: Signer;
  /** Asked of the signer; `undefined`: its own default. */
  readonly ttlMs?: number | undefined;
  readonly log: Log;
  /** For the log, where a process has several. */
  readonly identity?: string;
  /** Awaited before each key is generated, so that thousands of certificates in one process do not block the event loop. */
  readonly turn?: () => Promise<void>;
  readonly backoff?: BackoffOptions;
  readonly clock?: Clock;
  /** From 0 to 1. */
  readonly random?: () => number;
}

export interface Clock {
  /** Since 1970, as certificates have it. */
  nowMs(): number;
  /** Returns what cancels the call. */
  after(ms: number, call: () => void): () => void;
}

/** Does not keep the process alive. */
const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** As Istio's agent: half of the lifetime that is left, so that a signer may be away for the other half; the jitter spreads workloads. */
const RENEW_AT = 0.5;
const JITTER = 0.01;
/** Lower bound between renewals, for a signer whose certificates expire at once. */
const LEAST_MS = 500;
/** Time for two ways to authenticate. */
const SIGN_WITHIN_MS = 40_000;
/** The clock is read this often, since it may be set, and timers stand still while a machine is suspended. */
const LOOK_EVERY_MS = 60_000;

export class WorkloadCertificate implements Disposable {
  readonly #options: WorkloadCertificateOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #backoff: Backoff;
  readonly #ended: Throttle;
  readonly #named: { readonly identity?: string };
  readonly #closed = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #first = Promise.withResolvers<WorkloadSecret>();
  #secret: WorkloadSecret | undefined;
  #dueAtMs = 0;
  #cancel = (): void => {};
  #isSigning = false;
  /** A renewal was asked for while one was under way, which may be by the old roots. */
  #isAskedAgain = false;
  #failures = 0;

  constructor(options: WorkloadCertificateOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(options.backoff);
    this.#ended = new Throttle({ nowMs: () => this.#clock.nowMs() });
    this.#named = options.identity === undefined ? {} : { identity: options.identity };
    this.#first.promise.catch(() => undefined);
    this.#plan();
  }

  get secret(): WorkloadSecret | undefined {
    return this.#secret;
  }

  /** Resolves with the first certificate; rejects if this is closed before. */
  get first(): Promise<WorkloadSecret> {
    return this.#first.promise;
  }

  /** Returns what removes the listener. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Roots have changed. `withinMs`: at any time until then, so that many do not renew at once. */
  renew(withinMs = 0): void {
    if (this.#isSigning) this.#isAskedAgain = true;
    this.#dueAtMs = Math.min(this.#dueAtMs, this.#clock.nowMs() + this.#random() * withinMs);
    this.#plan();
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#cancel();
    this.#listeners.clear();
    this.#first.reject(new Error('closed before the first certificate'));
  }

  // ---------------------------------------------------------- time

  #plan(): void {
    this.#cancel();
    if (this.#isSigning || this.#closed.signal.aborted) return;
    const nowMs = this.#clock.nowMs();
    const endsAtMs = this.#secret?.expiresAtMs ?? Infinity;
    const atMs = endsAtMs > nowMs ? Math.min(this.#dueAtMs, endsAtMs) : this.#dueAtMs;
    this.#cancel = this.#clock.after(Math.min(Math.max(atMs - nowMs, 0), LOOK_EVERY_MS), () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    this.#reportEnd(nowMs);
    if (nowMs >= this.#dueAtMs) void this.#renewNow();
    else this.#plan();
  }

  /** Once a minute. */
  #reportEnd(nowMs: number): void {
    if (this.#secret === undefined || this.#secret.expiresAtMs > nowMs || this.#ended.admit() === 0) return;
    this.#options.log.error('the certificate of the workload has ended: its peers refuse it until it is renewed', {
      ...this.#named,
      endedAt: new Date(this.#secret.expiresAtMs).toISOString(),
      failures: this.#failures,
    });
  }

  // ---------------------------------------------------------- renewal

  async #renewNow(): Promise<void> {
    this.#isSigning = true;
    try {
      const secret = await this.#signed();
      if (this.#closed.signal.aborted) return;
      this.#take(secret);
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#fail(error);
    } finally {
      this.#isSigning = false;
      if (this.#isAskedAgain && this.#failures === 0) this.#dueAtMs = 0;
      this.#isAskedAgain = false;
      this.#plan();
    }
  }

  #take(secret: WorkloadSecret): void {
    const nowMs = this.#clock.nowMs();
    const share = RENEW_AT + (this.#random() * 2 - 1) * JITTER;
    this.#secret = secret;
    this.#dueAtMs = nowMs + Math.max((secret.expiresAtMs - nowMs) * share, LEAST_MS);
    if (this.#failures > 0)
      this.#options.log.info('the certificate of the workload is renewed again', {
        ...this.#named,
        failures: this.#failures,
      });
    this.#failures = 0;
    this.#backoff.reset();
    this.#first.resolve(secret);
    for (const listener of this.#listeners) listener();
  }

  #fail(error: unknown): void {
    const nowMs = this.#clock.nowMs();
    this.#dueAtMs = nowMs + this.#backoff.next();
    if (this.#failures++ === 0)
      this.#options.log.warn('the certificate of the workload cannot be renewed; it is tried again', {
        ...this.#named,
        why: messageOf(error),
        endsAt: this.#secret === undefined ? null : new Date(this.#secret.expiresAtMs).toISOString(),
      });
    this.#reportEnd(nowMs);
  }

  /** With a key of its own for each certificate, so that a stolen one ends with it. */
  async #signed(): Promise<WorkloadSecret> {
    const { signer, ttlMs, turn } = this.#options;
    await turn?.();
    const { createCsr, keyPem, newKey } = await import('./certificate.ts');
    const key = newKey();
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(SIGN_WITHIN_MS)]);
    const { chain, roots } = await signer.sign(createCsr(key), ttlMs, signal);
    const leaf = new X509Certificate(chain[0] ?? '');
    if (!leaf.checkPrivateKey(key)) throw new Error('the signer has signed another key than that of the CSR');
    const expiresAtMs = leaf.validToDate.getTime();
    if (expiresAtMs <= this.#clock.nowMs())
      throw new Error(`the signed certificate ended at ${leaf.validToDate.toISOString()}; compare the clocks`);
    if (roots.length === 0) throw new Error('the signer has named no roots');
    return { chainPem: joined(chain), rootsPem: joined(roots), keyPem: keyPem(key), expiresAtMs };
  }
}

const joined = (pems: readonly string[]): string => pems.map((pem) => `${pem.trimEnd()}\n`).join('');
