/** Sluice's own log: on stderr, since stdout belongs to what was asked for (and to the adapter log-stdout). */
import pino from 'pino';
import type { Log, LogFields } from '../adapters/contract.ts';
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
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
    with: (fields) => over(logger.child(fields)),
  };
}

/** `12:01:02.345 warn  limits: Redis is away  attempt=3`, from one of pino's lines. */
export function logText(line: string, paint: Paint): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: string; time: string; msg: string } & Record<string, unknown>;
  const word = level.padEnd(5);
  const shownLevel = level === 'error' ? paint.bad(word) : level === 'warn' ? paint.warn(word) : paint.faint(word);
  const rest = Object.entries(fields).map(([name, value]) => `${paint.faint(`${name}=`)}${fieldText(value)}`).join(' ');
  return `${paint.faint(time.slice(11, 23))} ${shownLevel} ${msg}${rest === '' ? '' : `  ${rest}`}`;
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) ? JSON.stringify(value) : value;
  return JSON.stringify(value) ?? 'undefined';
}
