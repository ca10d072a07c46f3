import { vi } from 'vitest';

/** Longest turn of the event loop while work runs, in CPU time of this process: a busy machine does not lengthen it. */
export interface LoopTurns {
  readonly cpuMs: number;
  readonly longestCpuMs: number;
}

export async function loopTurnsOf(work: () => Promise<unknown>): Promise<LoopTurns> {
  const beganMs = cpuMs();
  let last = beganMs;
  let longestCpuMs = 0;
  const look = (): void => {
    const now = cpuMs();
    longestCpuMs = Math.max(longestCpuMs, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return { longestCpuMs, cpuMs: last - beganMs };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** How many turns of the event loop the work takes. */
export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  try {
    await work();
  } finally {
    clearImmediate(next);
  }
  return turns;
}

/** As {@link turnsDuring}, by a clock that goes on by 1 ms whenever it is read: a slice of 5 ms ends after five looks at it. */
export async function turnsByLooks(work: () => Promise<unknown>): Promise<number> {
  let nowMs = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1));
  try {
    return await turnsDuring(work);
  } finally {
    clock.mockRestore();
  }
}
