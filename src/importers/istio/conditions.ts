/**
 * `from`, `to` and `when` of a rule of AuthorizationPolicy.
 * **In**: their nodes. **Out**: tests, as CEL. **Fails**: with findings at the field or value.
 */
import { nearest } from '../../text/nearest.ts';
import type { Fields } from '../../yaml/fields.ts';
import type { Node } from '../../yaml/nodes.ts';
import { report, type Translation } from './object.ts';
import { texts } from '../../yaml/texts.ts';
import { withAliases } from './trust-domains.ts';
import { doubtOf, problemOf } from './value-problems.ts';
import {
  addressTests,
  allOf,
  anyOf,
  claimTests,
  dynTests,
  namespaceTests,
  noneOf,
  pathTests,
  principalTests,
  quoted,
  serviceAccountTests,
  type Test,
  textTests,
  trustDomainTests,
} from './tests.ts';

/** Turns the values of a field into tests, any of which is enough. */
export interface Condition {
  readonly needsHttp: boolean;
  readonly tests: (values: readonly string[]) => readonly string[];
}
export interface Context {
  /** Of the policy. */
  readonly namespace: string;
  readonly translation: Translation;
}
export type Make = (context: Context) => Condition;

export const always =
  (needsHttp: boolean, tests: Condition['tests']): Make =>
  () => ({ needsHttp, tests });
export const byToken =
  (tests: (values: readonly string[], claims: string) => readonly string[]): Make =>
  ({ translation: { claims } }) => ({ needsHttp: true, tests: (values) => tests(values, claims) });
export const byClaim = (claim: string): Make => byToken((values, claims) => [claimTests([claim], values, claims)]);

const PRINCIPALS: Make = ({ translation: { settings } }) => ({
  needsHttp: false,
  tests: (values) => principalTests(withAliases(values, settings.trustDomains)),
});
const SERVICE_ACCOUNTS: Make = ({ namespace }) => ({
  needsHttp: false,
  tests: (values) => serviceAccountTests(values, namespace),
});
const TRUST_DOMAINS: Make = ({ translation: { settings } }) => ({
  needsHttp: false,
  tests: (values) =>
    trustDomainTests([
      ...new Set(values.flatMap((one) => (settings.trustDomains.includes(one) ? settings.trustDomains : [one]))),
    ]),
});
export const NAMESPACES = always(false, namespaceTests);
export const SOURCE_IP = always(false, (values) => addressTests(values, 'source.ip'));
const REMOTE_IP = always(false, (values) => addressTests(values, 'origin.ip'));
export const DESTINATION_IP = always(false, (values) => addressTests(values, 'destination.ip'));
export const PORTS = always(false, (values) => [`destination.?port.orValue(0) in [${values.join(', ')}]`]);
export const SNI = always(false, (values) =>
  textTests(values, 'connection.?requested_server_name.orValue("").lowerAscii()'),
);
export const METHODS = always(true, (values) => textTests(values, 'request.?method.orValue("")'));
export const HOSTS = always(true, (values) =>
  textTests(
    values.map((value) => value.toLowerCase()),
    'request.?authority.orValue("").lowerAscii()',
  ),
);
const PATHS = always(true, (values) => pathTests(values, 'request.?url_path.orValue("")'));

/** `ISSUER/SUBJECT`, which meet at the last slash. Issuer and subject are matched apart. */
const REQUEST_PRINCIPALS = byToken((values, claims) =>
  values.map((value) => {
    const at = value.lastIndexOf('/');
    const [issuer, subject] = at < 0 ? [value, ''] : [value.slice(0, at), value.slice(at + 1)];
    const [issuerPattern, subjectPattern] =
      value === '*'
        ? ['*', '*']
        : value.startsWith('*')
          ? at < 0
            ? ['*', value]
            : [issuer, literal(subject)]
          : value.endsWith('*')
            ? at < 0
              ? [value, '*']
              : [literal(issuer), subject]
            : [literal(issuer), literal(subject)];
    const claim = (name: string, pattern: string | Literal): string =>
      `${claims}[?${quoted(name)}].optMap(claim, ${typeof pattern === 'string' ? dynTests([pattern], 'claim')[0] : `claim == ${quoted(pattern.text)}`}).orValue(false)`;
    return allOf([claim('iss', issuerPattern), claim('sub', subjectPattern)]);
  }),
);
interface Literal {
  readonly text: string;
}
/** An asterisk in it has no meaning. */
const literal = (text: string): Literal => ({ text });

const SOURCE: Readonly<Record<string, Make>> = {
  principals: PRINCIPALS,
  requestPrincipals: REQUEST_PRINCIPALS,
  namespaces: NAMESPACES,
  serviceAccounts: SERVICE_ACCOUNTS,
  trustDomains: TRUST_DOMAINS,
  ipBlocks: SOURCE_IP,
  remoteIpBlocks: REMOTE_IP,
};
const OPERATION: Readonly<Record<string, Make>> = { hosts: HOSTS, ports: PORTS, methods: METHODS, paths: PATHS };

const KEYS: Readonly<Record<string, Make>> = {
  'source.ip': SOURCE_IP,
  'remote.ip': REMOTE_IP,
  'source.namespace': NAMESPACES,
  'source.principal': PRINCIPALS,
  'source.serviceAccount': SERVICE_ACCOUNTS,
  'source.trustDomain': TRUST_DOMAINS,
  'request.auth.principal': REQUEST_PRINCIPALS,
  'request.auth.audiences': byClaim('aud'),
  'request.auth.presenter': byClaim('azp'),
  'destination.ip': DESTINATION_IP,
  'destination.port': PORTS,
  'connection.sni': SNI,
};
const WITH_BRACKETS = ['request.headers[NAME]', 'request.auth.claims[NAME]', 'experimental.envoy.filters.NAME[KEY]'];
/** Keys that Istio has had, and what to write instead. */
const FORMER: Readonly<Record<string, string>> = {
  'destination.namespace': 'metadata.namespace selects the namespace',
  'destination.labels': 'spec.selector selects workloads by labels',
  'destination.name': 'spec.selector selects workloads by labels',
  'destination.user': 'spec.selector selects workloads by labels',
};

export const notName = (name: string): string => `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;

export const sourceTests = (fields: Fields, context: Context): Test[] =>
  fieldTests(fields, SOURCE, 'from.source', context);
export const operationTests = (fields: Fields, context: Context): Test[] =>
  fieldTests(fields, OPERATION, 'to.operation', context);

function fieldTests(fields: Fields, known: Readonly<Record<string, Make>>, what: string, context: Context): Test[] {
  fields.only(Object.keys(known).flatMap((name) => [name, notName(name)]));
  const found = Object.entries(known).flatMap(([name, make]) => [
    ...testsOf(make(context), fields.node(name), false, `${what}.${name}`, name, context),
    ...testsOf(make(context), fields.node(notName(name)), true, `${what}.${notName(name)}`, name, context),
  ]);
  if (found.length === 0 && !context.translation.findings.hasErrors)
    report(context.translation.findings, 'ISTIO_VALUE', fields.place, `${what} is empty; name a field, or remove it`);
  return found;
}

export function whenTests(fields: Fields, context: Context): Test[] {
  const { findings } = context.translation;
  fields.only(['key', 'values', 'notValues']);
  fields.required('key', 'what is compared, such as source.ip');
  const key = fields.text('key');
  const make = key === undefined ? undefined : conditionOf(key, fields, context);
  if (key === undefined || make === undefined) return [];
  const isEmpty = (name: string): boolean => {
    const node = fields.node(name);
    return node === undefined || (node.kind === 'list' && node.items.length === 0);
  };
  if (isEmpty('values') && isEmpty('notValues'))
    report(findings, 'ISTIO_VALUE', fields.place, `the condition on ${key} needs values or notValues`);
  return [
    ...testsOf(make(context), fields.node('values'), false, 'values', key, context),
    ...testsOf(make(context), fields.node('notValues'), true, 'notValues', key, context),
  ];
}

function conditionOf(key: string, fields: Fields, { translation: { findings } }: Context): Make | undefined {
  const known = KEYS[key];
  if (known !== undefined) return known;
  const [, header] = /^request\.headers\[(.+)\]$/.exec(key) ?? [];
  if (header !== undefined) return headerCondition(header);
  const [, claims] = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key) ?? [];
  if (claims !== undefined) {
    const path = claims.slice(1, -1).split('][');
    return byToken((values, of) => [claimTests(path, values, of)]);
  }
  const [, filter, name] = /^experimental\.(envoy\.filters\.[^[]+)\[(.+)\]$/.exec(key) ?? [];
  if (filter !== undefined && name !== undefined) return metadataCondition(filter, name);
  const [begin = key] = key.split('[');
  const like = WITH_BRACKETS.find((one) => one.startsWith(`${begin}[`));
  const near = nearest(begin, [...Object.keys(KEYS), ...WITH_BRACKETS.map((one) => one.slice(0, one.indexOf('[')))]);
  const meantKey = WITH_BRACKETS.find((one) => one.startsWith(`${near}[`)) ?? near;
  const hint =
    FORMER[begin] ??
    (meantKey === undefined
      ? `the keys are ${[...Object.keys(KEYS), ...WITH_BRACKETS].join(', ')}`
      : `did you mean ${meantKey}?`);
  report(
    findings,
    'ISTIO_KEY',
    fields.node('key')?.place ?? fields.place,
    like === undefined ? `a condition has no key ${key}; ${hint}` : `the key ${key} is not of the form ${like}`,
  );
  return undefined;
}

/** Each value of a repeated header is matched by itself; an empty value is present. */
export function headerCondition(written: string): Make {
  const lower = written.toLowerCase();
  const name = quoted(lower === 'host' ? ':authority' : lower);
  const present = `${name} in request.header_values`;
  return always(true, (values) => [
    ...(values.includes('*') ? [present] : []),
    ...(values.every((value) => value === '*')
      ? []
      : [
          `request.header_values[?${name}].orValue([]).exists(value, ${anyOf(
            textTests(
              values.filter((value) => value !== '*'),
              'value',
            ),
          )})`,
        ]),
  ]);
}

/** Of the metadata that the proxy sends: `[value]` looks for a value in a list. */
export function metadataCondition(filter: string, name: string): Make {
  return always(false, (values) =>
    values.map((value) => {
      const isList = value.startsWith('[') && value.endsWith(']');
      const test = isList
        ? `type(found) == list && found.exists(item, ${dynTests([value.replaceAll(/^\[+|\]+$/g, '')], 'item')[0]})`
        : dynTests([value], 'found')[0];
      return `metadata[?${quoted(filter)}].optFlatMap(part, type(part) == map ? part[?${quoted(name)}] : optional.none()).optMap(found, ${test}).orValue(false)`;
    }),
  );
}

export function testsOf(
  { needsHttp, tests }: Condition,
  node: Node | undefined,
  isNegated: boolean,
  what: string,
  field: string,
  { translation: { findings } }: Context,
): Test[] {
  const values = texts(node, what, findings).filter((value, at) => isSound(value, node, at, field, findings));
  if (values.length === 0) return [];
  const parts = tests(values);
  return [{ cel: isNegated ? noneOf(parts) : anyOf(parts.map(grouped(parts))), needsHttp }];
}

/** A conjunction needs parentheses beside another test, which `anyOf` adds only around alternatives. */
const grouped =
  (parts: readonly string[]): ((part: string) => string) =>
  (part) =>
    parts.length > 1 && part.includes(' && ') ? `(${part})` : part;

/** Reports a value that its field does not take, or hardly means. Unsound values are left out, and the policy does not load. */
function isSound(
  value: string,
  node: Node | undefined,
  at: number,
  field: string,
  findings: Translation['findings'],
): boolean {
  const why = problemOf(field, value);
  const doubt = why ?? doubtOf(field, value);
  if (doubt === undefined) return true;
  const item =
    node?.kind === 'list'
      ? (node.items.find((one) => one.kind === 'scalar' && one.value === value) ?? node.items[at])
      : node;
  if (item !== undefined)
    report(
      findings,
      why === undefined ? 'ISTIO_NEVER' : 'ISTIO_VALUE',
      item.place,
      `${JSON.stringify(value)} ${doubt}`,
    );
  return why === undefined;
}
