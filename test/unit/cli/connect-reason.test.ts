/** What is said of a server that is away. */
import { expect, test } from 'vitest';
import { connectReason } from '../../../src/cli/connect-reason.ts';
import { freePort } from '../../parts/free-port.ts';
import { run } from '../../e2e/command.ts';

test('health names the error of the connection alone', async () => {
  const to = `127.0.0.1:${await freePort()}`;
  const { code, err } = await run(['health', '--to', to]);
  expect(code).toBe(3);
  expect(err.split('\n')[0]).toBe(`CLI_UNREACHABLE ${to} did not answer: connect ECONNREFUSED ${to}`);
});

test('another message stays as it is', () => {
  expect(connectReason('Deadline exceeded')).toBe('Deadline exceeded');
});
