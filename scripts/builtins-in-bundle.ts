/**
 * How modules of the bundle get Node's own modules (docs/decisions/0021-the-package-is-a-bundle.md).
 * **In**: an import of `node:x`. **Out**: a module of the bundle that gets `node:x` by `process.getBuiltinModule`; one of
 * {@link ON_FIRST_USE} when one of its functions is first called.
 * **Fails**: an import of a name that the module lacks stops the build. What `require()`, a default import, an object or a class of it is
 * asked for beyond that is read of Node's own, and never `undefined` in its place.
 */
import { createRequire, isBuiltin } from 'node:module';
import type { Plugin } from 'rolldown';

/** Modules that most processes never use, and that take memory and time: tls alone has 3 MB and 11 ms of CPU. */
const ON_FIRST_USE = ['child_process', 'cluster', 'dns', 'http2', 'https', 'readline', 'tls', 'zlib'];
/** Their classes of which objects are made, but which nothing extends or asks by `instanceof`. */
const CLASSES = ['Agent', 'AsyncLocalStorage', 'BlockList'];

const PREFIX = '\0node:';
/** What `require()` gets: any property may be read of it. */
const REQUIRED = '?required';
/** Ids of the modules that get one of them: small, and without effects, so that they can be in one file. */
export const MODULES_WHEN_USED: RegExp = new RegExp(`^${PREFIX}(?:${ON_FIRST_USE.join('|')})(?:\\${REQUIRED})?$`);

export const builtinsWhenUsed = (leaveAlone: RegExp): Plugin => ({
  name: 'builtins-when-used',
  onLog(_level, { code, message }) {
    if (code === 'IMPORT_IS_UNDEFINED' && message.includes(String.raw`'\0node:`))
      this.error(`${message}\nIt is a class of Node: import its module by default, or put it on the list CLASSES.`);
  },
  resolveId(id, importer, { kind }) {
    if (id.startsWith(PREFIX)) return id;
    if (!isBuiltin(id) || kind === 'dynamic-import' || leaveAlone.test(importer ?? '')) return undefined;
    const name = id.replace(/^node:/, '');
    if (ON_FIRST_USE.includes(name)) return PREFIX + name + (kind === 'require-call' ? REQUIRED : '');
    return kind === 'require-call' ? undefined : PREFIX + name; // require() reads no exports
  },
  load: {
    filter: { id: /^\0node:/ },
    handler: (id) => {
      const name = id.slice(PREFIX.length);
      if (name.endsWith(REQUIRED)) return required(name.slice(0, -REQUIRED.length));
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

/**
 * Stands for what `load` returns, in all that can be done with it. `target`: of its kind, so that it can be called or constructed; for a
 * class a bound function, since a proxy must not describe a prototype in another way than its target has it. `own`: what it has itself,
 * without loading.
 */
const LAZY = `const lazy = (target, load, own = {}) => new Proxy(target, {
  get: (_, key) => (key in own ? own : load())[key],
  set: (_, key, value) => Reflect.set(load(), key, value),
  has: (_, key) => key in load(),
  ownKeys: () => Reflect.ownKeys(load()),
  getOwnPropertyDescriptor: (_, key) => {
    const found = Reflect.getOwnPropertyDescriptor(load(), key);
    return found && { ...found, configurable: true };
  },
  getPrototypeOf: () => Reflect.getPrototypeOf(load()),
  apply: (_, self, args) => Reflect.apply(load(), self, args),
  construct: (_, args, made) => Reflect.construct(load(), args, made === target ? load() : made),
});
`;

/** The module is kept, since some of the functions are called for each record: crc32 of zlib. */
function onFirstUse(name: string): string {
  const parts = exportsOf(name).flatMap(([key, { value }]) => {
    const stand = (target: string): string =>
      `export const ${key} = /* @__PURE__ */ lazy(${target}, () => loaded().${key});`;
    if (typeof value === 'object' && value !== null) return stand('{}');
    if (typeof value !== 'function') return [];
    if (!/^[a-z]/.test(key)) return CLASSES.includes(key) ? stand('function () {}.bind()') : [];
    // What promisify() finds on exec or lookup, for one.
    return hasMore(value) ? stand('() => {}') : `export function ${key}(...args) { return loaded().${key}(...args); }`;
  });
  return `let builtin;
const loaded = () => (builtin ??= process.getBuiltinModule('node:${name}'));
${LAZY}${parts.join('\n')}
export default /* @__PURE__ */ lazy({}, loaded);
`;
}

const OF_EVERY_FUNCTION = new Set<string | symbol>(['length', 'name', 'prototype']);
const hasMore = (value: object): boolean => Reflect.ownKeys(value).some((key) => !OF_EVERY_FUNCTION.has(key));

/** The functions of {@link onFirstUse}, which `const { connect } = require('tls')` takes without loading it; all others are loaded. */
const required = (name: string): string => `${LAZY}const parts = require('${PREFIX}${name}');
module.exports = lazy({}, () => parts.default, parts);
`;

const constructor = (builtin: string, key: string): string =>
  `export function ${key}(...args) { return Reflect.construct(${builtin}.${key}, args); }`;
