/**
 * **In**: a plugin's module. **Out**: the adapters that it exports, with all problems of each. **Fails**: with an
 * {@link AdapterError}, with the place in the module where there is one; a module that does not finish loading is abandoned.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Adapter } from '../contract.ts';
import { CONTRACT, CONTRACT_VERSION } from '../contract/version.ts';
import { descriptionProblems } from '../description.ts';
import { AdapterError } from '../errors.ts';
import type { PluginModule } from '../registry.ts';
import { resolveOwnModules } from './own-modules.ts';
import { reloadUrl, withoutReload } from './reload-url.ts';
import { notePlace, originOf } from './plugin-places.ts';
import { placeBySyntaxCheck, placeInExcerpt } from './syntax-place.ts';
import { withInstallAdvice } from '../missing-package.ts';
import { kindOf } from '../../text/kind-of.ts';
import { messageOf } from '../../text/message-of.ts';
import { InTurn } from '../../time/in-turn.ts';

const WITHIN_MS = 10_000;

/** With problems it may have any shape. */
export interface ImportedAdapter {
  readonly adapter: Adapter;
  readonly problems: readonly AdapterError[];
}

/** How often a module was loaded again: after a failure, or a change of its files. */
const reloads = new Map<string, number>();

/** The URL to import next for the module that was found at `url`. */
export const currentUrl = (url: string): string => reloadUrl(url, reloads.get(url) ?? 0);

/** The next load imports these files again; modules loaded before stay in memory. */
export function forgetModule(url: string): void {
  const plain = withoutReload(url);
  reloads.set(plain, (reloads.get(plain) ?? 0) + 1);
}

/** Modules in CommonJS are kept by their path alone, whatever the URL they are imported by. */
const purged = new Set<string>();
function purgeCommonJs(url: string, path: string): void {
  if (url === withoutReload(url) || purged.has(url)) return;
  purged.add(url);
  const { cache } = createRequire(pathOf(url));
  for (const file of Object.keys(cache)) if (file === path || file.startsWith(`${path}/`)) delete cache[file];
}

/** One at a time: a module in CommonJS cannot require what another plugin is still importing, such as zod. */
const imports = new InTurn();

export async function importAdapters(
  plugin: PluginModule,
  withinMs: number = WITHIN_MS,
): Promise<readonly ImportedAdapter[]> {
  const { module: url, path, contract } = plugin;
  const who = nameOf(plugin);
  if (contract !== undefined && contract !== CONTRACT_VERSION) throw otherVersion(who, contract);
  resolveOwnModules();
  await import('../index.ts'); // a module in CommonJS cannot require it while one of ours is still importing it
  notePlace(path, basename(path));
  purgeCommonJs(url, path);
  const file = pathOf(url);
  const values = file.endsWith('.json')
    ? (await import('../remote/dialled-adapters.ts')).adaptersOfFile(withoutReload(url))
    : exportedBy(await imports.run(() => imported(url, withinMs)), file);
  const adapters = values.map((value) => {
    const version = versionOf(value);
    if (version !== undefined && version !== CONTRACT_VERSION) throw otherVersion(who, version);
    return { adapter: value as Adapter, problems: problemsOf(value) };
  });
  const names = new Set(adapters.flatMap(({ adapter: { name } }) => (typeof name === 'string' ? [name] : [])));
  notePlace(path, [...names].join(', ') || who);
  return adapters;
}

/** `check-tenant@1.0.0`, or the path. */
export const nameOf = ({ path, package: from }: PluginModule): string =>
  from === undefined ? path : `${from.name}@${from.version}`;

const versionOf = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? (value as { readonly [CONTRACT]?: unknown })[CONTRACT] : undefined;

function otherVersion(who: string, version: unknown): AdapterError {
  const isNewer = typeof version === 'number' && version > CONTRACT_VERSION;
  return new AdapterError(
    'PLUGIN_CONTRACT_VERSION',
    `${who} is made for version ${String(version)} of the plugin contract, and this Sluice has version ${CONTRACT_VERSION}; ${isNewer ? 'update Sluice, or install an older release of the plugin' : 'install a newer release of the plugin'}`,
  );
}

// ---------------------------------------------------------------- what a module exports

function exportedBy(module: Readonly<Record<string, unknown>>, file: string): readonly unknown[] {
  const value = unwrapped(module['default']);
  const none = (why: string): AdapterError => new AdapterError('PLUGIN_NO_ADAPTER', `${file}: ${why}`);
  if (value === undefined) {
    const named = adapterIn(module);
    throw none(
      named === undefined
        ? 'it has no default export; write `export default defineAdapter({ ... })`'
        : `its adapter is exported as ${named}, not as default; write \`export default ${named}\``,
    );
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw none('its default export is an empty list; expected adapters');
  const inside = Array.isArray(value) || isLikeAdapter(value) ? undefined : adapterIn(value);
  if (inside !== undefined)
    throw none(
      `its adapter is ${inside} of the default export; write \`export default ${inside}\`, or \`module.exports = ${inside}\``,
    );
  const at = values.findIndex((one) => !isLikeAdapter(one));
  if (at >= 0)
    throw none(
      `${Array.isArray(value) ? `item ${at} of the default export` : 'the default export'} is not an adapter but ${exportedKind(values[at])}; expected defineAdapter({ ... })`,
    );
  return values;
}

/** The name of a member that is one. */
function adapterIn(value: unknown): string | undefined {
  try {
    return Object.entries(value ?? {}).find(([, one]) => versionOf(one) !== undefined)?.[0];
  } catch {
    return undefined; // a getter threw
  }
}

/** A module in CommonJS made from TypeScript or from ES modules has its default export one level below. */
function unwrapped(value: unknown): unknown {
  const isCompiled = typeof value === 'object' && value !== null && '__esModule' in value;
  return isCompiled ? (value as { readonly default?: unknown }).default : value;
}

const isLikeAdapter = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && ['open', 'serves', 'config'].some((key) => key in value);

function exportedKind(value: unknown): string {
  const kind = kindOf(value);
  if (typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value))) return 'a class';
  return kind === 'an object' ? 'an object without open, serves and config' : kind;
}

/** The description is a plugin's value and may have any shape. */
function problemsOf(value: unknown): readonly AdapterError[] {
  const adapter = value as Adapter;
  const wrong = (why: string): AdapterError =>
    new AdapterError('PLUGIN_WRONG_SHAPE', `adapter ${adapter.name}: ${why}`);
  try {
    return [
      ...descriptionProblems(adapter),
      ...(typeof adapter.open === 'function' ? [] : [wrong('open is not a function; write async open(config, host)')]),
      ...(['boolean', 'function', 'undefined'].includes(typeof adapter.selfContained)
        ? []
        : [wrong('selfContained is neither true nor false, nor a function of the config')]),
      ...(['function', 'undefined'].includes(typeof adapter.metrics)
        ? []
        : [wrong('metrics is not a function of the config')]),
      ...(versionOf(value) === undefined
        ? [wrong('it is not made by defineAdapter of sluice/plugin; write defineAdapter({ ... })')]
        : []),
    ];
  } catch (error) {
    return [
      new AdapterError(
        'PLUGIN_WRONG_SHAPE',
        `its description cannot be read: ${messageOf(error)}; config, params and all that is in them are schemas of zod`,
        { cause: error },
      ),
    ];
  }
}

// ---------------------------------------------------------------- import

async function imported(url: string, withinMs: number): Promise<Readonly<Record<string, unknown>>> {
  using _exit = refuseExit(url);
  const over = new AbortController();
  const late = sleep(withinMs, undefined, { signal: over.signal }).then(
    () => {
      throw new AdapterError(
        'ADAPTER_LOAD_FAILED',
        `${pathOf(url)}: not loaded after ${withinMs} ms; an await at the top level of the module, or of one that it imports, does not end`,
      );
    },
    () => undefined as never, // loaded, or failed
  );
  try {
    return await Promise.race([import(url) as Promise<Readonly<Record<string, unknown>>>, late]);
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    throw new AdapterError('ADAPTER_LOAD_FAILED', await whyNotImported(url, error), { cause: error });
  } finally {
    over.abort();
  }
}

/**
 * Code that ends the process while it loads, such as a script that was written to be run, is an error of the plugin: a server would be
 * gone, and a command would end with a good code. Calls of Sluice itself, such as that of a second signal, pass.
 */
function refuseExit(url: string): Disposable {
  const before = Object.getOwnPropertyDescriptor(process, 'exit') ?? {};
  const exit = process.exit.bind(process);
  const instead = (...given: [code?: number | string | null]): never => {
    const at = new Error();
    Error.captureStackTrace(at, instead);
    const origin = originOf(at);
    if (origin.kind !== 'plugin') return exit(...given); // an undefined code would replace process.exitCode
    const place = /(\/[^()]*:\d+:\d+)\)?$/.exec(withoutReload(origin.frame.replace('file://', '')))?.[1] ?? pathOf(url);
    throw new AdapterError(
      'ADAPTER_LOAD_FAILED',
      `${place}: it calls process.exit(${given[0] ?? ''}) while it loads; a plugin must not end the process, so throw an error`,
    );
  };
  process.exit = instead;
  return {
    [Symbol.dispose]() {
      Object.defineProperty(process, 'exit', before);
    },
  };
}

const MISSING_EXPORT = /requested module 'sluice\/[\w/]+' does not provide an export named/;

/** `FILE:LINE:COLUMN: message`, with advice where there is some. */
async function whyNotImported(url: string, error: unknown): Promise<string> {
  const message = withoutReload(withInstallAdvice(error, pathOf(url)));
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const advice =
    code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING'
      ? '; Node runs no TypeScript below node_modules, so a package ships JavaScript: compile it before it is published (tsc), and let exports lead to the result'
      : MISSING_EXPORT.test(message)
        ? '; correct the name, or update Sluice if a newer one has it'
        : '';
  return `${(await placeOf(url, error)) ?? pathOf(url)}: ${message}${advice}`;
}

/** Syntax errors name their place above the message, if at all; others in the first stack frame. */
async function placeOf(url: string, error: unknown): Promise<string | undefined> {
  const stack = error instanceof Error && typeof error.stack === 'string' ? withoutReload(error.stack) : '';
  const folder = dirname(pathOf(url));
  const frame = stack.split('\n').find((line) => line.trim().startsWith('at ') && line.includes(`${folder}/`));
  return (
    placeInExcerpt(stack) ??
    (frame === undefined ? undefined : /(\/[^()]*:\d+:\d+)\)?$/.exec(frame.replace('file://', ''))?.[1]) ??
    (error instanceof SyntaxError ? placeBySyntaxCheck(pathOf(url)) : undefined)
  );
}

const pathOf = (url: string): string => fileURLToPath(withoutReload(url));
