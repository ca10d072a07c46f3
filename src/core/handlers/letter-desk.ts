/**
 * What operators do with the dead letters of an engine, in memory and on disk.
 * **In**: a request, by handler and ids. **Out**: rows, or what was settled. **Fails**: if the disk does; a letter that cannot be sent
 * again stays.
 */
import type { SecretTexts } from '../../text/secret-texts.ts';
import { messageOf } from '../../text/message-of.ts';
import type { LiveHandler } from './live-handler.ts';
import type { MemoryLetter } from './memory-letters.ts';
import { contentOf, jsonValue } from './spooled/letter-content.ts';
import { decodeReport } from './spooled/record.ts';

export type LetterRequest = { readonly handler: string | undefined } & (
  | { readonly kind: 'list' }
  | { readonly kind: 'show'; readonly id: string }
  /** `ids`: absent for all. */
  | { readonly kind: 'replay' | 'drop'; readonly ids: readonly string[] | undefined }
);

export interface LetterRow {
  readonly handler: string;
  readonly id: string;
  readonly rule: string;
  /** ISO 8601. */
  readonly refused: string;
  readonly bytes: number;
  readonly why: string;
}

export interface LetterAnswer {
  /** `list`: oldest first of each handler. */
  readonly rows: readonly LetterRow[];
  /** On disk, beyond those of `rows`. */
  readonly more: number;
  /** `show`: JSON. */
  readonly shown: string | undefined;
  /** Ids of those that are settled. */
  readonly settled: readonly string[];
  /** Why others could not be sent again, by id. */
  readonly failed: readonly { readonly id: string; readonly why: string }[];
  /** Why letters are missing that there may be. */
  readonly incomplete?: string | undefined;
}

/** Of those on disk. */
const MAX_ROWS = 10_000;

export async function askLetters(handlers: readonly LiveHandler[], request: LetterRequest): Promise<LetterAnswer> {
  const rows: LetterRow[] = [];
  let shown: string | undefined;
  let settled: readonly string[] = [];
  const failed: { id: string; why: string }[] = [];
  for (const handler of handlers) {
    const { letters } = handler;
    const { name } = handler.spec;
    if (letters === undefined || (request.handler ?? name) !== name) continue;
    switch (request.kind) {
      case 'list':
        rows.push(...letters.all.map((letter) => rowOf(name, letter)));
        break;
      case 'show': {
        const found = letters.all.find(({ id }) => id === request.id);
        if (found !== undefined) shown ??= shownText(name, found);
        break;
      }
      case 'drop':
        settled = [...settled, ...letters.take(wanted(request.ids)).map(({ id }) => id)];
        break;
      case 'replay': {
        const resending = handler.resending();
        const sent: string[] = [];
        for (const letter of letters.take(wanted(request.ids))) {
          const why = sentAgain(resending, letter, handler.spec.secrets);
          if (why === undefined) sent.push(letter.id);
          else {
            letters.put(letter, letter.bytes);
            failed.push({ id: letter.id, why });
          }
        }
        resending.done();
        settled = [...settled, ...sent];
      }
    }
  }
  // Several handlers of one folder may be leaving.
  const onDisk = new Map<string, string>();
  for (const { spec, reports } of handlers)
    if (reports?.lettersIn !== undefined && (request.handler ?? spec.name) === spec.name)
      onDisk.set(reports.lettersIn, spec.name);
  if (onDisk.size === 0) return { rows, more: 0, shown, settled, failed };
  const { eachLetter, settleLetters } = await import('./spooled/disk-letters.ts');
  let more = 0;
  for (const [folder, name] of onDisk) {
    if (request.kind === 'list')
      await eachLetter(folder, (letter) => {
        if (rows.length < MAX_ROWS) rows.push(rowOf(name, letter));
        else more++;
        return true;
      });
    else if (request.kind === 'show')
      await eachLetter(folder, (letter) => {
        if (letter.id === request.id) shown ??= shownText(name, letter);
        return shown === undefined;
      });
    // Not by push: a folder has more ids than a call may have arguments.
    else settled = [...settled, ...(await settleLetters(folder, request.kind, request.ids))];
  }
  return { rows, more, shown, settled, failed };
}

function wanted(ids: readonly string[] | undefined): (letter: { readonly id: string }) => boolean {
  if (ids === undefined) return () => true;
  const set = new Set(ids);
  return ({ id }) => set.has(id);
}

/** Why it was not. */
function sentAgain(
  resending: ReturnType<LiveHandler['resending']>,
  { bytes }: MemoryLetter,
  secrets: SecretTexts,
): string | undefined {
  try {
    const { definition, key: _key, ...report } = decodeReport(bytes);
    if (definition === undefined) throw new Error('it has no definition of its sink');
    resending.send(report, definition);
    return undefined;
  } catch (error) {
    return secrets.text(messageOf(error));
  }
}

/** Of several workers. `incomplete`: why one of them was not asked. */
export const mergedLetters = (answers: readonly LetterAnswer[], incomplete?: string): LetterAnswer => ({
  rows: answers
    .flatMap(({ rows }) => rows)
    .toSorted((a, b) => (a.refused < b.refused ? -1 : Number(a.refused > b.refused))),
  more: answers.reduce((sum, { more }) => sum + more, 0),
  shown: answers.find(({ shown }) => shown !== undefined)?.shown,
  settled: answers.flatMap(({ settled }) => settled),
  failed: answers.flatMap(({ failed }) => failed),
  incomplete,
});

const rowOf = (handler: string, { id, rule, why, atMs, bytes }: MemoryLetter): LetterRow => ({
  handler,
  id,
  rule,
  refused: new Date(atMs).toISOString(),
  bytes: bytes.length,
  why,
});

const shownText = (handler: string, letter: MemoryLetter): string =>
  JSON.stringify({ ...rowOf(handler, letter), bytes: undefined, ...contentOf(letter.bytes) }, jsonValue);
