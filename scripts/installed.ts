import { spawnSync } from 'node:child_process';

/** Throws unless the program is on PATH; `from` says what installs it. */
export function mustBeInstalled(program: string, from: string): void {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' });
  if (error !== undefined) throw new Error(`${program} is not on PATH; install ${from}`, { cause: error });
}
