/** Plugins, ours and others', import `sluice/plugin` and `sluice/counting` and get the very modules that this process runs. */
import { registerHooks } from 'node:module';

const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
const OWN: ReadonlyMap<string, string> = new Map([
  ['sluice/plugin', new URL(`./index.${extension}`, import.meta.url).href],
  ['sluice/counting', new URL(`../counting/index.${extension}`, import.meta.url).href],
  ['sluice/plugin/testing', new URL(`./testing/index.${extension}`, import.meta.url).href],
]);

let isInstalled = false;

/** Once per thread, before the first plugin is imported. Runners that resolve modules themselves (vitest) do so by an alias. */
export function resolveOwnModules(): void {
  if (isInstalled) return;
  isInstalled = true;
  registerHooks({
    resolve(specifier, context, next) {
      const url = OWN.get(specifier);
      return url === undefined
        ? next(specifier, context)
        : { url, format: extension === 'ts' ? 'module-typescript' : 'module', shortCircuit: true };
    },
  });
}
