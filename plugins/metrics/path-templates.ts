/**
 * Templates of paths, so that `/users/7` and `/users/8` are one label value.
 * **In**: a path, with or without a query. **Out**: the template that matches it. **Fails**: with an error of the template's text.
 *
 * A segment `{name}` or `*` matches any one segment, `**` at the end any number of them. A segment as written wins over `{name}`, and that
 * over `**`.
 */

interface Branch {
  readonly literal: Map<string, Branch>;
  any: Branch | undefined;
  /** The template that ends here. */
  end: string | undefined;
  /** The template that ends here with `**`. */
  rest: string | undefined;
}

const branch = (): Branch => ({ literal: new Map(), any: undefined, end: undefined, rest: undefined });
const ANY = /^(?:\*|\{[^{}/]+\})$/;

/** The problem with a template, or undefined. */
export function templateProblem(template: string): string | undefined {
  if (!template.startsWith('/')) return `the template "${template}" does not begin with /`;
  const segments = template.slice(1).split('/');
  const wrong = segments.find(
    (segment, at) => !ANY.test(segment) && !(segment === '**' && at === segments.length - 1) && /[{}*]/.test(segment),
  );
  return wrong === undefined
    ? undefined
    : `the template "${template}" has the segment "${wrong}"; a segment is text, {name} or *, and the last may be **`;
}

export class PathTemplates {
  readonly #root = branch();

  constructor(templates: readonly string[]) {
    for (const template of templates) {
      let at = this.#root;
      for (const segment of template.slice(1).split('/')) {
        if (segment === '**') {
          at.rest ??= template;
          break;
        }
        let next = ANY.test(segment) ? at.any : at.literal.get(segment);
        if (next === undefined) {
          next = branch();
          if (ANY.test(segment)) at.any = next;
          else at.literal.set(segment, next);
        }
        at = next;
      }
      if (!template.endsWith('/**')) at.end ??= template;
    }
  }

  /** The template of this path, or the path itself. */
  of(path: string): string {
    const query = path.indexOf('?');
    const end = query < 0 ? path.length : query;
    return path.startsWith('/') ? (find(this.#root, path, 1, end) ?? path) : path;
  }
}

/** `from`: where the next segment begins; beyond `end` if there is none. */
function find(at: Branch, path: string, from: number, end: number): string | undefined {
  if (from > end) return at.end ?? at.rest;
  const slash = path.indexOf('/', from);
  const to = slash < 0 || slash > end ? end : slash;
  const literal = at.literal.get(path.slice(from, to));
  return (
    (literal && find(literal, path, to + 1, end)) ??
    (at.any && to > from ? find(at.any, path, to + 1, end) : undefined) ??
    at.rest
  );
}
