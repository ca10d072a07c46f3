/** `node --import ./src/adapters/register.ts --test FILE`: resolves `sluice/plugin` for tests of plugins without vitest. */
import { resolveOwnModules } from './loading/own-modules.ts';

resolveOwnModules();
