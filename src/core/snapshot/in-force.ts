/**
 * The policy in force, over the lifetime of an engine.
 * **In**: loaded policies. **Out**: the snapshot that calls use. **Fails**: with a {@link SnapshotError}; the last good one stays.
 */
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { Policy } from '../rules/policy.ts';
import { CORE_ERRORS, SnapshotError } from './errors.ts';
import { keepMetersOf, openSnapshot, type SnapshotContext } from './open-snapshot.ts';
import type { Snapshot } from './snapshot.ts';

/** Call exactly one of the two, once. */
export interface PreparedPolicy {
  /** Puts it in force, from the next call on. */
  commit(): void;
  /** Closes the handlers opened for it; the policy in force stays. */
  abandon(): Promise<void>;
}

export class PolicyInForce {
  /** `undefined` before the first policy and after draining. */
  current: Snapshot | undefined;
  readonly #context: SnapshotContext;
  readonly #onCommit: (snapshot: Snapshot) => void;
  /** Prepared, and neither committed nor abandoned yet. */
  readonly #prepared = new Set<Snapshot>();
  /** Replaced, but with calls still running. */
  readonly #retiring = new Set<Promise<void>>();
  /** No longer in the policy, but with reports on disk that they still send. */
  readonly #leaving = new Set<LiveHandler>();
  #lastOpening: Promise<unknown> | undefined;
  #isDraining = false;
  #drained: Promise<void> | undefined;

  /** `onCommit` is called with each snapshot that comes into force. */
  constructor(context: SnapshotContext, onCommit: (snapshot: Snapshot) => void) {
    this.#context = context;
    this.#onCommit = onCommit;
  }

  /** One at a time. */
  async use(policy: Policy): Promise<void> {
    const prepared = await this.prepare(policy);
    if (this.#isDraining) throw drainedError(policy); // draining closes it
    prepared.commit();
  }

  /** One at a time. */
  prepare(policy: Policy): Promise<PreparedPolicy> {
    const opening = this.#open(policy);
    this.#lastOpening = opening.catch(() => undefined);
    return opening;
  }

  async #open(policy: Policy): Promise<PreparedPolicy> {
    if (this.#isDraining) throw drainedError(policy);
    const next = await openSnapshot(policy, this.#context, this.current);
    if (this.#isDraining) {
      await next.retire();
      throw drainedError(policy);
    }
    this.#prepared.add(next);
    return {
      commit: () => {
        if (this.#prepared.delete(next)) this.#commit(next);
      },
      abandon: async () => {
        if (!this.#prepared.delete(next)) return;
        await next.retire();
        this.#keepMeters();
      },
    };
  }

  #commit(next: Snapshot): void {
    const last = this.current;
    const { policy, handlers } = next;
    this.current = next;
    for (const handler of handlers.values()) handler.configure(policy.handlers.get(handler.spec.name) ?? handler.spec);
    this.#keepMeters();
    this.#keepLetters(next);
    this.#onCommit(next);
    if (last === undefined) {
      void this.#context.spools.logOrphans(policy);
      return;
    }
    for (const [name, handler] of last.handlers) if (handlers.get(name) !== handler) this.#leave(handler);
    const retired = last.retire().finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }

  #leave(handler: LiveHandler): void {
    if (handler.spec.spool.kind === 'memory') return;
    this.#leaving.add(handler);
    void handler.closed.then(() => {
      this.#leaving.delete(handler);
      this.#keepMeters();
    });
  }

  #keepMeters(): void {
    const leaving = [...this.#leaving].map(({ spec }) => spec.name);
    keepMetersOf(this.current, this.#context.meters, leaving);
  }

  /** Of handlers by name, so that a handler that a reload mends can send those of the one before it again. */
  #keepLetters({ handlers }: Snapshot): void {
    const inMemory = [...handlers.values()].filter(({ letters }) => letters !== undefined);
    const forgotten = this.#context.letterBoxes.keepOnly(new Set(inMemory.map(({ spec }) => spec.name)));
    if (forgotten.length > 0)
      this.#context.log.warn('dead letters are dropped: no handler of their name has its reports in memory any more', {
        handlers: forgotten,
      });
  }

  /** Of the policy, and those that still send reports of an earlier one. */
  handlers(): readonly LiveHandler[] {
    const current = this.current?.handlers;
    const leaving = [...this.#leaving].filter(({ spec }) => current?.has(spec.name) !== true);
    return [...(current?.values() ?? []), ...leaving];
  }

  /** See Engine.whenSafe. */
  whenSafe(): Promise<void> | undefined {
    return this.#context.spools.whenSafe();
  }

  reportsFull(): boolean {
    return this.handlers().some(({ reports }) => reports?.isFull === true);
  }

  /** Settles when every queued report is written or discarded. */
  async flush(): Promise<void> {
    await Promise.all(this.handlers().map(async ({ reports }) => reports?.flush()));
  }

  /** Closes everything, reports first. Idempotent. */
  drain(): Promise<void> {
    this.#isDraining = true;
    this.#context.spools.stop();
    return (this.#drained ??= this.#drain());
  }

  async #drain(): Promise<void> {
    await this.#lastOpening; // it closes the handlers it opened; the handlers it keeps must still be open
    const last = this.current;
    this.current = undefined;
    const unused = [...this.#prepared];
    this.#prepared.clear();
    await Promise.all([last?.retire(), ...this.#retiring, ...unused.map((next) => next.retire())]);
    this.#logLostLetters();
  }

  #logLostLetters(): void {
    for (const [handler, letters] of this.#context.letterBoxes.kept()) {
      const last = letters.all.at(-1);
      this.#context.log.warn('dead letters lost: they were in memory; with spool: disk they outlive the process', {
        handler,
        entries: letters.state.kept,
        last: `${last?.id} of ${last?.rule}`,
        why: last?.why,
      });
    }
  }
}

function drainedError({ watched: [file = 'policy'] }: Policy): SnapshotError {
  return new SnapshotError([
    {
      severity: 'error',
      position: { file, line: 1, column: 1 },
      code: 'CORE_DRAINED',
      message: CORE_ERRORS.CORE_DRAINED.means,
      excerpt: undefined,
    },
  ]);
}
