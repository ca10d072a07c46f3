/** What a plugin does to the process that it shares: one line names it and the fix, and the server goes on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serving, type Serving } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';

const PLUGIN = `
import { EventEmitter } from 'node:events';
import { connect } from 'node:net';
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';


const MISTAKES = {
  '/socket': async () => void connect(1, '127.0.0.1'),
  '/exit': () => process.exit(3),
  '/exit-later': () => setTimeout(() => process.exit(4), 1),
  '/removes-uncaught': () => process.removeAllListeners('uncaughtException'),
  '/removes-signals': () => process.removeAllListeners('SIGTERM'),
  '/hides-rejections': () => process.on('unhandledRejection', () => undefined),
  '/rejects': () => void Promise.reject(new Error('nobody awaits this')),
  '/throws-later': () => setTimeout(() => { throw new Error('thrown later'); }, 1),
  '/stacks': () => { Error.prepareStackTrace = (_, sites) => sites; },
  '/prints': () => console.log('printed by %s', 'a plugin', process.env.SECRET_OF_TEST),
  '/warns': () => { for (let n = 0; n < 20; n++) process.on('SIGUSR2', () => n); },
};
export default defineAdapter({
  name: 'check-careless',
  summary: 'Allows everything, and is careless.',
  config: z.strictObject({
    token: z.string().optional().meta({ secret: true }).describe('A secret.'),
    opens: z.boolean().default(false).describe('A socket.'),
  }),
  serves: { check: { input: { path: 'string' } }, report: { input: 'any' } },
  open: async ({ opens }) => {
    if (opens) connect(2, '127.0.0.1');
    process.on('SIGTERM', () => process.exit(5));
    return {
      sink: ({ rule }) => rule,
      write: (entries) => {
        entries.splice(0); // it keeps a queue of its own
        connect(3, '127.0.0.1');
        return false;
      },
      check: () => async ({ path }) => {
        MISTAKES[path]?.();
        return allow();
      },
      close: () => undefined,
    };
  },
});
`;
const POLICY = `
plugins: [./careless.mjs]
handlers:
  careless: { adapter: check-careless, config: { token: { $env: SECRET_OF_TEST }, opens: true } }
rules:
  - { name: closed, match: 'request.url_path == "/closed"', deny: { status: 403 } }
  - { name: ask, check: { handler: careless, input: { path: request.url_path } } }
  - { name: log, calls: [http], match: 'request.url_path == "/report"', report: { handler: careless, input: { path: request.url_path } } }
`;
const SECRET = 'a-secret-of-this-test';

let folder = '';
let server: Serving;
let client: PeerClient;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-careless-'));
  writeFileSync(join(folder, 'careless.mjs'), PLUGIN);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  server = await serving([join(folder, 'policy.yaml')], { env: { SECRET_OF_TEST: SECRET } });
  client = peerClient(server.grpc);
}, 60_000);
afterAll(async () => {
  client?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const lines = (): Readonly<Record<string, unknown>>[] =>
  server
    .err()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const PLACE = expect.stringMatching(/careless\.mjs:\d+:\d+$/) as string;
const said = (fields: object): object => expect.objectContaining(fields) as object;
const error = (message: string): object => said({ message: expect.stringContaining(message) as string });
const ESCAPED = 'uncaught error in a plugin; Sluice goes on serving';
const text = (part: string): string => expect.stringContaining(part) as string;

test.each<[string, string, object]>([
  [
    'an inline socket without a listener of error',
    '/socket',
    {
      msg: ESCAPED,
      plugin: 'check-careless',
      handler: 'careless',
      mend: text('a listener of error'),
      error: error('127.0.0.1:1'),
    },
  ],
  [
    'the same, opened with the handler',
    '/',
    { msg: ESCAPED, plugin: 'check-careless', handler: 'careless', error: error('127.0.0.1:2') },
  ],
  [
    'the same, opened for a report',
    '/report',
    { msg: ESCAPED, plugin: 'check-careless', handler: 'careless', error: error('127.0.0.1:3') },
  ],
  [
    'write() that returns false',
    '/report',
    { level: 'warn', handler: 'careless', msg: text('throw Unavailable or Rejected'), returned: 'false' },
  ],
  [
    'process.exit in a call',
    '/exit',
    { msg: 'error in a plugin', handler: 'careless', at: PLACE, why: text('process.exit(3) was called in a server') },
  ],
  [
    'process.exit in a timer',
    '/exit-later',
    { msg: ESCAPED, plugin: 'check-careless', at: PLACE, error: error('process.exit(4) was called') },
  ],
  [
    'the listener of uncaught errors removed',
    '/removes-uncaught',
    { msg: text('a listener of Sluice was removed'), event: 'uncaughtException', plugin: 'check-careless', at: PLACE },
  ],
  [
    'an error after that',
    '/throws-later',
    { msg: ESCAPED, plugin: 'check-careless', at: PLACE, error: error('thrown later') },
  ],
  [
    'the listener of SIGTERM removed',
    '/removes-signals',
    { msg: text('a listener of Sluice was removed'), event: 'SIGTERM', plugin: 'check-careless', at: PLACE },
  ],
  [
    'rejections, after a listener that hides them',
    '/hides-rejections /rejects',
    { msg: ESCAPED, plugin: 'check-careless', at: PLACE, how: 'unhandled rejection' },
  ],
  [
    'a text on the console',
    '/prints',
    { level: 'info', msg: 'printed by a plugin (secret)', from: 'console', plugin: 'check-careless', at: PLACE },
  ],
  [
    'a warning of Node',
    '/warns',
    {
      level: 'warn',
      msg: 'a warning of Node',
      warning: text('MaxListenersExceededWarning'),
      plugin: 'check-careless',
      at: PLACE,
    },
  ],
])('%s is one line', async (_, paths, line) => {
  for (const path of paths.split(' ')) await client.check({ path });
  await expect.poll(lines, { timeout: 20_000 }).toContainEqual(said(line));
  expect((await client.check({ path: '/closed' })).status?.code).toBe(7);
  expect(server.out()).not.toContain('printed');
  expect(server.err()).not.toContain(SECRET);
});

const page = async (): Promise<string> => (await fetch(`http://${server.admin}/metrics`)).text();

test('reports whose list the plugin emptied are counted', async () => {
  await expect
    .poll(page, { timeout: 20_000 })
    .toMatch(/^sluice_handler_reports_written_total\{handler="careless"\} 2$/m);
});

test('errors keep their place when a plugin has made stacks no text', async () => {
  for (const path of ['/stacks', '/rejects']) await client.check({ path });
  await expect
    .poll(page, { timeout: 20_000 })
    .toMatch(/^sluice_escaped_errors_total\{origin="plugin",plugin="check-careless"\} 8$/m);
  expect(await page()).not.toContain('origin="unattributed"');
});

test('SIGTERM drains, though the plugin has a listener that ends the process', async () => {
  expect(await server.stop()).toBe(0);
  expect(lines().at(-1)).toMatchObject({ msg: 'stopped' });
});
