/**
 * Finds the module of a plugin that a policy names (docs/plugins.md#where-plugins-are-looked-for).
 * **In**: a name of a package or a path, and the policy's file. **Out**: the module's file, and which files are the plugin's own.
 * **Fails**: with an {@link AdapterError}: PLUGIN_NOT_FOUND with the places looked in, PLUGIN_UNTRUSTED.
 */
import { readFileSync, statSync } from 'node:fs';
import { createRequire, findPackageJSON, isBuiltin } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AdapterError } from '../errors.ts';
import type { NamedPlugin, PluginModule } from '../registry.ts';
import { resolveModule } from './own-modules.ts';

interface Manifest {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly exports?: unknown;
  readonly main?: unknown;
  /** `contract`: the version of the plugin contract that the package is made for. */
  readonly sluice?: { readonly contract?: unknown };
}

const PATH = /^\.{0,2}\/|^\.{1,2}$/;
const PACKAGE = /^(?:@[\w.~-]+\/)?[\w~-][\w.~-]*(?:\/[\w.~-]+)*$/;
const ENTRIES = ['index', 'adapter'].flatMap((name) =>
  ['ts', 'js', 'mts', 'mjs', 'cts', 'cjs'].map((end) => `${name}.${end}`),
);

export function findModule(plugin: NamedPlugin): PluginModule {
  const { file, path, manifest } = PATH.test(plugin.name) ? atPath(plugin) : inPackages(plugin);
  if (!file.startsWith(`${dirname(plugin.file)}${sep}`)) checkOwner(file, plugin);
  return { module: pathToFileURL(file).href, path, ...declaredBy(manifest) };
}

/** The module of a built-in plugin. */
export const builtInModule = (file: string, manifest: string | undefined): PluginModule => ({
  module: pathToFileURL(file).href,
  path: dirname(file),
  ...declaredBy(manifest === undefined ? undefined : manifestAt(manifest)),
});

interface Found {
  readonly file: string;
  readonly path: string;
  readonly manifest: Manifest | undefined;
}

function declaredBy(manifest: Manifest | undefined): Pick<PluginModule, 'package' | 'contract'> {
  const { name, version, sluice: { contract } = {} } = manifest ?? {};
  return {
    ...(typeof name === 'string' && typeof version === 'string' ? { package: { name, version } } : {}),
    ...(contract === undefined ? {} : { contract }),
  };
}

const notFound = (message: string): AdapterError => new AdapterError('PLUGIN_NOT_FOUND', message);

// ---------------------------------------------------------------- paths

function atPath({ name, file: policy }: NamedPlugin): Found {
  const path = resolve(dirname(policy), name);
  const kind = kindOf(path);
  if (kind === 'file') return { file: path, path, manifest: undefined };
  if (kind === undefined) {
    const near = ['.ts', '.js', '.mjs', '.cjs'].find((ending) => kindOf(path + ending) === 'file');
    throw notFound(
      `there is no ${name}; looked for ${path}${near === undefined ? '' : `; did you mean ${name}${near}?`}`,
    );
  }
  const manifest = manifestAt(join(path, 'package.json'));
  return { file: entryOf(path, manifest, name), path, manifest };
}

/** The module of a folder: as its package.json says, else an index or adapter. */
function entryOf(folder: string, manifest: Manifest | undefined, name: string): string {
  if (manifest?.exports === undefined && manifest?.main === undefined) {
    const entry = ENTRIES.find((one) => kindOf(join(folder, one)) === 'file');
    if (entry !== undefined) return join(folder, entry);
    throw notFound(
      `${name} is a folder without a module; looked in ${folder} for exports or main in package.json, and for ${ENTRIES.slice(0, 2).join(', ')}`,
    );
  }
  const from = join(folder, 'package.json');
  try {
    // Within a package that has exports, its own name leads to them.
    if (manifest.exports !== undefined && typeof manifest.name === 'string') return resolveModule(manifest.name, from);
    if (typeof manifest.main === 'string') return resolveModule(`./${manifest.main}`, from);
  } catch (error) {
    throw notFound(`${name} has no module where its package.json says: ${firstLine(error)}`);
  }
  throw notFound(`${from} has ${manifest.exports === undefined ? 'a main that is no text' : 'exports, but no name'}`);
}

// ---------------------------------------------------------------- packages

function inPackages({ name, file: policy }: NamedPlugin): Found {
  if (isBuiltin(name))
    throw notFound(`${name} is a module of Node; expected the name of a package, or a path as in ./${name}`);
  if (!PACKAGE.test(name) || name.split('/').includes('..'))
    throw notFound(
      `"${name}" is neither the name of a package nor a path; write a path as in ./adapters/check-hours.ts`,
    );
  const folders = [...new Set([dirname(policy), process.cwd()])];
  for (const folder of folders) {
    const from = join(folder, 'package.json');
    try {
      const file = resolveModule(name, from);
      const manifestFile = findPackageJSON(pathToFileURL(file));
      return {
        file,
        path: manifestFile === undefined ? file : dirname(manifestFile),
        manifest: manifestFile === undefined ? undefined : manifestAt(manifestFile),
      };
    } catch (error) {
      const installed = installedAt(name, from);
      if (installed !== undefined)
        throw notFound(`the package in ${dirname(installed)} has no module to import as ${name}: ${firstLine(error)}`);
    }
  }
  const places = [...new Set(folders.flatMap((folder) => placesFor(name, folder)))];
  const isFile = kindOf(resolve(dirname(policy), name)) !== undefined;
  throw notFound(
    `no package ${name}; looked in ${places.join(', ')}; ${isFile ? `for the path beside the policy write ./${name}` : `npm install ${packageOf(name)} in ${folders[0]}`}`,
  );
}

function installedAt(name: string, from: string): string | undefined {
  try {
    return findPackageJSON(packageOf(name), pathToFileURL(from));
  } catch {
    return undefined;
  }
}

const packageOf = (name: string): string =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
const placesFor = (name: string, folder: string): string[] =>
  (createRequire(join(folder, 'package.json')).resolve.paths(name) ?? []).filter(
    (place) => place.endsWith(`${sep}node_modules`) && !place.startsWith(join(homedir(), '.node_')),
  );

// ---------------------------------------------------------------- who may decide which code runs

/**
 * Outside of the policy's folder, code runs only if it belongs to someone who decides anyway: root, the user of this process, the
 * owner of the policy's file, or the owner of the working directory. Otherwise a policy could make Sluice run what any user of the machine
 * has put into a folder such as /tmp.
 */
function checkOwner(file: string, { name, file: policy }: NamedPlugin): void {
  const { uid } = statSync(file);
  const trusted = [0, process.getuid?.() ?? uid, ...[policy, process.cwd()].flatMap(ownerOf)];
  if (trusted.includes(uid)) return;
  throw new AdapterError(
    'PLUGIN_UNTRUSTED',
    `${name} is ${file}, outside of the policy's folder, and belongs to user ${uid}, who owns neither the policy nor the working directory; move it below ${dirname(policy)}, or give it to another owner`,
  );
}

function ownerOf(path: string): number[] {
  const uid = statSync(path, { throwIfNoEntry: false })?.uid;
  return uid === undefined ? [] : [uid];
}

function kindOf(path: string): 'file' | 'folder' | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : undefined;
  } catch {
    return undefined;
  }
}

function manifestAt(file: string): Manifest | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  try {
    return JSON.parse(text) as Manifest;
  } catch (error) {
    throw notFound(`${file} is not JSON: ${firstLine(error)}`);
  }
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
