/**
 * `settings:` of a policy.
 * **In**: the maps of all documents. **Out**: how attributes are read, and how many rules are expected. **Fails**: with findings.
 */
import { type AttributeSettings, DEFAULT_ATTRIBUTE_SETTINGS } from '../../../attributes/attributes.ts';
import { type Fields, fieldsOf } from '../fields.ts';
import type { Findings } from '../yaml/findings.ts';
import { type Node, nodeText } from '../yaml/nodes.ts';

const KEYS = ['trustedHops', 'path', 'pathParameters', 'rules'] as const;
type Key = (typeof KEYS)[number];

export interface Settings {
  readonly attributes: AttributeSettings;
  /** Reports a wrong number of rules; a truncated file is often still a valid policy. */
  checkCount(rules: number): void;
}

export function settingsOf(nodes: readonly Node[], findings: Findings): Settings {
  const said = new Map<Key, Node>();
  let attributes = DEFAULT_ATTRIBUTE_SETTINGS;
  let wantedRules: number | undefined;
  for (const node of nodes) {
    const fields = fieldsOf(node, 'settings', findings)?.only(KEYS);
    if (fields === undefined) continue;
    checkSame(fields, said, findings);
    attributes = {
      trustedHops: fields.wholeNumber('trustedHops', 0, 100) ?? attributes.trustedHops,
      path: fields.word('path', ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']) ?? attributes.path,
      pathParameters: fields.word('pathParameters', ['keep', 'strip']) ?? attributes.pathParameters,
    };
    wantedRules = fields.wholeNumber('rules', 1) ?? wantedRules;
  }
  return {
    attributes,
    checkCount: (rules) => {
      const place = said.get('rules')?.place;
      if (wantedRules === undefined || wantedRules === rules || place === undefined) return;
      findings.error(
        'RULES_COUNT',
        place,
        `settings say that there are ${wantedRules} rules; here ${rules === 1 ? 'is 1' : `are ${rules}`}. Where no file was cut short, write rules: ${rules}`,
      );
    },
  };
}

/** Settings hold for the whole policy, so two documents must not disagree. */
function checkSame(fields: Fields, said: Map<Key, Node>, findings: Findings): void {
  for (const key of KEYS) {
    const node = fields.node(key);
    if (node === undefined) continue;
    const before = said.get(key);
    if (before === undefined) said.set(key, node);
    else if (nodeText(before) !== nodeText(node)) {
      const { file, line, column } = before.place.source.positionAt(before.place.start);
      findings.error(
        'RULES_DUPLICATE',
        node.place,
        `settings.${key} is ${nodeText(node)} here and ${nodeText(before)} at ${file}:${line}:${column}; a policy has one, so remove one of the two`,
      );
    }
  }
}
