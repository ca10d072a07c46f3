/**
 * `settings.decisions.mask`: attributes that decisions do not show.
 * **In**: names such as `origin.ip`, or `request.headers["x-user"]` for one key of a map. **Out**: masks. **Fails**: with findings.
 */
import type { Attributes } from '../../../attributes/attributes.ts';
import { HEADER_MAPS, type Masks, NO_MASKS } from '../../../attributes/secrets.ts';
import { meant } from '../../../text/nearest.ts';
import { listOfNodes } from '../../../yaml/fields.ts';
import type { DecisionSettings } from '../policy.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, nodeText, type Place } from '../../../yaml/nodes.ts';

export const DEFAULT_DECISIONS: DecisionSettings = { sample: 0, masks: NO_MASKS };

export interface WrittenMask {
  readonly place: Place;
  readonly name: string;
  readonly key: string | undefined;
}

export const MASK_FORM = /^([\w.]+)(?:\["([^"\\]+)"\])?$/;

export function masksOf(node: Node | undefined, findings: Findings): readonly WrittenMask[] {
  if (node === undefined) return [];
  return (listOfNodes(node, 'mask', findings)?.items ?? []).flatMap((item) => {
    const [, name, key] = MASK_FORM.exec(item.kind === 'scalar' ? String(item.value) : '') ?? [];
    if (name !== undefined)
      return [{ place: item.place, name, key: key !== undefined && HEADER_MAPS.has(name) ? key.toLowerCase() : key }];
    findings.error(
      'RULES_VALUE',
      item.place,
      `mask has ${nodeText(item)}; expected the name of an attribute, or request.headers["x-user"] for one key of a map`,
    );
    return [];
  });
}

export function mergedMasks(written: readonly WrittenMask[]): Masks {
  const masks = new Map<string, 'all' | Set<string>>();
  for (const { name, key } of written) {
    const before = masks.get(name);
    if (key === undefined || before === 'all') masks.set(name, 'all');
    else masks.set(name, (before ?? new Set()).add(key));
  }
  return masks;
}

export function checkMasks(written: readonly WrittenMask[], attributes: Attributes, findings: Findings): void {
  for (const { place, name, key } of written) {
    const slot = attributes.slotOf(name);
    if (slot === undefined)
      findings.error('RULES_MASK', place, `mask has ${name}, which is no attribute${meant(name, attributes.names())}`);
    else if (key !== undefined && attributes.at(slot).type.kind !== 'map')
      findings.error('RULES_MASK', place, `mask has a key of ${name}, which is no map; write ${name} alone`);
  }
}
