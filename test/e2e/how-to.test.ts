/** The pages of docs/how-to: their policies load, and their cases pass. */
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { casesOf } from '../../src/cli/cases/index.ts';
import { checkLimits } from '../../src/cli/limits/limit-files.ts';
import { load } from '../../src/cli/load.ts';
import { loadBuiltIns } from '../../src/adapters/loading/built-in.ts';
import { findingText } from '../../src/yaml/findings.ts';
import { fencedBlocks } from '../parts/fenced-blocks.ts';
import { ROOT } from './command.ts';

const PAGES = readdirSync(join(ROOT, 'docs/how-to')).toSorted();

test.each(PAGES)('docs/how-to/%s', async (page) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-how-to-'));
  onTestFinished(async () => rm(folder, { recursive: true }));
  const limits = join(folder, '.limits');
  await mkdir(limits);
  let hasLimits = false;
  for (const { language, title, text } of fencedBlocks(`how-to/${page}`)) {
    if (['sh', 'rego'].includes(language)) continue;
    expect(title, 'each file has a name').not.toBe('');
    const isOfRatelimit = /^domain:/m.test(text);
    hasLimits ||= isOfRatelimit;
    await writeFile(join(isOfRatelimit ? limits : folder, title), text);
  }
  const { findings, count, results } = await casesOf([folder]);
  expect(findings.map(findingText)).toEqual([]);
  expect(count).toBeGreaterThan(0);
  const failed: string[] = [];
  for await (const { name, failures } of results) failed.push(...failures.map((failure) => `${name}: ${failure}`));
  expect(failed).toEqual([]);
  const policies = readdirSync(folder).filter((name) => name.endsWith('.yaml') && name !== 'cases.yaml');
  for (const name of policies) {
    const { findings: warnings } = await load([join(folder, name)], await loadBuiltIns());
    expect(warnings.map(findingText)).toEqual([]);
  }
  if (hasLimits) expect((await checkLimits([limits])).findings.map(findingText)).toEqual([]);
});
