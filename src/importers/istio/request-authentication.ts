/**
 * RequestAuthentication (security.istio.io/v1, v1beta1).
 * **In**: an object. **Out**: a handler of the adapter jwt, a rule that gives its claims, a rule that refuses a bad token, and rules that
 * change the request as Envoy's jwt_authn does. **Fails**: with findings.
 */
import { type Fields, fieldsOf } from '../../yaml/fields.ts';
import type { MapNode, Node, Place } from '../../yaml/nodes.ts';
import { mapNode, type Plain } from './nodes.ts';
import { goDurationMs } from '../../time/duration.ts';
import { type IstioObject, itemsOf, report, selection, type Translation } from './object.ts';
import { texts } from '../../yaml/texts.ts';
import { allOf, quoted } from './tests.ts';
import { type Location, locationsOf } from './token-locations.ts';

const FIELDS = [
  'issuer',
  'audiences',
  'jwksUri',
  'jwks',
  'jwks_uri',
  'fromHeaders',
  'fromParams',
  'fromCookies',
  'forwardOriginalToken',
  'outputPayloadToHeader',
  'outputClaimToHeaders',
  'spaceDelimitedClaims',
  'timeout',
];

/** The claims of one object: their attribute, and how conditions read them. */
interface Claims {
  readonly name: string;
  readonly read: string;
}
/** Whether one of the objects that select the workload accepts a token of the call. */
const IS_VERIFIED = 'my.istio.isVerified';

export class RequestAuthentications {
  readonly rules: Node[] = [];
  readonly handlers: MapNode[] = [];
  readonly selections: Set<string> = new Set();
  readonly #claims: Claims[] = [];
  readonly #translation: Translation;
  readonly #areSeveral: boolean;

  /** `areSeveral`: objects of one workload are merged, so that a token which one of them accepts is refused by none. */
  constructor(translation: Translation, areSeveral: boolean) {
    this.#translation = translation;
    this.#areSeveral = areSeveral;
  }

  /** The claims of the request's token, whoever verified it; `undefined` without an object. */
  attributes(place: Place): MapNode | undefined {
    if (this.#claims.length === 0) return undefined;
    const is = this.#claims.map(({ name, read }) => `has(${name}) ? ${read} : `).join('');
    const claims = { 'my.istio.claims': { is: `${is}dyn(request.auth.?claims.orValue({}))` } };
    const isVerified = { [IS_VERIFIED]: { is: this.#claims.map(({ name }) => `has(${name})`).join(' || ') } };
    return mapNode(this.#areSeveral ? { ...claims, ...isVerified } : claims, place);
  }

  add(object: IstioObject): void {
    const { findings } = this.#translation;
    const { spec, namespace, name, place } = object;
    spec.only(['selector', 'targetRef', 'targetRefs', 'jwtRules']);
    const selected = selection(object, this.#translation);
    if (selected !== undefined) this.selections.add(selected);
    const node = spec.node('jwtRules');
    const written = itemsOf(spec, 'jwtRules', findings).flatMap((item) => {
      const fields = fieldsOf(item, 'an item of jwtRules', findings)?.only(FIELDS);
      return fields === undefined ? [] : [fields];
    });
    const [, ...others] = written.filter(
      (fields) => !fields.has('issuer') && (fields.has('jwksUri') || fields.has('jwks_uri')),
    );
    for (const { place: at } of others)
      report(
        findings,
        'ISTIO_UNSUPPORTED',
        at,
        'this is a second rule without issuer; write it in a RequestAuthentication of its own',
      );
    const rules = written.filter((fields) => !others.includes(fields));
    if (rules.length === 0) {
      report(findings, 'ISTIO_NEVER', place, `${name} has no jwtRules, so it verifies no token`);
      return;
    }
    const handler = `istio-jwt-${namespace}-${name}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
    const as = `my.istio.jwt${this.#claims.length}`;
    const id = `ns[${namespace}]-authentication[${name}]`;
    const parts = rules.map((fields) => ({ fields, locations: locationsOf(fields, this.#translation.findings) }));
    const items = parts.map(({ fields, locations }) => this.#issuer(fields, locations));
    const issuers: Node = { kind: 'list', place: node?.place ?? place, items };
    this.handlers.push(mapNode({ [handler]: { adapter: 'jwt', config: { issuers } } }, place));
    this.#claims.push({ name: `${as}.claims`, read: this.#readClaims(rules, as) });
    const of = (suffix: string, rest: Readonly<Record<string, Plain>>, match: string | undefined): Node =>
      mapNode({ name: `${id}${suffix}`, match, calls: ['http'], ...rest }, place);
    this.rules.push(
      of('-claims', { enrich: { handler, as } }, selected),
      of(
        '',
        { check: { handler, params: { required: false, wrongAudience: 'forbidden' } } },
        this.#areSeveral ? allOf([...(selected === undefined ? [] : [selected]), `!${IS_VERIFIED}`]) : selected,
      ),
    );
    // Before the rules that set them: later rules win.
    const outputs = [...new Set(rules.flatMap(outputHeaders))];
    if (outputs.length > 0) this.rules.push(of('-outputs', { onAllow: { request: { remove: outputs } } }, selected));
    for (const [at, { fields, locations }] of parts.entries())
      for (const [suffix, match, onAllow] of this.#changes(fields, isOf(fields, rules, as), locations, as))
        this.rules.push(
          of(`-jwt[${at}]${suffix}`, { onAllow }, allOf([...(selected === undefined ? [] : [selected]), match])),
        );
  }

  /** With `spaceDelimitedClaims`, the text of these claims is a list of its words; Istio does so with scope and permission always. */
  #readClaims(rules: readonly Fields[], as: string): string {
    const split = rules.map((fields) => {
      const names = texts(fields.node('spaceDelimitedClaims'), 'spaceDelimitedClaims', this.#translation.findings);
      if (names.length === 0) return '';
      const isOne = `name in [${names.map(quoted).join(', ')}] && type(value) == string`;
      const words = `dyn(${as}.claims).transformMap(name, value, ${isOne} ? dyn(string(value).split(" ")) : value)`;
      return `${isOf(fields, rules, as)} ? dyn(${words}) : `;
    });
    return split.some((one) => one !== '') ? `(${split.join('')}dyn(${as}.claims))` : `dyn(${as}.claims)`;
  }

  /** Each value has its own place, at which the adapter's schema finds fault with it. */
  #issuer(fields: Fields, locations: readonly Location[]): MapNode {
    const { findings } = this.#translation;
    const textNode = (key: string): Node | undefined => (fields.text(key) === undefined ? undefined : fields.node(key));
    const [issuer, uri, keys] = [textNode('issuer'), textNode('jwksUri') ?? textNode('jwks_uri'), textNode('jwks')];
    if (uri === undefined) fields.required('issuer', 'the iss of its tokens, which may be left out beside jwksUri');
    if (fields.has('jwksUri') && fields.has('jwks_uri'))
      report(
        findings,
        'ISTIO_VALUE',
        fields.node('jwks_uri')?.place ?? fields.place,
        'jwksUri and jwks_uri are the same field; keep one of the two',
      );
    this.#timeout(fields);
    if (uri !== undefined && keys !== undefined)
      report(
        findings,
        'ISTIO_VALUE',
        fields.node('jwks')?.place ?? fields.place,
        'a rule has jwksUri or jwks, not both',
      );
    return mapNode(
      {
        ...(issuer === undefined ? {} : { issuer }),
        audiences: texts(fields.node('audiences'), 'audiences', findings),
        // Envoy takes tokens without exp.
        required: [],
        locations: locations.map(({ config }) => config),
        ...(keys !== undefined ? { keys } : uri !== undefined ? { url: uri } : { discovery: true }),
      },
      fields.place,
    );
  }

  #timeout(fields: Fields): void {
    const text = fields.text('timeout');
    if (text === undefined) return;
    const ms = goDurationMs(text);
    const place = fields.node('timeout')?.place ?? fields.place;
    if (ms === undefined || ms < 1)
      report(
        this.#translation.findings,
        'ISTIO_VALUE',
        place,
        `timeout is ${text}; expected a duration of at least 1ms, such as 5s`,
      );
    else
      report(
        this.#translation.findings,
        'ISTIO_NEVER',
        place,
        'timeout has no effect: a call waits for keys until the deadline of its handler; remove it',
      );
  }

  /** `suffix`, `match`, `onAllow` of the rules that change a request with a valid token of this issuer. */
  #changes(
    fields: Fields,
    isValid: string,
    locations: readonly Location[],
    as: string,
  ): (readonly [suffix: string, match: string, onAllow: Readonly<Record<string, Plain>>])[] {
    const { findings } = this.#translation;
    const changes: (readonly [string, string, Readonly<Record<string, Plain>>])[] = [];
    const there = (token: string): string => `${isValid} && ${token} != ""`;
    for (const [at, { token, remove, config }] of locations.entries())
      if (fields.flag('forwardOriginalToken') !== true && token !== undefined && remove !== undefined)
        changes.push([
          `-remove[${at}]`,
          config['prefix'] === undefined || config['prefix'] === ''
            ? there(token)
            : `${isValid} && ${token}.startsWith(${quoted(config['prefix'])})`,
          remove,
        ]);
    const payload = fields.text('outputPayloadToHeader');
    if (payload !== undefined) {
      for (const [at, { token }] of locations.entries())
        if (token === undefined)
          report(
            findings,
            'ISTIO_UNSUPPORTED',
            fields.node('outputPayloadToHeader')?.place ?? fields.place,
            'outputPayloadToHeader takes the payload from the token as it was sent, which rules cannot take from a cookie; use fromHeaders or fromParams',
          );
        else
          changes.push([
            `-payload[${at}]`,
            `${isValid} && ${token}.split(".").size() == 3`,
            { request: { set: { [payload]: `\${reveal(${token}.split(".")[1])}` } } },
          ]);
    }
    return [...changes, ...this.#claimHeaders(fields, isValid, as)];
  }

  #claimHeaders(
    fields: Fields,
    isValid: string,
    as: string,
  ): (readonly [string, string, Readonly<Record<string, Plain>>])[] {
    const { findings } = this.#translation;
    return itemsOf(fields, 'outputClaimToHeaders', findings).flatMap((item, at) => {
      const claim = fieldsOf(item, 'an item of outputClaimToHeaders', findings)?.only(['header', 'claim']);
      claim?.required('header', 'the name of a header');
      claim?.required('claim', 'the name of a claim');
      const [header, name] = [claim?.text('header'), claim?.text('claim')];
      if (header === undefined || name === undefined) return [];
      if (!/^[-_A-Za-z0-9]*$/.test(header)) {
        report(
          findings,
          'ISTIO_VALUE',
          claim?.node('header')?.place ?? item.place,
          `${header} is no header for a claim; expected letters, digits, hyphens and underscores`,
        );
        return [];
      }
      const [first = '', ...rest] = name.split('.');
      const value = rest.reduce(
        (of, key) => `${of}.optFlatMap(part, type(part) == map ? part[?${quoted(key)}] : optional.none())`,
        `${as}.?claims[?${quoted(first)}]`,
      );
      const isScalar = `${value}.optMap(claim, type(claim) == string || type(claim) == bool || type(claim) == int || type(claim) == double).orValue(false)`;
      return [
        [`-claim[${at}]`, `${isValid} && ${isScalar}`, { request: { set: { [header]: `\${${value}.orValue("")}` } } }],
      ];
    });
  }
}

/** Whether the token that was accepted is one of a rule: that of its issuer, or without an issuer that of no other rule. */
function isOf(fields: Fields, rules: readonly Fields[], as: string): string {
  const issuer = fields.text('issuer');
  if (issuer !== undefined) return `${as}.?issuer.orValue("") == ${quoted(issuer)}`;
  const others = rules.flatMap((one) => one.text('issuer') ?? []);
  const isVerified = `has(${as}.claims)`;
  return others.length === 0
    ? isVerified
    : `(${isVerified} && !(${as}.?issuer.orValue("") in [${others.map(quoted).join(', ')}]))`;
}

/** The headers that a rule sets, which a client must not. */
function outputHeaders(fields: Fields): string[] {
  const claims = fields.node('outputClaimToHeaders');
  const ofClaims = (claims?.kind === 'list' ? claims.items : []).flatMap((item) => {
    const header = item.kind === 'map' ? item.entries.get('header')?.value : undefined;
    return header?.kind === 'scalar' && typeof header.value === 'string' ? [header.value] : [];
  });
  const payload = fields.node('outputPayloadToHeader');
  return payload?.kind === 'scalar' && typeof payload.value === 'string' ? [payload.value, ...ofClaims] : ofClaims;
}
