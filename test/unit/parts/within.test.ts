/** Parts of tests that hang: the wait ends, and names what did not come. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startChild, untilReady } from '../../parts/child.ts';
import { sendAtOnce } from '../../parts/grpc-burst.ts';
import { within } from '../../parts/within.ts';

const never = new Promise<never>(() => undefined);

test('a wait ends with the name of what did not come', async () => {
  await expect(within('the answer of nobody', never, 20)).rejects.toThrow('waited 20 ms for the answer of nobody');
  expect(await within('an answer', Promise.resolve('here'), 20)).toBe('here');
});

test('a process that takes connections and answers none is not ready', async () => {
  const part = startChild('sleep', ['60']);
  await expect(untilReady('sleep', part, () => never, 200)).rejects.toThrow('sleep was not ready after 200 ms');
  expect(part.isRunning()).toBe(false);
});

test('a server that closes a connection without an answer leaves no call that waits', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const answers = await sendAtOnce((server.address() as AddressInfo).port, '/t.T/Echo', [Buffer.from('hi')], {});
  expect(answers.map(({ status }) => status)).toEqual(['retryable']);
});
