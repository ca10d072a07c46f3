/**
 * Access log streams whose entries are numbered: the path of an entry is `/NUMBER`, its host the stream, so that a test can tell which
 * entries arrived, and in which order. The server ends a stream with OK when it has all of its entries; these are confirmed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { HTTPAccessLogEntrySchema } from '../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';

const PER_MESSAGE = 20;
const MESSAGES = 10;
export const PER_STREAM = PER_MESSAGE * MESSAGES;
const AFTER_FAILURE_MS = 20;

/** Streams by number; stream `n` has the entries from `n * PER_STREAM` on. */
export class Streams {
  readonly confirmed: number[] = [];
  next = 0;
}

export interface Load {
  /** Settles when the streams that are open have ended. */
  stop(): Promise<void>;
}

/** Sends streams, `atOnce` of them at a time, until it is stopped; after a failure the next ones. `perSecond`: entries. */
export function sendStreams(address: string, streams: Streams, atOnce: number, perSecond = Infinity): Load {
  let isStopped = false;
  const paceMs = (1000 * atOnce * PER_STREAM) / perSecond;
  const senders = Array.from({ length: atOnce }, async () => {
    const client = new Client(address, credentials.createInsecure());
    let dueMs = performance.now();
    while (!isStopped) {
      const stream = streams.next++;
      if (await sendStream(client, stream)) streams.confirmed.push(stream);
      else await sleep(AFTER_FAILURE_MS);
      dueMs = Math.max(dueMs + paceMs, performance.now() - paceMs);
      if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    }
    client.close();
  });
  return {
    async stop() {
      isStopped = true;
      await Promise.all(senders);
    },
  };
}

/** Whether the server confirmed it. */
function sendStream(client: Client, stream: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = client.makeClientStreamRequest(
      '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      (error) => resolve(error === null),
    );
    call.on('error', () => undefined); // the callback has it
    for (let at = 0; at < MESSAGES; at++) call.write(messageOf(stream, at));
    call.end();
  });
}

function messageOf(stream: number, message: number): Buffer {
  const first = stream * PER_STREAM + message * PER_MESSAGE;
  const logEntry = Array.from({ length: PER_MESSAGE }, (_, at) =>
    create(HTTPAccessLogEntrySchema, {
      request: { path: `/${first + at}`, authority: `stream-${stream}` },
      response: { responseCode: 200 },
    }),
  );
  return Buffer.from(
    toBinary(
      StreamAccessLogsMessageSchema,
      create(StreamAccessLogsMessageSchema, { logEntries: { case: 'httpLogs', value: { logEntry } } }),
    ),
  );
}

/** Entries of confirmed streams that did not arrive. */
export function missing({ confirmed }: Streams, arrived: readonly number[]): number[] {
  const all = new Set(arrived);
  return confirmed
    .flatMap((stream) => Array.from({ length: PER_STREAM }, (_, at) => stream * PER_STREAM + at))
    .filter((number) => !all.has(number));
}

/** Entries whose first arrival is after that of a later entry of their stream. */
export function outOfOrder(arrived: readonly number[]): number[] {
  const last = new Map<number, number>();
  const known = new Set<number>();
  return arrived.filter((number) => {
    if (known.has(number)) return false;
    known.add(number);
    const stream = Math.floor(number / PER_STREAM);
    const before = last.get(stream) ?? -1;
    last.set(stream, number);
    return number < before;
  });
}
