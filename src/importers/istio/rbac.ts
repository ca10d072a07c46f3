/**
 * Rules of Istio's RBAC (rbac.istio.io/v1alpha1).
 * **In**: roles, bindings and configs of all documents. **Out**: an allow rule for each binding, and a deny of what none of them allows
 * where RBAC is on.
 * **Fails**: never; what has no effect is a warning.
 */
import type { TimeSlice } from '../../time/time-slice.ts';
import type { Node, Place } from '../../yaml/nodes.ts';
import { meant } from '../../text/nearest.ts';
import { mapNode, type Plain } from './nodes.ts';
import { type IstioObject, namespaceOf, refusalWithout, report, type Translation } from './object.ts';
import { celOf, SERVICE_HOST } from './rbac-conditions.ts';
import { type Binding, CLUSTER_CONFIG, type Config, type RbacObjects, type Role } from './rbac-objects.ts';
import { allOf, anyOfAll, quoted, type Test } from './tests.ts';

export interface RulesOfRbac {
  readonly refusals: Node[];
  readonly unlessAllowed: Node[];
  readonly allow: Node[];
}

/** A deny of calls to services with permissive bindings. */
interface Tried {
  readonly name: string;
  readonly place: Place;
}

const GROUP = 'istio-rbac';
/** Permissive bindings allow among themselves. */
const PERMISSIVE_GROUP = 'istio-rbac-permissive';

export class Rbac {
  readonly rules: RulesOfRbac = { refusals: [], unlessAllowed: [], allow: [] };
  /** CEL that says which workloads rules are about. */
  readonly selections: Set<string> = new Set();
  readonly #objects: RbacObjects;
  readonly #translation: Translation;
  /** Keys of roles that a binding names. */
  readonly #bound = new Set<string>();
  /** Groups with rules. A deny that waits for a group needs a rule of it, though it allow nothing. */
  readonly #allowing = new Set<string>();
  /** Whether a rule in force reads which service a call is for. */
  #readsService = false;

  constructor(objects: RbacObjects, translation: Translation) {
    this.#objects = objects;
    this.#translation = translation;
  }

  /** After all objects. `deciding`: AuthorizationPolicies, whose workloads RBAC leaves to them, by selection. */
  async end(deciding: ReadonlyMap<string | undefined, IstioObject>, slice: TimeSlice): Promise<void> {
    const { findings } = this.#translation;
    const config = this.#objects.configs.find(({ kind }) => kind === CLUSTER_CONFIG) ?? this.#objects.configs[0];
    for (const other of this.#objects.configs)
      if (other !== config)
        report(findings, 'ISTIO_NEVER', other.place, `${other.kind} has no effect beside ${CLUSTER_CONFIG} default`);
    const first = this.#objects.bindings[0]?.place ?? [...this.#objects.roles.values()][0]?.place;
    if (config === undefined) {
      if (first !== undefined)
        report(
          findings,
          'ISTIO_NEVER',
          first,
          `no ${CLUSTER_CONFIG} turns RBAC on, so ServiceRole and ServiceRoleBinding are not in force`,
        );
      return;
    }
    if (config.isOff) {
      report(
        findings,
        'ISTIO_NEVER',
        config.place,
        `the mode of ${config.kind} is OFF, so ServiceRole and ServiceRoleBinding are not in force`,
      );
      return;
    }
    await this.#write(config, deciding, slice);
  }

  async #write(
    config: Config,
    deciding: ReadonlyMap<string | undefined, IstioObject>,
    slice: TimeSlice,
  ): Promise<void> {
    const { enabled, place, isPermissive, kind } = config;
    const tried = new Map<string, Tried>();
    for (const binding of this.#objects.bindings) {
      this.#writeBinding(binding, isPermissive, tried);
      if (slice.isOver) await slice.next();
    }
    for (const [key, { place: ofRole }] of this.#objects.roles)
      if (!this.#bound.has(key))
        report(this.#translation.findings, 'ISTIO_NEVER', ofRole, `no ServiceRoleBinding binds ServiceRole ${key}`);
    const id = `${kind === CLUSTER_CONFIG ? 'cluster-rbac-config' : 'rbac-config'}[default]`;
    const on = enabled === undefined ? [] : [enabled];
    if (!isPermissive) this.#writeGroup(GROUP, [{ name: id, tests: on, place }], deciding);
    const denies = isPermissive
      ? [{ name: `${id}-permissive`, tests: on, place }]
      : [...tried].map(([cel, one]) => ({ ...one, tests: [...on, cel] }));
    this.#writeGroup(PERMISSIVE_GROUP, denies, deciding);
    if (isPermissive) return;
    if (enabled !== undefined) {
      this.selections.add(enabled);
      this.#reads(enabled);
    }
    if (this.#readsService)
      this.rules.refusals.push(
        refusalWithout('destination.service.host', place, {
          guard: enabled === undefined || config.includesServices ? [] : [enabled],
          unlessAllowed: GROUP,
        }),
      );
  }

  #writeGroup(
    group: string,
    denies: readonly (Tried & { readonly tests: readonly string[] })[],
    deciding: ReadonlyMap<string | undefined, IstioObject>,
  ): void {
    const [first] = denies;
    if (first === undefined) return;
    const mode = group === PERMISSIVE_GROUP ? 'shadow' : undefined;
    const rule = ({ name, place }: Tried, match: string | undefined, action: Readonly<Record<string, Plain>>): Node =>
      mapNode({ name, match, calls: ['http', 'tcp'], ...action, mode }, place);
    for (const { tests, ...one } of denies)
      this.rules.unlessAllowed.push(
        rule(one, tests.length === 0 ? undefined : allOf(tests), { deny: { status: 403, unlessAllowed: group } }),
      );
    if (!this.#allowing.has(group))
      this.rules.allow.push(rule({ ...first, name: `${first.name}-nothing` }, 'false', { allow: group }));
    for (const [selected, { namespace, name, place }] of deciding) {
      const id = `ns[${namespace}]-policy[${name}]-instead-of-rbac${mode === undefined ? '' : '-permissive'}`;
      this.rules.allow.push(rule({ name: id, place }, selected, { allow: group }));
    }
  }

  #writeBinding(binding: Binding, isAllPermissive: boolean, tried: Map<string, Tried>): void {
    const { settings } = this.#translation;
    const { namespace, name, place, subjects } = binding;
    const role = this.#find(binding);
    if (role === undefined) return;
    const isPermissive = isAllPermissive || binding.isPermissive;
    const inNamespace = `${namespaceOf(settings)} == ${quoted(namespace)}`;
    const part = `binding[${name}]`;
    const ofRole = binding.role !== undefined && 'id' in binding.role ? binding.role.id : undefined;
    const id = `ns[${namespace}]-${ofRole === undefined ? part : `${ofRole}-${part}`}`;
    const rules = role.rules.map(({ services, others }) => [...services, ...others]);
    if (isPermissive) {
      const ofServices = anyOfAll(role.rules.map(({ services }) => celOf(services)));
      const cel = allOf([inNamespace, ...ofServices]);
      if (!tried.has(cel)) tried.set(cel, { name: `ns[${namespace}]-${ofRole ?? part}-permissive`, place });
    }
    const write = (
      suffix: string,
      calls: readonly string[],
      tests: readonly (readonly (readonly Test[])[])[],
    ): void => {
      // Nothing is left that allows a connection.
      if (tests.some((part) => part.length === 0)) return;
      const match = allOf([inNamespace, ...tests.flatMap((part) => anyOfAll(part.map(celOf)))]);
      if (!isPermissive) {
        this.selections.add(inNamespace);
        this.#reads(match);
      }
      this.#allowing.add(isPermissive ? PERMISSIVE_GROUP : GROUP);
      this.rules.allow.push(
        mapNode(
          {
            name: `${id}${suffix}`,
            match,
            calls,
            allow: isPermissive ? PERMISSIVE_GROUP : GROUP,
            mode: isPermissive ? 'shadow' : undefined,
          },
          place,
        ),
      );
    };
    // A part that needs HTTP does not apply to connections; it must not allow more without the field.
    const onTcp = [rules, subjects].map((part) => part.filter((tests) => tests.every(({ needsHttp }) => !needsHttp)));
    const isSame = onTcp[0]?.length === rules.length && onTcp[1]?.length === subjects.length;
    write('', isSame ? ['http', 'tcp'] : ['http'], [rules, subjects]);
    if (!isSame) write('-tcp', ['tcp'], onTcp);
  }

  #find({ role, name }: Binding): Role | undefined {
    if (role === undefined || 'rules' in role) return role;
    const found = this.#objects.roles.get(role.key);
    if (found === undefined) {
      report(
        this.#translation.findings,
        'ISTIO_NEVER',
        role.place,
        `ServiceRoleBinding ${name} allows nothing: there is no ServiceRole ${role.key}${meant(role.key, this.#objects.roles.keys())}`,
      );
      return undefined;
    }
    this.#bound.add(role.key);
    return found;
  }

  #reads(cel: string): void {
    if (cel.includes(SERVICE_HOST)) this.#readsService = true;
  }
}
