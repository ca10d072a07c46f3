/**
 * Differences that have a reason: those of what is Istio's own or the same in effect, and those that are meant. A difference that is in no
 * list is a fault of ours, until someone says why it is not.
 */
import { ITS_OWN, SAME } from './known-alike.ts';
import { is, isAbsent, type Found, type Known } from './known-form.ts';
import { MEANT } from './known-meant.ts';

const ELSEWHERE: readonly Known[] = [
  {
    why: 'a gateway verifies tokens for routes by their claims; Sluice, which gets them, refuses those that are not valid',
    kind: 'listeners',
    path: /http_filters\[envoy\.filters\.http\.jwt_authn\]\.typed_config\.(providers\.[^.]+\.forward|rules\[0\]\.requires\..*)$/,
  },
  {
    why: 'a destination without a port hashes as its only port does; istiod reads settings of a port where the rule names it',
    kind: 'routes',
    path: /^virtual_hosts\[odd-subset\.\S+\]\.routes\[3\]\.route\.hash_policy\[0\]\.header\.header_name$/,
  },
];

/** Of rules that istiod takes and Envoy refuses, or that it reads as another value than was written. */
const MISREAD: readonly Known[] = [
  {
    why: 'consecutiveErrors, of Istio 1.0, is read; istiod leaves it out',
    kind: 'clusters',
    resource: /odd-outlier-old/,
    path: /^outlier_detection\./,
    theirs: isAbsent,
  },
  {
    why: 'the pattern * of a path is any path; Envoy refuses it as an expression',
    path: /\.match\.(safe_regex|prefix)$/,
    theirs: (it) => it === undefined || JSON.stringify(it) === '{"regex":"*"}',
    ours: (it) => it === undefined || it === '/',
  },
  { why: 'a status of gRPC by its number; istiod takes names alone', path: /abort\.grpc_status$/, theirs: is(0) },
  {
    why: 'connections of MongoDB are those of TCP',
    path: /filters\[envoy\.filters\.network\.mongo_proxy\]$/,
    ours: isAbsent,
  },
  {
    why: 'a host that a Gateway names with a namespace redirects, too; istiod takes the namespace for a part of its name',
    kind: 'routes',
    path: /^virtual_hosts\[(shop\/\S+|\*\.shop\.example\.com):80\]$/,
  },
];

export interface Reason {
  readonly why: string;
  /** Calls go and are answered as with istiod. */
  readonly isSame: boolean;
}

export function reasonFor(found: Found): Reason | undefined {
  const same = find([...ITS_OWN, ...SAME], found);
  const one = same ?? find([...MEANT, ...ELSEWHERE, ...MISREAD], found);
  return one === undefined ? undefined : { why: one.why, isSame: same !== undefined };
}

const find = (all: readonly Known[], found: Found): Known | undefined =>
  all.find(
    ({ kind, path, resource, theirs, ours }) =>
      (kind === undefined || kind === found.kind) &&
      (path === undefined || path.test(found.path)) &&
      (resource === undefined || resource.test(found.resource)) &&
      (theirs === undefined || theirs(found.theirs)) &&
      (ours === undefined || ours(found.ours)),
  );
