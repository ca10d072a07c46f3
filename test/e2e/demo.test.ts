/** `npm run demo`: all parts together, until Ctrl-C. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from './sluice.ts';

const DEMO = join(import.meta.dirname, '../../scripts/demo.ts');

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

test('it prints verdicts with their reasons, and Ctrl-C leaves no process behind', async () => {
  const demo = spawn(process.execPath, [DEMO], { stdio: ['ignore', 'pipe', 'pipe'] });
  let shown = '';
  for (const stream of [demo.stdout, demo.stderr])
    stream.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
  const ended = once(demo, 'close'); // exit comes before its output has been read to the end
  try {
    await until(
      'a line of each kind',
      () => {
        const wanted = [
          /^allowed ann .* 200/m,
          /^denied .* 403 who-may-write: roles refused/m,
          /^denied .* 400 no-path-tricks/m,
          /^limited nobody .* 429 ratings-per-user: over the limit of 3/m,
          /^limited eve .* \/limited/m,
          /^ {2}kafka {3}\{.*"code":403/m,
        ];
        if (demo.exitCode !== null) throw new Error(`the demo ended:\n${shown}`);
        return wanted.every((line) => line.test(shown)) ? true : undefined;
      },
      60_000,
    );
  } catch (error) {
    throw new Error(`${String(error)}; it showed:\n${shown}`, { cause: error });
  } finally {
    demo.kill('SIGINT');
    await ended;
  }
  expect(demo.exitCode).toBe(0);
  expect(shown).toContain('everything that the demo started has stopped');
  const ports = [...shown.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  expect(new Set(ports).size).toBeGreaterThanOrEqual(5); // Redis, Kafka, Sluice twice, Envoy
  for (const port of new Set(ports)) expect(await isListening(port)).toBe(false);
}, 90_000);
