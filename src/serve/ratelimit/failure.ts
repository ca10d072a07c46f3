import { SettingError } from '../../ratelimit/settings/setting-error.ts';
import { CliError } from '../../cli/cli-error.ts';
import { EXIT } from '../../cli/exit-codes.ts';
import { messageOf } from '../../text/message-of.ts';

/** Why it does not start: what is neither a setting nor said already is a port. */
export function whyNotStarted(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof SettingError)
    return new CliError('CLI_SETTING', error.message, { exit: EXIT.usage, cause: error });
  return new CliError('CLI_PORT_TAKEN', messageOf(error), { cause: error });
}
