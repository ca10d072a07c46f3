/**
 * A server killed at any moment under load, each time with another policy: every confirmed entry reaches the sink, in the order of its
 * stream.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { missing, outOfOrder, sendStreams, Streams } from '../parts/numbered-streams.ts';
import { type Serving, serving } from './command.ts';

const numberOf = (line: string): number => Number((JSON.parse(line) as { path: string }).path.slice(1));

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
  const streams = new Streams();
  for (const [round, rule] of policies.entries()) {
    writeFileSync(policy, policyOf(rule)); // entries of rules that are no more wait on disk
    running = await serving([policy]);
    const load = sendStreams(running.grpc, streams, 2);
    await sleep(300 + round * 137);
    if (round < policies.length - 1) {
      running.signal('SIGKILL');
      await running.ended;
    } else await eventually(() => expect(streams.confirmed.length).toBeGreaterThan(5));
    await load.stop();
  }
  const inFile = (): number[] =>
    readFileSync(join(folder, 'out.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map(numberOf);
  await eventually(() => expect(missing(streams, inFile())).toEqual([]));
  expect(outOfOrder(inFile())).toEqual([]);
  expect(await running?.stop()).toBe(0);
}, 120_000);
