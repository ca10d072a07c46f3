/**
 * `settings:` of a policy.
 * **In**: the maps of all documents. **Out**: how attributes are read, where reports are spooled, what decisions show, and how many rules
 * are expected. **Fails**: with findings.
 */
import { type Attributes, type AttributeSettings, DEFAULT_ATTRIBUTE_SETTINGS } from '../../../attributes/attributes.ts';
import { spiffeId } from '../../../attributes/spiffe.ts';
import { type Fields, fieldsOf } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';
import { KEYS, RANGES, WORDS } from '../keys.ts';
import type { DecisionSettings } from '../policy.ts';
import { checkMasks, DEFAULT_DECISIONS, masksOf, mergedMasks, type WrittenMask } from './decision-masks.ts';
import { DEFAULT_ISTIO_SETTINGS, istioSettings, withTrustDomainAliases, type IstioSettings } from './istio-settings.ts';
import { DEFAULT_SPOOL, type SpoolSettings, spoolSettings } from './spool-key.ts';

type Key = (typeof KEYS.settings)[number];

export interface Settings {
  readonly attributes: AttributeSettings;
  readonly spool: SpoolSettings;
  readonly istio: IstioSettings;
  readonly decisions: DecisionSettings;
  /** Reports a wrong number of rules; a truncated file is often still a valid policy. */
  checkCount(rules: number): void;
  /** Reports masks of attributes that the policy does not know. */
  checkMasks(attributes: Attributes): void;
}

export function settingsOf(nodes: readonly Node[], findings: Findings): Settings {
  const known = new Map<Key, Node>();
  let attributes = DEFAULT_ATTRIBUTE_SETTINGS;
  let spool = DEFAULT_SPOOL;
  let istio = DEFAULT_ISTIO_SETTINGS;
  let decisions = DEFAULT_DECISIONS;
  let written: readonly WrittenMask[] = [];
  let wantedRules: number | undefined;
  for (const node of nodes) {
    const fields = fieldsOf(node, 'settings', findings)?.only(KEYS.settings);
    if (fields === undefined) continue;
    checkSame(fields, known, findings);
    attributes = {
      trustedHops: fields.wholeNumber('trustedHops', RANGES.hops) ?? attributes.trustedHops,
      trustedCertificateHops:
        fields.wholeNumber('trustedCertificateHops', RANGES.hops) ?? attributes.trustedCertificateHops,
      trustDomainAliases: aliasesOf(fields.node('trustDomainAliases'), findings) ?? attributes.trustDomainAliases,
      path: fields.word('path', WORDS.path) ?? attributes.path,
      pathParameters: fields.word('pathParameters', WORDS.pathParameters) ?? attributes.pathParameters,
    };
    spool = spoolSettings(fields.map('spool', 'settings.spool'), spool, findings);
    const ofIstio = fields.map('istio', 'settings.istio')?.only(KEYS.settingsIstio, {
      trustDomainAliases: 'settings.trustDomainAliases: { ALIAS: TRUST_DOMAIN }, which policies of Istio read, too',
    });
    if (ofIstio !== undefined) istio = istioSettings(ofIstio, findings);
    const decided = fields.map('decisions', 'settings.decisions')?.only(KEYS.settingsDecisions);
    if (decided !== undefined) {
      written = masksOf(decided.node('mask'), findings);
      decisions = { sample: decided.number('sample', RANGES.percent) ?? 0, masks: mergedMasks(written) };
    }
    wantedRules = fields.wholeNumber('rules', RANGES.rules) ?? wantedRules;
  }
  return {
    attributes,
    spool,
    istio: withTrustDomainAliases(istio, attributes.trustDomainAliases),
    decisions,
    checkMasks: (known) => checkMasks(written, known, findings),
    checkCount: (rules) => {
      const place = known.get('rules')?.place;
      if (wantedRules === undefined || wantedRules === rules || place === undefined) return;
      findings.error(
        'RULES_COUNT',
        place,
        `settings.rules is ${wantedRules}, but the policy has ${rules}; if no file was truncated, write rules: ${rules}`,
      );
    },
  };
}

/** Settings hold for the whole policy, so two documents must not disagree. */
function checkSame(fields: Fields, known: Map<Key, Node>, findings: Findings): void {
  for (const key of KEYS.settings) {
    const node = fields.node(key);
    if (node === undefined) continue;
    const before = known.get(key);
    if (before === undefined) known.set(key, node);
    else if (nodeText(before) !== nodeText(node) || key === 'istio') {
      const { file, line, column } = before.place.source.positionAt(before.place.start);
      findings.error(
        'RULES_DUPLICATE',
        node.place,
        `settings.${key} is ${nodeText(node)} here and ${nodeText(before)} at ${file}:${line}:${column}; remove one of the two`,
      );
    }
  }
}

/** `{ ALIAS: TRUST_DOMAIN }`. An alias of an alias would make the result depend on the order of a chain. */
function aliasesOf(node: Node | undefined, findings: Findings): ReadonlyMap<string, string> | undefined {
  const what = 'settings.trustDomainAliases';
  if (node === undefined || fieldsOf(node, what, findings) === undefined || node.kind !== 'map') return undefined;
  const aliases = new Map<string, string>();
  for (const { key, keyPlace, value } of node.entries.values()) {
    const meant = value.kind === 'scalar' ? value.value : undefined;
    const wrong = [key, meant].find((name) => typeof name !== 'string' || spiffeId(`spiffe://${name}`)?.path !== '');
    if (wrong !== undefined || typeof meant !== 'string')
      findings.error(
        'RULES_VALUE',
        wrong === key ? keyPlace : value.place,
        `${what} has ${wrong === key ? key : nodeText(value)}; expected the name of a trust domain: lower-case letters, digits, dots, - and _`,
      );
    else if (node.entries.has(meant))
      findings.error(
        'RULES_VALUE',
        value.place,
        `${what} has ${key} for ${meant}, which is an alias itself; name the trust domain as which all of them read`,
      );
    else aliases.set(key, meant);
  }
  return aliases;
}
