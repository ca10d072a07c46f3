/**
 * How modules of the bundle get Node's own modules (docs/decisions/0021-the-package-is-a-bundle.md).
 * **In**: an import of `node:x`. **Out**: a module of the bundle that gets `node:x` by `process.getBuiltinModule`; one of
 * {@link ON_FIRST_USE} when one of its functions is first called.
 * **Fails**: an import of a name that the module lacks stops the build.
 */
import { createRequire, isBuiltin } from 'node:module';
import type { Plugin } from 'rolldown';

/** Modules that most processes never use, and that take memory and time: tls alone has 3 MB and 11 ms of CPU. */
const ON_FIRST_USE = ['child_process', 'cluster', 'dns', 'http2', 'https', 'readline', 'tls', 'zlib'];
/** Their classes of which objects are made, but which nothing extends or asks by `instanceof`. */
const CLASSES = ['Agent', 'AsyncLocalStorage', 'BlockList'];

const PREFIX = '\0node:';
/** Ids of the modules that get one of them: small, and without effects, so that they can be in one file. */
export const MODULES_WHEN_USED: RegExp = new RegExp(`^${PREFIX}(?:${ON_FIRST_USE.join('|')})$`);

export const builtinsWhenUsed = (leaveAlone: RegExp): Plugin => ({
  name: 'builtins-when-used',
  resolveId(id, importer, { kind }) {
    if (!isBuiltin(id) || kind === 'dynamic-import' || leaveAlone.test(importer ?? '')) return undefined;
    const name = id.replace(/^node:/, '');
    if (ON_FIRST_USE.includes(name)) return PREFIX + name;
    return kind === 'require-call' ? undefined : PREFIX + name; // require() reads no exports
  },
  load: {
    filter: { id: /^\0node:/ },
    handler: (id) => {
      const name = id.slice(PREFIX.length);
      return ON_FIRST_USE.includes(name) ? onFirstUse(name) : atOnce(name);
    },
  },
});

const require = createRequire(import.meta.url);
const exportsOf = (name: string): [string, PropertyDescriptor][] =>
  Object.entries(Object.getOwnPropertyDescriptors(require(`node:${name}`) as object)).filter(
    ([key, { enumerable = false }]) => enumerable && /^[a-z]\w*$/i.test(key) && key !== 'default',
  );

/** Without getters: an import of `node:http` would read them all, and that of `WebSocket` loads Node's own undici. */
function atOnce(name: string): string {
  const [getters, names] = [true, false].map((isGetter) =>
    exportsOf(name).flatMap(([key, property]) => ('get' in property === isGetter ? [key] : [])),
  ) as [string[], string[]];
  const classes = getters.filter((key) => CLASSES.includes(key));
  return `const builtin = process.getBuiltinModule('node:${name}');
export default builtin;
export const { ${names.join(', ')} } = builtin;
${classes.map((key) => constructor('builtin', key)).join('\n')}
`;
}

/** The module is kept, since some of the functions are called for each record: crc32 of zlib. */
function onFirstUse(name: string): string {
  const parts = exportsOf(name).flatMap(([key, { value }]) => {
    if (typeof value === 'object' && value !== null)
      return `export const ${key} = /* @__PURE__ */ new Proxy({}, { get: (_, key) => loaded().${key}[key] });`;
    if (typeof value !== 'function') return [];
    if (/^[a-z]/.test(key)) return `export function ${key}(...args) { return loaded().${key}(...args); }`;
    return CLASSES.includes(key) ? constructor('loaded()', key) : [];
  });
  return `let builtin;
const loaded = () => (builtin ??= process.getBuiltinModule('node:${name}'));
${parts.join('\n')}
export default /* @__PURE__ */ new Proxy({}, { get: (_, key) => loaded()[key] });
`;
}

const constructor = (builtin: string, key: string): string =>
  `export function ${key}(...args) { return Reflect.construct(${builtin}.${key}, args); }`;
