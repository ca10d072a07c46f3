/** The plugins that come with Sluice: each folder of `plugins/` with an `adapter` module. */
import { existsSync, readdirSync } from 'node:fs';
import type { Adapter } from './contract.ts';
import { AdapterError } from './errors.ts';
import { resolveOwnModules } from './own-modules.ts';
import { createRegistry, type Registry } from './registry.ts';

const FOLDER = new URL('../../plugins/', import.meta.url);
const moduleOf = (name: string): URL => new URL(`${name}/${import.meta.filename.endsWith('.ts') ? 'adapter.ts' : 'adapter.js'}`, FOLDER);

/** Works from source and from the built package: both have `plugins` two folders above this one. */
export async function loadBuiltIns(): Promise<Registry> {
  resolveOwnModules();
  const modules = readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => moduleOf(entry.name))
    .filter((url) => existsSync(url));
  return createRegistry(await Promise.all(modules.map((url) => importAdapter(url.href))));
}

/** One of them, without the others. */
export async function loadBuiltIn(name: string): Promise<Adapter> {
  resolveOwnModules();
  return importAdapter(moduleOf(name).href);
}

/** The adapter that a module exports as default. */
export async function importAdapter(url: string): Promise<Adapter> {
  let module: { readonly default?: unknown };
  try {
    module = await import(url) as { readonly default?: unknown };
  } catch (error) {
    throw new AdapterError('ADAPTER_LOAD_FAILED', `${url}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const adapter = module.default;
  if (typeof adapter !== 'object' || adapter === null || typeof (adapter as Partial<Adapter>).open !== 'function') {
    throw new AdapterError('ADAPTER_LOAD_FAILED', `${url}: the default export is not an adapter; expected defineAdapter({ ... })`);
  }
  return adapter as Adapter;
}
