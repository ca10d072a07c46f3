/** A message of an access log stream with 100 HTTP entries, small ones. */
import { create, toBinary } from '@bufbuild/protobuf';
import { HTTPAccessLogEntrySchema } from '../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import {
  StreamAccessLogsMessage_HTTPAccessLogEntriesSchema,
  StreamAccessLogsMessageSchema,
} from '../gen/envoy/service/accesslog/v3/als_pb.ts';

export const PER_MESSAGE = 100;

export const logMessage = (): Uint8Array =>
  toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      logEntries: {
        case: 'httpLogs',
        value: create(StreamAccessLogsMessage_HTTPAccessLogEntriesSchema, {
          logEntry: Array.from({ length: PER_MESSAGE }, (_, at) =>
            create(HTTPAccessLogEntrySchema, {
              commonProperties: { duration: { seconds: 0n, nanos: 7_000_000 + at } },
              request: { requestMethod: 1, path: `/ratings/${at}`, requestHeaders: { 'x-user': 'ann' } },
              response: { responseCode: 200 },
            }),
          ),
        }),
      },
    }),
  );
