/**
 * Sends access log entries on one stream, in messages of 100: `node bench/log-sender.ts PORT SECONDS [ENTRIES_PER_SECOND]`; default: as
 * many as are taken.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { setTimeout as sleep } from 'node:timers/promises';
import { HTTPAccessLogEntrySchema } from '../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import {
  StreamAccessLogsMessage_HTTPAccessLogEntriesSchema,
  StreamAccessLogsMessageSchema,
} from '../gen/envoy/service/accesslog/v3/als_pb.ts';
import { dialGrpc } from '../src/transport/index.ts';

const PER_MESSAGE = 100;
const [port, seconds = '5', rate = 'Infinity'] = process.argv.slice(2);
const message = toBinary(
  StreamAccessLogsMessageSchema,
  create(StreamAccessLogsMessageSchema, {
    logEntries: {
      case: 'httpLogs',
      value: create(StreamAccessLogsMessage_HTTPAccessLogEntriesSchema, {
        logEntry: Array.from({ length: PER_MESSAGE }, (_, at) =>
          create(HTTPAccessLogEntrySchema, {
            commonProperties: { duration: { seconds: 0n, nanos: 7_000_000 + at } },
            request: { requestMethod: 1, path: `/ratings/${at}` },
            response: { responseCode: 200 },
          }),
        ),
      }),
    },
  }),
);
const client = dialGrpc(`127.0.0.1:${port}`);
let sent = 0;
const beganAtMs = performance.now();
const elapsedS = (): number => (performance.now() - beganAtMs) / 1000;
async function* messages(): AsyncGenerator<Uint8Array> {
  console.log('sending');
  for (; elapsedS() < Number(seconds); sent += PER_MESSAGE) {
    while (sent > elapsedS() * Number(rate)) await sleep(1);
    yield message;
  }
}
for await (const _ of client.stream('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', messages()));
client.close();
console.log(`sent ${Math.round(sent / elapsedS())} entries/s`);
