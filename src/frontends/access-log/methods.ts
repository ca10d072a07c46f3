/**
 * envoy.service.accesslog.v3.AccessLogService: this happened.
 * **In**: messages of log entries. **Out**: each final entry to the engine; an empty message when Envoy ends the stream.
 * **Fails**: INVALID_ARGUMENT ends the stream at a message that is none, or at an entry that a rule finds to be none; what
 * came before it stays reported.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { asBuffer } from '../../transport/bytes.ts';
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import { decoded } from '../decode.ts';
import { AccessLogService, StreamAccessLogsMessage_IdentifierSchema, StreamAccessLogsResponseSchema } from '../generated/envoy/service/accesslog/v3/als_pb.ts';
import { HTTPAccessLogEntrySchema, TCPAccessLogEntrySchema } from '../generated/envoy/data/accesslog/v3/accesslog_pb.ts';
import { lazyMessage } from '../lazy-message.ts';
import { isFinal } from './entry-wire.ts';
import { HttpEntryWire } from './http-entry-wire.ts';
import { LogOrigin } from './log-origin.ts';
import { scanLog } from './log-scan.ts';
import { TcpEntryWire } from './tcp-entry-wire.ts';

export function accessLogMethods(engine: Engine): [path: string, method: Method][] {
  /** A promise where the sender should wait. */
  function report(kind: 'http' | 'tcp', bytes: Buffer, from: number, to: number, origin: LogOrigin): undefined | Promise<void> {
    if (kind === 'http') {
      const entry = lazyMessage(HTTPAccessLogEntrySchema, bytes, from, to);
      return isFinal(entry.commonProperties) ? engine.report('log', new HttpEntryWire(entry, origin)) : undefined;
    }
    const entry = lazyMessage(TCPAccessLogEntrySchema, bytes, from, to);
    return isFinal(entry.commonProperties) ? engine.report('tcp-log', new TcpEntryWire(entry, origin)) : undefined;
  }

  async function* handle(messages: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let origin = new LogOrigin(undefined);
    for await (const message of messages) {
      const bytes = asBuffer(message);
      const { identifier, kind, entries } = scanLog(bytes);
      if (identifier !== undefined) origin = new LogOrigin(decoded(StreamAccessLogsMessage_IdentifierSchema, identifier));
      for (let at = 0; at < entries.length; at += 2) {
        const waiting = report(kind, bytes, entries[at] as number, entries[at + 1] as number, origin);
        if (waiting !== undefined) await waiting;
      }
    }
    yield toBinary(StreamAccessLogsResponseSchema, create(StreamAccessLogsResponseSchema));
  }
  return [[`/${AccessLogService.typeName}/StreamAccessLogs`, { kind: 'stream', handle }]];
}
