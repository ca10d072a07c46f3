/**
 * The plugin that opened a socket or a process, by the stack: a call that answers at once keeps no context, and the error of what it
 * opened has no frame of the plugin.
 * **In**: what Node announces when one is opened, which costs nothing else. **Out**: the opener, by the error. **Fails**: never.
 */
import { subscribe } from 'node:diagnostics_channel';
import { type EventEmitter, errorMonitor } from 'node:events';
import { type Origin, originOf } from './loading/plugin-places.ts';
import { runningPlugin } from './running-plugin.ts';
import { stackBelow } from './stack-below.ts';

type FromPlugin = Extract<Origin, { kind: 'plugin' }>;
const openers = new WeakMap<object, FromPlugin>();

/** Once for each thread, before a plugin is loaded. */
export function watchOpened(): void {
  subscribe('net.client.socket', onOpened);
  subscribe('child_process', onOpened);
}

function onOpened(message: unknown): void {
  if (runningPlugin() !== undefined) return;
  const { socket, process } = message as { readonly socket?: EventEmitter; readonly process?: EventEmitter };
  const origin = originOf(stackBelow(onOpened));
  if (origin.kind !== 'plugin') return;
  (socket ?? process)?.on(errorMonitor, (error: unknown) => {
    if (typeof error === 'object' && error !== null) openers.set(error, origin);
  });
}

/** The plugin that opened what this error came from; `frame`: where. */
export const openerOf = (error: unknown): FromPlugin | undefined =>
  typeof error === 'object' && error !== null ? openers.get(error) : undefined;
