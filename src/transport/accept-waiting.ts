import type { Server } from 'node:net';

/** A turn of the event loop in which hardly any connection can arrive unseen. */
const QUICK_MS = 2;
/** A busy loop has no such turns. */
const MAX_QUIET_TURNS = 10;

/**
 * Accepts the connections that wait in the kernel's queue: their clients may have sent calls, and closing the server would reset them.
 * libuv accepts one connection in each turn of the event loop, so a burst of connections waits for as many turns.
 */
export async function acceptWaiting(server: Server, withinMs: number): Promise<void> {
  const endsAtMs = performance.now() + withinMs;
  let quietTurns = 0;
  const accepted = (): void => {
    quietTurns = -1;
  };
  server.on('connection', accepted);
  await turn(); // each later one begins right before the loop asks for events
  for (let nowMs = performance.now(); nowMs < endsAtMs && quietTurns < MAX_QUIET_TURNS;) {
    await turn();
    const beganAtMs = nowMs;
    nowMs = performance.now();
    quietTurns++;
    if (quietTurns > 0 && nowMs - beganAtMs < QUICK_MS) break;
  }
  server.off('connection', accepted);
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
