/** Ways in which people and tools change a policy's files: each change is noticed, and later ones, too. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OwnLog } from '../../src/log/log.ts';
import { type Server, startServer } from '../../src/serve/policy/server.ts';
import { until } from './sluice.ts';

let root: string;
let server: Server | undefined;
let said: string[];
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-watch-')));
});
afterEach(async () => {
  await server?.drain();
  server = undefined;
  rmSync(root, { recursive: true, force: true });
});

const at = (...path: string[]): string => join(root, ...path);
const rules = (...names: string[]): string =>
  `rules:\n${names.map((name) => `  - name: ${name}\n    match: request.url_path == "/x"\n    deny: {}\n`).join('')}`;
function folder(name: string, ...names: string[]): string {
  mkdirSync(at(name), { recursive: true });
  writeFileSync(at(name, 'policy.yaml'), rules(...names));
  return at(name);
}

async function serve(...configs: string[]): Promise<void> {
  said = [];
  const log: OwnLog = {
    debug() {},
    info: (message) => said.push(message),
    warn: (message) => said.push(message),
    error: (message) => said.push(message),
    with: () => log,
  };
  server = await startServer({
    configs,
    grpc: { host: '127.0.0.1', port: 0 },
    admin: undefined,
    log,
    watch: true,
    graceMs: 1000,
  });
}
const inForce = (): string =>
  server
    ?.policy()
    .rules.map(({ name }) => name)
    .join(' ') ?? '';
const comes = async (names: string): Promise<void> =>
  void (await until(`${names} in force`, () => (inForce() === names ? true : undefined), 15_000));

test('a folder that is replaced by a move, and later edits', async () => {
  const pol = folder('pol', 'one');
  folder('next', 'two');
  await serve(pol);
  renameSync(pol, at('old'));
  renameSync(at('next'), pol);
  await comes('two');
  folder('pol', 'three');
  await comes('three');
  writeFileSync(at('pol', 'more.yaml'), rules('four'));
  await comes('four three');
});

test('a folder that is removed and copied again, at once or later', async () => {
  const pol = folder('pol', 'one');
  folder('next', 'two');
  await serve(pol);
  rmSync(pol, { recursive: true });
  cpSync(at('next'), pol, { recursive: true });
  await comes('two');
  rmSync(pol, { recursive: true });
  await until('it says so', () => said.find((line) => line.includes('is gone')), 15_000);
  expect(inForce()).toBe('two');
  folder('pol', 'three');
  await comes('three');
  expect(said.filter((line) => line.includes('is gone'))).toHaveLength(1);
  expect(said.filter((line) => line.includes('policy is back'))).toHaveLength(1);
  expect(said.filter((line) => line.includes('errors'))).toEqual([]);
});

test('a link as the policy that is repointed, by a new link or a rename', async () => {
  folder('r1', 'one');
  folder('r2', 'two');
  folder('r3', 'three');
  symlinkSync('r1', at('current'));
  await serve(at('current'));
  unlinkSync(at('current'));
  symlinkSync('r2', at('current'));
  await comes('two');
  symlinkSync('r3', at('new'));
  renameSync(at('new'), at('current'));
  await comes('three');
  folder('r3', 'four');
  await comes('four');
});

test('a Kubernetes volume, whose files link into a folder that is swapped', async () => {
  mkdirSync(at('pol'));
  folder('pol/..v1', 'one');
  folder('pol/..v2', 'two');
  symlinkSync('..v1', at('pol/..data'));
  symlinkSync('..data/policy.yaml', at('pol/policy.yaml'));
  await serve(at('pol'));
  symlinkSync('..v2', at('pol/..tmp'));
  renameSync(at('pol/..tmp'), at('pol/..data'));
  await comes('two');
});

test('a single file that is replaced by a rename, as editors do', async () => {
  writeFileSync(at('p.yaml'), rules('one'));
  await serve(at('p.yaml'));
  writeFileSync(at('p.yaml.tmp'), rules('two'));
  renameSync(at('p.yaml.tmp'), at('p.yaml'));
  await comes('two');
});

test('nothing is reloaded if texts stay the same: a touched file, a log that a handler writes next to them', async () => {
  const pol = folder('pol', 'one');
  await serve(pol);
  for (let nth = 0; nth < 8; nth++) {
    appendFileSync(at('pol', 'audit.jsonl'), '{}\n');
    utimesSync(at('pol', 'policy.yaml'), new Date(), new Date());
    await sleep(250);
  }
  await sleep(1500);
  expect(said).toEqual([]);
  folder('pol', 'two');
  await comes('two');
});

test('a file that is written in two steps is loaded after the second', async () => {
  const pol = folder('pol', 'one');
  await serve(pol);
  const text = rules('first', 'second');
  const cut = text.indexOf('  - name: second');
  for (let nth = 0; nth < 3; nth++) {
    writeFileSync(at('pol', 'policy.yaml'), `${text.slice(0, cut)}# ${nth}\n`);
    const untilMs = Date.now() + 400;
    while (Date.now() < untilMs) {
      expect(inForce()).not.toBe('first');
      await sleep(20);
    }
    appendFileSync(at('pol', 'policy.yaml'), text.slice(cut));
    await comes('first second');
    folder('pol', `other${nth}`);
    await comes(`other${nth}`);
  }
}, 60_000);
