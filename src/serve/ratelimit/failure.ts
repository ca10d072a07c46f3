import { SettingError } from '../../ratelimit/settings/setting.ts';
import { StartError } from '../errors.ts';
import { messageOf } from '../../text/message-of.ts';

/** Why it does not start: what is neither a setting nor said already is a port. */
export function whyNotStarted(error: unknown): StartError {
  if (error instanceof StartError) return error;
  if (error instanceof SettingError) return new StartError('CLI_SETTING', error.message, { cause: error });
  return new StartError('CLI_PORT_TAKEN', messageOf(error), { cause: error });
}
