/** Resolves `sluice/plugin` and `sluice/counting`, imported by any plugin, to the modules of this process. */
import { registerHooks } from 'node:module';
import { moduleUrl, RUNS_FROM_SOURCE } from '../../files/program.ts';

const OWN: ReadonlyMap<string, string> = new Map([
  ['sluice/plugin', moduleUrl('adapters/index').href],
  ['sluice/counting', moduleUrl('counting/index').href],
  ['sluice/plugin/testing', moduleUrl('adapters/testing/index').href],
]);

let isInstalled = false;

/** Call it once per thread, before the first plugin is imported. Runners with their own resolver (vitest) use an alias. */
export function resolveOwnModules(): void {
  if (isInstalled) return;
  isInstalled = true;
  registerHooks({
    resolve(specifier, context, next) {
      const url = OWN.get(specifier);
      return url === undefined
        ? next(specifier, context)
        : { url, format: RUNS_FROM_SOURCE ? 'module-typescript' : 'module', shortCircuit: true };
    },
  });
}
