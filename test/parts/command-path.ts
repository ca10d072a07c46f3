/** Paths of the command in the checkout and in the bundle. */
import { join, resolve } from 'node:path';

export const ROOT: string = resolve(import.meta.dirname, '../..');

/** For tests of the sources as such; each start of them costs twice the CPU time. */
export const SOURCE_COMMAND: string = join(ROOT, 'src/cli/bin.ts');

/** Set by `global-setup.ts`. Scripts that use these parts without vitest run the sources. */
export const COMMAND: string = process.env['SLUICE_TEST_COMMAND'] ?? SOURCE_COMMAND;
