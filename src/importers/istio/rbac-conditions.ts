/**
 * Access rules and subjects of Istio's RBAC (rbac.istio.io/v1alpha1).
 * **In**: their nodes. **Out**: tests, as CEL. **Fails**: with findings at the field, key or value.
 * The semantics are those of the filters that Istio 1.5 wrote for Envoy (docs/istio.md).
 */
import { type Fields, fieldsOf, listOfNodes } from '../../yaml/fields.ts';
import type { ListNode, Node } from '../../yaml/nodes.ts';
import {
  always,
  type Context,
  HOSTS,
  type Make,
  METHODS,
  NAMESPACES,
  notName,
  PORTS,
  SOURCE_IP,
  testsOf,
} from './conditions.ts';
import { report } from './object.ts';
import { ANY, GROUPS, makeOf, NAMES, OF_CONSTRAINTS, OF_PROPERTIES, orAny, users } from './rbac-keys.ts';
import { quoted, type Test, textTests } from './tests.ts';

export interface AccessRule {
  readonly services: readonly Test[];
  readonly others: readonly Test[];
}

export const SERVICE_HOST = 'destination.service.?host';
const SERVICES: Make = ({ translation: { settings } }) => ({
  needsHttp: false,
  tests: orAny((values) => textTests(values, serviceHostOf(settings.workload?.service))),
});
export const serviceHostOf = (service: string | undefined): string =>
  service === undefined ? `${SERVICE_HOST}.orValue("")` : quoted(service);

/** Without path templates, which RBAC does not have. */
const PATHS = always(true, (values) => textTests(values, 'request.?url_path.orValue("")'));
const OPERATION: Readonly<Record<string, Make>> = { hosts: HOSTS, methods: METHODS, paths: PATHS, ports: PORTS };
const POSITIVE_OR_NEGATIVE = ['methods', 'ports'];

/** Both spellings of a field: that of the protocol, and that of its JSON. */
const spellings = (name: string): readonly [string, string] => [
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  name,
];

function nodeOf(fields: Fields, name: string, { translation: { findings } }: Context): Node | undefined {
  const [snake, camel] = spellings(name);
  const node = fields.node(camel);
  const other = snake === camel ? undefined : fields.node(snake);
  if (node !== undefined && other !== undefined)
    report(findings, 'ISTIO_VALUE', other.place, `${snake} and ${camel} are the same field; keep one of the two`);
  return node ?? other;
}

/** Ports are numbers in RBAC; the tests take texts. */
const asTexts = (node: Node | undefined): Node | undefined =>
  node?.kind !== 'list'
    ? node
    : {
        ...node,
        items: node.items.map((item) =>
          item.kind === 'scalar' && typeof item.value === 'number' ? { ...item, value: item.written } : item,
        ),
      };
const listOf = (node: Node | undefined): ListNode | undefined =>
  node === undefined ? undefined : { kind: 'list', place: node.place, items: [node] };

/** `name` and its negation. `field`: under which its values are checked. */
function bothTests(fields: Fields, name: string, make: Make, field: string, context: Context): Test[] {
  const read = (key: string): Node | undefined => {
    const node = nodeOf(fields, key, context);
    return name === 'ports' ? asTexts(node) : node;
  };
  return [
    ...testsOf(make(context), read(name), false, name, field, context),
    ...testsOf(make(context), read(notName(name)), true, notName(name), field, context),
  ];
}

const RULE_FIELDS = [
  'services',
  'constraints',
  ...Object.keys(OPERATION).flatMap((name) => [name, ...new Set(spellings(notName(name)))]),
];

export function accessRule(node: Node, context: Context): AccessRule | undefined {
  const { findings } = context.translation;
  const fields = fieldsOf(node, 'an access rule', findings)?.only(RULE_FIELDS);
  if (fields === undefined) return undefined;
  const services = fields.required('services', 'host names of services, or ["*"] for all of the namespace');
  if (services?.kind === 'list' && services.items.length === 0)
    report(findings, 'ISTIO_VALUE', services.place, 'services is empty; write ["*"] for all of the namespace');
  for (const name of POSITIVE_OR_NEGATIVE)
    if (fields.has(name) && nodeOf(fields, notName(name), context) !== undefined)
      report(findings, 'ISTIO_VALUE', fields.place, `an access rule has ${name} or ${notName(name)}, not both`);
  return {
    services: testsOf(SERVICES(context), services, false, 'services', 'services', context),
    others: [
      ...Object.entries(OPERATION).flatMap(([name, make]) =>
        bothTests(fields, name, make, name === 'paths' ? 'rbac.paths' : name, context),
      ),
      ...constraintTests(fields, context),
    ],
  };
}

function constraintTests(fields: Fields, context: Context): Test[] {
  const { findings } = context.translation;
  const node = fields.node('constraints');
  const list = node === undefined ? undefined : listOfNodes(node, 'constraints', findings);
  const keys = new Set<string>();
  return (list?.items ?? []).flatMap((item) => {
    const constraint = fieldsOf(item, 'a constraint', findings)?.only(['key', 'values']);
    constraint?.required('key', 'what is compared, such as destination.labels[version]');
    const values = constraint?.required('values', 'a list of texts');
    const key = constraint?.text('key');
    const place = constraint?.node('key')?.place ?? item.place;
    const make = key === undefined ? undefined : makeOf(key, place, OF_CONSTRAINTS, context);
    if (key === undefined || make === undefined) return [];
    if (keys.has(key))
      report(findings, 'ISTIO_VALUE', place, `two constraints have the key ${key}; merge their values`);
    keys.add(key);
    if (key === 'destination.port' && (fields.has('ports') || nodeOf(fields, 'notPorts', context) !== undefined))
      report(
        findings,
        'ISTIO_VALUE',
        place,
        'the constraint destination.port and the field ports say the same; keep one',
      );
    if (values?.kind === 'list' && values.items.length === 0)
      report(findings, 'ISTIO_VALUE', values.place, `the constraint on ${key} needs values`);
    return testsOf(make(context), key === 'destination.port' ? asTexts(values) : values, false, 'values', key, context);
  });
}

/** Fields of a subject that a property says, too. */
const SAID_TWICE: Readonly<Record<string, string>> = {
  'source.principal': 'names',
  'request.auth.claims[groups]': 'groups',
  'source.namespace': 'namespaces',
  'source.ip': 'ips',
};
const SUBJECT: readonly (readonly [name: string, make: Make, field: string])[] = [
  ['names', NAMES, 'principals'],
  ['groups', GROUPS, 'groups'],
  ['namespaces', NAMESPACES, 'namespaces'],
  ['ips', SOURCE_IP, 'source.ip'],
];
const SUBJECT_FIELDS = [
  'user',
  'group',
  'properties',
  ...SUBJECT.flatMap(([name]) => [name, ...spellings(notName(name))]),
];

export function subjectTests(node: Node, context: Context): Test[] | undefined {
  const { findings } = context.translation;
  const fields = fieldsOf(node, 'a subject', findings)?.only(SUBJECT_FIELDS);
  if (fields === undefined) return undefined;
  for (const name of ['names', notName('names')]) {
    const list = nodeOf(fields, name, context);
    const star =
      list?.kind === 'list' ? list.items.find((item) => item.kind === 'scalar' && item.value === '*') : undefined;
    if (star !== undefined)
      report(findings, 'ISTIO_VALUE', star.place, `${name} does not take "*"; write allUsers or allAuthenticatedUsers`);
  }
  const single = (name: string, make: Make, field: string): Test[] =>
    testsOf(make(context), listOf(fields.node(name)), false, name, field, context);
  const tests = [
    ...single('user', users(false), 'principals'),
    ...single('group', GROUPS, 'groups'),
    ...SUBJECT.flatMap(([name, make, field]) => bothTests(fields, name, make, field, context)),
    ...propertyTests(fields, context),
  ];
  if (tests.length === 0 && !findings.hasErrors)
    report(findings, 'ISTIO_VALUE', fields.place, 'a subject is empty; write user: "*" for anybody');
  return tests;
}

function propertyTests(fields: Fields, context: Context): Test[] {
  const { findings } = context.translation;
  const node = fields.node('properties');
  if (node === undefined) return [];
  if (fieldsOf(node, 'properties', findings) === undefined || node.kind !== 'map') return [];
  return [...node.entries.values()].flatMap(({ key, keyPlace, value }) => {
    const make = makeOf(key, keyPlace, OF_PROPERTIES, context);
    if (make === undefined) return [];
    const field = SAID_TWICE[key];
    if (field !== undefined && fields.has(field))
      report(findings, 'ISTIO_VALUE', keyPlace, `the property ${key} and the field ${field} say the same; keep one`);
    return testsOf(
      make(context),
      listOf(value),
      false,
      `properties.${key}`,
      key === 'source.user' ? 'principals' : key,
      context,
    );
  });
}

/** CEL of the tests that not every call meets. */
export const celOf = (tests: readonly Test[]): string[] => tests.map(({ cel }) => cel).filter((cel) => cel !== ANY);
