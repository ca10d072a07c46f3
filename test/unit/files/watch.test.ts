/** Files that change while they are watched. The tests provide the stamps, so that each poll is exact. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { stampOf, startWatching, watchFiles, type WatchOptions } from '../../../src/files/watch.ts';

/** Polls through `stamps`, the last of them again and again; resolves when `isDone` or all of them were seen twice. */
async function changesOf(
  stamps: readonly (string | undefined)[],
  options: Pick<WatchOptions, 'known'> & { readonly onChange?: WatchOptions['onChange'] } = {},
): Promise<string[]> {
  const over = new AbortController();
  const changes: string[] = [];
  let poll = 0;
  await watchFiles({
    known: options.known,
    everyMs: 0,
    signal: over.signal,
    stamp: async () => {
      const stamp = stamps[Math.min(poll++, stamps.length - 1)];
      if (poll > stamps.length + 2) over.abort();
      return stamp;
    },
    onChange(stamp) {
      changes.push(stamp);
      return options.onChange?.(stamp);
    },
  });
  return changes;
}

test('a change is told once, when two polls in a row agree', async () => {
  expect(await changesOf(['a', 'a', 'b', 'b', 'b'], { known: 'a' })).toEqual(['b']);
});

test('a file that is still being written is left alone', async () => {
  expect(await changesOf(['b', 'c', 'd', 'e'], { known: 'a' })).toEqual(['e']);
});

test('the first stamp is a change where nothing has been read yet', async () => {
  expect(await changesOf(['a', 'a'])).toEqual(['a']);
});

test('nothing is told while there is nothing to read', async () => {
  expect(await changesOf([undefined, undefined, 'a', 'a', undefined], { known: 'a' })).toEqual([]);
});

test('a change that could not be taken is told again', async () => {
  let isRefused = true;
  const changes = await changesOf(['a', 'a', 'a'], {
    onChange: () => {
      const isTaken = !isRefused;
      isRefused = false;
      return isTaken;
    },
  });
  expect(changes).toEqual(['a', 'a']);
});

test('whoever closes a watch waits until a change has been taken, and hears why it failed', async () => {
  const [begun, taken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const failures: unknown[] = [];
  const watching = startWatching(
    {
      stamp: async () => 'a',
      everyMs: 0,
      async onChange() {
        begun.resolve();
        await taken.promise;
        throw new Error('refused');
      },
    },
    (error) => failures.push(error),
  );
  await begun.promise;
  let isClosed = false;
  const closed = watching.close().then(() => {
    isClosed = true;
  });
  await new Promise(setImmediate);
  expect(isClosed).toBe(false);
  taken.resolve();
  await closed;
  expect(failures).toEqual([new Error('refused')]);
});

test('the stamp of a file differs when it is written, replaced, and gone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-stamps-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [file, next] = [join(folder, 'a'), join(folder, 'b')];
  await writeFile(file, 'one');
  await writeFile(next, 'two');
  const first = await stampOf(file);
  expect(await stampOf(file)).toBe(first);
  await vi.waitFor(async () => {
    await writeFile(file, 'one');
    expect(await stampOf(file)).not.toBe(first);
  });
  const written = await stampOf(file);
  await rename(next, file);
  expect(await stampOf(file)).not.toBe(written);
  await rm(file);
  expect(await stampOf(file)).toBe('ENOENT');
});
