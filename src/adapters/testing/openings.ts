/** Behaviours of every adapter over many openings, and when the place where it runs is killed. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Adapter, Unavailable } from '../contract.ts';
import { type Behaviour, eventually, openSubject } from './behaviours.ts';
import type { PlacedSubject } from './subject.ts';
import { callOnce } from './unreachable.ts';

const OPENINGS = 1000;
const AT_ONCE = 10;
/** Allowance for what the runner and Node itself keep. */
const BYTES_PER_OPENING = 1024;
const MORE_HANDLES = 5;
/** Connections of a closed handler end by the event loop and their peers, which are slow on a busy machine. */
const RELEASED_WITHIN_MS = 10_000;

export function openingBehaviours(adapter: Adapter, subject: PlacedSubject): Behaviour[] {
  if (subject.place === 'process')
    return [
      {
        says: 'opened and closed 1 000 times, it leaves no memory, handles or listeners behind',
        async show() {
          const some = async (count: number): Promise<void> => {
            for (let at = 0; at < count; at += AT_ONCE)
              await Promise.all(
                Array.from({ length: AT_ONCE }, async () => (await openSubject(adapter, subject)).close()),
              );
          };
          await some(OPENINGS / 10); // compiled and cached by now
          const [handles, listeners] = [handleCounts(), listenerCount()];
          const before = await usedBytes();
          await some(OPENINGS / 2);
          const between = await usedBytes();
          await some(OPENINGS / 2);
          await eventually(async () => {
            // Timers of a closed handler hold memory until they fire; what grows once is no leak.
            const grown = Math.min(between - before, (await usedBytes()) - between);
            const perOpening = Math.round(grown / (OPENINGS / 2));
            assert.ok(perOpening < BYTES_PER_OPENING, `each opening leaves ${perOpening} bytes behind`);
          }, RELEASED_WITHIN_MS);
          await eventually(() => {
            for (const [kind, count] of handleCounts())
              assert.ok(
                count <= (handles.get(kind) ?? 0) + MORE_HANDLES,
                `${count} handles of kind ${kind} are open, ${handles.get(kind) ?? 0} before`,
              );
          });
          assert.ok(listenerCount() <= listeners + MORE_HANDLES, 'it leaves listeners of process behind');
        },
      },
    ];
  return [
    {
      says: 'killed in the middle of a call, it fails that call as Unavailable and answers later ones',
      async show() {
        const opened = await openSubject(adapter, subject);
        try {
          const call = async (): Promise<unknown> => callOnce(adapter, subject, opened.handler);
          await call();
          const killed = call();
          opened.kill?.();
          await killed.catch((error: unknown) =>
            assert.ok(error instanceof Unavailable, `it failed with ${String(error)} instead of Unavailable`),
          );
          await eventually(() => assert.equal(opened.readiness().ready, true));
          await call();
        } finally {
          await opened.close();
        }
      },
    },
  ];
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** After garbage was collected, also what finalizers release. */
async function usedBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function handleCounts(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

const listenerCount = (): number => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
