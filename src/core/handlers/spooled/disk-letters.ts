/**
 * The dead letters on disk of one handler, of all workers and of those that are no more.
 * **In**: what an operator asks. **Out**: rows, values, ids of those that are settled. **Fails**: if the disk does. Requests take turns,
 * since settling rewrites a file, and a folder may have 64 MiB to read.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DeadLetter,
  dropDeadLetters,
  newerFormat,
  readDeadLetters,
  replayDeadLetters,
} from '../../../spool/index.ts';
import { isDeadLetterFolder } from './folders.ts';

const turns = new Map<string, Promise<unknown>>();

/** `folder`: of the handler. */
function inTurn<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const before = turns.get(folder) ?? Promise.resolve();
  const turn = before.then(work, work);
  turns.set(folder, turn);
  void turn
    .catch(() => undefined)
    .then(() => {
      if (turns.get(folder) === turn) turns.delete(folder);
    });
  return turn;
}

/** Calls `see` for each, oldest first of each worker, until it returns false. */
export const eachLetter = (folder: string, see: (letter: DeadLetter) => boolean): Promise<void> =>
  inTurn(folder, async () => {
    for (const one of await foldersOf(folder))
      for await (const letter of readDeadLetters(one)) if (!see(letter)) return;
  });

interface Asked {
  /** `undefined`: all. */
  readonly ids: readonly string[] | undefined;
  readonly settled: string[];
  readonly done: Promise<void>;
}

/** Requests that wait for one turn, by what they ask and the folder. */
const asked = new Map<string, Asked[]>();

/** The ids of those that are settled. They are sent by worker 1, which there always is. Requests that wait are settled in one pass. */
export async function settleLetters(
  folder: string,
  how: 'replay' | 'drop',
  ids: readonly string[] | undefined,
): Promise<readonly string[]> {
  const key = `${how} ${folder}`;
  const waiting = asked.get(key) ?? [];
  asked.set(key, waiting);
  const [first] = waiting;
  const settled: string[] = [];
  const done =
    first?.done ??
    inTurn(folder, async () => {
      asked.delete(key);
      await settleAll(folder, how, waiting);
    });
  waiting.push({ ids, settled, done });
  await done;
  return settled;
}

/** A letter that several want is the first one's. */
async function settleAll(folder: string, how: 'replay' | 'drop', waiting: readonly Asked[]): Promise<void> {
  const byId = new Map<string, Asked>();
  const [ofRest] = waiting.filter(({ ids }) => ids === undefined);
  for (const one of waiting) {
    if (one === ofRest) break; // it wants what nobody wanted before
    for (const id of one.ids ?? []) if (!byId.has(id)) byId.set(id, one);
  }
  const isWanted = ({ id }: { readonly id: string }): boolean => {
    const by = byId.get(id) ?? ofRest;
    by?.settled.push(id);
    return by !== undefined;
  };
  for (const one of await foldersOf(folder))
    await (how === 'drop' ? dropDeadLetters(one, isWanted) : replayDeadLetters(one, join(folder, '1'), isWanted));
}

/** Without those of a newer version. */
async function foldersOf(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of (await readdir(folder)).toSorted())
    if (isDeadLetterFolder(name) && (await newerFormat(join(folder, name))) === undefined)
      found.push(join(folder, name));
  return found;
}
