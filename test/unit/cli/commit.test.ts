/** The commit of a checkout, compared with git's answer. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commitOf } from '../../../src/cli/commit.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-commit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const git = (at: string, ...args: readonly string[]): string =>
  execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args], {
    cwd: at,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();

function checkout(): string {
  const at = join(folder, 'main');
  git(folder, 'init', '-q', '-b', 'main', at);
  git(at, 'commit', '-q', '--allow-empty', '-m', 'first');
  return at;
}

test('on a branch, also with packed refs, and detached', () => {
  const at = checkout();
  const first = git(at, 'rev-parse', 'HEAD');
  expect(commitOf(at)).toBe(first);
  git(at, 'pack-refs', '--all');
  expect(commitOf(at)).toBe(first);
  git(at, 'checkout', '-q', '--detach');
  git(at, 'commit', '-q', '--allow-empty', '-m', 'second');
  expect(commitOf(at)).toBe(git(at, 'rev-parse', 'HEAD'));
  expect(commitOf(at)).not.toBe(first);
});

test('in a worktree, whose branches are elsewhere', () => {
  const at = checkout();
  const other = join(folder, 'other');
  git(at, 'worktree', 'add', '-q', '-b', 'work/other', other);
  git(other, 'commit', '-q', '--allow-empty', '-m', 'second');
  expect(commitOf(other)).toBe(git(other, 'rev-parse', 'HEAD'));
  git(at, 'pack-refs', '--all');
  expect(commitOf(other)).toBe(git(other, 'rev-parse', 'HEAD'));
  expect(commitOf(at)).not.toBe(commitOf(other));
});

test('none without a checkout, without a commit, or for a subfolder of a checkout', () => {
  expect(commitOf(folder)).toBeUndefined();
  git(folder, 'init', '-q', '-b', 'main');
  expect(commitOf(folder)).toBeUndefined();
  git(folder, 'commit', '-q', '--allow-empty', '-m', 'first');
  expect(commitOf(join(folder, 'below'))).toBeUndefined();
});
