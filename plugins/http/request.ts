/**
 * Requests to one service, made of a rule's params and the inputs of a call.
 * **In**: a url of the config, params, texts of the call. **Out**: a request to that url's host, at or below its path.
 * **Fails**: with {@link Rejected} for an input that would change what the request asks for: an empty part of a path, `..`, control
 * characters in a header. Messages name the input, never its value, which may be a secret.
 */
import { Rejected, type Shape } from 'sluice/plugin';
import { z } from 'zod';
import { headersSchema, type ServerConfig } from './config.ts';
import { headerBytes, headerValueProblem } from './header.ts';
import { BODY, filled, placesOf, shapeOf, type Template, templateOf, type Texts } from './template.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** With the query, as on the wire. */
  readonly path: string;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
  readonly body?: string | Buffer | undefined;
}

const text = z.string().superRefine((value, context) => explain(context, () => plainTemplate(value)));

/** Keys of a rule's params. */
export const requestShape = {
  method: z
    .enum(['GET', 'POST', 'PUT'])
    .default('GET')
    .describe('With POST and PUT, the input `body` (any value) is sent as JSON.'),
  path: z
    .string()
    .default('')
    .superRefine((value, context) => explain(context, () => pathTemplate(value)))
    .describe(
      'Appended to the path of the url. {name} is replaced by that input, percent-encoded, slashes included; {+name} keeps ' +
        'slashes and escapes. An input that is empty, or has a segment . or .., fails.',
    )
    .meta({ examples: ['users/{user}/roles'] }),
  query: z
    .record(z.string().min(1), text)
    .default({})
    .describe(
      'Parameters of the query. {name} is replaced by that input; with {name?}, an absent input omits the parameter.',
    )
    .meta({ examples: [{ tenant: '{tenant?}' }] }),
  headers: headersSchema(text)
    .default({})
    .describe('Further headers, with inputs as in the query. A control character in an input fails.')
    .meta({ examples: [{ 'x-user': '{user}' }] }),
};
export type RequestParams = z.output<z.ZodObject<typeof requestShape>>;

function explain(context: z.RefinementCtx<string>, read: () => unknown): void {
  try {
    read();
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
}

function plainTemplate(value: string): Template {
  const template = templateOf(value);
  const raw = placesOf(template).find(({ keepsSlashes }) => keepsSlashes);
  if (raw !== undefined) throw new Error(`{+${raw.name}} is for paths; write {${raw.name}}`);
  return template;
}

/** Text of a path between its placeholders (RFC 3986). */
const PATH_TEXT = /^(?:[\w\-.~!$&'()*+,;=:@/]|%[0-9a-f]{2})*$/i;
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;

function pathTemplate(value: string): Template {
  const template = templateOf(value);
  for (const part of template) {
    if (typeof part !== 'string' && part.isOptional)
      throw new Error(`{${part.name}?}: a part of a path cannot be absent`);
    if (typeof part === 'string' && !PATH_TEXT.test(part))
      throw new Error(`"${part}" is not a path: percent-encode other characters, and write parameters under query`);
  }
  if (DOT_SEGMENT.test(template.map((part) => (typeof part === 'string' ? part : 'x')).join('')))
    throw new Error('it has a segment . or .., which would leave the path of the url');
  return template;
}

/** The inputs that params need. */
export const inputsOf = ({ method, path, query, headers }: RequestParams): Shape => ({
  ...shapeOf([path, ...Object.values(query), ...Object.values(headers)].map(templateOf)),
  ...(method === 'GET' ? {} : { [BODY]: 'any' }),
});

export function requestMaker(
  { url, headers: configured }: Pick<ServerConfig, 'headers'> & { readonly url: string },
  params: RequestParams,
): (input: Texts) => HttpRequest {
  const { method } = params;
  const base = new URL(url);
  const path = pathTemplate(params.path);
  const query = Object.entries(params.query).map(
    ([name, value]) => [encodeURIComponent(name), plainTemplate(value)] as const,
  );
  const added = Object.entries(params.headers).map(([name, value]) => [name, plainTemplate(value)] as const);
  const fixed = Object.entries({
    accept: 'application/json',
    ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
    ...lowerCased(configured),
  })
    .filter(([name]) => !added.some(([other]) => other.toLowerCase() === name))
    .flatMap(([name, value]) => [name, headerBytes(value)]);
  return (input) => ({
    method,
    path: pathOf(base, path, input) + queryOf(base, query, input),
    headers: [...fixed, ...added.flatMap(([name, template]) => headerOf(name, template, input))],
    ...(method === 'GET' ? {} : { body: JSON.stringify(input[BODY]) }),
  });
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function pathOf({ pathname }: URL, template: Template, input: Texts): string {
  if (template.length === 0) return pathname;
  let path = pathname.endsWith('/') ? pathname : `${pathname}/`;
  for (const part of template) {
    const added = typeof part === 'string' ? part : encoded(part.name, String(input[part.name]), part.keepsSlashes);
    path += path.endsWith('/') && added.startsWith('/') ? added.slice(1) : added;
  }
  if (DOT_SEGMENT.test(path.slice(pathname.length - 1)))
    throw new Rejected('the path has a segment . or .., by which it would leave the path of the url');
  return path;
}

function encoded(name: string, value: string, keepsSlashes: boolean): string {
  if (value === '') throw new Rejected(`the input ${name} is empty; the path would ask for something else`);
  const decoded = value.replaceAll(/%2e/gi, '.').replaceAll(/%2f|%5c|\\/gi, '/');
  if (DOT_SEGMENT.test(decoded))
    throw new Rejected(`the input ${name} has a segment . or .., by which a path would leave that of the url`);
  const wellFormed = value.toWellFormed();
  return keepsSlashes
    ? wellFormed.replaceAll(/%(?![0-9a-fA-F]{2})|[^\w\-.~!$&'()*+,;=:@/%]/gu, encodeURIComponent)
    : encodeURIComponent(wellFormed);
}

function queryOf({ search }: URL, query: readonly (readonly [string, Template])[], input: Texts): string {
  let text = search;
  for (const [name, template] of query) {
    const value = filled(template, input);
    if (value !== undefined) text += `${text === '' ? '?' : '&'}${name}=${encodeURIComponent(value.toWellFormed())}`;
  }
  return text;
}

function headerOf(name: string, template: Template, input: Texts): string[] {
  const value = filled(template, input);
  if (value === undefined) return [];
  const problem = headerValueProblem(value);
  if (problem !== undefined) throw new Rejected(`the header ${name} has ${problem}`);
  return [name, headerBytes(value)];
}
