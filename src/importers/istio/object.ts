/**
 * An object of Istio: its name, and which workloads it selects.
 * **In**: a document. **Out**: an {@link IstioObject}. **Fails**: with findings, and `undefined`.
 */
import { Fields, fieldsOf, listOfNodes } from '../../yaml/fields.ts';
import type { Findings } from '../../yaml/findings.ts';
import { type MapNode, type Node, nodeText, type Place } from '../../yaml/nodes.ts';
import type { IstioSettings } from '../../core/rules/sections/istio-settings.ts';
import { textMap } from '../../yaml/texts.ts';
import { mapNode } from './nodes.ts';
import { anyOf, quoted } from './tests.ts';
import type { IstioErrorCode } from './errors.ts';

export interface IstioObject {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly place: Place;
  readonly annotations: ReadonlyMap<string, string>;
  /** Empty where the document has none. */
  readonly spec: Fields;
}

export interface Translation {
  readonly settings: IstioSettings;
  readonly findings: Findings;
  /** Whether a provider that nobody declares denies, instead of being an error. */
  readonly isLenient: boolean;
  readonly handlers: ReadonlySet<string>;
  /** CEL of the claims of the request's token, as an optional map. */
  readonly claims: string;
}

export const report = (findings: Findings, code: IstioErrorCode, place: Place, message: string): void =>
  findings.add(code === 'ISTIO_NEVER' ? 'warning' : 'error', code, place, message);

export function istioObject(root: MapNode, findings: Findings): IstioObject | undefined {
  const fields = new Fields(root, 'a document of Istio', findings).only([
    'apiVersion',
    'kind',
    'metadata',
    'spec',
    'status',
  ]);
  const kind = fields.text('kind') ?? '';
  const metadata = fields.map('metadata', 'metadata');
  const name = metadata?.text('name');
  if (metadata === undefined || name === undefined) {
    findings.error('RULES_MISSING_KEY', metadata?.place ?? root.place, `${kind} needs metadata.name`);
    return undefined;
  }
  const specNode = fields.node('spec');
  const isEmpty = specNode === undefined || (specNode.kind === 'scalar' && specNode.value === null);
  const spec = isEmpty
    ? new Fields({ kind: 'map', place: root.place, entries: new Map() }, 'spec', findings)
    : fieldsOf(specNode, 'spec', findings);
  if (spec === undefined) return undefined;
  return {
    kind,
    name,
    namespace: metadata.text('namespace') ?? 'default',
    place: metadata.node('name')?.place ?? root.place,
    annotations: textMap(metadata.node('annotations'), 'metadata.annotations', findings),
    spec,
  };
}

export const isNothing = (node: Node): boolean => node.kind === 'scalar' && node.value === null;

/** The items of a list, none where it is left out; anything else is a finding. */
export function itemsOf(fields: Fields, key: string, findings: Findings): readonly Node[] {
  const node = fields.node(key);
  return node === undefined || isNothing(node) ? [] : (listOfNodes(node, key, findings)?.items ?? []);
}

const LABELS = 'destination.labels';

/** The namespace of the call's workload, as CEL. */
export const namespaceOf = ({ workload }: IstioSettings): string =>
  workload === undefined ? 'destination.?namespace.orValue("")' : quoted(workload.namespace);

/** A rule that refuses calls without `attribute`, which policies need to know the workload. */
export function refusalWithout(
  attribute: string,
  place: Place,
  { guard = [], unlessAllowed }: { readonly guard?: readonly string[]; readonly unlessAllowed?: string } = {},
): Node {
  return mapNode(
    {
      name: `istio-needs-${attribute.replaceAll('.', '-')}`,
      description: `Policies of Istio select workloads, and this call does not carry ${attribute} (docs/istio.md).`,
      match: [...guard, `!has(${attribute})`].join(' && '),
      calls: ['http', 'tcp'],
      deny: {
        status: 503,
        body: `${attribute} of the workload is unknown`,
        ...(unlessAllowed === undefined ? {} : { unlessAllowed }),
      },
    },
    place,
  );
}

/** The workloads of an object, as CEL; `undefined`: all. */
export function selection(
  { namespace, name, kind, spec, place }: IstioObject,
  { settings, findings }: Translation,
): string | undefined {
  const { workload, rootNamespace } = settings;
  const isIn = namespace === rootNamespace ? [] : [`${namespaceOf(settings)} == ${quoted(namespace)}`];
  const labelTest = (label: string, value: string): string =>
    workload === undefined
      ? `${LABELS}[?${quoted(label)}].orValue("") == ${quoted(value)}`
      : `${quoted(workload.labels.get(label) ?? '')} == ${quoted(value)}`;
  const selector = spec.map('selector', 'selector')?.only(['matchLabels']);
  const one = spec.node('targetRef');
  const listed = itemsOf(spec, 'targetRefs', findings);
  const targets = [...listed, ...(one === undefined ? [] : [one])];
  const [first, second] = [
    ...(selector === undefined ? [] : ['a selector']),
    ...(one === undefined ? [] : ['targetRef']),
    ...(listed.length === 0 ? [] : ['targetRefs']),
  ];
  if (second !== undefined)
    report(findings, 'ISTIO_VALUE', place, `${kind} ${name} has ${first} and ${second}; keep one of the two`);
  const labels = textMap(selector?.node('matchLabels'), 'selector.matchLabels', findings);
  for (const [label, value] of labels)
    if (label === '' || /\*/.test(label + value))
      report(
        findings,
        'ISTIO_VALUE',
        selector?.node('matchLabels')?.place ?? place,
        `the label ${label}=${value} of the selector is on no workload; write a name and a value, without *`,
      );
  const tests = [...isIn, ...[...labels].map(([label, value]) => labelTest(label, value))];
  const meant = targets.flatMap((target) => targetTest(target, { namespace, findings, labelTest }));
  if (targets.length > 0) tests.push(meant.length === 0 ? 'false' : anyOf(meant));
  return tests.length === 0 ? undefined : tests.join(' && ');
}

/** The API group of the kinds that a call can be for. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Gateway: ['gateway.networking.k8s.io'],
  Service: ['', 'core'],
};

interface TargetContext {
  readonly namespace: string;
  readonly findings: Findings;
  readonly labelTest: (label: string, value: string) => string;
}

function targetTest(node: Node, { namespace, findings, labelTest }: TargetContext): string[] {
  const fields = fieldsOf(node, 'a target', findings)?.only(['group', 'kind', 'name', 'namespace']);
  fields?.required('kind', 'Gateway or Service');
  fields?.required('name', 'the name of the gateway or service');
  const [kind, name] = [fields?.text('kind'), fields?.text('name')];
  if (fields === undefined || kind === undefined || name === undefined) return [];
  const of = fields.has('namespace') ? fields.text('namespace') : namespace;
  if (of !== namespace)
    report(
      findings,
      'ISTIO_UNSUPPORTED',
      fields.node('namespace')?.place ?? node.place,
      `a target must be in the namespace of its policy, ${namespace}`,
    );
  const group = fields.node('group');
  const groups = GROUPS[kind];
  if (groups !== undefined && !(group === undefined ? groups.includes('') : groups.includes(groupText(group) ?? '-')))
    report(
      findings,
      'ISTIO_VALUE',
      group?.place ?? node.place,
      `the group of a ${kind} is ${group === undefined ? 'left out' : nodeText(group)}; expected ${groups.map((one) => JSON.stringify(one)).join(' or ')}`,
    );
  if (kind === 'Gateway') return [labelTest('gateway.networking.k8s.io/gateway-name', name)];
  if (kind === 'Service') return [`destination.service.?name.orValue("") == ${quoted(name)}`];
  report(
    findings,
    'ISTIO_UNSUPPORTED',
    fields.node('kind')?.place ?? node.place,
    `a call does not say which ${kind} it is for; select workloads by a selector, or target a Gateway or a Service`,
  );
  return [];
}

const groupText = (node: Node): string | undefined =>
  node.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
