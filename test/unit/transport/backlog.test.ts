/** A server that stops while connections wait to be accepted: their clients have sent calls, and lose none. */
import { expect, test } from 'vitest';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { RETRYABLE, sendAtOnce } from '../../parts/grpc-burst.ts';
import { bytes, TRANSPORTS } from './serving.ts';
import { TLS } from './tls-of-tests.ts';

const CONNECTIONS = 10;
const CALLS = 400;

test.each(
  TRANSPORTS.flatMap(([name, listen]) => [
    { name, how: 'cleartext', listen, tls: undefined },
    { name, how: 'TLS', listen, tls: TLS },
  ]),
)('$name, $how: each call is answered, or refused before it was handled', async ({ listen, tls }) => {
  const transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: viewOf }]]), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1024,
    onFault: () => {},
    ...(tls === undefined ? {} : { tls }),
  });
  const messages = Array.from({ length: CALLS }, () => bytes('hi'));
  // The kernel opens connections of this machine at once, so all of them wait when the server stops.
  const burst = sendAtOnce(transport.port, '/t.T/Echo', messages, {
    connections: CONNECTIONS,
    isHasty: true,
    ...(tls === undefined ? {} : { tls: { ca: tls.cert } }),
  });
  const [answers] = await Promise.all([burst, transport.drain(8000)]);
  expect(answers).toHaveLength(CALLS);
  expect(answers.filter(({ status }) => status !== '0' && status !== RETRYABLE)).toEqual([]);
  expect(answers.filter(({ status }) => status === '0').length).toBeGreaterThan(0);
});
