/** A server killed at any moment, each time with another policy: every confirmed entry reaches the sink, in the order of its stream. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { HTTPAccessLogEntrySchema } from '../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { type Serving, serving } from './command.ts';

const PER_MESSAGE = 20;
const MESSAGES = 10;
const PER_STREAM = PER_MESSAGE * MESSAGES;

const numberOf = (line: string): number => Number((JSON.parse(line) as { path: string }).path.slice(1));

/** Sends entries `from`, `from + 1`, ... in one stream; resolves with whether the server ended it with OK, and so has all of them. */
async function sendStream(address: string, from: number): Promise<boolean> {
  const client = new Client(address, credentials.createInsecure());
  try {
    return await new Promise<boolean>((resolve) => {
      const stream = client.makeClientStreamRequest(
        '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        (error) => resolve(error === null),
      );
      stream.on('error', () => undefined);
      for (let at = 0; at < MESSAGES; at++) stream.write(messageOf(from + at * PER_MESSAGE));
      stream.end();
    });
  } finally {
    client.close();
  }
}

function messageOf(from: number): Buffer {
  const logEntry = Array.from({ length: PER_MESSAGE }, (_, at) =>
    create(HTTPAccessLogEntrySchema, { request: { path: `/${from + at}` }, response: { responseCode: 200 } }),
  );
  return Buffer.from(
    toBinary(
      StreamAccessLogsMessageSchema,
      create(StreamAccessLogsMessageSchema, { logEntries: { case: 'httpLogs', value: { logEntry } } }),
    ),
  );
}

/** Numbers whose first arrival is out of the order of their stream. */
function outOfOrder(arrived: readonly number[]): number[] {
  const last = new Map<number, number>();
  const seen = new Set<number>();
  return arrived.filter((number) => {
    if (seen.has(number)) return false;
    seen.add(number);
    const stream = Math.floor(number / PER_STREAM);
    const before = last.get(stream) ?? -1;
    last.set(stream, number);
    return number < before;
  });
}

test('every confirmed entry is in the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-no-loss-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const policy = join(folder, 'policy.yaml');
  const policyOf = (rule: string): string => `
settings: { spool: { folder: spool } }
handlers:
  file: { adapter: log-file, config: { path: out.jsonl }, spool: disk, batch: { max: 50, maxAge: 20ms } }
rules:
  - { name: ${rule}-file, report: { handler: file, input: { path: request.path } } }
`;
  const policies = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth'];
  let running: Serving | undefined;
  onTestFinished(() => running?.signal('SIGKILL'));
  const confirmed: number[] = [];
  let next = 0;
  for (const [round, rule] of policies.entries()) {
    writeFileSync(policy, policyOf(rule)); // entries of rules that are no more wait on disk
    running = await serving([policy]);
    const { grpc } = running;
    const killAt = performance.now() + 300 + round * 130;
    let isKilled = false;
    while (!isKilled) {
      const from = next;
      next += PER_STREAM;
      const sending = sendStream(grpc, from);
      if (performance.now() > killAt && round < policies.length - 1) {
        await new Promise((resolve) => {
          setTimeout(resolve, (round * 7) % 11);
        });
        running.signal('SIGKILL');
        isKilled = true;
      }
      if (await sending) for (let number = from; number < next; number++) confirmed.push(number);
      if (round === policies.length - 1 && performance.now() > killAt) break;
    }
    if (isKilled) await running.ended;
  }
  expect(confirmed.length).toBeGreaterThan(5 * PER_STREAM);
  const inFile = (): number[] =>
    readFileSync(join(folder, 'out.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map(numberOf);
  const missing = (arrived: readonly number[]): number[] => {
    const all = new Set(arrived);
    return confirmed.filter((number) => !all.has(number));
  };
  await eventually(() => expect(missing(inFile())).toEqual([]));
  expect(outOfOrder(inFile())).toEqual([]);
  expect(await running?.stop()).toBe(0);
}, 120_000);
