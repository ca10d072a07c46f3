/** `node --import ./src/adapters/register.ts --test FILE`: an author's tests find `sluice/plugin` in a checkout without vitest. */
import { resolveOwnModules } from './own-modules.ts';

resolveOwnModules();
