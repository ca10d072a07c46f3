/** `/deadletters` of a long list: made in slices, sent in pieces. */
import { get } from 'node:http';
import { json } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { startAdmin } from '../../../src/admin/server.ts';
import type { LetterAnswer, LetterRow } from '../../../src/core/handlers/dead-letter-requests.ts';
import { packedLetters, unpackedLetters } from '../../../src/serve/policy/packed-letters.ts';
import { EMPTY_SOURCES } from './empty-sources.ts';

const ROWS: readonly LetterRow[] = Array.from({ length: 10_000 }, (_, at) => ({
  handler: 'audit',
  id: `3hzda0-${at}`,
  rule: 'all',
  refused: new Date(at).toISOString(),
  bytes: 100,
  why: `"é" ${'the backend refuses it; '.repeat(170)}`,
}));
const LIST: LetterAnswer = { rows: ROWS, more: 7, shown: undefined, settled: [], failed: [] };

/** Turns of the event loop until `work` settles. */
async function turnsOf<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly turns: number }> {
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const result = await work();
  isOver = true;
  return { result, turns };
}

test('10 000 rows of 4 KB are made in many turns of the event loop, and arrive whole', async () => {
  let listedAt = Infinity;
  let turns = 0;
  const count = (): void => {
    turns++;
    if (turns - listedAt < 1e6) counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  onTestFinished(() => clearImmediate(counting));
  const admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    onReset: () => {},
    onLetters: () => {},
    onFault: () => undefined,
    sources: {
      ...EMPTY_SOURCES,
      letters: async () => {
        listedAt = turns;
        return LIST;
      },
    },
  });
  onTestFinished(() => admin.close());
  const { answer, made } = await new Promise<{ answer: Promise<unknown>; made: number }>((resolve, reject) => {
    get(`http://127.0.0.1:${admin.port}/deadletters`, (response) => {
      resolve({ answer: json(response), made: turns - listedAt });
    }).on('error', reject);
  });
  expect(made).toBeGreaterThan(10); // written in one turn, it arrives after four
  expect(await answer).toEqual({ letters: ROWS, more: 7 });
});

test('rows pass from a worker to the supervisor in slices', async () => {
  const packed = await turnsOf(() => packedLetters(LIST));
  const { result, turns } = await turnsOf(() => unpackedLetters(packed.result));
  expect(result).toEqual(LIST);
  expect(Math.min(packed.turns, turns)).toBeGreaterThan(2);
});
