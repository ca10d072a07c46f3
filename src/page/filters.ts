/** `outcome:deny rule:only-offices path:/admin/*`: filters of decisions as they are typed. */

const FILTERS = ['rule', 'outcome', 'host', 'principal', 'path', 'id', 'call'] as const;
type Name = (typeof FILTERS)[number];
export type Filters = Readonly<Partial<Record<Name, string>>>;

/** A word that begins with `/` is a path; in quotes, `\\"` is a quote and `\\\\` a backslash. `wrong`: a sentence. */
export function parseFilters(text: string): { readonly filters: Filters; readonly wrong?: string } {
  const filters: Partial<Record<Name, string>> = {};
  for (const [word] of text.matchAll(/(?:"(?:\\.|[^"\\])*"?|[^\s"])+/gs)) {
    const [, name = '', quoted = ''] =
      /^([a-z]+):(.*)$/s.exec(word) ?? (word.startsWith('/') ? ['', 'path', word] : []);
    const known = FILTERS.find((one) => one === name);
    const value = quoted.replaceAll(/"((?:\\.|[^"\\])*)"?/gs, (_, inside: string) =>
      inside.replaceAll(/\\(.)/gs, '$1'),
    );
    if (known === undefined)
      return { filters, wrong: `${word} is no filter; write ${FILTERS.map((one) => `${one}:`).join(' ')} or a path.` };
    if (value !== '') filters[known] = value;
  }
  return { filters };
}

const textOfFilters = (filters: Filters): string =>
  FILTERS.flatMap((name) => {
    const value = filters[name];
    return value === undefined || value === ''
      ? []
      : [`${name}:${/[\s"]/.test(value) ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : value}`];
  }).join(' ');

export const withFilter = (text: string, change: Filters): string =>
  textOfFilters({ ...parseFilters(text).filters, ...change });
