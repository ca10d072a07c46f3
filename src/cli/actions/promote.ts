import type { ExitCode } from '../exit-codes.ts';
import { changePolicy } from '../change-policy.ts';

export interface PromoteFlags {
  readonly to: string;
  readonly revision?: string;
}

export const promote = ({ to, revision }: PromoteFlags): Promise<ExitCode> =>
  changePolicy(to, '/candidate/promote', revision === undefined ? {} : { revision }, 'sluice promote');
