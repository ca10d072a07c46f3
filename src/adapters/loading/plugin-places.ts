/** Locations of plugins on disk, to attribute an error by its stack. Global, since imported modules are global too. */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SOURCE_FOLDER } from '../../files/program.ts';

interface PluginPlace {
  /** As in stack frames: a file URL (ESM) or a path (CommonJS), each with a trailing slash. */
  readonly prefixes: readonly string[];
  name: string;
}

const places = new Map<string, PluginPlace>();
const OWN = prefixesOf(SOURCE_FOLDER);

/** Call it before importing the module, since the import itself may fail. */
export function notePlace(moduleUrl: string, name: string): void {
  if (!moduleUrl.startsWith('file:')) return;
  const folder = dirname(fileURLToPath(moduleUrl));
  const known = places.get(folder);
  if (known === undefined) places.set(folder, { prefixes: prefixesOf(realFolder(folder)), name });
  else known.name = name;
}

export type Origin =
  | { readonly kind: 'plugin'; readonly plugin: string; readonly frame: string }
  | { readonly kind: 'sluice'; readonly frame: string }
  | { readonly kind: 'unattributed' };

/** By the first stack frame, of the error or its causes, in a plugin's folder or in Sluice's source. */
export function originOf(error: unknown, depth = 0): Origin {
  const unattributed: Origin = { kind: 'unattributed' };
  if (!(error instanceof Error) || depth > 5) return unattributed;
  for (const frame of framesOf(error)) {
    if (OWN.some((prefix) => frame.includes(prefix))) return { kind: 'sluice', frame };
    for (const { prefixes, name } of places.values())
      if (prefixes.some((prefix) => frame.includes(prefix))) return { kind: 'plugin', plugin: name, frame };
  }
  return originOf(error.cause, depth + 1);
}

function framesOf(error: Error): string[] {
  const { stack } = error;
  return typeof stack === 'string'
    ? stack
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line.startsWith('at '))
    : [];
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

function prefixesOf(folder: string): readonly string[] {
  const path = folder.endsWith('/') ? folder : `${folder}/`;
  return [pathToFileURL(path).href, path];
}
