/**
 * ServiceRole, ServiceRoleBinding, ClusterRbacConfig and RbacConfig (rbac.istio.io/v1alpha1), as read.
 * **In**: objects. **Out**: roles, bindings, configs. **Fails**: with findings.
 */
import { type Fields, listOfNodes } from '../../yaml/fields.ts';
import { texts } from '../../yaml/texts.ts';
import type { Node, Place } from '../../yaml/nodes.ts';
import { type IstioObject, namespaceOf, report, type Translation } from './object.ts';
import { type AccessRule, accessRule, SERVICE_HOST, serviceHostOf, subjectTests } from './rbac-conditions.ts';
import { anyOf, noneOf, quoted, type Test } from './tests.ts';

export interface Role {
  readonly rules: readonly AccessRule[];
  readonly place: Place;
}
interface RoleReference {
  /** As the binding writes it, so that a role of the root namespace has an id of its own: `role[/viewer]`. */
  readonly id: string;
  readonly key: string;
  readonly place: Place;
}
export interface Binding {
  readonly namespace: string;
  readonly name: string;
  readonly place: Place;
  readonly isPermissive: boolean;
  readonly subjects: readonly (readonly Test[])[];
  /** An inline role, or a reference to one. */
  readonly role: Role | RoleReference | undefined;
}
export interface Config {
  readonly kind: string;
  readonly namespace: string;
  readonly place: Place;
  readonly isOff: boolean;
  readonly isPermissive: boolean;
  /** Where RBAC is on, as CEL; `undefined`: everywhere. */
  readonly enabled: string | undefined;
  /** Whether an unknown service would be taken for one that RBAC does not guard. */
  readonly includesServices: boolean;
}

const MODES = ['OFF', 'ON', 'ON_WITH_INCLUSION', 'ON_WITH_EXCLUSION'] as const;
const ENFORCEMENT = ['ENFORCED', 'PERMISSIVE'] as const;
export const CLUSTER_CONFIG = 'ClusterRbacConfig';
export const RBAC_KINDS = ['ServiceRole', 'ServiceRoleBinding', CLUSTER_CONFIG, 'RbacConfig'];

export class RbacObjects {
  /** By `namespace/name`. */
  readonly roles: Map<string, Role> = new Map();
  readonly bindings: Binding[] = [];
  readonly configs: Config[] = [];
  readonly #translation: Translation;

  constructor(translation: Translation) {
    this.#translation = translation;
  }

  add(object: IstioObject): void {
    switch (object.kind) {
      case 'ServiceRole':
        return this.#addRole(object);
      case 'ServiceRoleBinding':
        return this.#addBinding(object);
      default:
        return this.#addConfig(object);
    }
  }

  #addRole(object: IstioObject): void {
    const { spec, namespace, name, place } = object;
    spec.only(['rules']);
    const rules = this.#accessRules(spec, 'rules', object);
    this.roles.set(`${namespace}/${name}`, { rules, place });
  }

  #accessRules(spec: Fields, key: string, { kind, namespace, name, place }: IstioObject): readonly AccessRule[] {
    const { findings } = this.#translation;
    const items = this.#items(spec, key);
    if (items.length === 0) report(findings, 'ISTIO_VALUE', place, `${kind} ${name} needs ${key}, one at least`);
    const context = { namespace, translation: this.#translation };
    return items.flatMap((item) => accessRule(item, context) ?? []);
  }

  #items(spec: Fields, key: string): readonly Node[] {
    const node = spec.node(key);
    return node === undefined ? [] : (listOfNodes(node, key, this.#translation.findings)?.items ?? []);
  }

  #addBinding(object: IstioObject): void {
    const { findings } = this.#translation;
    const { spec, namespace, name, place } = object;
    spec.only(['subjects', 'roleRef', 'mode', 'actions', 'role']);
    const context = { namespace, translation: this.#translation };
    const subjects = this.#items(spec, 'subjects');
    if (subjects.length === 0)
      report(findings, 'ISTIO_VALUE', place, `ServiceRoleBinding ${name} needs subjects, one at least`);
    const given = ['roleRef', 'role', 'actions'].filter((key) => spec.has(key));
    if (given.length !== 1)
      report(
        findings,
        'ISTIO_VALUE',
        place,
        `ServiceRoleBinding ${name} needs one of roleRef, role, actions; it has ${given.length === 0 ? 'none' : given.join(' and ')}`,
      );
    this.bindings.push({
      namespace,
      name,
      place,
      isPermissive: spec.has('mode') && spec.word('mode', ENFORCEMENT) === 'PERMISSIVE',
      subjects: subjects.flatMap((item) => {
        const tests = subjectTests(item, context);
        return tests === undefined ? [] : [tests];
      }),
      role: spec.has('actions') ? { rules: this.#accessRules(spec, 'actions', object), place } : this.#roleOf(object),
    });
  }

  #roleOf({ spec, namespace }: IstioObject): Binding['role'] {
    const { findings, settings } = this.#translation;
    const reference = spec.map('roleRef', 'roleRef')?.only(['kind', 'name', 'apiGroup']);
    if (reference !== undefined) {
      reference.required('kind', 'ServiceRole');
      reference.required('name', 'the name of a ServiceRole of the same namespace');
      if (reference.has('kind')) reference.word('kind', ['ServiceRole']);
      const name = reference.text('name');
      return name === undefined
        ? undefined
        : { id: `role[${name}]`, key: `${namespace}/${name}`, place: reference.node('name')?.place ?? reference.place };
    }
    const role = spec.text('role');
    if (role === undefined) return undefined;
    const place = spec.node('role')?.place ?? spec.place;
    if (role === '/') report(findings, 'ISTIO_VALUE', place, 'role names no ServiceRole; write NAME or /NAME');
    return {
      id: `role[${role}]`,
      key: role.startsWith('/') ? `${settings.rootNamespace}${role}` : `${namespace}/${role}`,
      place,
    };
  }

  #addConfig({ kind, spec, namespace, name, place }: IstioObject): void {
    const { findings } = this.#translation;
    spec.only(['mode', 'inclusion', 'exclusion', 'enforcement_mode', 'enforcementMode']);
    if (name !== 'default')
      report(findings, 'ISTIO_VALUE', place, `${kind} ${name} would have no effect; its name must be default`);
    if (this.configs.some((one) => one.kind === kind && one.namespace !== namespace))
      findings.error('RULES_DUPLICATE', place, `${kind} default is declared twice; remove one of the two`);
    const mode = (spec.has('mode') ? spec.word('mode', MODES) : undefined) ?? 'OFF';
    const wanted = mode === 'ON_WITH_INCLUSION' ? 'inclusion' : mode === 'ON_WITH_EXCLUSION' ? 'exclusion' : undefined;
    for (const key of ['inclusion', 'exclusion']) {
      const entry = spec.entry(key);
      if (key === wanted && entry === undefined)
        report(findings, 'ISTIO_VALUE', place, `${mode} needs ${key}; write ${key}: {} for none`);
      if (key !== wanted && entry !== undefined)
        report(findings, 'ISTIO_NEVER', entry.keyPlace, `${key} has no effect with mode ${mode}`);
    }
    const target = wanted === undefined ? undefined : spec.map(wanted, wanted)?.only(['services', 'namespaces']);
    const tests = target === undefined ? [] : this.#targetTests(target, wanted ?? '');
    const enforcement = spec.has('enforcement_mode') ? 'enforcement_mode' : 'enforcementMode';
    this.configs.push({
      kind,
      namespace,
      place,
      isOff: mode === 'OFF',
      isPermissive: spec.has(enforcement) && spec.word(enforcement, ENFORCEMENT) === 'PERMISSIVE',
      enabled:
        mode === 'ON_WITH_INCLUSION'
          ? tests.length === 0
            ? 'false'
            : anyOf(tests)
          : mode === 'ON_WITH_EXCLUSION' && tests.length > 0
            ? noneOf(tests)
            : undefined,
      includesServices: mode === 'ON_WITH_INCLUSION' && tests.some((cel) => cel.includes(SERVICE_HOST)),
    });
  }

  /** Of `inclusion` or `exclusion`, whose names are compared as they are. */
  #targetTests(target: Fields, what: string): string[] {
    const { findings, settings } = this.#translation;
    const test = (key: string, value: string): string[] => {
      const node = target.node(key);
      const names = texts(node, `${what}.${key}`, findings);
      const pattern = names.find((name) => name.includes('*'));
      if (pattern !== undefined)
        report(
          findings,
          'ISTIO_VALUE',
          node?.place ?? target.place,
          `${what}.${key} has ${JSON.stringify(pattern)}, but takes no wildcards; write the names`,
        );
      return names.length === 0 ? [] : [`${value} in [${names.map(quoted).join(', ')}]`];
    };
    return [
      ...test('namespaces', namespaceOf(settings)),
      ...test('services', serviceHostOf(settings.workload?.service)),
    ];
  }
}
