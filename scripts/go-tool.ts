import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The path of a Go program, which is built into .cache on first use. */
export function goTool(name: string, from: string): string {
  const bin = resolve('.cache/go/bin');
  const program = join(bin, name);
  if (existsSync(program)) return program;
  const { status, error } = spawnSync('go', ['install', from], {
    stdio: 'inherit',
    env: { ...process.env, GOBIN: bin },
  });
  if (error !== undefined) throw new Error(`${name} cannot be built: Go is not on PATH`, { cause: error });
  if (status !== 0) throw new Error(`${name} cannot be built: go install ${from} failed; its output is above`);
  return program;
}
