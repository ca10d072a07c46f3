import type { LogPhase } from '../../attributes/log-phase.ts';
import type { Value } from '../../attributes/values.ts';
import { byNumber } from '../../attributes/vocabulary.ts';
import type { AccessLogCommon, TCPAccessLogEntry } from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { intOf, ipOf } from '../wire-values.ts';
import { type ByteTotals, NO_TOTALS } from '../connection-bytes.ts';
import { COMMON_READERS, EntryWire } from './entry-wire.ts';
import type { LogOrigin } from '../log-origin.ts';
import { phaseOf } from './log-type.ts';

/** The access log entry of a connection. */
export class TcpEntryWire extends EntryWire {
  readonly entry: TCPAccessLogEntry;

  /** Totals of the connection's entry before this one. */
  readonly before: ByteTotals;

  /** `common`: of the entry; given where it was read already. */
  constructor(
    entry: TCPAccessLogEntry,
    origin: LogOrigin,
    before: ByteTotals = NO_TOTALS,
    common: AccessLogCommon | undefined = entry.commonProperties,
  ) {
    super(common, origin);
    this.entry = entry;
    this.before = before;
  }

  protected value(number: number): Value | undefined {
    return READERS[number]?.(this);
  }

  protected header(): undefined {}
}

type Reader = (wire: TcpEntryWire) => Value | undefined;
/** Entries may overtake each other when a proxy's stream ends: never negative. */
const since = (total = 0n, before: bigint): Value => intOf(total > before ? total - before : 0n);
const received: Reader = ({ entry }) => intOf(entry.connectionProperties?.receivedBytes ?? 0n);
const sent: Reader = ({ entry }) => intOf(entry.connectionProperties?.sentBytes ?? 0n);

const EVENTS: Partial<Readonly<Record<LogPhase, string>>> = {
  start: 'open',
  established: 'continue',
  periodic: 'continue',
};

const READERS = byNumber<Reader>({
  ...COMMON_READERS,
  // The address from the PROXY protocol if it is in use, else the peer's.
  'origin.ip': ({ common }) => ipOf(common?.downstreamRemoteAddress),
  'connection.event': ({ common }) => EVENTS[phaseOf(common)] ?? 'close',
  'connection.duration': ({ duration }) => duration,
  'connection.received.bytes': ({ entry, before }) => since(entry.connectionProperties?.receivedBytes, before.received),
  'connection.received.bytes_total': received,
  'connection.sent.bytes': ({ entry, before }) => since(entry.connectionProperties?.sentBytes, before.sent),
  'connection.sent.bytes_total': sent,
  'context.protocol': () => 'tcp',
});
