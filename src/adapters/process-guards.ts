/**
 * Guards the process against plugins that run in it.
 * **In**: the log of a thread that serves. **Out**: `process.exit` throws to whoever is not Sluice; Sluice's listeners of signals and of
 * uncaught errors come back; what is printed by `console`, and warnings of Node, are log lines. **Fails**: never.
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import type { Log, LogFields } from './contract.ts';
import { placeOf } from './escaped-errors.ts';
import { originOf } from './loading/plugin-places.ts';
import { handlerLog } from './log/handler-log.ts';
import { ratedLog } from './log/line-rate.ts';
import { runningPlugin } from './running-plugin.ts';
import { stackBelow } from './stack-below.ts';
import { withoutSecretsInUse } from './secrets-in-use.ts';
import { NO_SECRETS } from '../text/secret-texts.ts';

/** Once for each thread, before a plugin is loaded. */
export function guardProcess(log: Log): void {
  refuseExit();
  keepListeners(log);
  logConsole(log);
  logWarnings(log);
}

/** The plugin that called, as fields of a log line; empty if it is unknown. */
function caller(at: unknown): LogFields {
  const origin = originOf(at);
  if (origin.kind === 'plugin') return { plugin: origin.plugin, at: placeOf(origin.frame) };
  const running = runningPlugin();
  return running === undefined ? {} : { plugin: running.adapter, handler: running.handler };
}

/** A plugin's listener of SIGTERM often ends the process, too, and its calls would be lost. */
function refuseExit(): void {
  const exit = process.exit.bind(process);
  // As it was called: an undefined code would replace process.exitCode.
  const refusing = (...given: [code?: number | string | null]): never => {
    const refusal = stackBelow(
      refusing,
      `process.exit(${given[0] ?? ''}) was called in a server, which goes on; ` +
        'throw an error, or leave the end to Sluice, which calls close()',
    );
    if (originOf(refusal).kind === 'sluice') return exit(...given);
    throw refusal;
  };
  process.exit = refusing;
}

const KEPT = ['uncaughtException', 'unhandledRejection', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const;

function keepListeners(log: Log): void {
  const kept = new Map<unknown, readonly unknown[]>(
    KEPT.map((event) => [event, process.listeners(event as 'SIGTERM')]),
  );
  const restore = (event: unknown, listener: (...args: never[]) => unknown): void => {
    if (kept.get(event)?.includes(listener) !== true) return;
    process.on(event as 'SIGTERM', listener as NodeJS.SignalsListener);
    log.warn('a listener of Sluice was removed from the process, and is back; remove only what you have added', {
      event,
      ...caller(stackBelow(restore)),
    });
  };
  process.on('removeListener' as never, restore as never);
}

/** As in a process of its own; stdout belongs to log-stdout. */
function logConsole(log: Log): void {
  const printed = ratedLog(handlerLog(log, NO_SECRETS, { from: 'console' }));
  const lines = (level: 'info' | 'warn'): Writable => {
    const stream = new Writable({ decodeStrings: false });
    const write = (text: string, _encoding: BufferEncoding, done: () => void): void => {
      printed[level](String(withoutSecretsInUse(text.trimEnd())), caller(stackBelow(write)));
      done();
    };
    stream._write = write;
    return stream;
  };
  globalThis.console = new Console({ stdout: lines('info'), stderr: lines('warn') });
}

/** Node would print them between the lines of the log. Not where it was told to be silent. */
function logWarnings(log: Log): void {
  const nodes = process.listeners('warning').filter(({ name }) => name === 'onWarning');
  if (nodes.length === 0) return;
  for (const listener of nodes) process.off('warning', listener);
  process.on('warning', (warning) => {
    log.warn('a warning of Node', {
      warning: withoutSecretsInUse(`${warning.name}: ${warning.message}`),
      ...caller(warning),
    });
  });
}
