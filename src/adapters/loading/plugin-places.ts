/** Locations of plugins on disk, to attribute an error by its stack. Global, as imported modules are. */
import { realpathSync, statSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { SOURCE_FOLDER } from '../../files/program.ts';
import { stackLines } from '../../text/stack-lines.ts';

interface PluginPlace {
  /** As in stack frames: file URLs (ESM) and paths (CommonJS), each with what follows them: a separator, a line, or a query. */
  readonly prefixes: readonly string[];
  name: string;
}

const places = new Map<string, PluginPlace>();
const OWN = prefixesOf(SOURCE_FOLDER, ['']);

/** `path`: the plugin's folder, or its one file. Call it before the module is imported, which may fail already. */
export function notePlace(path: string, name: string): void {
  const known = places.get(path);
  if (known === undefined) places.set(path, placeOf(path, name));
  else known.name = name;
}

function placeOf(path: string, name: string): PluginPlace {
  try {
    const real = realpathSync(path);
    return { prefixes: prefixesOf(real, statSync(real).isDirectory() ? ['/'] : [':', '?']), name };
  } catch {
    return { prefixes: prefixesOf(path, ['/', ':', '?']), name };
  }
}

export type Origin =
  | { readonly kind: 'plugin'; readonly plugin: string; readonly frame: string }
  | { readonly kind: 'sluice'; readonly frame: string }
  | { readonly kind: 'unattributed' };

/** By the first stack frame, of the error or its causes, in code of a plugin or of Sluice. */
export function originOf(error: unknown): Origin {
  try {
    return readOrigin(error, 0);
  } catch {
    return { kind: 'unattributed' }; // a getter of the error threw
  }
}

function readOrigin(error: unknown, depth: number): Origin {
  if (!(error instanceof Error) || depth > 5) return { kind: 'unattributed' };
  for (const frame of framesOf(error)) {
    if (OWN.some((prefix) => frame.includes(prefix))) return { kind: 'sluice', frame };
    const [place] = [...places]
      .filter(([, { prefixes }]) => prefixes.some((prefix) => frame.includes(prefix)))
      .toSorted(([a], [b]) => b.length - a.length); // one may lie in another's folder
    if (place !== undefined) return { kind: 'plugin', plugin: place[1].name, frame };
  }
  return readOrigin(error.cause, depth + 1);
}

const framesOf = (error: Error): string[] =>
  stackLines(error)
    .map((line) => line.trim())
    .filter((line) => line.startsWith('at '));

function prefixesOf(path: string, ends: readonly string[]): readonly string[] {
  return ends.flatMap((end) => [pathToFileURL(path).href + end, path + end]);
}
