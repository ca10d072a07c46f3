import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { removeUnused, used } from '../../parts/unused-folders.ts';

test('bundles that no run has used for hours are removed, also unfinished ones; those in use and other parts stay', () => {
  const cache = mkdtempSync(join(tmpdir(), 'sluice-unused-'));
  onTestFinished(() => rmSync(cache, { recursive: true }));
  const made = (name: string, hoursAgo: number): void => {
    mkdirSync(join(cache, name));
    writeFileSync(join(cache, name, 'file'), 'x');
    const at = new Date(Date.now() - hoursAgo * 3_600_000);
    utimesSync(join(cache, name), at, at);
  };
  made('sluice-old', 4);
  made('sluice-killed.unfinished', 4);
  made('sluice-new', 2);
  made('sluice-made-long-ago', 48);
  made('envoy-1.40.0', 1000);
  used(join(cache, 'sluice-made-long-ago'));
  removeUnused(cache, 'sluice-');
  expect(readdirSync(cache).toSorted()).toEqual(['envoy-1.40.0', 'sluice-made-long-ago', 'sluice-new']);
});
