/** A slow reader of a command's output receives all of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';

/** Longer than a command waits for resources that plugins left open. */
const ASLEEP_MS = 2500;
/** Far more output than a pipe holds. */
const RULES = 4000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-slow-'));
  writeFileSync(
    join(folder, 'policy.yaml'),
    `rules:\n${Array.from({ length: RULES }, (_, at) => `  - { name: rule-${at}, match: 'request.path == "/${at}"', deny: {} }\n`).join('')}`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['all the rest', 0],
  ['in pieces', 5],
])(
  'a reader that sleeps and then reads %s gets every line and the exit code',
  async (_how, pauseMs) => {
    const child = spawn(process.execPath, [COMMAND, 'lint', folder], {
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    let out = '';
    await once(child.stdout.setEncoding('utf8'), 'readable');
    await sleep(ASLEEP_MS);
    for await (const chunk of child.stdout) {
      out += chunk as string;
      if (pauseMs > 0) await sleep(pauseMs);
    }
    expect(out.split('\n').filter((line) => line.startsWith('rule-'))).toHaveLength(RULES);
    expect(out).toMatch(new RegExp(`\\nrule-${RULES - 1} .*\\n$`));
    expect(await ended).toEqual([0, null]);
  },
  60_000,
);
