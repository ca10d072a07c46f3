/**
 * Libraries that the bundle loads when one of their classes is first used.
 * **In**: an import of a library by a module of ours. **Out**: stand-ins for its classes and functions, which load the library from a file
 * of its own; synchronously, since those who compile patterns or make calendars wait for nothing.
 */
import type { Plugin } from 'rolldown';

/** Patterns of `matches()` that need re2js, and limits by the calendar, are in few policies; each library takes about 1 MB. */
const ON_FIRST_USE = ['luxon', 're2js'];

const PREFIX = '\0when-used:';

export const librariesWhenUsed = (isOurs: (id: string) => boolean): Plugin => ({
  name: 'libraries-when-used',
  resolveId(id, importer) {
    return ON_FIRST_USE.includes(id) && importer !== undefined && isOurs(importer) ? PREFIX + id : undefined;
  },
  load: {
    filter: { id: /^\0when-used:/ },
    async handler(id) {
      const name = id.slice(PREFIX.length);
      const file = this.emitFile({ type: 'chunk', id: name, fileName: `src/libraries/${name}.js` });
      const parts = Object.entries((await import(name)) as object).flatMap(([key, value]) =>
        typeof value === 'function' && key !== 'default'
          ? [`export const ${key} = /* @__PURE__ */ standIn((library) => library.${key});`]
          : [],
      );
      return `${LOADER(`import.meta.ROLLUP_FILE_URL_${file}`)}\n${parts.join('\n')}\n`;
    },
  },
});

const LOADER = (url: string): string => `
let library;
function loaded() {
  const { createRequire } = process.getBuiltinModule('node:module');
  return (library ??= createRequire(import.meta.url)(process.getBuiltinModule('node:url').fileURLToPath(${url})));
}
const standIn = (of) => new Proxy(function () {}, {
  get: (_, key) => of(loaded())[key],
  apply: (_, self, args) => Reflect.apply(of(loaded()), self, args),
  construct: (_, args) => Reflect.construct(of(loaded()), args),
});`;
