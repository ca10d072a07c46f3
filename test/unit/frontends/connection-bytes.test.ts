import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { ConnectionBytes } from '../../../src/frontends/connection-bytes.ts';
import { accessLogMethods } from '../../../src/frontends/index.ts';
import { AccessLogType } from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { fixedEngine } from '../../parts/fixed-engine.ts';
import { CONTEXT, readerOf } from './call.ts';

type Entry = readonly [id: string, type: AccessLogType, received: bigint, sent: bigint, ageS?: number];

/** Call, received and sent since the last entry, received in total. */
async function reportsOf(...messages: readonly (readonly [node: string, ...entries: Entry[]])[]): Promise<unknown[][]> {
  const reports: unknown[][] = [];
  const engine = fixedEngine({
    report: (call, wire) => {
      const read = readerOf(wire);
      reports.push([
        call,
        read('connection.received.bytes'),
        read('connection.sent.bytes'),
        read('connection.received.bytes_total'),
      ]);
      return undefined;
    },
  });
  const [[, method] = []] = accessLogMethods(engine);
  if (method?.kind !== 'stream') throw new Error('not a stream');
  for (const [id, ...entries] of messages) {
    const message: MessageInitShape<typeof StreamAccessLogsMessageSchema> = {
      identifier: { node: { id } },
      logEntries: {
        case: 'tcpLogs',
        value: {
          logEntry: entries.map(([streamId, accessLogType, receivedBytes, sentBytes, ageS]) => ({
            commonProperties: {
              streamId,
              accessLogType,
              ...(ageS === undefined ? {} : { duration: { seconds: BigInt(ageS) } }),
            },
            connectionProperties: { receivedBytes, sentBytes },
          })),
        },
      },
    };
    const bytes = toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, message));
    const requests = (async function* one() {
      yield bytes;
    })();
    for await (const _reply of method.handle(requests, CONTEXT));
  }
  return reports;
}

const { TcpConnectionStart: START, TcpPeriodic: PERIODIC, TcpConnectionEnd: END } = AccessLogType;

describe('bytes of a connection since its last entry', () => {
  test('are 0 in the first entry of a connection that is older than its stream, and exact from there on', async () => {
    expect(
      await reportsOf(
        ['edge', ['old', PERIODIC, 1000n, 7n, 60], ['old', PERIODIC, 1010n, 7n, 65], ['old', END, 1015n, 8n, 66]],
        ['edge', ['other', PERIODIC, 500n, 5n, 60], ['ended', END, 300n, 3n, 60]],
      ),
    ).toEqual([
      ['tcp-log-interim', 0, 0, 1000],
      ['tcp-log-interim', 10, 0, 1010],
      ['tcp-log', 5, 1, 1015],
      ['tcp-log-interim', 0, 0, 500],
      ['tcp-log', 0, 0, 300],
    ]);
  });

  test('are all of them in the first entry of a connection that is younger than its stream, or whose age is not known', async () => {
    expect(
      await reportsOf([
        'edge',
        ['young', PERIODIC, 10n, 1n, 1],
        ['ageless', PERIODIC, 20n, 2n],
        ['young', END, 15n, 1n, 2],
      ]),
    ).toEqual([
      ['tcp-log-interim', 10, 1, 10],
      ['tcp-log-interim', 20, 2, 20],
      ['tcp-log', 5, 0, 15],
    ]);
  });

  test('are all of them where a proxy logs only ends, however old the connection', async () => {
    expect(await reportsOf(['edge', ['old', END, 1000n, 7n, 600]])).toEqual([['tcp-log', 1000, 7, 1000]]);
  });

  test('grow while it lasts, and its end adds only the rest, over streams of the same proxy', async () => {
    expect(
      await reportsOf(
        ['edge', ['a', START, 0n, 0n], ['a', PERIODIC, 10n, 1n]],
        ['edge', ['a', PERIODIC, 25n, 1n], ['a', END, 30n, 5n]],
      ),
    ).toEqual([
      ['tcp-log-interim', 0, 0, 0],
      ['tcp-log-interim', 10, 1, 10],
      ['tcp-log-interim', 15, 0, 25],
      ['tcp-log', 5, 4, 30],
    ]);
  });

  test('belong to one connection of one proxy, and are all of them where only its end is logged', async () => {
    expect(
      await reportsOf(
        ['edge', ['a', PERIODIC, 10n, 1n], ['b', END, 7n, 7n]],
        ['other', ['a', END, 12n, 2n]],
        ['edge', ['a', END, 12n, 2n], ['a', END, 12n, 2n], ['', END, 3n, 3n]],
      ),
    ).toEqual([
      ['tcp-log-interim', 10, 1, 10],
      ['tcp-log', 7, 7, 7],
      ['tcp-log', 12, 2, 12],
      ['tcp-log', 2, 1, 12],
      ['tcp-log', 12, 2, 12],
      ['tcp-log', 3, 3, 3],
    ]);
  });

  test('an entry that was overtaken adds nothing', async () => {
    const reports = await reportsOf(['edge', ['a', PERIODIC, 10n, 4n], ['a', PERIODIC, 6n, 4n]]);
    expect(reports[1]).toEqual(['tcp-log-interim', 0, 0, 6]);
  });

  test('connections that fell silent are forgotten, and their number is bounded', () => {
    let nowMs = 0;
    const connections = new ConnectionBytes(() => nowMs);
    const totals = { received: 1n, sent: 1n };
    for (let id = 0; id < 100_010; id++) connections.before(String(id), totals, true);
    expect(connections.size).toBe(100_000);
    expect(connections.before('100009', totals, true)).toEqual(totals);
    nowMs = 3_600_001;
    connections.before('new', totals, true);
    expect(connections.size).toBe(1);
  });
});
