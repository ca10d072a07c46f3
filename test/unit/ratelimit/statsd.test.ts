/** The last lines to statsd and DogStatsD. */
import { createSocket } from 'node:dgram';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { StatsdClient } from '../../../src/ratelimit/metrics/statsd.ts';
import { until } from '../../e2e/sluice.ts';

const client = (metrics: RatelimitMetrics, kind: 'statsd' | 'dogstatsd', host: string, port: number): StatsdClient =>
  new StatsdClient(metrics, { kind, host, port, everyMs: 600_000, tags: new Map() });

test.each(['127.0.0.1', 'localhost'])(
  'what was counted since the last interval is sent over UDP, to %s',
  async (host) => {
    const dog = createSocket('udp4');
    onTestFinished(() => void dog.close());
    let told = '';
    dog.on('message', (packet) => {
      told += `${packet.toString()}\n`;
    });
    await new Promise<void>((resolve) => {
      dog.bind(0, '127.0.0.1', resolve);
    });
    const metrics = new RatelimitMetrics();
    // More than one packet has.
    for (let at = 0; at < 100; at++) metrics.gauges.set(`ratelimit.gauge_of_a_long_name_${at}`, () => at);
    metrics.outages.open = 7;
    await client(metrics, 'dogstatsd', host, dog.address().port).close();
    await until('both ends', () =>
      told.includes('ratelimit.service.outage.open:7|c') && told.includes('name_99:99|g') ? true : undefined,
    );
  },
);

test('a statsd that reads nothing holds up the end for a second', async () => {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(socket);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const metrics = new RatelimitMetrics();
  const long = 'x'.repeat(60_000);
  for (let at = 0; at < 400; at++) metrics.gauges.set(`${long}${at}`, () => at); // 24 MB, more than both buffers take
  const statsd = client(metrics, 'statsd', '127.0.0.1', (server.address() as AddressInfo).port);
  await until('it is connected', () => (sockets.length === 1 ? true : undefined));
  await statsd.close();
  expect(sockets[0]?.bytesRead).toBe(0);
});
