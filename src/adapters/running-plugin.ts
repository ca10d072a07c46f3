/** The plugin whose code started the current task, over timers, sockets and promises; its uncaught errors often have no frame of it. */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface RunningPlugin {
  readonly adapter: string;
  readonly handler: string;
}

const storage = new AsyncLocalStorage<RunningPlugin>();

/** Not for calls that answer at once: it costs as much as such a call. */
export const runAs = <A extends readonly unknown[], T>(plugin: RunningPlugin, work: (...args: A) => T, ...args: A): T =>
  storage.run(plugin, work, ...args);

export const runningPlugin = (): RunningPlugin | undefined => storage.getStore();
