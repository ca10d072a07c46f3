import type { Settings } from '../../ratelimit/settings/settings.ts';
import { type LogLevel, makeLog, type OwnLog } from '../../log/log.ts';

const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ['TRACE', 'debug'],
  ['DEBUG', 'debug'],
  ['INFO', 'info'],
  ['WARN', 'warn'],
  ['WARNING', 'warn'],
  ['ERROR', 'error'],
  ['FATAL', 'error'],
  ['PANIC', 'error'],
]);

/** As LOG_LEVEL and LOG_FORMAT say. */
export const ownLog = ({ LOG_LEVEL, LOG_FORMAT }: Settings): OwnLog =>
  makeLog(LOG_FORMAT === 'json' ? 'json' : 'text', LEVELS.get(LOG_LEVEL.toUpperCase()) ?? 'warn');
