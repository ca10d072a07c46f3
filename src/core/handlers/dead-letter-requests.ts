/**
 * Requests of operators about the dead letters of an engine, in memory and on disk.
 * **In**: a request, by handler and ids. **Out**: rows, a letter, or the ids that were replayed or dropped. **Fails**: if the
 * disk does; a letter that cannot be sent again stays.
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
  /** Why letters may be missing from the answer. */
  readonly incomplete?: string | undefined;
}

/** Of those on disk. */
const MAX_ROWS = 10_000;

/** The answer while it is put together, handler by handler. */
interface Answering extends LetterAnswer {
  readonly rows: LetterRow[];
  more: number;
  shown: string | undefined;
  readonly settled: string[];
  readonly failed: { readonly id: string; readonly why: string }[];
}

export async function askLetters(handlers: readonly LiveHandler[], request: LetterRequest): Promise<LetterAnswer> {
  const answer: Answering = { rows: [], more: 0, shown: undefined, settled: [], failed: [] };
  const asked = handlers.filter(({ spec }) => request.handler === undefined || request.handler === spec.name);
  for (const handler of asked) askInMemory(handler, request, answer);
  const onDisk = new Map<string, string>(); // by folder, since several handlers of one may be leaving
  for (const { spec, reports } of asked) if (reports?.lettersIn !== undefined) onDisk.set(reports.lettersIn, spec.name);
  for (const [folder, name] of onDisk) await askOnDisk(folder, name, request, answer);
  return answer;
}

function askInMemory(handler: LiveHandler, request: LetterRequest, answer: Answering): void {
  const { letters, spec } = handler;
  if (letters === undefined) return;
  switch (request.kind) {
    case 'list':
      answer.rows.push(...letters.all.map((letter) => rowOf(spec.name, letter)));
      break;
    case 'show': {
      const found = letters.all.find(({ id }) => id === request.id);
      if (found !== undefined) answer.shown ??= shownText(spec.name, found);
      break;
    }
    case 'drop':
      for (const { id } of letters.take(wanted(request.ids))) answer.settled.push(id);
      break;
    case 'replay': {
      const resending = handler.resending();
      for (const letter of letters.take(wanted(request.ids))) {
        const why = sentAgain(resending, letter, spec.secrets);
        if (why === undefined) answer.settled.push(letter.id);
        else {
          letters.put(letter, letter.bytes);
          answer.failed.push({ id: letter.id, why });
        }
      }
      resending.done();
    }
  }
}

async function askOnDisk(folder: string, name: string, request: LetterRequest, answer: Answering): Promise<void> {
  const { eachLetter, settleLetters } = await import('./spooled/disk-letters.ts');
  switch (request.kind) {
    case 'list':
      await eachLetter(folder, (letter) => {
        if (answer.rows.length < MAX_ROWS) answer.rows.push(rowOf(name, letter));
        else answer.more++;
        return true;
      });
      break;
    case 'show':
      await eachLetter(folder, (letter) => {
        if (letter.id === request.id) answer.shown ??= shownText(name, letter);
        return answer.shown === undefined;
      });
      break;
    case 'drop':
    case 'replay':
      for (const id of await settleLetters(folder, request.kind, request.ids)) answer.settled.push(id);
  }
}

function wanted(ids: readonly string[] | undefined): (letter: { readonly id: string }) => boolean {
  if (ids === undefined) return () => true;
  const set = new Set(ids);
  return ({ id }) => set.has(id);
}

/** `undefined`: it was sent; otherwise the reason why it was not. */
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

/** The answers of several workers as one. `incomplete`: why one of them was not asked. */
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
