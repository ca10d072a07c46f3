/** Whose code started what runs now, kept over timers, sockets and promises: what they let escape often has no frame of the plugin. */
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
