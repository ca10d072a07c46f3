/**
 * `attributes:` of a policy: facts that a proxy sends, and named expressions.
 * **In**: the maps of all documents. **Out**: the attributes with these added. **Fails**: with findings.
 */
import { type Attribute, Attributes, type AttributeSettings } from '../../../attributes/attributes.ts';
import { CARRIED_BY, type Carrier, RULE_CALLS } from '../../../attributes/carrier.ts';
import { valueOfPlain } from '../../../attributes/plain-value.ts';
import { type Type, parseType } from '../../../attributes/types.ts';
import type { Value } from '../../../attributes/values.ts';
import { VOCABULARY } from '../../../attributes/vocabulary.ts';
import { FAILED } from '../../../expression/index.ts';
import type { TimeSlice } from '../../../time/time-slice.ts';
import type { Carriage } from '../carriage.ts';
import { expressionOf } from '../expressions.ts';
import { type Fields, fieldsOf, listOfNodes } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { KEYS } from '../keys.ts';
import { orderOfNeed } from '../order-of-need.ts';
import { isEmpty, type MapEntry, type MapNode, type Node, type Place, nodeText, plain } from '../../../yaml/nodes.ts';

interface Named {
  readonly name: string;
  readonly node: Node;
  readonly place: Place;
  readonly secret: boolean;
}
/** Evaluating an expression evaluates those that it names, recursively, and the stack is finite. */
const MAX_IN_A_ROW = 1000;
const NAME = /^my(\.[A-Za-z_][A-Za-z0-9_]*)+$/;

export class AttributesSection {
  #attributes: Attributes;
  /** Rows that are not among the attributes yet: an extension copies all rows. */
  #later = new Map<string, Attribute>();
  readonly #named = new Map<string, Named>();
  readonly #findings: Findings;

  constructor(settings: AttributeSettings, findings: Findings) {
    this.#attributes = new Attributes(VOCABULARY, settings);
    this.#findings = findings;
  }

  get attributes(): Attributes {
    if (this.#later.size > 0) this.#attributes = this.#attributes.extend(this.#later.values());
    if (this.#later.size > 0) this.#later = new Map();
    return this.#attributes;
  }

  has(name: string): boolean {
    return this.#has(name) || this.#later.has(name);
  }

  #has(name: string): boolean {
    return this.#attributes.slotOf(name) !== undefined;
  }

  async read(section: MapNode, slice: TimeSlice): Promise<void> {
    let empty: MapEntry | undefined;
    const entries = [...section.entries.values()];
    for (const [at, entry] of entries.entries()) {
      if (slice.isOver) await slice.next();
      const { key, keyPlace, value } = entry;
      if (!NAME.test(key)) {
        this.#misnamed(entry, empty);
        continue;
      }
      const next = entries[at + 1];
      empty = isEmpty(value) && next !== undefined && !NAME.test(next.key) ? entry : undefined;
      if (empty !== undefined) this.#findings.explain(value.place);
      if (this.has(key) || this.#named.has(key)) {
        this.#findings.error(
          'RULES_DUPLICATE',
          keyPlace,
          `the attribute ${key} is declared twice; rename or remove one`,
        );
        continue;
      }
      const fields = fieldsOf(value, 'an attribute', this.#findings)?.only(KEYS.attribute);
      if (fields !== undefined) this.#one(key, fields, keyPlace);
      if (!this.has(key) && !this.#named.has(key)) this.#findings.undeclared.add(key);
    }
  }

  /** Keys that are indented too far or too little are all here by that one mistake. */
  #misnamed({ key, keyPlace, value }: MapEntry, empty: MapEntry | undefined): void {
    this.#findings.misplace(key, value);
    this.#findings.undeclared.add(key.charAt(0).toLowerCase() + key.slice(1));
    const isSection = (KEYS.policy as readonly string[]).includes(key);
    this.#findings.once(
      'names of attributes',
      'RULES_ATTRIBUTE_NAME',
      keyPlace,
      isSection
        ? `${key} stands in attributes; indent it as attributes`
        : `${key} is not a valid name of a policy's attribute` +
            (empty === undefined
              ? '; it must begin with my., such as my.tier'
              : `; if it belongs to ${empty.key}, indent it deeper`),
    );
  }

  #one(name: string, fields: Fields, place: Place): void {
    const secret = fields.flag('secret') ?? false;
    const description = fields.text('description');
    const is = fields.node('is');
    if (is !== undefined) {
      for (const key of ['from', 'type'])
        if (fields.has(key))
          this.#findings.error(
            'RULES_MISPLACED',
            fields.entry(key)?.keyPlace ?? place,
            `${key} is for attributes that the proxy sends; the type of an expression (is) is inferred`,
          );
      this.#named.set(name, { name, node: is, place, secret });
      return;
    }
    if (!fields.has('type') && !fields.has('from') && !fields.mayMisspell('is', 'type', 'from'))
      this.#findings.error(
        'RULES_MISSING_KEY',
        fields.place,
        'an attribute needs is: EXPRESSION, or type and from, such as type: string, from: { contextExtension: tier }',
      );
    const typeText = fields.text('type');
    if (fields.has('type')) fields.required('from', '{ contextExtension: tier }, or is: EXPRESSION');
    if (typeText === undefined) {
      if (fields.has('from')) fields.required('type', 'such as string, int, bool or list(string)');
      return;
    }
    const type = parseType(typeText);
    if (type === undefined) {
      this.#findings.error(
        'RULES_VALUE',
        fields.node('type')?.place ?? place,
        `${typeText} is not a type; expected one such as string, int, double, bool, ip, timestamp, duration, ` +
          'list(string) or map(string, string)',
      );
      return;
    }
    const from = fields.node('from');
    const written = from === undefined || from.kind === 'map' ? from : listOfNodes(from, 'from', this.#findings);
    if (written === undefined) return; // reported
    const listed = written.kind === 'list' ? written.items : [written];
    const carriers = listed.flatMap((item) => this.#carrier(item));
    if (carriers.length < listed.length) return;
    this.add({
      name,
      type,
      secret,
      meaning: description ?? 'Declared by the policy.',
      always: false,
      source: { kind: 'from', carriers, convert: (raw) => converted(raw, type) },
      carriedBy: Object.fromEntries(
        RULE_CALLS.flatMap((call) => {
          const carrier = carriers.find(({ kind }) => CARRIED_BY[kind].includes(call));
          return carrier === undefined ? [] : [[call, carrier.kind]];
        }),
      ),
    });
  }

  #carrier(node: Node): Carrier[] {
    const fields = fieldsOf(node, 'a carrier', this.#findings)?.only(KEYS.carrier);
    const kind = KEYS.carrier.find((name) => fields?.has(name) === true);
    if (fields === undefined) return [];
    if (kind === undefined) {
      if (!fields.mayMisspell(...KEYS.carrier))
        this.#findings.error(
          'RULES_MISSING_KEY',
          node.place,
          `a carrier must be one of ${KEYS.carrier.join(', ')}; found ${nodeText(node)}`,
        );
      return [];
    }
    if (kind === 'metadata') {
      const metadata = fields.map('metadata', 'metadata')?.only(KEYS.metadataCarrier);
      const namespace = metadata?.text('namespace');
      const path = metadata?.node('path');
      const parts = path === undefined ? undefined : plain(path);
      if (namespace === undefined || !Array.isArray(parts)) {
        const isReported = metadata === undefined || metadata.has('namespace') === (namespace === undefined);
        if (!isReported && !metadata.mayMisspell('namespace', 'path'))
          this.#findings.error('RULES_MISSING_KEY', node.place, 'metadata needs { namespace: NAME, path: [a, b] }');
        return [];
      }
      return [{ kind, namespace, path: parts.map(String) }];
    }
    const name = fields.text(kind);
    if (name === undefined) return [];
    if (kind === 'header')
      this.#findings.warn(
        'RULES_HEADER_CARRIER',
        node.place,
        `any client can send the header ${name}; have the proxy set it and remove the client's own, or use another carrier`,
      );
    return [{ kind: kind as 'header', name: kind === 'header' ? name.toLowerCase() : name }];
  }

  /** Returns its slot. */
  add(row: Attribute): number {
    this.#later.set(row.name, row);
    return this.#attributes.size + this.#later.size - 1;
  }

  /** Compiles the named expressions, ordered by dependency. */
  async compileNamed(carriage: Carriage, slice: TimeSlice): Promise<void> {
    const written = new Map<Named, readonly (readonly string[])[]>();
    const needs = new Map<Named, readonly Named[]>();
    for (const one of this.#named.values()) {
      const names = namesIn(one);
      written.set(one, names);
      needs.set(one, [...new Set(names.flat().flatMap((name) => this.#named.get(name) ?? []))]);
      if (slice.isOver) await slice.next();
    }
    const { ordered, cyclic } = await orderOfNeed(needs, slice);
    const depths = new Map<Named, number>();
    for (const one of ordered) {
      const depth = needs.get(one)?.reduce((most, other) => Math.max(most, (depths.get(other) ?? 0) + 1), 0) ?? 0;
      depths.set(one, depth);
      if (depth >= MAX_IN_A_ROW) this.#refuse(one, depth);
      else {
        const areKnown = written.get(one)?.every((names) => names.some((name) => this.#has(name)));
        this.#compile(one, areKnown === true ? this.#attributes : this.attributes, carriage);
      }
      if (slice.isOver) await slice.next();
    }
    const inCycles = new Set(cyclic);
    for (const one of cyclic) {
      const uses = needs.get(one)?.filter((other) => inCycles.has(other)) ?? [];
      this.#findings.undeclared.add(one.name);
      this.#findings.error(
        'RULES_ATTRIBUTE_CYCLE',
        one.place,
        `${one.name} depends on ${uses.map(({ name }) => name).join(', ')}, which depends on it; write one of them without the other`,
      );
    }
  }

  /** Those above it are refused by the first finding. */
  #refuse({ name, place }: Named, depth: number): void {
    this.#findings.undeclared.add(name);
    if (depth > MAX_IN_A_ROW) return;
    this.#findings.error(
      'RULES_ATTRIBUTE_CYCLE',
      place,
      `${name} is the end of more than ${MAX_IN_A_ROW} named expressions, each of which reads the one before; write some of them in one`,
    );
  }

  #compile({ name, node, secret }: Named, attributes: Attributes, carriage: Carriage): void {
    const compiled = expressionOf(node, name, attributes, this.#findings);
    carriage.isMadeOf(name, compiled?.reads ?? []);
    const type: Type = compiled?.type ?? { kind: 'dyn' };
    this.add({
      name,
      type,
      secret,
      meaning: 'A named expression.',
      always: false,
      carriedBy: {},
      source: {
        kind: 'is',
        evaluate: (bag) => {
          const value = compiled?.evaluate(bag);
          return value === FAILED ? undefined : value;
        },
        text: compiled?.source ?? '',
        reads: compiled?.reads ?? [],
      },
    });
  }
}

/** Of each name in the text what may be the attribute: of `my.a.b` that is `my.a`, too. */
function namesIn({ node }: Named): string[][] {
  const text = node.kind === 'scalar' ? String(node.value) : '';
  return [...text.matchAll(/\bmy(?:\.\??[A-Za-z_][A-Za-z0-9_]*)+/g)].map(([written]) => {
    const name = written.replaceAll('?', '');
    const names = [name];
    for (let dot = name.indexOf('.', 3); dot >= 0; dot = name.indexOf('.', dot + 1)) names.push(name.slice(0, dot));
    return names;
  });
}

/** A proxy sends text or JSON; numbers and booleans may come as text. */
function converted(raw: Value, type: Type): Value | undefined {
  if (type.kind === 'dyn') return raw;
  if (typeof raw === 'string') {
    if (type.kind === 'int' || type.kind === 'double' || type.kind === 'uint')
      return raw.trim() === '' ? undefined : valueOfPlain(Number(raw), type);
    if (type.kind === 'bool') return raw === 'true' ? true : raw === 'false' ? false : undefined;
    return valueOfPlain(raw, type);
  }
  if (type.kind === 'string') return typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : undefined;
  return valueOfPlain(raw, type);
}
