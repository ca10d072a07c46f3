import { FieldScan, WireType } from '../../protobuf/scan.ts';

/** Field numbers of envoy.service.accesslog.v3.StreamAccessLogsMessage, and of both its lists of entries. */
const [IDENTIFIER, HTTP_LOGS, TCP_LOGS] = [1, 2, 3];
const LOG_ENTRY = 1;

export interface LogScan {
  /** The encoded identifier; several occurrences are concatenated, which merges them. */
  readonly identifier: Buffer | undefined;
  readonly kind: 'http' | 'tcp';
  /** Two positions for each entry: its begin and its end. */
  readonly entries: readonly number[];
}

/** The ranges of the entries of a StreamAccessLogsMessage. Throws a `Malformed` if the message is malformed. */
export function scanLog(bytes: Buffer): LogScan {
  let identifier: Buffer | undefined;
  let kind: 'http' | 'tcp' = 'http';
  let entries: number[] = [];
  const top = new FieldScan(bytes, 0, bytes.length);
  for (let field = top.next(); field !== 0; field = top.next()) {
    if (top.type !== WireType.LEN) continue;
    if (field === IDENTIFIER) {
      const part = bytes.subarray(top.from, top.to);
      identifier = identifier === undefined ? part : Buffer.concat([identifier, part]);
    } else if (field === HTTP_LOGS || field === TCP_LOGS) {
      const own = field === HTTP_LOGS ? 'http' : 'tcp';
      if (own !== kind) entries = []; // a oneof: the last counts
      kind = own;
      const logs = new FieldScan(bytes, top.from, top.to);
      for (let inner = logs.next(); inner !== 0; inner = logs.next())
        if (inner === LOG_ENTRY && logs.type === WireType.LEN) entries.push(logs.from, logs.to);
    }
  }
  return { identifier, kind, entries };
}
