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
import { Malformed } from '../../protobuf/malformed.ts';
import { ConnectionBytes } from '../connection-bytes.ts';
import { type FrontendOptions, systemNowMs } from '../frontend-options.ts';
import { SharedSlice } from '../../time/shared-slice.ts';
import { settledOrEnding, untilSafe } from '../waits.ts';
import { RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { entryKind, FormattedEntryWire } from './entry-wire.ts';
import { RecordScan } from './record-scan.ts';
import { RecordWire } from './record-wire.ts';
import { checkRequest, type FoundRecord, recordsOf } from './request-scan.ts';

export const RETRY_AFTER_S = 1;
const FULL = 'too much waits for a handler or its disk; nothing was accepted, send it again';
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

/**
 * Of requests whose answer waits, since a disk hangs or a queue has no room; above it requests are refused. Half of what a connection may
 * hold, so that checks on the same connection go on.
 */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const MAX_WAITING = 512;
/** Longer than that of streams, since requests that wait for it count in {@link MAX_WAITING}, and streams are only read later. */
const EXPORTS_SLICE = new SharedSlice({ leastMs: 1, mostMs: 1, stepsBetweenLooks: 64 });
const ACCEPTED: Exported = { rejected: 0, why: '' };

export function logExporter(engine: Engine, { onRefusedEntry, nowMs = systemNowMs }: FrontendOptions = {}): ExportLogs {
  const connections = new ConnectionBytes();
  let waitingRequests = 0;
  let waitingBytes = 0;
  const hasRoom = (bytes: number): boolean =>
    waitingRequests === 0 || (waitingRequests < MAX_WAITING && waitingBytes + bytes <= MAX_WAITING_BYTES);

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
    const size = request.to - request.from;
    if (engine.reportsFull() || !hasRoom(size)) throw new QueuesFull();

    const records = recordsOf(bytes, request.from, request.to);
    let [total, rejected, why] = [0, 0, ''];
    /** Reports records until one must wait, or the slice is over; `undefined`: there are no more. */
    function more(): Promise<void> | undefined {
      for (let next = records.next(); next.done !== true; next = records.next()) {
        total++;
        try {
          const waiting = report(bytes, next.value);
          if (waiting !== undefined) {
            EXPORTS_SLICE.done();
            return settledOrEnding(waiting, ending);
          }
        } catch (error) {
          if (!(error instanceof Malformed)) throw error;
          if (rejected++ === 0) why = `record ${total}: ${error.message}`;
          onRefusedEntry?.(error.message);
        }
        if (EXPORTS_SLICE.isOver) return EXPORTS_SLICE.next();
      }
      EXPORTS_SLICE.done();
      return undefined;
    }
    const exported = (): Exported =>
      rejected === 0 ? ACCEPTED : { rejected, why: `${rejected} of ${total} records were rejected; ${why}` };
    async function rest(waiting: Promise<void>): Promise<Exported> {
      for (let next: Promise<void> | undefined = waiting; next !== undefined; next = more()) await next;
      await untilSafe(engine.whenSafe());
      return exported();
    }
    async function counted(answer: Promise<Exported>): Promise<Exported> {
      waitingRequests++;
      waitingBytes += size;
      try {
        return await answer;
      } finally {
        waitingRequests--;
        waitingBytes -= size;
      }
    }

    const waiting = EXPORTS_SLICE.isBusy ? EXPORTS_SLICE.next() : more();
    if (waiting !== undefined) return counted(rest(waiting));
    const safe = engine.whenSafe();
    return safe === undefined ? exported() : counted(untilSafe(safe).then(exported));
  };
}
