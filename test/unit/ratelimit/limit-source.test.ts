/** The source of limits: files of a folder that change, disappear and return. */
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { LimitSource } from '../../../src/ratelimit/serve/limit-source.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

const limits = (domain: string): string =>
  `domain: ${domain}\ndescriptors:\n  - key: k\n    rate_limit: { unit: day, requests_per_unit: 5 }\n`;

async function following(env: Readonly<Record<string, string>> = {}, hasFolder = true) {
  const root = await mkdtemp(join(tmpdir(), 'sluice-limits-'));
  const folder = join(root, 'now/rl/config');
  if (hasFolder) await mkdir(folder, { recursive: true });
  const said: string[] = [];
  const log = {
    debug: () => {},
    info() {},
    warn: (message: string) => {
      said.push(`warn ${message}`);
    },
    error: (message: string) => {
      said.push(`error ${message}`);
    },
  };
  const inForce: string[][] = [];
  let fails: Error | undefined;
  const source = new LimitSource({
    settings: readSettings({ RUNTIME_ROOT: join(root, 'now'), RUNTIME_SUBDIRECTORY: 'rl', ...env }).settings,
    log,
    metrics: new RatelimitMetrics(),
    followXds: () => Promise.reject(new Error('there is no control plane')),
    use: (_files, domains) => {
      if (fails !== undefined) throw fails;
      inForce.push([...domains.keys()]);
    },
  });
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => {
    await stack.disposeAsync();
    await rm(root, { recursive: true });
  });
  return {
    root,
    folder,
    said,
    inForce,
    source,
    follow: () => source.follow(stack),
    fail: (error: Error | undefined) => {
      fails = error;
    },
  };
}

test('limits whose stores cannot be opened are tried again, and logged once', async () => {
  const { folder, said, inForce, source, follow, fail } = await following();
  await writeFile(join(folder, 'a.yaml'), limits('d'));
  fail(new Error('a worker refuses'));
  await follow();
  expect(await source.reload()).toBe(false);
  await vi.waitFor(() => expect(said.filter((line) => line.includes('cannot be opened')).length).toBeGreaterThan(0));
  const saidBefore = said.length;
  fail(undefined);
  await vi.waitFor(() => expect(inForce).toEqual([['d']]), { timeout: 10_000 });
  expect(said).toHaveLength(saidBefore);
});

test('reload loads unchanged files too, and says whether they are in force', async () => {
  const { folder, inForce, source, follow } = await following();
  await writeFile(join(folder, 'a.yaml'), limits('d'));
  await follow();
  expect(await source.reload()).toBe(true);
  expect(inForce).toEqual([['d'], ['d']]);
  await writeFile(join(folder, 'a.yaml'), 'domain: ""');
  expect(await source.reload()).toBe(false);
  expect(await source.reload()).toBe(false);
  expect(inForce).toHaveLength(2);
});

test('an unexpected failure does not end the watch', async () => {
  const { folder, inForce, source, follow, fail } = await following();
  await writeFile(join(folder, 'a.yaml'), limits('d'));
  fail({ message: 'no Error at all' } as Error);
  await follow();
  expect(await source.reload()).toBe(false);
  fail(undefined);
  expect(await source.reload()).toBe(true);
  expect(inForce.at(-1)).toEqual(['d']);
});

test('a missing folder is empty at the start, is loaded once it is there, and leaves the limits in force when it goes', async () => {
  const { root, folder, said, inForce, source, follow } = await following({}, false);
  await follow();
  expect([inForce, said]).toEqual([[[]], ['warn no limit files found; every request is OK until a file is added']]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'a.yaml'), limits('d'));
  await vi.waitFor(() => expect(inForce.at(-1)).toEqual(['d']), { timeout: 10_000 });
  await rename(join(root, 'now'), join(root, 'away'));
  expect(await source.reload()).toBe(false);
  expect([...(source.domains?.keys() ?? [])]).toEqual(['d']);
});

test('after a link is swapped, the folder behind it is in force', async () => {
  const { root, inForce, follow } = await following({}, false);
  for (const revision of ['one', 'two']) {
    await mkdir(join(root, revision, 'rl/config'), { recursive: true });
    await writeFile(join(root, revision, 'rl/config/a.yaml'), limits(revision));
  }
  await symlink(join(root, 'one'), join(root, 'now'));
  await follow();
  await symlink(join(root, 'two'), join(root, 'next'));
  await rename(join(root, 'next'), join(root, 'now'));
  await vi.waitFor(() => expect(inForce).toEqual([['one'], ['two']]), { timeout: 10_000 });
});

test("with RUNTIME_WATCH_ROOT a file beside the folder counts if its name begins with the folder's", async () => {
  for (const [isWatched, expected] of [
    ['true', ['d', 'e', 'f']],
    ['false', ['d']],
  ] as const) {
    const { folder, inForce, follow } = await following({ RUNTIME_WATCH_ROOT: isWatched });
    await mkdir(join(folder, '../config.d'));
    await Promise.all([
      writeFile(join(folder, 'a.yaml'), limits('d')),
      writeFile(join(folder, '../config.e.yaml'), limits('e')),
      writeFile(join(folder, '../config.d/f.yaml'), limits('f')),
      writeFile(join(folder, '../other.yaml'), limits('g')),
    ]);
    await follow();
    expect(inForce.map((domains) => domains.toSorted())).toEqual([expected]);
  }
});

test('a dangling link is skipped with a warning, a swap file of vim without', async () => {
  const { folder, said, inForce, follow } = await following();
  await writeFile(join(folder, 'a.yaml'), limits('d'));
  await symlink('user@host.1234', join(folder, '.#a.yaml'));
  await writeFile(join(folder, '.a.yaml.swp'), Buffer.concat([Buffer.from('b0VIM 9.1'), Buffer.alloc(4000)]));
  await follow();
  expect(inForce).toEqual([['d']]);
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/RATELIMIT_FILE[^]*this file cannot be read and is ignored: ENOENT/);
});

test('warnings of refused files are logged as warnings', async () => {
  const { folder, said, source, follow } = await following();
  await writeFile(join(folder, 'a.yaml'), `${limits('d')}---\n${limits('e')}`);
  await writeFile(join(folder, 'b.yaml'), 'domain: ""');
  await follow();
  await source.reload();
  const levels = new Set(
    said.map(
      (line) =>
        /^(?:warn .*RATELIMIT_FURTHER_DOCUMENT|error .*RATELIMIT_EMPTY_DOMAIN|error error loading)/s
          .exec(line)?.[0]
          .replace(/ .*[ /]/s, ' ') ?? line,
    ),
  );
  expect([...levels].sort()).toEqual([
    'error RATELIMIT_EMPTY_DOMAIN',
    'error loading',
    'warn RATELIMIT_FURTHER_DOCUMENT',
  ]);
});
