/**
 * The inbox of a spool: records that a command sends again beside the process that writes the log.
 * **In**: what `replayDeadLetters` left there. **Out**: the same records, appended to the log. **Fails**: with `append`; the rest is taken
 * up later. A crash in between appends some of them twice.
 *
 * Each sending is a small spool in `replay/`, which gets its final name when it is whole.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import { newerFormat, newerText } from './newer.ts';
import { readRecords } from './read-only.ts';
import type { SpoolOptions, SpoolRecord } from './types.ts';

export const INBOX = 'replay';
export const UNFINISHED = '.new';
const BATCH_RECORDS = 100;
const BATCH_BYTES = 1024 * 1024;

export class Inbox {
  readonly #options: SpoolOptions;
  readonly #hasRoom: () => boolean;
  readonly #append: (records: readonly SpoolRecord<never>[]) => Promise<void>;
  readonly #lines = new Throttle();
  #taking: Promise<void> | undefined;
  #isClosed = false;

  /** `append` settles when the records are durable. */
  constructor(
    options: SpoolOptions,
    hasRoom: () => boolean,
    append: (records: readonly SpoolRecord<never>[]) => Promise<void>,
  ) {
    this.#options = options;
    this.#hasRoom = hasRoom;
    this.#append = append;
  }

  /** Takes up what was sent, if there is room. Never rejects. */
  take(): Promise<void> {
    return (this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
    }));
  }

  async #take(): Promise<void> {
    if (!this.#hasRoom()) return;
    try {
      const records = await takeInbox(this.#options.folder, this.#append);
      if (records > 0) this.#options.onReplayed?.(records);
    } catch (error) {
      if (!this.#isClosed && this.#lines.admit() > 0)
        this.#options.log.warn('dead letters to replay could not be taken up; it is tried again', {
          folder: this.#options.folder,
          why: messageOf(error),
        });
    }
  }

  /** Settles when the append that runs has ended; to be called before the writer closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#taking;
  }
}

/** Appends all that was sent; the number of records. */
async function takeInbox(
  folder: string,
  append: (records: readonly SpoolRecord<never>[]) => Promise<void>,
): Promise<number> {
  const inbox = join(folder, INBOX);
  const sent = (await readdir(inbox).catch(() => [])).filter((name) => !name.endsWith(UNFINISHED)).toSorted();
  let taken = 0;
  let newer: number | undefined;
  for (const name of sent) {
    const format = await newerFormat(join(inbox, name));
    if (format !== undefined) {
      newer = format;
      continue;
    }
    let batch: SpoolRecord<never>[] = [];
    let batchBytes = 0;
    for await (const { bytes } of readRecords(join(inbox, name))) {
      batch.push({ bytes, value: undefined });
      batchBytes += bytes.length;
      taken++;
      if (batch.length < BATCH_RECORDS && batchBytes < BATCH_BYTES) continue;
      await append(batch);
      batch = [];
      batchBytes = 0;
    }
    if (batch.length > 0) await append(batch);
    await rm(join(inbox, name), { recursive: true, force: true });
  }
  if (taken === 0 && newer !== undefined) throw new Error(`they are ${newerText(newer)}`);
  return taken;
}
