/**
 * Paths of the program's own files, run from source or from the package's bundle. Only this module may build a path from `import.meta`:
 * the bundle moves modules into shared chunks, but always to somewhere below `dist/src`.
 */
import { join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Whether TypeScript runs without a build. */
export const RUNS_FROM_SOURCE: boolean = import.meta.filename.endsWith('.ts');

const here = import.meta.dirname + sep;
/** `src` of a checkout, `dist/src` of the package; ends with a separator. */
export const SOURCE_FOLDER: string = here.slice(0, here.lastIndexOf(`${sep}src${sep}`) + `${sep}src${sep}`.length);

/** The URL of a module below `src`, named without its extension; in the package, of an entry point of `scripts/bundle.ts`. */
export const moduleUrl = (name: string): URL =>
  pathToFileURL(join(SOURCE_FOLDER, `${name}.${RUNS_FROM_SOURCE ? 'ts' : 'js'}`));
