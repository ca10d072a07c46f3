/** Dead letters on their way from a worker to the supervisor: rows in shared memory, made and read in slices. 10 000 may be 40 MB. */
import type { LetterAnswer, LetterRow } from '../../core/handlers/dead-letter-requests.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { decodedPage, encodedPage } from './encoded-page.ts';

export interface PackedLetters extends Omit<LetterAnswer, 'rows'> {
  /** JSON, one list in each buffer. */
  readonly rows: readonly SharedArrayBuffer[];
}

const ROWS_PER_BUFFER = 100;

export const packedLetters = async ({ rows, ...others }: LetterAnswer): Promise<PackedLetters> => ({
  ...others,
  rows: await encodedPage(lists(rows)),
});

async function* lists(rows: readonly LetterRow[]): AsyncGenerator<string> {
  const slice = new TimeSlice();
  for (let at = 0; at < rows.length; at += ROWS_PER_BUFFER) {
    yield JSON.stringify(rows.slice(at, at + ROWS_PER_BUFFER));
    if (slice.isOver) await slice.next();
  }
}

export async function unpackedLetters({ rows: buffers, ...others }: PackedLetters): Promise<LetterAnswer> {
  const slice = new TimeSlice();
  const rows: LetterRow[] = [];
  for await (const list of decodedPage(buffers)) {
    rows.push(...(JSON.parse(list) as LetterRow[]));
    if (slice.isOver) await slice.next();
  }
  return { ...others, rows };
}
