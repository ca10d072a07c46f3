/**
 * When an authority with roots of its own introduces one, signs by it, and drops it.
 * **In**: roots with their times. **Out**: the signing root, the trusted roots, whether a new one is due.
 * **Fails**: never.
 *
 * Everything follows from the times in the certificates, so that a restart, or another control plane on the same folder, comes to the same.
 */

export interface RootTimes {
  /** When it was made. */
  readonly madeAtMs: number;
  readonly endsAtMs: number;
}

export interface RotationPlan<T> {
  /** `undefined` if all have ended. */
  readonly signer: T | undefined;
  /** Oldest first. */
  readonly trusted: readonly T[];
  readonly isNewDue: boolean;
  /** When any of these changes. */
  readonly untilMs: number;
}

/** As Citadel: a root with less than this part of its life left is replaced. */
const LEAST_LEFT = 0.2;

/**
 * Step 1: a new root is trusted beside the old. Step 2: after `maxTtlMs`, by when each workload has renewed its certificate and has got
 * both roots with it, the new one signs. Step 3: after as long again, when the last certificate by the old root has ended, the old is
 * dropped. Where the old root ends too soon for that, the steps share the time that is left.
 *
 * `roots`: oldest first.
 */
export function rotationPlan<T extends RootTimes>(
  roots: readonly T[],
  maxTtlMs: number,
  nowMs: number,
): RotationPlan<T> {
  const live = roots.filter(({ endsAtMs }) => endsAtMs > nowMs);
  const newest = live.at(-1);
  const steps: number[] = live.map(({ endsAtMs }) => endsAtMs);
  let signer: T | undefined;
  let dropped = 0;
  for (const [at, root] of live.entries()) {
    const older = live[at - 1];
    const overlapMs = older === undefined ? 0 : Math.min(maxTtlMs, Math.max(0, older.endsAtMs - root.madeAtMs) / 2);
    const signsAtMs = root.madeAtMs + overlapMs;
    const aloneAtMs = signsAtMs + overlapMs;
    steps.push(signsAtMs, aloneAtMs);
    if (older === undefined || signsAtMs <= nowMs) signer = root;
    if (older !== undefined && aloneAtMs <= nowMs) dropped = at;
  }
  const dueAtMs = newest === undefined ? nowMs : newest.endsAtMs - LEAST_LEFT * (newest.endsAtMs - newest.madeAtMs);
  return {
    signer,
    trusted: live.slice(dropped),
    isNewDue: dueAtMs <= nowMs,
    untilMs: Math.min(...[...steps, dueAtMs].filter((ms) => ms > nowMs)),
  };
}
