/**
 * envoy.service.accesslog.v3.AccessLogService: requests and connections, as they begin, last and end.
 * **In**: messages of log entries. **Out**: each entry to the engine; an empty message when Envoy ends the stream.
 * **Fails**: a malformed message ends the stream with INVALID_ARGUMENT; entries before it stay reported. A malformed entry is dropped and
 * counted, and the others of its message are reported.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { asBuffer } from '../../transport/byte-range.ts';
import type { Engine } from '../../core/call.ts';
import type { CallContext, Method } from '../../transport/transport.ts';
import type { FrontendOptions } from '../frontend-options.ts';
import {
  AccessLogService,
  StreamAccessLogsMessage_IdentifierSchema,
  StreamAccessLogsResponseSchema,
} from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import {
  HTTPAccessLogEntrySchema,
  type TCPAccessLogEntry,
  TCPAccessLogEntrySchema,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { lazyMessage } from '../../protobuf/lazy-message.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { type ByteTotals, ConnectionBytes, NO_TOTALS } from '../connection-bytes.ts';
import { settledOrEnding } from '../settled-or-ending.ts';
import { HttpEntryWire } from './http-entry-wire.ts';
import { LogOrigin } from './log-origin.ts';
import { isInterim } from './log-type.ts';
import { type LogScan, scanLog } from './log-scan.ts';
import { TcpEntryWire } from './tcp-entry-wire.ts';

/** A copy, since the origin outlives its message. */
function originOf(identifier: Buffer): LogOrigin {
  const own = Buffer.from(identifier);
  return new LogOrigin(lazyMessage(StreamAccessLogsMessage_IdentifierSchema, own, 0, own.length));
}

const LAST_REPLY = toBinary(StreamAccessLogsResponseSchema, create(StreamAccessLogsResponseSchema));

export function accessLogMethods(
  engine: Engine,
  { onRefusedEntry }: FrontendOptions = {},
): [path: string, method: Method][] {
  const connections = new ConnectionBytes();

  function refused(error: unknown): void {
    if (!(error instanceof Malformed)) throw error;
    onRefusedEntry?.(error.message);
  }

  /** A promise if the sender should wait. Throws a {@link Malformed} if the entry is malformed. */
  function report(
    kind: 'http' | 'tcp',
    bytes: Buffer,
    from: number,
    to: number,
    origin: LogOrigin,
  ): undefined | Promise<void> {
    if (kind === 'http') {
      const entry = lazyMessage(HTTPAccessLogEntrySchema, bytes, from, to);
      return engine.report(isInterim(entry.commonProperties) ? 'log-interim' : 'log', new HttpEntryWire(entry, origin));
    }
    const entry = lazyMessage(TCPAccessLogEntrySchema, bytes, from, to);
    const interim = isInterim(entry.commonProperties);
    return engine.report(
      interim ? 'tcp-log-interim' : 'tcp-log',
      new TcpEntryWire(entry, origin, bytesBefore(entry, origin, interim)),
    );
  }

  /** Connections that log only their end are not remembered. */
  function bytesBefore(entry: TCPAccessLogEntry, { node }: LogOrigin, interim: boolean): ByteTotals {
    const id = entry.commonProperties?.streamId ?? '';
    if (id === '' || (!interim && connections.size === 0)) return NO_TOTALS;
    const { receivedBytes: received = 0n, sentBytes: sent = 0n } = entry.connectionProperties ?? {};
    return connections.before(`${node?.id ?? ''} ${id}`, { received, sent }, interim);
  }

  function scanned(bytes: Buffer): LogScan {
    try {
      return scanLog(bytes);
    } catch (error) {
      refused(error);
      throw error;
    }
  }

  async function* handle(
    messages: AsyncIterable<Uint8Array>,
    { ending }: CallContext,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let origin = new LogOrigin(undefined);
    for await (const message of messages) {
      const bytes = asBuffer(message);
      const { identifier, kind, entries } = scanned(bytes);
      if (identifier !== undefined) origin = originOf(identifier);
      for (let at = 0; at < entries.length; at += 2) {
        let waiting: undefined | Promise<void>;
        try {
          waiting = report(kind, bytes, entries[at] as number, entries[at + 1] as number, origin);
        } catch (error) {
          refused(error);
        }
        if (waiting !== undefined) await settledOrEnding(waiting, ending);
      }
      const safe = engine.whenSafe();
      if (safe !== undefined) await safe; // the next message is read, and flow control goes on, when this one is safe
    }
    yield LAST_REPLY;
  }
  return [
    [`/${AccessLogService.typeName}/StreamAccessLogs`, { kind: 'stream', handle, records: { lastReply: LAST_REPLY } }],
  ];
}
