/**
 * envoy.service.accesslog.v3.AccessLogService: this happened.
 * **In**: messages of log entries. **Out**: each final entry to the engine; an empty message when Envoy ends the stream.
 * **Fails**: INVALID_ARGUMENT ends the stream at a message that is none; what came before it stays reported.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import { decoded } from '../decode.ts';
import { AccessLogService, StreamAccessLogsMessageSchema, StreamAccessLogsResponseSchema, type StreamAccessLogsMessage } from '../generated/envoy/service/accesslog/v3/als_pb.ts';
import { isFinal } from './entry-wire.ts';
import { HttpEntryWire } from './http-entry-wire.ts';
import { LogOrigin } from './log-origin.ts';
import { TcpEntryWire } from './tcp-entry-wire.ts';

export function accessLogMethods(engine: Engine): [path: string, method: Method][] {
  async function* handle(messages: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let origin = new LogOrigin(undefined);
    for await (const bytes of messages) {
      const message = decoded(StreamAccessLogsMessageSchema, bytes);
      if (message.identifier !== undefined) origin = new LogOrigin(message.identifier);
      for (const waiting of reported(engine, message, origin)) if (waiting !== undefined) await waiting;
    }
    yield toBinary(StreamAccessLogsResponseSchema, create(StreamAccessLogsResponseSchema));
  }
  return [[`/${AccessLogService.typeName}/StreamAccessLogs`, { kind: 'stream', handle }]];
}

/** One step an entry: the next is reported when the caller has waited as long as the engine wants. */
function* reported(engine: Engine, { logEntries }: StreamAccessLogsMessage, origin: LogOrigin): Generator<undefined | Promise<void>, void, undefined> {
  switch (logEntries.case) {
    case 'httpLogs':
      for (const entry of logEntries.value.logEntry) if (isFinal(entry.commonProperties)) yield engine.report('log', new HttpEntryWire(entry, origin));
      return;
    case 'tcpLogs':
      for (const entry of logEntries.value.logEntry) if (isFinal(entry.commonProperties)) yield engine.report('tcp-log', new TcpEntryWire(entry, origin));
      return;
    case undefined: return;
  }
}
