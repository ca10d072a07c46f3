import { KEYS } from './keys.ts';
import { Fields } from '../../yaml/fields.ts';
import type { Findings } from '../../yaml/findings.ts';
import { isConfigOfIstio, retired } from '../../text/config-istio.ts';
import { visible } from '../../text/lookalikes.ts';
import { meant } from '../../text/nearest.ts';
import { itemsOfList } from '../../yaml/kubernetes-list.ts';
import type { SourceText } from '../../yaml/source-text.ts';
import { nodeText, type Document, type MapNode, type Node } from '../../yaml/nodes.ts';

export type DocumentKind =
  | { readonly kind: 'policy'; readonly root: MapNode }
  | { readonly kind: 'cases'; readonly root: MapNode }
  /** Translated by importers/istio. */
  | { readonly kind: 'istio'; readonly root: MapNode }
  /** Says how workloads authenticate each other, which the control plane (`sluice mesh`) brings to proxies. */
  | { readonly kind: 'mesh' }
  /** As `kubectl get -o yaml` prints several objects. */
  | { readonly kind: 'list'; readonly items: readonly Document[]; readonly isWhole: boolean }
  | { readonly kind: 'refused' };
/** Kinds that the importer does not know it refuses by name. */
const ISTIO = /^(security|rbac)\.istio\.io\//;
const isOfMesh = (version: string, kind: string): boolean =>
  (/^security\.istio\.io\/v1(beta1)?$/.test(version) && kind === 'PeerAuthentication') ||
  (version === 'authentication.istio.io/v1alpha1' && (kind === 'Policy' || kind === 'MeshPolicy'));
const REFUSED: DocumentKind = { kind: 'refused' };

/** The kind of a document, by its keys. Anything but a policy, cases and documents of Istio is refused by name. */
export function documentKind({ source, root }: Document, findings: Findings): DocumentKind {
  if (root.kind !== 'map') {
    findings.error(
      'RULES_DOCUMENT',
      root.place,
      `a policy must be a map with the keys ${KEYS.policy.join(', ')}; found ${nodeText(root)}`,
    );
    return REFUSED;
  }
  const version = root.entries.get('apiVersion')?.value;
  if (version?.kind === 'scalar') {
    const kind = root.entries.get('kind')?.value;
    if (isOfMesh(String(version.value), kind?.kind === 'scalar' ? String(kind.value) : '')) return { kind: 'mesh' };
    if (ISTIO.test(String(version.value))) return { kind: 'istio', root };
    const items = itemsOfList(root);
    if (items !== undefined) return listOf(items, source, findings);
  }
  const peer = peerFormat(root);
  if (peer !== undefined) {
    const first = [...root.entries.values()][0];
    findings.error(peer.code, first?.keyPlace ?? root.place, peer.message);
    return REFUSED;
  }
  if (!root.entries.has('cases')) {
    new Fields(root, 'a policy', findings).only(KEYS.policy);
    return { kind: 'policy', root };
  }
  const known: readonly string[] = KEYS.cases;
  for (const { key, keyPlace } of root.entries.values()) {
    if (known.includes(key)) continue;
    const elsewhere = (KEYS.policy as readonly string[]).includes(key)
      ? '; put it into a separate document (after a line ---)'
      : meant(key, known);
    findings.error('RULES_UNKNOWN_KEY', keyPlace, `a document of cases has no key ${visible(key)}${elsewhere}`);
  }
  return { kind: 'cases', root };
}

/** An item without a version would be read as a policy. */
const isObject = (item: Node): boolean => item.kind === 'map' && item.entries.has('apiVersion');

function listOf(items: readonly Node[], source: SourceText, findings: Findings): DocumentKind {
  const others = items.filter((item) => !isObject(item));
  for (const item of others)
    findings.error(
      'RULES_DOCUMENT',
      item.place,
      `an item of a List of Kubernetes must be an object with apiVersion and kind; found ${nodeText(item)}; ` +
        'remove it, or put a policy into a document of its own',
    );
  const documents = items.filter(isObject).map((root) => ({ source, root, laterRules: [] }));
  return { kind: 'list', items: documents, isWhole: others.length === 0 };
}

function peerFormat(
  root: MapNode,
): { readonly code: 'RULES_PEER_FORMAT' | 'RULES_DOCUMENT'; readonly message: string } | undefined {
  const { entries } = root;
  const text = (...keys: readonly string[]): string | undefined => textAt(root, keys);
  if (entries.has('domain') && entries.has('descriptors')) {
    return {
      code: 'RULES_PEER_FORMAT',
      message:
        `this is a config of envoyproxy/ratelimit (domain ${text('domain') ?? '?'}); serve it with \`sluice ratelimit\` ` +
        'from a separate folder, which `sluice lint` checks too',
    };
  }
  const version = text('apiVersion');
  if (version === undefined) return undefined;
  const kind = text('kind') ?? 'object';
  const named = text('metadata', 'name');
  const name = named === undefined ? '' : ` ${named}`;
  if (isConfigOfIstio(version)) {
    const part = PARTS.map((key) => text('spec', key)).find((one) => one !== undefined);
    const { of, instead } = retired(kind, part);
    return {
      code: 'RULES_PEER_FORMAT',
      message:
        `this is the ${kind}${name} of ${of} (${version}${part === undefined ? '' : `, ${part}`}), ` +
        `which is not read, so nothing in it is in force; write ${instead}`,
    };
  }
  return {
    code: 'RULES_DOCUMENT',
    message: `this is the Kubernetes ${kind}${name} (${version}), not a policy; move it out of the policy's folder`,
  };
}

/** Where handlers and instances of Mixer name their adapter and template; the latter two are out of process. */
const PARTS = ['compiledAdapter', 'compiledTemplate', 'adapter', 'template'];

function textAt(root: MapNode, keys: readonly string[]): string | undefined {
  let node: Node | undefined = root;
  for (const key of keys) node = node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
  return node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
}
