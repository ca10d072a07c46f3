/**
 * Istio's ways to match values, as CEL.
 * **In**: a value as a policy writes it, and the CEL of the text that it is compared with. **Out**: CEL of type bool that does not fail.
 * The semantics are those of the matchers that Istio's control plane writes for Envoy's RBAC filter (docs/istio.md).
 */

/** One condition. On a TCP connection those that need HTTP drop out of DENY and AUDIT, and drop their rule from ALLOW. */
export interface Test {
  readonly cel: string;
  readonly needsHttp: boolean;
}

/** A CEL string literal: JSON's escapes are a subset of CEL's. */
export const quoted = (text: string): string => JSON.stringify(text);
export const anyOf = (parts: readonly string[]): string =>
  parts.length === 1 ? (parts[0] as string) : `(${parts.join(' || ')})`;
export const allOf = (parts: readonly string[]): string => parts.join(' && ');
/** Any of the parts, all tests of which hold: at most one test. None without a part, or if a part has no test. */
export function anyOfAll(parts: readonly (readonly string[])[]): string[] {
  if (parts.length === 0 || parts.some((tests) => tests.length === 0)) return [];
  return [anyOf(parts.map((tests) => (parts.length > 1 && tests.length > 1 ? `(${allOf(tests)})` : allOf(tests))))];
}
export const noneOf = (parts: readonly string[]): string => `!(${parts.join(' || ')})`;

/** `exact`, `prefix*`, `*suffix`, and `*` for any text but the empty one; other asterisks are literal. */
export function textTests(values: readonly string[], text: string): string[] {
  const exact: string[] = [];
  const others: string[] = [];
  for (const value of values) {
    if (value === '*') others.push(`${text} != ""`);
    else if (value.startsWith('*')) others.push(`${text}.endsWith(${quoted(value.slice(1))})`);
    else if (value.endsWith('*')) others.push(`${text}.startsWith(${quoted(value.slice(0, -1))})`);
    else exact.push(quoted(value));
  }
  if (exact.length === 1) others.unshift(`${text} == ${exact[0]}`);
  else if (exact.length > 1) others.unshift(`${text} in [${exact.join(', ')}]`);
  return others;
}

/** As {@link textTests} for a value of any type; one that is not text does not match. */
export const dynTests = (values: readonly string[], value: string): string[] =>
  values.map((pattern) => {
    const [test = ''] = textTests([pattern], value);
    return /^\*|\*$/.test(pattern) ? `type(${value}) == string && ${test}` : test;
  });

const URI = 'uri';
/** The identities in the peer's certificate, each as `spiffe://...`. */
const IDENTITIES = 'connection.?uri_sans_peer_certificate.orValue([])';
export const ofIdentity = (test: string): string => `${IDENTITIES}.exists(${URI}, ${test})`;

/** `td/ns/NAMESPACE/sa/ACCOUNT`, as text of Istio's kind. `*` is any peer with a certificate that has a name. */
export const principalTests = (values: readonly string[]): string[] =>
  values.map((value) => {
    if (value === '*') return 'has(source.principal)';
    if (!/^\*|\*$/.test(value)) return `${quoted(`spiffe://${value}`)} in ${IDENTITIES}`;
    if (!value.startsWith('*')) return ofIdentity(`${URI}.startsWith(${quoted(`spiffe://${value.slice(0, -1)}`)})`);
    return ofIdentity(`${URI}.startsWith("spiffe://") && ${URI}.endsWith(${quoted(value.slice(1))})`);
  });

const matches = (pattern: string): string => `${URI}.matches(${quoted(`^(?:${pattern})$`)})`;

/** Every `*` stands for any text. */
export const namespaceTests = (values: readonly string[]): string[] =>
  values.map((value) =>
    ofIdentity(
      value.includes('*')
        ? matches(`.*/ns/${value.split('*').map(escaped).join('.*')}/.*`)
        : `${URI}.contains(${quoted(`/ns/${value}/`)})`,
    ),
  );

/** `ACCOUNT`, of the policy's own namespace, or `NAMESPACE/ACCOUNT`. */
export const serviceAccountTests = (values: readonly string[], ownNamespace: string): string[] =>
  values.map((value) => {
    const at = value.indexOf('/');
    const [namespace, account] = at < 0 ? [ownNamespace, value] : [value.slice(0, at), value.slice(at + 1)];
    return ofIdentity(matches(`spiffe://.+/ns/${escaped(namespace)}/(.+/|)sa/${escaped(account)}(/.+)?`));
  });

export const trustDomainTests = (values: readonly string[]): string[] =>
  values.map((value) => ofIdentity(matches(`spiffe://${value.split('*').map(escaped).join('[^/]*')}/.*`)));

const escaped = (text: string): string => text.replaceAll(/[.\\+?()[\]{}^$|]/g, (char) => `\\${char}`);

/** Addresses and ranges, each checked before. `address` is an attribute of type ip. */
export function addressTests(values: readonly string[], address: string): string[] {
  const ranges = values.map((value) =>
    quoted(value.includes('/') ? value : `${value}/${value.includes(':') ? '128' : '32'}`),
  );
  return [`has(${address}) && [${ranges.join(', ')}].exists(range, cidr(range).containsIP(${address}))`];
}

/** Of a segment, as Envoy's URI templates take it (pchar of RFC 3986). */
const CHARACTERS = "[a-zA-Z0-9._~%!$&'()*+,;:@=-]";

/** A path with `{*}`, one segment, or `{**}`, the rest. */
export const pathTests = (values: readonly string[], path: string): string[] => {
  const isTemplate = (value: string): boolean => value.includes('{*}') || value.includes('{**}');
  return [
    ...textTests(
      values.filter((value) => !isTemplate(value)),
      path,
    ),
    ...values.filter(isTemplate).map((value) => {
      const pattern = value
        .split(/(\{\*\*?\})/)
        .map((part) => (part === '{*}' ? `${CHARACTERS}+` : part === '{**}' ? `(?:${CHARACTERS}|/)*` : escaped(part)))
        .join('');
      return `${path}.matches(${quoted(`^${pattern}$`)})`;
    }),
  ];
};

/** The claims of OAuth that list words in one text. */
const ofWords = ([first, ...rest]: readonly string[]): boolean =>
  rest.length === 0 && (first === 'scope' || first === 'permission');

/** Reads one claim of a token by its path, and tests it: a text, its words, or a list with a text that passes. */
export function claimTests(
  path: readonly string[],
  values: readonly string[],
  claims: string,
  isWords: boolean = ofWords(path),
): string {
  const [first = '', ...rest] = path;
  let value = `${claims}[?${quoted(first)}]`;
  for (const key of rest)
    value = `${value}.optFlatMap(part, type(part) == map ? part[?${quoted(key)}] : optional.none())`;
  const one = (name: string): string => anyOf(dynTests(values, name));
  const words = isWords
    ? `type(claim) == string ? string(claim).split(" ").exists(word, ${anyOf(textTests(values, 'word'))}) : `
    : '';
  return `${value}.optMap(claim, ${words}type(claim) == list ? claim.exists(word, ${one('word')}) : ${one('claim')}).orValue(false)`;
}
