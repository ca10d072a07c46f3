/** Routes of the HTTP port, read from flags: `PREFIX=DIALECT[,ATTRIBUTE=HEADER...]`. Fails with CLI_USAGE. */
import {
  DEFAULT_ROUTES,
  DIALECTS,
  type HttpRoute,
  routesProblem,
  TRUSTABLE,
  type Trustable,
} from '../frontends/index.ts';
import { CliError } from './cli-error.ts';

/** A token of RFC 9110, by which a header is named. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
/** The key of a prefix of headers that are context extensions. */
const EXTENSIONS = 'extensions';
/** The key of the header in which Envoy says what it has received. */
const RECEIVED = 'received';

export function parseHttpRoutes(texts: readonly string[] | undefined): readonly HttpRoute[] {
  if (texts === undefined) return DEFAULT_ROUTES;
  const routes = texts.map(parseHttpRoute);
  const problem = routesProblem(routes);
  if (problem !== undefined) throw new CliError('CLI_USAGE', `--http-route: ${problem}`);
  return routes;
}

function parseHttpRoute(text: string): HttpRoute {
  const fail = (why: string): never => {
    throw new CliError('CLI_USAGE', `--http-route is "${text}": ${why}`);
  };
  const [path = '', ...headers] = text.split(',');
  const [prefix, word] = splitAtLast(path);
  const dialect = DIALECTS.find((known) => known === word);
  if (dialect === undefined || !/^\/[\w./~-]*$/.test(prefix))
    return fail(`expected PREFIX=DIALECT, such as /envoy=envoy; dialects are ${DIALECTS.join(', ')}`);
  const trusted: Partial<Record<Trustable, string>> = {};
  let extensions: string | undefined;
  let received: string | undefined;
  let url: string | undefined;
  for (const pair of headers) {
    if (dialect === 'authzen') {
      if (!pair.startsWith('url=https://') || /[?#]|\/$/.test(pair))
        return fail('of authzen expected url=https://HOST/PATH, without a query, a fragment and a slash at its end');
      url = pair.slice('url='.length);
      continue;
    }
    const [key, name] = splitAtLast(pair);
    const header = name.toLowerCase();
    const attribute = TRUSTABLE.find((known) => known === key);
    if (!HEADER_NAME.test(header)) return fail(`"${name}" is not the name of a header`);
    if (key === EXTENSIONS) extensions = header;
    else if (key === RECEIVED && dialect === 'envoy') received = header;
    else if (attribute !== undefined) trusted[attribute] = header;
    else
      return fail(
        `no header can carry "${key}", only ${[...TRUSTABLE, EXTENSIONS, ...(dialect === 'envoy' ? [RECEIVED] : [])].join(', ')}`,
      );
  }
  return { prefix, dialect, trusted, extensions, received, url };
}

function splitAtLast(text: string): readonly [before: string, after: string] {
  const at = text.lastIndexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
