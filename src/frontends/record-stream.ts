/**
 * A stream of records that its client neither repeats nor waits for: access log entries, statistics.
 * **In**: messages, the first of which names the proxy. **Out**: each record to the engine; an empty message at the end of the stream.
 * **Fails**: a malformed message ends the stream with INVALID_ARGUMENT; records before it stay reported. A malformed record is dropped and
 * counted, and the others of its message are reported.
 */
import type { Engine } from '../core/call.ts';
import { lazyMessage } from '../protobuf/lazy-message.ts';
import { Malformed } from '../protobuf/malformed.ts';
import { SharedSlice } from '../time/shared-slice.ts';
import { asBuffer } from '../transport/byte-range.ts';
import type { CallContext, Method } from '../transport/transport.ts';
import { StreamAccessLogsMessage_IdentifierSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import type { FrontendOptions } from './frontend-options.ts';
import { LogOrigin } from './log-origin.ts';
import { settledOrEnding, untilSafe } from './waits.ts';

export interface ScannedMessage {
  /** The encoded identifier: a node, and for access logs a name. */
  readonly identifier: Buffer | undefined;
  /** Reports the next record. False: there are no more. Throws a {@link Malformed} if it is malformed; the next call has the next one. */
  next(origin: LogOrigin): false | undefined | Promise<void>;
}

/**
 * The time of a turn of the event loop that the records of all streams have. It begins after sockets were read, so a check waits for one
 * slice at most; longer slices take no less CPU, since a turn costs some microseconds. Checks that fill the loop leave records a tenth of
 * it.
 */
const RECORDS_SLICE = new SharedSlice({ leastMs: 0.1, mostMs: 1, stepsBetweenLooks: 4 });
/** All messages that streams of records end with are empty. */
const LAST_REPLY = new Uint8Array();

/** A copy, since the origin outlives its message. */
function originOf(identifier: Buffer, openedAtMs: number): LogOrigin {
  const own = Buffer.from(identifier);
  return new LogOrigin(lazyMessage(StreamAccessLogsMessage_IdentifierSchema, own, 0, own.length), openedAtMs);
}

export function recordStream(
  engine: Engine,
  scan: (bytes: Buffer) => ScannedMessage,
  { onRefusedEntry }: FrontendOptions = {},
): Method {
  function refused(error: unknown): void {
    if (!(error instanceof Malformed)) throw error;
    onRefusedEntry?.(error.message);
  }

  function scanned(bytes: Buffer): ScannedMessage {
    try {
      return scan(bytes);
    } catch (error) {
      refused(error);
      throw error;
    }
  }

  async function reportAll(message: ScannedMessage, origin: LogOrigin, ending: AbortSignal): Promise<void> {
    if (RECORDS_SLICE.isClosed) await RECORDS_SLICE.next();
    for (;;) {
      let waiting: false | undefined | Promise<void>;
      try {
        waiting = message.next(origin);
      } catch (error) {
        refused(error);
      }
      if (waiting === false) break;
      if (waiting !== undefined) {
        RECORDS_SLICE.done();
        await settledOrEnding(waiting, ending);
      }
      if (RECORDS_SLICE.isOver) await RECORDS_SLICE.next();
    }
    RECORDS_SLICE.done();
  }

  async function* handle(
    messages: AsyncIterable<Uint8Array>,
    { ending }: CallContext,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const openedAtMs = performance.now();
    let origin = new LogOrigin(undefined, openedAtMs);
    for await (const bytes of messages) {
      const message = scanned(asBuffer(bytes));
      if (message.identifier !== undefined) origin = originOf(message.identifier, openedAtMs);
      await reportAll(message, origin, ending);
      const safe = engine.whenSafe();
      if (safe !== undefined) await untilSafe(safe); // the next message is read, and flow control goes on, when this one is safe
    }
    yield LAST_REPLY;
  }
  return { kind: 'stream', handle, records: { lastReply: LAST_REPLY } };
}
