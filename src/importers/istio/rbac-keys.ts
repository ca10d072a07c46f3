/**
 * Keys of constraints and of properties of Istio's RBAC (rbac.istio.io/v1alpha1), and the conditions that fields share with them.
 * **In**: a key. **Out**: the tests of its values, as CEL. **Fails**: with a finding that names the key.
 */
import type { Place } from '../../yaml/nodes.ts';
import { meant } from '../../text/nearest.ts';
import {
  always,
  byClaim,
  byToken,
  type Context,
  DESTINATION_IP,
  headerCondition,
  type Make,
  metadataCondition,
  NAMESPACES,
  PORTS,
  SNI,
  SOURCE_IP,
} from './conditions.ts';
import { namespaceOf, report } from './object.ts';
import { anyOf, claimTests, ofIdentity, principalTests, quoted, textTests } from './tests.ts';
import { withAliases } from './trust-domains.ts';

/** A test that any call meets; it is left out of matches. */
export const ANY = 'true';
/** `*` is met by any value, also by an absent one. */
export const orAny =
  (tests: (values: readonly string[]) => string[]): ((values: readonly string[]) => string[]) =>
  (values) =>
    values.includes('*') ? [ANY] : tests(values);

const names = (values: readonly string[]): string[] =>
  values.flatMap((value) => {
    if (value === '*' || value === 'allUsers') return [ANY];
    if (value === 'allAuthenticatedUsers') return principalTests(['*']);
    return value.startsWith('*')
      ? [ofIdentity(`uri.startsWith("spiffe://") && uri.endsWith(${quoted(value.slice(1))})`)]
      : principalTests([value]);
  });
export const NAMES = always(false, names);
/** Trust domains have aliases in `user` and in properties, not in `names`. */
export const users =
  (needsHttp: boolean): Make =>
  ({ translation: { settings } }) => ({
    needsHttp,
    tests: (values) => names(withAliases(values, settings.trustDomains)),
  });
/** The words of a text are values by themselves, as of a list. */
const byWords = (claim: string): Make => byToken((values, claims) => [claimTests([claim], values, claims, true)]);
export const GROUPS = byWords('groups');

/** `ISSUER/SUBJECT`, compared as one text. */
const REQUEST_PRINCIPAL = byToken((values, claims) => [
  `${claims}[?"iss"].optFlatMap(iss, ${claims}[?"sub"].optMap(sub, type(iss) == string && type(sub) == string && [string(iss) + "/" + string(sub)].exists(principal, ${anyOf(textTests(values, 'principal'))}))).orValue(false)`,
]);

const CONSTRAINTS: Readonly<Record<string, Make>> = {
  'destination.ip': DESTINATION_IP,
  'destination.port': PORTS,
  'destination.name': always(
    false,
    orAny((values) => textTests(values, 'destination.service.?name.orValue("")')),
  ),
  'destination.namespace': ({ translation: { settings } }) => ({
    needsHttp: false,
    tests: orAny((values) => textTests(values, namespaceOf(settings))),
  }),
  'destination.user': always(
    false,
    orAny((values) => textTests(values, 'destination.?serviceAccount.orValue("")')),
  ),
  'connection.sni': (context) => ({ needsHttp: false, tests: orAny((values) => [...SNI(context).tests(values)]) }),
};
const PROPERTIES: Readonly<Record<string, Make>> = {
  'source.ip': SOURCE_IP,
  'source.namespace': NAMESPACES,
  'source.principal': users(false),
  'source.user': users(true),
  'request.auth.principal': REQUEST_PRINCIPAL,
  'request.auth.audiences': byWords('aud'),
  'request.auth.presenter': byClaim('azp'),
};

/** A family of keys: its form, the keys of it, and the condition on what their brackets hold. */
interface Family {
  readonly form: string;
  readonly keys: RegExp;
  readonly make: (inner: string, filter: string) => Make;
}
const HEADERS: Family = {
  form: 'request.headers[NAME]',
  keys: /^request\.headers\[(.+)\]$/,
  make: (name) => headerCondition(name),
};
const CONSTRAINT_FAMILIES: readonly Family[] = [
  HEADERS,
  { form: 'destination.labels[NAME]', keys: /^destination\.labels\[(.+)\]$/, make: (name) => labelCondition(name) },
  {
    form: 'experimental.envoy.filters.NAME[KEY]',
    keys: /^experimental\.envoy\.filters\.[^[]+\[(.+)\]$/,
    make: (name, key) => metadataCondition(key.slice('experimental.'.length, key.indexOf('[')), name),
  },
];
const PROPERTY_FAMILIES: readonly Family[] = [
  HEADERS,
  {
    form: 'request.auth.claims[NAME]',
    keys: /^request\.auth\.claims\[([^[\]]+)\]$/,
    make: byWords,
  },
];

function labelCondition(label: string): Make {
  return ({ translation: { settings } }) => {
    const { workload } = settings;
    const value = workload?.labels.get(label);
    const text = workload === undefined ? `destination.labels[?${quoted(label)}].orValue("")` : quoted(value ?? '');
    const isThere = workload === undefined ? `${quoted(label)} in destination.labels` : String(value !== undefined);
    return { needsHttp: false, tests: (values) => (values.includes('*') ? [isThere] : textTests(values, text)) };
  };
}

interface Keys {
  /** Of what: `a constraint`. */
  readonly what: string;
  readonly single: Readonly<Record<string, Make>>;
  readonly families: readonly Family[];
}
export const OF_CONSTRAINTS: Keys = { what: 'a constraint', single: CONSTRAINTS, families: CONSTRAINT_FAMILIES };
export const OF_PROPERTIES: Keys = { what: 'a property', single: PROPERTIES, families: PROPERTY_FAMILIES };

export function makeOf(
  key: string,
  place: Place,
  keys: Keys,
  { translation: { findings } }: Context,
): Make | undefined {
  const known = keys.single[key];
  if (known !== undefined) return known;
  for (const { keys: pattern, make } of keys.families) {
    const [, inner] = pattern.exec(key) ?? [];
    if (inner !== undefined) return make(inner, key);
  }
  const begin = (form: string): string => form.slice(0, form.indexOf('['));
  const family = keys.families.find(({ form }) => key === begin(form) || key.startsWith(`${begin(form)}[`));
  const other = keys === OF_CONSTRAINTS ? OF_PROPERTIES : OF_CONSTRAINTS;
  const isOther = other.single[key] !== undefined || other.families.some(({ keys: pattern }) => pattern.test(key));
  report(
    findings,
    'ISTIO_KEY',
    place,
    family !== undefined
      ? `the key ${key} is not of the form ${family.form}`
      : isOther
        ? `${keys.what} has no key ${key}, which ${other.what === 'a property' ? 'is a property of a subject' : 'is a constraint of an access rule'}`
        : `${keys.what} has no key ${key}${meant(key, [...Object.keys(keys.single), ...keys.families.map(({ form }) => form)])}`,
  );
  return undefined;
}
