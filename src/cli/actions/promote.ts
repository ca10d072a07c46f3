import type { ExitCode } from '../exit-codes.ts';
import { changePolicy } from '../change-policy.ts';

export interface PromoteFlags {
  readonly admin: string;
  readonly revision?: string;
}

export const promote = ({ admin, revision }: PromoteFlags): Promise<ExitCode> =>
  changePolicy(admin, '/candidate/promote', revision === undefined ? {} : { revision }, 'sluice promote');
