/** envoy.service.accesslog.v3.AccessLogService: requests and connections, as they begin, last and end. A {@link recordStream}. */
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import type { FrontendOptions } from '../frontend-options.ts';
import { AccessLogService } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import {
  type AccessLogCommon,
  HTTPAccessLogEntrySchema,
  type TCPAccessLogEntry,
  TCPAccessLogEntrySchema,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { lazyMessage } from '../../protobuf/lazy-message.ts';
import { type ByteTotals, ConnectionBytes, NO_TOTALS } from '../connection-bytes.ts';
import { recordStream, type ScannedMessage } from '../record-stream.ts';
import { durationOf } from '../wire-values.ts';
import { HttpEntryWire } from './http-entry-wire.ts';
import type { LogOrigin } from '../log-origin.ts';
import { isInterim } from './log-type.ts';
import { scanLog } from './log-scan.ts';
import { TcpEntryWire } from './tcp-entry-wire.ts';

export function accessLogMethods(engine: Engine, options: FrontendOptions = {}): [path: string, method: Method][] {
  const connections = new ConnectionBytes();

  /** A promise if the sender should wait. Throws a `Malformed` if the entry is malformed. */
  function report(
    kind: 'http' | 'tcp',
    bytes: Buffer,
    from: number,
    to: number,
    origin: LogOrigin,
  ): undefined | Promise<void> {
    if (kind === 'http') {
      const entry = lazyMessage(HTTPAccessLogEntrySchema, bytes, from, to);
      const common = entry.commonProperties;
      return engine.report(isInterim(common) ? 'log-interim' : 'log', new HttpEntryWire(entry, origin, common));
    }
    const entry = lazyMessage(TCPAccessLogEntrySchema, bytes, from, to);
    const common = entry.commonProperties;
    const interim = isInterim(common);
    return engine.report(
      interim ? 'tcp-log-interim' : 'tcp-log',
      new TcpEntryWire(entry, origin, bytesBefore(entry, common, origin, interim), common),
    );
  }

  /** Connections that log only their end are not remembered. */
  function bytesBefore(
    { connectionProperties }: TCPAccessLogEntry,
    common: AccessLogCommon | undefined,
    origin: LogOrigin,
    interim: boolean,
  ): ByteTotals {
    if (interim) origin.sendsInterim = true;
    const id = common?.streamId ?? '';
    if (id === '' || (!interim && !origin.sendsInterim && connections.size === 0)) return NO_TOTALS;
    const { receivedBytes: received = 0n, sentBytes: sent = 0n } = connectionProperties ?? {};
    return connections.before(
      `${origin.node?.id ?? ''} ${id}`,
      { received, sent },
      interim,
      () => origin.sendsInterim && isOlderThanStream(common, origin),
    );
  }

  function scan(bytes: Buffer): ScannedMessage {
    const { identifier, kind, entries } = scanLog(bytes);
    let at = 0;
    return {
      identifier,
      next(origin) {
        if (at >= entries.length) return false;
        const [from, to] = [entries[at] as number, entries[at + 1] as number];
        at += 2;
        return report(kind, bytes, from, to, origin);
      },
    };
  }
  return [[`/${AccessLogService.typeName}/StreamAccessLogs`, recordStream(engine, scan, options)]];
}

/** For entries that wait in the proxy's buffer. */
const SLACK_MS = 2000;

/** The connection began before the stream did, so its earlier entries went to another server or thread, or were lost with it. */
function isOlderThanStream(common: AccessLogCommon | undefined, { openedAtMs }: LogOrigin): boolean {
  const ageMs = durationOf(common?.duration)?.toMs() ?? 0;
  return ageMs > performance.now() - openedAtMs + SLACK_MS;
}
