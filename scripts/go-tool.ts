import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The path of a program that is built with Go, into .cache, where it is not there yet. */
export function goTool(name: string, from: string): string {
  const bin = resolve('.cache/go/bin');
  const program = join(bin, name);
  if (existsSync(program)) return program;
  const { status, error } = spawnSync('go', ['install', from], {
    stdio: 'inherit',
    env: { ...process.env, GOBIN: bin },
  });
  if (error !== undefined) throw new Error(`${name} could not be built: it needs Go in the PATH`, { cause: error });
  if (status !== 0) throw new Error(`${name} could not be built: go install ${from} failed, as it says above`);
  return program;
}
