/**
 * Reports on their way into a log, in groups: those of one turn of the event loop, in most cases one message of a stream.
 * **In**: reports. **Out**: records of a spool; the first of a group that uses a definition carries it. **Fails**: for a report without a
 * form on disk; a group that the spool rejects, since it closes, is logged.
 */
import type { Log, ReportEntry } from '../../../adapters/contract.ts';
import { MAX_RECORD_BYTES, type Spool, type SpoolRecord } from '../../../spool/index.ts';
import { messageOf } from '../../../text/message-of.ts';
import { type EncodedDefinition, encodeReport, endGroup, type StoredReport } from './record.ts';

/** A report and what its sink is made from. */
export interface LoggedReport extends StoredReport {
  readonly definition: EncodedDefinition;
}

/** Larger groups are split, since a group is sent again as a whole after a crash. */
const MAX_IN_GROUP = 100;
const MAX_GROUP_BYTES = 256 * 1024;

export class GroupWriter {
  readonly #handler: string;
  readonly #spool: Spool<LoggedReport>;
  readonly #log: Log;
  readonly #onWritten: (reports: number) => void;
  #group: SpoolRecord<LoggedReport>[] = [];
  #groupBytes = 0;
  readonly #inGroup = new Set<EncodedDefinition>();
  #roomOfGroup: Promise<void> | undefined;
  /** Appended, but not yet written. */
  #unsettled = 0;
  #safe: Promise<void> | undefined;

  /** `onWritten` is called with the number of reports of each group that has settled. */
  constructor(handler: string, spool: Spool<LoggedReport>, log: Log, onWritten: (reports: number) => void) {
    this.#handler = handler;
    this.#spool = spool;
    this.#log = log;
    this.#onWritten = onWritten;
  }

  /** Reports that are not written. */
  get size(): number {
    return this.#unsettled + this.#group.length;
  }

  /** A promise for room if the spool has none. Throws if the report has no form on disk. */
  push(entry: ReportEntry, definition: EncodedDefinition): Promise<void> | undefined {
    const { id, timeMs, input } = entry;
    const bytes = encodeReport(entry, definition, !this.#inGroup.has(definition));
    if (bytes.length > MAX_RECORD_BYTES)
      throw new RangeError(`a report of ${bytes.length} bytes; at most ${MAX_RECORD_BYTES} are spooled`);
    if (this.#group.length === 0) {
      this.#roomOfGroup = this.#spool.room();
      queueMicrotask(() => this.append());
    }
    this.#inGroup.add(definition);
    this.#group.push({ bytes, value: { id, timeMs, input, definition } });
    this.#groupBytes += bytes.length;
    if (this.#group.length >= MAX_IN_GROUP || this.#groupBytes >= MAX_GROUP_BYTES) this.append();
    return this.#roomOfGroup;
  }

  append(): void {
    const last = this.#group.at(-1);
    if (last === undefined) return;
    endGroup(last.bytes);
    const group = this.#group;
    this.#group = [];
    this.#groupBytes = 0;
    this.#inGroup.clear();
    this.#unsettled += group.length;
    const safe = this.#spool.append(group).finally(() => {
      this.#unsettled -= group.length;
      if (this.#safe === safe) this.#safe = undefined;
      this.#onWritten(group.length);
    });
    this.#safe = safe;
    safe.catch((error: unknown) =>
      this.#log.error('reports could not be written to their log', {
        handler: this.#handler,
        entries: group.length,
        error: messageOf(error),
      }),
    );
  }

  /** Appends settle in order, so the last one stands for all. */
  whenSafe(): Promise<void> | undefined {
    this.append();
    return this.#safe;
  }
}
