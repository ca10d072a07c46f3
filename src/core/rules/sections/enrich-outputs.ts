/**
 * The attributes that enrich rules fill, declared before any expression is compiled, and the order of these rules.
 */
import type { Attribute, Attributes } from '../../../attributes/attributes.ts';
import type { Shape } from '../../../adapters/contract.ts';
import { HandlerUses } from '../actions/handler-uses.ts';
import { outputConvert } from '../actions/outputs.ts';
import type { AttributesSection } from './attributes-section.ts';
import type { Carriage } from '../carriage.ts';
import { TYPE_OF } from '../actions/convert.ts';
import { Fields } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import type { HandlersSection } from './handlers-section.ts';
import type { Node } from '../../../yaml/nodes.ts';
import { orderOfNeed } from '../order-of-need.ts';
import type { EnrichOutput, Rule } from '../rule.ts';
import type { RuleList, RulesSection } from './rules-section.ts';
import type { TimeSlice } from '../../../time/time-slice.ts';

/** Adds the attributes of all `enrich` rules; their outputs by the rule's name. Parts of lists without such a rule are not parsed. */
export async function declareOutputs(
  lists: readonly RuleList[],
  section: AttributesSection,
  handlers: HandlersSection,
  findings: Findings,
  slice: TimeSlice,
): Promise<Map<string, readonly EnrichOutput[]>> {
  const found = new Map<string, readonly EnrichOutput[]>();
  for (const { node, later } of lists) {
    for (const rule of node.kind === 'list' ? node.items : []) {
      declareOf(rule, found, section, handlers, findings);
      if (slice.isOver) await slice.next();
    }
    for (const part of later) {
      if (part.mayHave('enrich')) for (const rule of part.items()) declareOf(rule, found, section, handlers, findings);
      if (slice.isOver) await slice.next();
    }
  }
  return found;
}

function declareOf(
  node: Node,
  found: Map<string, readonly EnrichOutput[]>,
  section: AttributesSection,
  handlers: HandlersSection,
  findings: Findings,
): void {
  const enrich = node.kind === 'map' ? node.entries.get('enrich')?.value : undefined;
  const nameNode = node.kind === 'map' ? node.entries.get('name')?.value : undefined;
  if (enrich === undefined) return;
  const asNode = enrich.kind === 'map' ? enrich.entries.get('as')?.value : undefined;
  const as = asNode?.kind === 'scalar' ? String(asNode.value) : undefined;
  if (enrich.kind !== 'map' || asNode === undefined || as === undefined || nameNode?.kind !== 'scalar') {
    findings.undeclared.add(as ?? 'my');
    return;
  }
  // Errors in here are reported when the rule itself is read.
  const fields = new Fields(enrich, 'enrich', findings);
  const handler = handlers.handlers.get(String(plainOf(enrich.entries.get('handler')?.value)));
  const serves = handler?.implementation.serves.enrich;
  if (handler === undefined || serves === undefined) {
    findings.undeclared.add(as);
    return;
  }
  if (!/^my(\.[A-Za-z_][A-Za-z0-9_]*)+$/.test(as)) {
    findings.undeclared.add('my');
    findings.error('RULES_ATTRIBUTE_NAME', asNode.place, `as must begin with my., such as my.tenant; found ${as}`);
    return;
  }
  const uses = new HandlerUses(handlers, findings);
  const params = uses.params(fields, handler, serves.params);
  const shape =
    params === undefined
      ? undefined
      : uses.shape('output', serves.output, { spec: handler, params: params.value }, fields.place);
  if (shape === undefined || shape === 'any') {
    findings.undeclared.add(as);
    return;
  }
  found.set(String(nameNode.value), outputsOf(shape, as, section, asNode, findings));
}

const plainOf = (node: Node | undefined): unknown => (node?.kind === 'scalar' ? node.value : undefined);

function outputsOf(
  shape: Shape,
  as: string,
  section: AttributesSection,
  asNode: Node,
  findings: Findings,
): EnrichOutput[] {
  return Object.entries(shape).flatMap(([name, type]) => {
    const full = `${as}.${name}`;
    if (section.has(full)) {
      findings.error('RULES_ENRICH_OUTPUT', asNode.place, `${full} is already declared; give this rule another as`);
      return [];
    }
    const row: Attribute = {
      name: full,
      type: TYPE_OF[type.replace(/\?$/, '') as keyof typeof TYPE_OF],
      meaning: 'Filled by an enrich rule.',
      source: { kind: 'filled' },
      carriedBy: {},
      always: false,
      secret: false,
    };
    return [{ name, slot: section.add(row), convert: outputConvert(type) }];
  });
}

/** Orders the enrich rules by dependency. */
export async function enrichOrder(
  section: RulesSection,
  carriage: Carriage,
  attributes: Attributes,
  findings: Findings,
  slice: TimeSlice,
): Promise<readonly Rule[]> {
  const rules = section.rules.filter(({ action }) => action?.kind === 'enrich');
  const makers = new Map(
    rules.flatMap((rule) =>
      rule.action?.kind === 'enrich'
        ? rule.action.outputs.map(({ slot }) => [attributes.at(slot).name, rule] as const)
        : [],
    ),
  );
  const needs = new Map<Rule, readonly Rule[]>();
  for (const rule of rules) {
    const read = carriage.through(section.reads.get(rule.name) ?? []);
    needs.set(rule, [...new Set([...read].flatMap((name) => makers.get(name) ?? []))]);
    if (slice.isOver) await slice.next();
  }
  const { ordered, cyclic } = await orderOfNeed(needs, slice);
  for (const rule of cyclic) {
    const place = section.places.get(rule.name);
    if (place === undefined) continue;
    findings.error(
      'RULES_ENRICH_CYCLE',
      place,
      `${rule.name} depends on ${needs
        .get(rule)
        ?.map(({ name }) => name)
        .join(', ')}, which depends on it; let one of them read only what the proxy sends`,
    );
  }
  return ordered;
}
