/** Load generator for the echo. Prints one line of JSON: the number of requests and their latencies in microseconds. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { percentile } from './figures.ts';

const [port = 0, connections = 1, atOnce = 1, seconds = 3, requestBytes = 1300, answerBytes = 100] = process.argv
  .slice(2)
  .map(Number);
const request = Buffer.alloc(requestBytes, 'q');
const timesUs: number[] = [];
const endAt = performance.now() + seconds * 1000;

async function drive(): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const sentAt: number[] = [];
  let received = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
    const answered = Math.floor(received / answerBytes);
    received -= answered * answerBytes;
    const now = performance.now();
    for (const at of sentAt.splice(0, answered)) timesUs.push((now - at) * 1000);
    if (now >= endAt) socket.destroy();
    else send(answered);
  });
  const send = (count: number): void => {
    const now = performance.now();
    for (let sent = 0; sent < count; sent += 1) sentAt.push(now);
    socket.write(count === 1 ? request : Buffer.concat(Array.from({ length: count }, () => request)));
  };
  send(atOnce);
  await once(socket, 'close');
}

await Promise.all(Array.from({ length: connections }, drive));
const sorted = Float64Array.from(timesUs).toSorted();
console.log(
  JSON.stringify({
    requests: sorted.length,
    perSecond: sorted.length / seconds,
    p50Us: percentile(sorted, 0.5),
    p99Us: percentile(sorted, 0.99),
  }),
);
