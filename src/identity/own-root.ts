/**
 * An authority with a root of its own, which replaces it in three steps before it ends.
 * **In**: a folder to keep roots in, or none; lifetimes. **Out**: a source of signing certificates.
 * **Fails**: with an {@link AuthorityError} when it is opened without a root that may sign; later never: the roots in force stay, and one
 * log line says why.
 */
import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../adapters/contract.ts';
import { stampOf, watchFiles } from '../files/watch.ts';
import { messageOf } from '../text/message-of.ts';
import { InTurn } from '../time/in-turn.ts';
import type { SigningSet, SigningSource } from './authority.ts';
import { certificatePem, newKey, selfSignedRoot, signingCertificate } from './certificate.ts';
import { AuthorityError } from './authority-error.ts';
import { type OwnRoot, ownRoot, RootFolder } from './root-folder.ts';
import { rotationPlan } from './root-rotation.ts';

export interface OwnRootOptions {
  /** Absent: in memory. */
  readonly folder?: string | undefined;
  readonly trustDomain: string;
  readonly rootTtlMs: number;
  /** Of certificates of workloads: by then each has been renewed. */
  readonly maxTtlMs: number;
  readonly log: Log;
  readonly nowMs?: () => number;
  /** Poll interval of the folder. */
  readonly everyMs?: number;
}

/** The clock may be set, and a machine may be suspended. */
const LOOK_EVERY_MS = 3_600_000;
/** Lower bound between replacements, for roots that expire at once. */
const LEAST_PAUSE_MS = 100;
/** Retry interval while the folder cannot be written. */
const WRITE_AGAIN_MS = 60_000;

export async function openOwnRoot(options: OwnRootOptions): Promise<SigningSource> {
  const source = new OwnRoots(options);
  await source.open();
  return source;
}

interface InForce {
  readonly set: SigningSet;
  readonly signer: OwnRoot;
  readonly trusted: readonly OwnRoot[];
}

class OwnRoots implements SigningSource {
  readonly #options: OwnRootOptions;
  readonly #folder: RootFolder | undefined;
  readonly #nowMs: () => number;
  readonly #over = new AbortController();
  readonly #turns = new InTurn();
  readonly #listeners = new Set<() => void>();
  /** Without a folder. */
  #kept: readonly OwnRoot[] = [];
  #inForce: InForce | undefined;
  #untilMs = 0;
  #isFailing = false;
  #isUnwritten = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: OwnRootOptions) {
    this.#options = options;
    this.#folder = options.folder === undefined ? undefined : new RootFolder(options.folder);
    this.#nowMs = options.nowMs ?? (() => Date.now());
  }

  get current(): SigningSet {
    if (this.#inForce === undefined) throw new Error('the authority is not open');
    return this.#inForce.set;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async open(): Promise<void> {
    const { log, folder } = this.#options;
    await this.#folder?.create();
    await this.#refresh();
    if (folder === undefined)
      log.warn(
        'the root certificate is in memory only: a restart makes another one, and workloads refuse each other until all have renewed; keep it with --ca-folder',
      );
    this.#running = Promise.all([this.#watchClock(), this.#watchFolder()]);
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  // ---------------------------------------------------------- when to look

  async #watchClock(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const pauseMs = Math.min(LOOK_EVERY_MS, Math.max(LEAST_PAUSE_MS, this.#untilMs - this.#nowMs()));
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  async #watchFolder(): Promise<void> {
    const { folder, everyMs } = this.#options;
    if (folder === undefined) return;
    await watchFiles({
      stamp: async () => {
        const names = (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith('.')).toSorted();
        return (await Promise.all(names.map(async (name) => `${name} ${await stampOf(`${folder}/${name}`)}`))).join(
          '\n',
        );
      },
      onChange: () => this.#look(),
      signal: this.#over.signal,
      ...(everyMs === undefined ? {} : { everyMs }),
    });
  }

  /** One line when it begins to fail, and one when it works again. */
  async #look(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#turns.run(() => this.#refresh());
      if (this.#isFailing) log.info('the roots of the certificate authority can be read again');
      this.#isFailing = false;
    } catch (error) {
      this.#untilMs = this.#nowMs() + LOOK_EVERY_MS;
      if (!this.#isFailing)
        log.error('the roots of the certificate authority cannot be read; the last good ones stay in force', {
          why: messageOf(error),
        });
      this.#isFailing = true;
    }
  }

  // ---------------------------------------------------------- roots

  async #refresh(): Promise<void> {
    const { maxTtlMs, log, folder } = this.#options;
    let roots = await this.#read();
    // An unmounted volume must not bring another root, which no workload trusts.
    if (roots.length === 0 && this.#inForce !== undefined)
      throw new AuthorityError(
        `${folder} has no roots any more; restore its files (a restart would make another root)`,
      );
    let unwritten: unknown;
    if (rotationPlan(roots, maxTtlMs, this.#nowMs()).isNewDue) {
      unwritten = await failureOf(this.#add((roots.at(-1)?.number ?? 0) + 1));
      roots = await this.#read(); // another control plane may have been first
    }
    const nowMs = this.#nowMs();
    const { signer, trusted, untilMs } = rotationPlan(roots, maxTtlMs, nowMs);
    if (signer === undefined)
      throw unwritten ?? new AuthorityError('each root has ended already; compare the clock of this machine');
    this.#untilMs = untilMs;
    const before = this.#inForce;
    const pems = trusted.map((root) => certificatePem(root.signer.certificate));
    if (!isSame(before, signer, trusted)) {
      this.#inForce = { set: { signer: signer.signer, chain: [], roots: pems }, signer, trusted };
      this.#report(before !== undefined, this.#inForce, nowMs);
      for (const listener of this.#listeners) listener();
    }
    unwritten ??= await failureOf(this.#folder?.writeTrusted(pems.join('')));
    this.#reportUnwritten(unwritten, signer);
    for (const path of (await this.#folder?.openToOthers(trusted)) ?? [])
      log.warn('other users may read the key of the certificate authority; run chmod 600 on the file', { path });
  }

  /** One line when writing begins to fail, and one when it works again. Roots in force go on. */
  #reportUnwritten(failure: unknown, { number, endsAtMs }: OwnRoot): void {
    const { log, folder } = this.#options;
    const isUnwritten = failure !== undefined;
    if (isUnwritten) this.#untilMs = Math.min(this.#untilMs, this.#nowMs() + WRITE_AGAIN_MS);
    if (isUnwritten && !this.#isUnwritten)
      log.error(
        'the folder of the certificate authority cannot be written; its root goes on signing, and writing is tried again each minute',
        {
          why: messageOf(failure),
          signs: number,
          ends: timeText(endsAtMs),
        },
      );
    if (!isUnwritten && this.#isUnwritten)
      log.info('the folder of the certificate authority can be written again', { folder });
    this.#isUnwritten = isUnwritten;
  }

  #report(isChange: boolean, { signer, trusted }: InForce, nowMs: number): void {
    const { log } = this.#options;
    if (signer.madeAtMs > nowMs)
      log.warn('the root begins in the future; compare the clock of this machine', {
        begins: timeText(signer.madeAtMs),
      });
    if (isChange)
      log.info('the roots of the certificate authority have changed', {
        signs: signer.number,
        trusted: trusted.map(({ number }) => number),
        nextStep: timeText(this.#untilMs),
      });
  }

  #read(): Promise<readonly OwnRoot[]> {
    return this.#folder?.read() ?? Promise.resolve(this.#kept);
  }

  async #add(number: number): Promise<void> {
    const { trustDomain, rootTtlMs, folder, log } = this.#options;
    const key = newKey();
    const { pem, notAfterMs } = selfSignedRoot({ key, trustDomain, ttlMs: rootTtlMs }, this.#nowMs());
    const root = ownRoot(number, signingCertificate(new X509Certificate(pem), key));
    if (this.#folder === undefined) this.#kept = [...this.#kept, root];
    else if (!(await this.#folder.add(root, pem))) return;
    log.info('a root certificate was made', { number, ends: timeText(notAfterMs), folder: folder ?? 'none' });
  }
}

const failureOf = async (writing: Promise<void> | undefined): Promise<unknown> =>
  writing?.then(
    () => undefined,
    (error: unknown) => error,
  );

const isSame = (before: InForce | undefined, signer: OwnRoot, trusted: readonly OwnRoot[]): boolean =>
  before !== undefined &&
  idOf(before.signer) === idOf(signer) &&
  before.trusted.map(idOf).join() === trusted.map(idOf).join();

const idOf = ({ signer }: OwnRoot): string => signer.certificate.fingerprint256;
const timeText = (ms: number): string => new Date(ms).toISOString();
