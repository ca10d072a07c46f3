import { changePolicy } from '../change-policy.ts';
import { CliError } from '../cli-error.ts';
import type { ExitCode } from '../exit-codes.ts';

export interface RollbackFlags {
  readonly to: string;
  readonly steps: string;
}

export async function rollback({ to, steps }: RollbackFlags): Promise<ExitCode> {
  if (!/^[1-9]\d*$/.test(steps))
    throw new CliError('CLI_USAGE', `--steps is "${steps}"; expected a whole number from 1`);
  return changePolicy(to, '/policy/rollback', { steps }, 'sluice rollback');
}
