/** VirtualService of networking.istio.io: how calls to hosts are routed. */
import { z } from 'zod';
import { changedHeaders, plainName, requestName } from './header-operations.ts';
import { corsPolicy } from './cors-policy.ts';
import { count, headerValue, isCount, retryOn } from './proxy-values.ts';
import { redirect, rewrite } from './rewrites.ts';
import { isClaimName, routingClaim } from './routing-claim.ts';
import {
  duration,
  durationOr,
  exportTo,
  grpcStatus,
  headerName,
  host,
  isAddressRange,
  isServerName,
  SERVER_NAME,
  label,
  labels,
  percent,
  percentage,
  port,
  stringMatch,
  wildcardHost,
} from './values.ts';

const destination = z.strictObject({
  host,
  subset: label.optional(),
  port: z
    .strictObject({ number: port.optional(), name: z.string().optional() })
    .transform(({ number, name }, context) => {
      if (name !== undefined)
        context.addIssue({ code: 'custom', path: ['name'], message: 'name the port by its number' });
      return number;
    })
    .optional(),
});
export type Destination = z.output<typeof destination>;

const weight = count();
const weighted = z.strictObject({ destination, weight: weight.optional(), headers: changedHeaders.optional() });

/** Names of claims keep their case. */
const matchedName = z.string().transform((name, context) => {
  const read = isClaimName(name) ? undefined : headerName.safeParse(name);
  if (read === undefined ? routingClaim(name) !== undefined : read.success) return read?.data ?? name;
  const message = read?.error?.issues[0]?.message ?? CLAIM;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const CLAIM =
  'expected the name of a claim, as in @request.auth.claims.groups or @request.auth.claims[realm_access][roles]';

const httpMatch = z.strictObject({
  name: z.string().optional(),
  uri: stringMatch.optional(),
  scheme: stringMatch.optional(),
  method: stringMatch.optional(),
  authority: stringMatch.optional(),
  headers: z.record(matchedName, stringMatch).default({}),
  withoutHeaders: z.record(matchedName, stringMatch).default({}),
  queryParams: z.record(z.string().min(1), stringMatch).default({}),
  port: port.optional(),
  sourceLabels: labels.default({}),
  sourceNamespace: z.string().optional(),
  gateways: z.array(z.string().min(1)).optional(),
  ignoreUriCase: z.boolean().default(false),
  /** Of statistics of the proxy. */
  statPrefix: z.string().min(1).optional(),
});
export type HttpMatch = z.output<typeof httpMatch>;

const delay = z.strictObject({
  fixedDelay: duration,
  /** 1.0.2. */
  percent: z.int().min(0).max(100).optional(),
  percentage: percentage.optional(),
});
const abort = z
  .strictObject({
    httpStatus: z.int().min(200).max(599).optional(),
    grpcStatus: grpcStatus.optional(),
    percent: z.int().min(0).max(100).optional(),
    percentage: percentage.optional(),
  })
  .refine(({ httpStatus, grpcStatus }) => (httpStatus === undefined) !== (grpcStatus === undefined), {
    message: 'expected one of httpStatus and grpcStatus',
  });

export const retries = z
  .strictObject({
    attempts: count().default(0),
    perTryTimeout: duration.optional(),
    retryOn: retryOn.optional(),
    retryRemoteLocalities: z.boolean().nullish(),
    retryIgnorePreviousHosts: z.boolean().nullish(),
    backoff: duration.optional(),
  })
  .superRefine(({ attempts, ...others }, context) => {
    if (attempts === 0 && Object.values(others).some((one) => one !== undefined && one !== null))
      context.addIssue({
        code: 'custom',
        path: ['attempts'],
        message: 'without attempts nothing is tried again; write how many there are, or remove the other fields',
      });
  });

/** Of Envoy's direct responses, as tables of routes set it. */
export const MAX_BODY_BYTES = 1 << 20;
const bodyLength = (text: string, base64: string): number =>
  Buffer.byteLength(text) + Buffer.byteLength(base64, 'base64');

const mirror = z.strictObject({ destination, percentage: percentage.optional() });

interface Weighted {
  readonly weight?: number | undefined;
}
function checkWeights(route: readonly Weighted[] = [], context: z.RefinementCtx): void {
  const weights = route.map((one) => one.weight ?? 0);
  const refuse = (message: string): void => context.addIssue({ code: 'custom', path: ['route'], message });
  if (weights.length > 1 && weights.every((one) => one === 0)) refuse('the sum of the weights must be above 0');
  if (!isCount(weights.reduce((sum, one) => sum + one, 0))) refuse('the sum of the weights is more than 32 bits hold');
}

const httpRoute = z
  .strictObject({
    name: z.string().optional(),
    match: z.array(httpMatch).min(1).optional(),
    route: z.array(weighted).min(1).optional(),
    redirect: redirect.optional(),
    directResponse: z
      .strictObject({
        status: z.int().min(200).max(599),
        body: z
          .strictObject({ string: z.string().optional(), bytes: z.base64('expected base64').optional() })
          .refine(({ string, bytes }) => (string === undefined) !== (bytes === undefined), {
            message: 'expected one of string and bytes',
          })
          .refine(({ string = '', bytes = '' }) => bodyLength(string, bytes) <= MAX_BODY_BYTES, {
            message: `a body has at most ${MAX_BODY_BYTES} octets`,
          })
          .optional(),
      })
      .optional(),
    rewrite: rewrite.optional(),
    timeout: durationOr('; without the field there is no timeout').optional(),
    retries: retries.optional(),
    fault: z
      .strictObject({ delay: delay.optional(), abort: abort.optional() })
      .refine((one) => (one.delay ?? one.abort) !== undefined, { message: 'expected delay or abort' })
      .optional(),
    mirror: destination.optional(),
    mirrorPercent: percent.optional(),
    mirrorPercentage: percentage.optional(),
    mirrors: z.array(mirror).default([]),
    corsPolicy: corsPolicy.optional(),
    headers: changedHeaders.optional(),
    /** A VirtualService without hosts, whose routes stand in the place of this one. */
    delegate: z.strictObject({ name: label, namespace: label.optional() }).optional(),
    /** 1.0.2. */
    appendHeaders: z.record(requestName, headerValue).default({}),
    removeResponseHeaders: z.record(plainName, z.string()).default({}),
    websocketUpgrade: z.boolean().optional(),
  })
  .superRefine((route, context) => {
    const answers = [route.route, route.redirect, route.directResponse, route.delegate].filter(
      (one) => one !== undefined,
    ).length;
    const refuse = (path: readonly string[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    if (answers !== 1) refuse([], 'expected exactly one of route, redirect, directResponse and delegate');
    if (route.redirect !== undefined && (route.fault ?? route.rewrite) !== undefined)
      refuse(['redirect'], 'a redirect has neither fault nor rewrite');
    if (route.mirror !== undefined && route.mirrors.length > 0)
      refuse(['mirror'], 'expected one of mirror and mirrors; mirrors take several');
    checkWeights(route.route, context);
  });
export type HttpRetries = z.output<typeof retries>;
export type HttpRoute = z.output<typeof httpRoute>;

/** An address, or a range of them. */
const subnet = z.string().refine(isAddressRange, { message: 'expected an address or a range, such as 10.0.0.0/8' });

const l4Match = {
  destinationSubnets: z.array(subnet).default([]),
  /** Of the client. */
  sourceSubnet: subnet.optional(),
  port: port.optional(),
  sourceLabels: labels.default({}),
  sourceNamespace: z.string().optional(),
  gateways: z.array(z.string().min(1)).optional(),
};
const l4Destination = z.strictObject({ destination, weight: weight.optional() });

const serverName = wildcardHost.refine(isServerName, { message: SERVER_NAME });
const tlsRoute = z
  .strictObject({
    match: z.array(z.strictObject({ sniHosts: z.array(serverName).min(1), ...l4Match })).min(1),
    route: z.array(l4Destination).min(1),
  })
  .superRefine(({ route }, context) => checkWeights(route, context));
const tcpRoute = z
  .strictObject({
    match: z.array(z.strictObject(l4Match)).min(1).optional(),
    route: z.array(l4Destination).min(1),
  })
  .superRefine(({ route }, context) => checkWeights(route, context));
export type TlsRoute = z.output<typeof tlsRoute>;
export type TcpRoute = z.output<typeof tcpRoute>;
export type L4Match = NonNullable<TcpRoute['match']>[number];

/** A short name stands for the complete one. */
const isWithin = (name: string, host: string): boolean =>
  host.startsWith('*')
    ? name.endsWith(host.slice(1))
    : name === host || (!host.includes('.') && name.startsWith(`${host}.`));

/** Only sidecars, no gateway. */
export const MESH_GATEWAY = 'mesh';

export const virtualService = z
  .strictObject({
    /** None of a delegate. */
    hosts: z.array(wildcardHost).default([]),
    gateways: z.array(z.string().min(1)).min(1).default([MESH_GATEWAY]),
    http: z.array(httpRoute).default([]),
    tls: z.array(tlsRoute).default([]),
    tcp: z.array(tcpRoute).default([]),
    exportTo,
  })
  .superRefine(({ hosts, gateways, http, tls, tcp }, context) => {
    const refuse = (path: readonly (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    if (http.length + tls.length + tcp.length === 0) refuse([], 'expected http, tls or tcp');
    if (hosts.length === 0) {
      if (gateways.some((name) => name !== MESH_GATEWAY))
        refuse(['gateways'], 'a delegate has the gateways of the rule that delegates to it; remove the field');
      if (tls.length + tcp.length > 0) refuse([], 'expected hosts; a delegate, which has none, has http routes alone');
      for (const [at, { delegate }] of http.entries())
        if (delegate !== undefined) refuse(['http', at, 'delegate'], 'a delegate does not delegate');
    }
    if (hosts.length > 0 && gateways.every((name) => name === MESH_GATEWAY))
      for (const [at, { match = [] }] of http.entries())
        for (const [nth, { headers, withoutHeaders }] of match.entries())
          for (const [part, names] of Object.entries({ headers, withoutHeaders }))
            for (const name of Object.keys(names))
              if (isClaimName(name))
                refuse(
                  ['http', at, 'match', nth, part, name],
                  'gateways alone route by claims of tokens; name one in gateways, or match a header',
                );
    for (const [at, { match }] of tls.entries())
      for (const [nth, { sniHosts }] of match.entries())
        for (const [index, name] of sniHosts.entries())
          if (!hosts.some((own) => isWithin(name.toLowerCase(), own.toLowerCase())))
            refuse(
              ['tls', at, 'match', nth, 'sniHosts', index],
              'the name is none of hosts; a gateway leaves hosts to a rule by these alone',
            );
    const lowered = hosts.map((one) => one.toLowerCase());
    for (const [at, name] of lowered.entries()) {
      if (lowered.indexOf(name) < at) refuse(['hosts', at], `${name} stands twice`);
      if (name === '*' && gateways.includes(MESH_GATEWAY))
        refuse(['hosts', at], 'wildcard host * is not allowed for virtual services bound to the mesh gateway');
    }
  });
export type VirtualService = z.output<typeof virtualService>;
