/** Sluice's own log: on stderr, since stdout belongs to what was asked for (and to the adapter log-stdout). */
import pino from 'pino';
import type { Log, LogFields } from '../adapters/contract.ts';
import { errorText, isLoggedError, loggedFields } from './logged-fields.ts';
import { safeLine, withoutCredentials } from './safe-text.ts';
import type { Paint } from './terminal.ts';
import { paintErr } from './terminal.ts';

export type LogFormat = 'text' | 'json';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface OwnLog extends Log {
  /** The same log with these fields on every line. */
  with(fields: LogFields): OwnLog;
}

export function makeLog(format: LogFormat, level: LogLevel): OwnLog {
  const options: pino.LoggerOptions = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } };
  const stderr = pino.destination({ dest: 2, sync: true });
  if (format === 'json') return over(pino(options, stderr));
  return over(pino(options, { write: (line: string) => stderr.write(`${logText(line, paintErr)}\n`) }));
}

/** For programs that start a server inside themselves and want nothing on their terminal. */
export const SILENT: OwnLog = over(pino({ level: 'silent' }));

function over(logger: pino.Logger): OwnLog {
  const withStack = logger.isLevelEnabled('debug');
  const line = (level: LogLevel) => (message: string, fields: LogFields = {}): void => {
    if (logger.isLevelEnabled(level)) logger[level](loggedFields(fields, withStack), withoutCredentials(message));
  };
  return {
    debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'),
    with: (fields) => over(logger.child(loggedFields(fields, withStack))),
  };
}

/** `12:01:02.345 warn  limits: Redis is away  attempt=3`, from one of pino's lines. */
export function logText(line: string, paint: Paint): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: string; time: string; msg: string } & Record<string, unknown>;
  const word = level.padEnd(5);
  const shownLevel = level === 'error' ? paint.bad(word) : level === 'warn' ? paint.warn(word) : paint.faint(word);
  const rest = Object.entries(fields).map(([name, value]) => `${paint.faint(`${name}=`)}${fieldText(value)}`).join(' ');
  return `${paint.faint(time.slice(11, 23))} ${shownLevel} ${safeLine(msg)}${rest === '' ? '' : `  ${rest}`}`;
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : isLoggedError(value) ? errorText(value) : undefined;
  if (text === undefined) return safeLine(JSON.stringify(value) ?? 'undefined');
  return /[\s"=]/.test(text) ? safeLine(JSON.stringify(text)) : safeLine(text);
}
