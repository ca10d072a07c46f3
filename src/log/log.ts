/**
 * Sluice's own log: on stderr, since stdout belongs to the output of commands and to the adapter log-stdout.
 * Writing never waits for the reader of stderr (see `log-output.ts`); repeated lines are rate-limited and counted.
 */
import pino from 'pino';
import type { Log, LogFields } from '../adapters/contract.ts';
import { errorText, isLoggedError, loggedFields, loggedText } from './logged-fields.ts';
import { safeLine } from './safe-text.ts';
import { onLogDropped, onLogEnd, writeLog } from './log-output.ts';
import { RepeatLimit } from './repeat-limit.ts';
import { shortened } from '../text/shortened.ts';
import { type Paint, paintErr } from '../text/paint.ts';

export type LogFormat = 'text' | 'json';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface OwnLog extends Log {
  /** The same log with these fields on every line. */
  with(fields: LogFields): OwnLog;
}

export function makeLog(format: LogFormat, level: LogLevel): OwnLog {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  const write = format === 'json' ? writeLog : (line: string): void => writeLog(`${logText(line, paintErr)}\n`);
  const logger = pino(options, { write });
  onLogDropped((dropped) =>
    logger.warn({ dropped }, 'log lines were dropped: stderr was not read in time, or could not be written'),
  );
  return limited(logger);
}

/** Characters of a message that tell it from others; as many as are kept of each. */
const MAX_KEY = 1024;

/** Debug lines are not rate-limited. */
function limited(logger: pino.Logger): OwnLog {
  const repeats = new RepeatLimit({
    onRepeats(key, times, inMs) {
      const [level, handler, message] = key.split('\0') as [LogLevel, string, string];
      logger[level]({ ...(handler === '' ? {} : { handler }), repeats: times, seconds: inMs / 1000 }, message);
    },
    onOthers: (lines, inMs) =>
      logger.warn({ lines, seconds: inMs / 1000 }, 'log lines were left out; there are too many different ones'),
  });
  onLogEnd(() => repeats.end());
  return over(
    logger,
    ({ handler }, level, message) =>
      level === 'debug' ||
      repeats.admits(`${level}\0${typeof handler === 'string' ? handler : ''}\0${shortened(message, MAX_KEY)}`),
  );
}

/** For programs that embed a server and want no output. */
export const SILENT: OwnLog = over(pino({ level: 'silent' }));

function over(
  logger: pino.Logger,
  admits: (fields: LogFields, level: LogLevel, message: string) => boolean = () => true,
): OwnLog {
  const withStack = logger.isLevelEnabled('debug');
  const line =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (!logger.isLevelEnabled(level)) return;
      const text = loggedText(message);
      if (admits(fields, level, text)) logger[level](loggedFields(fields, withStack), text);
    };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (fields) => over(logger.child(loggedFields(fields, withStack)), admits),
  };
}

/** `12:01:02.345 warn  limits: Redis is away  attempt=3`, from one of pino's lines. */
export function logText(line: string, paint: Paint): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: string; time: string; msg: string } & Record<
    string,
    unknown
  >;
  const word = level.padEnd(5);
  const shownLevel = level === 'error' ? paint.bad(word) : level === 'warn' ? paint.warn(word) : paint.faint(word);
  const rest = Object.entries(fields)
    .map(([name, value]) => `${paint.faint(`${name}=`)}${fieldText(value)}`)
    .join(' ');
  return `${paint.faint(time.slice(11, 23))} ${shownLevel} ${safeLine(msg)}${rest === '' ? '' : `  ${rest}`}`;
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : isLoggedError(value) ? errorText(value) : undefined;
  if (text === undefined) return safeLine(JSON.stringify(value) ?? 'undefined');
  return /[\s"=]/.test(text) ? safeLine(JSON.stringify(text)) : safeLine(text);
}
