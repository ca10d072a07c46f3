/**
 * Sends access log entries on one stream, in messages of 100: `node bench/log-sender.ts PORT SECONDS [ENTRIES_PER_SECOND]`; default: as
 * many as are taken.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { dialGrpc } from '../src/transport/index.ts';
import { logMessage, PER_MESSAGE } from './log-message.ts';

const [port, seconds = '5', rate = 'Infinity'] = process.argv.slice(2);
const message = logMessage();
const client = dialGrpc(`127.0.0.1:${port}`);
let sent = 0;
const beganAtMs = performance.now();
const elapsedS = (): number => (performance.now() - beganAtMs) / 1000;
async function* messages(): AsyncGenerator<Uint8Array> {
  console.log('sending');
  for (; elapsedS() < Number(seconds); sent += PER_MESSAGE) {
    while (sent > elapsedS() * Number(rate)) await sleep(1);
    yield message;
  }
}
for await (const _ of client.stream('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', messages()));
client.close();
console.log(`sent ${Math.round(sent / elapsedS())} entries/s`);
