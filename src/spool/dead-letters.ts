/**
 * Records that a backend refused, kept for operators.
 * **In**: a refused record with its id, rule and reason. **Out**: entries to list, to show, to send again, to drop.
 * **Fails**: never for its writer; a disk that fails loses dead letters, counted and logged. It is bounded: the oldest go first.
 *
 * The log is a spool that nobody takes from. Entries that were sent again or dropped are named by their sequence in `done`, so that a
 * command can do both beside a running server, and a report that is refused again, under its old id, is listed again.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { messageOf } from '../text/message-of.ts';
import { settlesWithin } from '../time/settles-within.ts';
import { newerFormat } from './newer.ts';
import { orIfNone, readRecords } from './read-only.ts';
import { INBOX, UNFINISHED } from './replay.ts';
import { syncFolder } from './segment.ts';
import { openSpool } from './open-spool.ts';
import type { Spool, SpoolLog } from './types.ts';

export interface DeadLetterHead {
  readonly id: string;
  readonly rule: string;
  readonly why: string;
  /** When it was refused; milliseconds since 1970. */
  readonly atMs: number;
}
export interface DeadLetter extends DeadLetterHead {
  /** Its place in the log; an id may come again. */
  readonly sequence: number;
  /** The record as it stood in the spool. */
  readonly bytes: Buffer;
}

const SEGMENT_BYTES = 16 * 1024 * 1024;
const SYNC_MS = 200;
const CLOSE_MS = 1000;
const REPLAY_CLOSE_MS = 10_000;
const NEWLINE = 10;

export class DeadLetters {
  readonly #spool: Spool<never>;
  readonly #log: SpoolLog;
  readonly #folder: string;
  kept = 0;
  /** Not kept, since the disk failed. */
  lost = 0;

  private constructor(spool: Spool<never>, folder: string, log: SpoolLog) {
    this.#spool = spool;
    this.#folder = folder;
    this.#log = log;
  }

  /** Rejects if the folder cannot be made, or another process writes there. */
  static async open(folder: string, maxBytes: number, log: SpoolLog): Promise<DeadLetters> {
    const spool = await openSpool<never>({
      folder,
      maxBytes,
      maxAgeMs: undefined,
      segmentBytes: SEGMENT_BYTES,
      syncEveryMs: SYNC_MS,
      windowBytes: 0,
      whenFull: 'drop-oldest',
      log,
      nowMs: () => Date.now(),
    });
    return new DeadLetters(spool, folder, log);
  }

  /** Dropped to make room for later ones. */
  get dropped(): number {
    return this.#spool.state.droppedWhenFull;
  }

  /** Settles when it is written, or lost; a disk that fails is waited for until `close`. */
  async put(head: DeadLetterHead, bytes: Uint8Array): Promise<void> {
    const record = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), bytes]);
    try {
      await this.#spool.append([{ bytes: record, value: undefined }]);
      this.kept++;
    } catch (error) {
      this.lost++;
      this.#log.error('a dead letter could not be kept', {
        folder: this.#folder,
        id: head.id,
        why: messageOf(error),
      });
    }
  }

  async close(): Promise<void> {
    await settlesWithin(2 * CLOSE_MS, this.#spool.close(CLOSE_MS));
  }
}

/** In the order in which they were refused, without those that are done. Also beside a running server. */
export async function* readDeadLetters(folder: string): AsyncGenerator<DeadLetter> {
  const done = await doneIn(folder);
  for await (const { sequence, bytes } of readRecords(folder)) {
    const letter = done.has(sequence) ? undefined : parsed(bytes);
    if (letter !== undefined) yield { ...letter, sequence };
  }
}

/**
 * Gives dead letters to the log in `spool`, whose server takes them up within seconds, or when it starts; they are not listed any more.
 * A crash in between replays them twice.
 */
export async function replayDeadLetters(
  folder: string,
  spool: string,
  isWanted: (letter: DeadLetterHead) => boolean,
): Promise<readonly string[]> {
  const sent: { readonly id: string; readonly sequence: number }[] = [];
  const records = async function* (): AsyncGenerator<Uint8Array> {
    for await (const letter of readDeadLetters(folder)) {
      if (!isWanted(letter)) continue;
      sent.push({ id: letter.id, sequence: letter.sequence });
      yield letter.bytes;
    }
  };
  await sendToInbox(spool, records());
  await markDone(folder, sent);
  return sent.map(({ id }) => id);
}

/** They are not listed any more; their ids. */
export async function dropDeadLetters(
  folder: string,
  isWanted: (letter: DeadLetterHead) => boolean,
): Promise<readonly string[]> {
  const letters: { readonly id: string; readonly sequence: number }[] = [];
  for await (const letter of readDeadLetters(folder))
    if (isWanted(letter)) letters.push({ id: letter.id, sequence: letter.sequence });
  if (letters.length > 0) await markDone(folder, letters);
  return letters.map(({ id }) => id);
}

/** They are not listed any more. One command at a time. */
export async function markDone(folder: string, letters: readonly Pick<DeadLetter, 'sequence'>[]): Promise<void> {
  const done = await doneIn(folder);
  for (const { sequence } of letters) done.add(sequence);
  const present = new Set<number>();
  const mayForget = (await newerFormat(folder)) === undefined; // else some that are present cannot be read
  for await (const { sequence } of readRecords(folder)) present.add(sequence);
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'done');
  await writeFile(
    `${path}.new`,
    [...done]
      .filter((sequence) => !mayForget || present.has(sequence))
      .map((sequence) => `${sequence}\n`)
      .join(''),
  );
  await rename(`${path}.new`, path);
}

/** `folder`: of the log that is to have the records. Durable when it settles. */
async function sendToInbox(folder: string, records: AsyncIterable<Uint8Array>): Promise<void> {
  const inbox = join(folder, INBOX);
  const made = join(inbox, `${Date.now()}-${randomUUID()}`);
  const spool = await openSpool<never>({
    folder: made + UNFINISHED,
    maxBytes: Infinity,
    maxAgeMs: undefined,
    segmentBytes: SEGMENT_BYTES,
    syncEveryMs: 1000,
    windowBytes: 0,
    whenFull: 'block',
    log: { info() {}, warn() {}, error() {} },
    nowMs: () => Date.now(),
  });
  let sent = 0;
  try {
    for await (const bytes of records) {
      await spool.append([{ bytes, value: undefined }]);
      sent++;
    }
  } finally {
    await spool.close(REPLAY_CLOSE_MS);
  }
  if (sent === 0) return rm(made + UNFINISHED, { recursive: true, force: true });
  await rename(made + UNFINISHED, made);
  await syncFolder(inbox);
}

/** Rejects if it cannot be read, since letters that were sent again would be sent once more. */
async function doneIn(folder: string): Promise<Set<number>> {
  const text = await readFile(join(folder, 'done'), 'utf8').catch(orIfNone(''));
  return new Set(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
  );
}

function parsed(record: Buffer): Omit<DeadLetter, 'sequence'> | undefined {
  const end = record.indexOf(NEWLINE);
  try {
    const head = JSON.parse(record.toString('utf8', 0, end)) as DeadLetterHead;
    return typeof head.id === 'string' ? { ...head, bytes: record.subarray(end + 1) } : undefined;
  } catch {
    return undefined; // of a later version
  }
}
