/** docs/tutorial.md, followed line by line in a folder of its own: files are written, commands run, outputs compared. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { fencedBlocks } from '../parts/fenced-blocks.ts';
import { freePort } from '../parts/free-port.ts';
import { until } from './sluice.ts';

const BLOCKS = fencedBlocks('tutorial.md');

let folder: string;
let env: NodeJS.ProcessEnv;
/** The ports of the page, and free ones in their place. */
let ports: readonly (readonly [shown: string, free: string])[];
const ending: (() => Promise<void>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-tutorial-'));
  const bin = join(folder, '.bin');
  await mkdir(bin);
  // `npx sluice` of this checkout.
  const npx = `#!/bin/sh\nshift\nexec "${process.execPath}" "${COMMAND}" "$@"\n`;
  await writeFile(join(bin, 'npx'), npx, { mode: 0o755 });
  env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, NO_COLOR: '1' };
  delete env['FORCE_COLOR'];
  ports = [
    ['9091', String(await freePort())],
    ['15014', String(await freePort())],
  ];
});
afterAll(async () => {
  for (const end of ending) await end();
  await rm(folder, { recursive: true });
});

const withPorts = (text: string): string =>
  ports.reduce((replaced, [shown, free]) => replaced.replaceAll(`127.0.0.1:${shown}`, `127.0.0.1:${free}`), text);

let serverLog: (() => string) | undefined;

async function startServer(command: string): Promise<void> {
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
  const ended = once(child, 'close');
  ending.push(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  serverLog = () => log;
  await until('the server to listen', () => {
    if (child.exitCode !== null) throw new Error(`the server ended:\n${log}`);
    return /^ +gRPC +127/m.test(log) || undefined;
  });
}

let endRecording: (() => Promise<void>) | undefined;

/** Another caller than the page's: `limit: 3` would refuse that one after three tries. */
const TRIAL = 'request.method: POST\nrequest.path: /trial\n';

/** Returns when calls are recorded, not when the recorder begins to ask for them. */
async function startRecording(command: string): Promise<void> {
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd: folder, env, stdio: 'ignore' });
  const ended = once(child, 'close');
  const recorded = (what: string, before?: () => Promise<unknown>): Promise<true> =>
    until(`a recorded call with ${what}`, async () => {
      if (child.exitCode !== null) throw new Error('the recorder ended');
      await before?.();
      const text = await readFile(join(folder, 'calls.ndjson'), 'utf8').catch(() => '');
      return text.includes(what) || undefined;
    });
  const end = async (): Promise<void> => {
    endRecording = undefined;
    child.kill('SIGINT');
    await ended;
  };
  ending.unshift(end);
  endRecording = async () => {
    await recorded('old/1.0'); // the page's call
    await end();
  };
  await writeFile(join(folder, '.trial.yaml'), TRIAL);
  await recorded('/trial', () =>
    outputOf(withPorts('npx sluice call check --to 127.0.0.1:9091 --request .trial.yaml')),
  );
}

async function writeFileOf(name: string, text: string): Promise<void> {
  const reloads = (): number => serverLog?.().split('policy loaded').length ?? 0;
  const before = reloads();
  await writeFile(join(folder, name), text);
  if (name === 'policy.yaml' && serverLog !== undefined)
    await until('the server to reload', () => (reloads() > before ? true : undefined));
}

/** A refused call ends with another code than 0, so the output alone is compared. */
const outputOf = (commands: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('bash', ['-c', commands], { cwd: folder, env }, (_, out, err) => resolve(`${out}${err}`));
  });

/** Whether the lines occur in this order; `…` stands for any text of a line. */
function missingLine(expected: string, output: string): string | undefined {
  const lines = output.split('\n').map((line) => line.trimEnd());
  let from = 0;
  for (const wanted of expected.split('\n').filter((line) => !/^…?$/.test(line))) {
    const parts = wanted.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    const pattern = new RegExp(`^${parts.join('.*')}$`);
    const at = lines.findIndex((line, index) => index >= from && pattern.test(line));
    if (at < 0) return wanted;
    from = at + 1;
  }
  return undefined;
}

let output = '';

test.each(BLOCKS)('line $line: $language $title', async ({ language, title, text }) => {
  if (language === 'yaml') return writeFileOf(title, text);
  if (language === 'text') {
    const missing = missingLine(text, output);
    return expect(missing === undefined ? 'every line is there' : `${missing}\nis not in\n${output}`).toBe(
      'every line is there',
    );
  }
  if (title === 'recording') return startRecording(withPorts(text).trim());
  if (text.includes('calls.ndjson')) await endRecording?.();
  if (title === 'server') return startServer(withPorts(text).trim());
  output = await outputOf(withPorts(text));
  return expect(output).not.toBe('');
});

test('the page has what it promises', () => {
  const count = (language: string): number => BLOCKS.filter((block) => block.language === language).length;
  expect([count('yaml'), count('sh'), count('text')]).toEqual([7, 10, 7]);
  expect(BLOCKS.every(({ language, title }) => language !== 'yaml' || title !== '')).toBe(true);
});
