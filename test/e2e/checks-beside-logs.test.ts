/** Access log streams that fill the event loop leave checks a part of it, over sockets. Counts are compared, not times. */
import { create, fromJson, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientWritableStream, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { HTTPAccessLogEntrySchema } from '../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { type Serving, serving } from './command.ts';

const POLICY =
  'rules: [{ name: closed, calls: [http], match: \'request.path == "/closed"\', deny: { status: 403 } }]\n';
const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const LOGS = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';

const REQUEST = toBinary(
  CheckRequestSchema,
  create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/', host: 'h' } } } }),
);
const MESSAGE = toBinary(
  StreamAccessLogsMessageSchema,
  create(StreamAccessLogsMessageSchema, {
    identifier: { node: { id: 'n' }, logName: 'l' },
    logEntries: {
      case: 'httpLogs',
      value: {
        logEntry: Array.from({ length: 200 }, (_, at) =>
          fromJson(HTTPAccessLogEntrySchema, {
            request: { path: `/${at}`, authority: 'h' },
            response: { responseCode: 200 },
          }),
        ),
      },
    },
  }),
);

let workspace: Workspace;
let server: Serving;
beforeAll(async () => {
  workspace = makeWorkspace();
  workspace.write('policy.yaml', POLICY);
  server = await serving([workspace.path('policy.yaml')]);
});
afterAll(async () => {
  await server.stop();
  workspace.remove();
});

/** Keeps so many checks waiting for their answers until the test ends. */
function checks(waiting: number): void {
  let isOver = false;
  const client = dialGrpc(server.grpc);
  const senders = Array.from({ length: waiting }, async () => {
    while (!isOver) await client.unary(CHECK, REQUEST, { timeoutMs: 60_000 });
  });
  onTestFinished(async () => {
    isOver = true;
    await Promise.all(senders);
    client.close();
  });
}

/** Keeps the windows of so many streams full until the test ends. */
function streams(count: number): void {
  let isOver = false;
  for (let at = 0; at < count; at++) {
    const client = new Client(server.grpc, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const stream: ClientWritableStream<Buffer> = client.makeClientStreamRequest(
      LOGS,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      () => client.close(),
    );
    stream.on('error', () => undefined); // it is cancelled
    const write = (): void => {
      if (!isOver) stream.write(Buffer.from(MESSAGE), write);
    };
    write();
    onTestFinished(() => {
      isOver = true;
      stream.cancel();
    });
  }
}

/** What the server has done so far. */
async function done(): Promise<{ readonly checks: number; readonly entries: number }> {
  const page = await (await fetch(`http://${server.admin}/metrics`)).text();
  const sum = (call: string): number =>
    [...page.matchAll(new RegExp(`^sluice_calls_total\\{call="${call}",outcome="\\w+"\\} (\\d+)$`, 'gm'))].reduce(
      (all, [, count]) => all + Number(count),
      0,
    );
  return { checks: sum('http'), entries: sum('log') };
}

/** What it does until `isEnough`, once both have begun. */
async function doneUntil(
  isEnough: (one: { readonly checks: number; readonly entries: number }) => boolean,
): Promise<{ readonly checks: number; readonly entries: number }> {
  const start = await done();
  let from = start;
  while (from.checks === start.checks || from.entries === start.entries) from = await done();
  for (;;) {
    const now = await done();
    const since = { checks: now.checks - from.checks, entries: now.entries - from.entries };
    if (isEnough(since)) return since;
  }
}

test('access log streams that fill the loop leave checks a part of it', async () => {
  streams(40);
  checks(20);
  const { checks: answered, entries } = await doneUntil((so) => so.entries >= 200_000);
  expect(entries / answered).toBeLessThan(1500); // some 400; without slices 2600
}, 120_000);
