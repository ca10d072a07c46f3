/**
 * A cheap HTTP/1.1 client: one request at a time on each connection, each with new ids, as Envoy asks. Prints figures as JSON.
 *
 *   node bench/http-load-client.ts PORT CONNECTIONS SECONDS
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { percentile } from './figures.ts';

const [port = 0, connections = 1, seconds = 1] = process.argv.slice(2).map(Number);
const WARM_UP_MS = 1500;
const STATUS_OK = Buffer.from('HTTP/1.1 200');

/** The headers of bench/check-request.ts, and those that Envoy adds for the attributes that HTTP lacks. */
const request = (id: string): string =>
  [
    'GET /envoy/ratings/42?page=3&sort=recent HTTP/1.1',
    'host: shop.example.com',
    'accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'accept-encoding: gzip, deflate, br, zstd',
    'accept-language: en-GB,en;q=0.9,de;q=0.7',
    `authorization: Bearer ${'eyJhbGciOiJSUzI1NiJ9'.repeat(18)}`,
    'user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    'x-forwarded-for: 203.0.113.9, 198.51.100.7',
    'x-forwarded-proto: https',
    `x-request-id: ${id}`,
    `traceparent: 00-${id.replaceAll('-', '')}-00f067aa0ba902b7-01`,
    'x-user: ann',
    'x-sluice-peer: 198.51.100.7',
    'x-context-destination.namespace: shop',
    'x-envoy-expected-rq-timeout-ms: 200',
    'content-length: 0',
    '\r\n',
  ].join('\r\n');

const latencies: number[] = [];
let [requests, failed, isMeasuring, isOver] = [0, 0, false, false];

for (let number = 0; number < connections; number++) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let sentAtMs = 0;
  const send = (): void => {
    const id = randomBytes(16).toString('hex');
    sentAtMs = performance.now();
    socket.write(request(id), 'latin1');
  };
  socket.on('connect', send);
  // An answer without a body is one segment.
  socket.on('data', (answer) => {
    if (isMeasuring) {
      requests++;
      latencies.push((performance.now() - sentAtMs) * 1000);
      if (answer.compare(STATUS_OK, 0, STATUS_OK.length, 0, STATUS_OK.length) !== 0) failed++;
    }
    if (!isOver) send();
  });
}

setTimeout(() => {
  isMeasuring = true;
  const beganAtMs = performance.now();
  setTimeout(() => {
    isOver = true;
    const perSecond = requests / ((performance.now() - beganAtMs) / 1000);
    const sorted = Float64Array.from(latencies).sort();
    console.log(
      JSON.stringify({ requests, failed, perSecond, p50Us: percentile(sorted, 0.5), p99Us: percentile(sorted, 0.99) }),
    );
    process.exit();
  }, seconds * 1000);
}, WARM_UP_MS);
