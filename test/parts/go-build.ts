/** Builds programs that are in no registry, from the Go module proxy, at the lowest priority and one package at a time. */
import { spawnSync } from 'node:child_process';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from './fetch.ts';

export interface GoProgram {
  /** Where the program is put. */
  readonly folder: string;
  readonly program: string;
  /** Lines of the go.mod: which modules, and replacements. */
  readonly requires: string;
  /** Lines of the go.sum, for modules that the checksum database does not know. */
  readonly sums?: readonly string[];
  /** The package of its `main`. */
  readonly from: string;
  readonly flags?: readonly string[];
}

export async function goBuild({ folder, program, requires, sums = [], from, flags = [] }: GoProgram): Promise<void> {
  const module = join(folder, `${program}.module`);
  await rm(module, { recursive: true, force: true });
  await mkdir(module, { recursive: true });
  await writeFile(join(module, 'go.mod'), `module sluice.test/${program}\n\ngo 1.26.0\n\n${requires}\n`);
  await writeFile(join(module, 'go.sum'), sums.map((line) => `${line}\n`).join(''));
  const unfinished = join(module, program);
  go(['build', '-mod=mod', '-p', '1', ...flags, '-o', unfinished, from], module, 'inherit');
  await rename(unfinished, join(folder, program));
  await rm(module, { recursive: true, force: true });
}

export function go(args: readonly string[], cwd: string, stdout: 'pipe' | 'inherit'): { readonly stdout: string } {
  if (onPath('go') === undefined) throw new Error(`go is missing: install Go 1.26, for: go ${args.join(' ')}`);
  const {
    status,
    error,
    stdout: printed,
  } = spawnSync('nice', ['-n', '19', 'go', ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'inherit'],
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' },
  });
  if (status === 0) return { stdout: printed ?? '' };
  throw new Error(`go ${args.join(' ')} failed; its output is above`, { cause: error });
}
