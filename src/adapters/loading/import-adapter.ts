/**
 * **In**: the URL of a plugin's module. **Out**: its adapter. **Fails**: with an {@link AdapterError} with the error and its place
 * in the module; a module that never finishes loading is abandoned.
 */
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import type { AdapterOrigin } from '../registry.ts';
import { notePlace } from './plugin-places.ts';
import { messageOf } from '../../text/message-of.ts';

const WITHIN_MS = 10_000;
/** The source line above the message of a syntax error. */
const MOST_EXCERPT_LINES = 8;

/** The adapter that a module exports as default. */
export async function importAdapter(url: string, withinMs: number = WITHIN_MS): Promise<Adapter> {
  notePlace(url, basename(dirname(pathOf(url))));
  const adapter = (await imported(url, withinMs)).default;
  if (adapter === undefined)
    throw new AdapterError(
      'ADAPTER_LOAD_FAILED',
      `${pathOf(url)}: it has no default export; write \`export default defineAdapter({ ... })\``,
    );
  if (typeof adapter !== 'object' || adapter === null || typeof (adapter as Partial<Adapter>).open !== 'function') {
    throw new AdapterError(
      'ADAPTER_LOAD_FAILED',
      `${pathOf(url)}: the default export is not an adapter; expected defineAdapter({ ... })`,
    );
  }
  const { name } = adapter as Adapter;
  if (typeof name === 'string') notePlace(url, name);
  return adapter as Adapter;
}

/** Where the adapters of a module come from. */
export function originOfModule(url: string): AdapterOrigin {
  const manifest = url.startsWith('file:') ? findPackageJSON(url) : undefined;
  if (manifest === undefined) return { module: url };
  const { name, version } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown; version?: unknown };
  return typeof name === 'string' && typeof version === 'string'
    ? { module: url, package: { name, version } }
    : { module: url };
}

async function imported(url: string, withinMs: number): Promise<{ readonly default?: unknown }> {
  const over = new AbortController();
  const late = sleep(withinMs, undefined, { signal: over.signal }).then(
    () => {
      throw new AdapterError(
        'ADAPTER_LOAD_FAILED',
        `${pathOf(url)}: not loaded after ${withinMs} ms; an await at the module's top level does not end`,
      );
    },
    () => undefined as never, // loaded, or failed
  );
  try {
    return await Promise.race([import(url) as Promise<{ readonly default?: unknown }>, late]);
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    throw new AdapterError('ADAPTER_LOAD_FAILED', whyNotImported(url, error), { cause: error });
  } finally {
    over.abort();
  }
}

/** `FILE:LINE:COLUMN: message`, with advice where there is some. */
function whyNotImported(url: string, error: unknown): string {
  const message = messageOf(error);
  const missing = /Cannot find package '([^']+)'/.exec(message)?.[1];
  const hint = missing === undefined ? '' : `; install it: npm install ${missing}`;
  return `${placeIn(url, error) ?? pathOf(url)}: ${message}${hint}`;
}

/** Syntax errors name their place above the message; others in the first stack frame. */
function placeIn(url: string, error: unknown): string | undefined {
  const stack = error instanceof Error && typeof error.stack === 'string' ? error.stack : '';
  const [first = '', ...below] = stack.split('\n');
  const caret = below.slice(0, MOST_EXCERPT_LINES).find((line) => /^\s*\^+\s*$/.test(line));
  const above = /^(?:file:\/\/)?(\/.+):(\d+)$/.exec(first);
  if (above !== null) return `${above[1]}:${above[2]}${caret === undefined ? '' : `:${caret.indexOf('^') + 1}`}`;
  const folder = dirname(pathOf(url));
  const frame = stack.split('\n').find((line) => line.trim().startsWith('at ') && line.includes(`${folder}/`));
  return frame === undefined ? undefined : /(\/[^()]*:\d+:\d+)\)?$/.exec(frame.replace('file://', ''))?.[1];
}

const pathOf = (url: string): string => (url.startsWith('file:') ? fileURLToPath(url) : url);
