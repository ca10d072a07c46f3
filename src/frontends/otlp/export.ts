/**
 * Takes the log records of one export request, over gRPC or HTTP.
 * **In**: an encoded ExportLogsServiceRequest. **Out**: each record to the engine; the answer, once the records are safe.
 * **Fails**: with a `Malformed`, or {@link QueuesFull}, before any record is reported. A record that cannot be read is rejected, and the
 * others are reported.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { EntryKind } from '../../attributes/carrier.ts';
import type { Engine } from '../../core/call.ts';
import type { CallContext } from '../../transport/transport.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import { asBuffer } from '../../transport/byte-range.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { ConnectionBytes } from '../connection-bytes.ts';
import { type FrontendOptions, systemNowMs } from '../frontend-options.ts';
import { settledOrEnding } from '../settled-or-ending.ts';
import { RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { entryKind, FormattedEntryWire } from './entry-wire.ts';
import { RecordScan } from './record-scan.ts';
import { RecordWire } from './record-wire.ts';
import { checkRequest, type FoundRecord, recordsOf } from './request-scan.ts';

export const RETRY_AFTER_S = 1;
const FULL = 'the queue of a handler is full; nothing was accepted, send it again';
const RICH_STATUS = toBinary(
  StatusSchema,
  create(StatusSchema, {
    code: Status.RESOURCE_EXHAUSTED,
    message: FULL,
    details: [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: BigInt(RETRY_AFTER_S) } }))],
  }),
);

/** New records would wait. A client sends the same request again: only with a RetryInfo is this status retried. */
export class QueuesFull extends GrpcError {
  constructor() {
    super(Status.RESOURCE_EXHAUSTED, FULL, { richStatus: RICH_STATUS });
    this.name = 'QueuesFull';
  }
}

export interface Exported {
  readonly rejected: number;
  /** Why the first of them was rejected; empty: all were accepted. */
  readonly why: string;
}

export type ExportLogs = (request: ByteRange, context: Pick<CallContext, 'ending'>) => Exported | Promise<Exported>;

/** The clock is read once for so many records. */
const RECORDS_BETWEEN_LOOKS = 64;
const ACCEPTED: Exported = { rejected: 0, why: '' };

export function logExporter(engine: Engine, { onRefusedEntry, nowMs = systemNowMs }: FrontendOptions = {}): ExportLogs {
  const connections = new ConnectionBytes();

  /** A promise if the sender should wait. Throws a {@link Malformed} if the record is rejected. */
  function report(bytes: Buffer, { from, to, resource, scope }: FoundRecord): undefined | Promise<void> {
    const scan = new RecordScan(bytes, from, to, resource, scope);
    if (scan.callAt < 0) return engine.report('otlp-log', new RecordWire(scan, nowMs));
    const kind = entryKind(scan);
    if (typeof kind !== 'string') throw new Malformed(kind.problem);
    const entry = new FormattedEntryWire(scan, kind === 'tcp-log');
    if (entry.problem !== undefined) throw new Malformed(entry.problem);
    const interim = entry.isInterim;
    if (entry.isTcp) noteBytes(entry, interim);
    return engine.report(interim ? (`${kind}-interim` satisfies EntryKind) : kind, entry);
  }

  /** Connections that log only their end are not remembered. */
  function noteBytes(entry: FormattedEntryWire, interim: boolean): void {
    if (!interim && connections.size === 0) return;
    const id = entry.text('connection.id');
    if (id === undefined) return;
    const totals = {
      received: entry.total('connection.received.bytes_total'),
      sent: entry.total('connection.sent.bytes_total'),
    };
    entry.before = connections.before(`${entry.text('context.node.id') ?? ''} ${id}`, totals, interim);
  }

  return (request, { ending }) => {
    const bytes = asBuffer(request.bytes);
    try {
      checkRequest(bytes, request.from, request.to);
    } catch (error) {
      if (error instanceof Malformed) onRefusedEntry?.(error.message);
      throw error;
    }
    if (engine.reportsFull()) throw new QueuesFull();

    const records = recordsOf(bytes, request.from, request.to);
    let [total, rejected, why] = [0, 0, ''];
    /** Reports records until one must wait, or the slice is over; `undefined`: there are no more. */
    function more(slice: TimeSlice): Promise<void> | undefined {
      for (let next = records.next(); next.done !== true; next = records.next()) {
        total++;
        try {
          const waiting = report(bytes, next.value);
          if (waiting !== undefined) return settledOrEnding(waiting, ending);
        } catch (error) {
          if (!(error instanceof Malformed)) throw error;
          if (rejected++ === 0) why = `record ${total}: ${error.message}`;
          onRefusedEntry?.(error.message);
        }
        if (total % RECORDS_BETWEEN_LOOKS === 0 && slice.isOver) return slice.next();
      }
      return undefined;
    }
    const exported = (): Exported =>
      rejected === 0 ? ACCEPTED : { rejected, why: `${rejected} of ${total} records were rejected; ${why}` };
    async function rest(waiting: Promise<void> | undefined, slice: TimeSlice): Promise<Exported> {
      for (let next = waiting; next !== undefined; next = more(slice)) await next;
      await engine.whenSafe();
      return exported();
    }

    const slice = new TimeSlice();
    const waiting = more(slice);
    return waiting === undefined && engine.whenSafe() === undefined ? exported() : rest(waiting, slice);
  };
}
