/** What authors mean who know the names of Envoy, Istio and other languages. */

/** Envoy's and Istio's names of attributes, and what is declared here; longer ones of these are under them, too. */
const ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['source.address', 'source.ip, and source.port'],
  ['destination.address', 'destination.ip, and destination.port'],
  ['remote.ip', 'origin.ip'],
  ['request.duration', 'response.duration'],
  ['upstream.address', 'context.upstream.ip, and context.upstream.port'],
  ['upstream.port', 'context.upstream.port'],
  ['upstream.local_address', 'context.upstream.local_ip, and context.upstream.local_port'],
  ['upstream.request_attempt_count', 'context.upstream.request_attempt_count'],
  ['upstream.transport_failure_reason', 'context.upstream.transport_failure_reason'],
  ['xds.cluster_name', 'context.upstream.cluster'],
  ['xds.route_name', 'context.route_name'],
  ['xds.route_metadata', 'context.route_metadata'],
  ['xds.node', 'context.node.id, context.node.cluster or context.node.metadata'],
  // Mixer's names, and those before them.
  ['source.user', 'source.principal'],
  ['source.service', 'source.spiffe.serviceAccount, or source.workload.name'],
  ['target', 'destination, such as destination.service.host'],
  ['context.timestamp', 'context.time'],
  ['context.reporter.local', 'context.reporter.kind == "inbound"'],
  ['api', 'an attribute of yours: my.NAME: { is: EXPRESSION }, over request.url_path'],
  ['check.error_code', 'verdict.outcome, in logs and decisions'],
  ['check.error_message', 'verdict.reasons, in decisions'],
  ['filter_state', 'an attribute of yours: my.NAME: { type: string, from: { filterState: NAME } }'],
]);

/** Envoy's message of a check, as other authorizers show it. */
const OF_A_CHECK = /^(?:input\.attributes|context)\.request\.http\.(\w+)/;

/** The declared name, as a phrase. */
export function foreignAttribute(name: string): string | undefined {
  const field = OF_A_CHECK.exec(name)?.[1];
  if (field !== undefined) return `request.${field}`;
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const known = ATTRIBUTES.get(name.slice(0, end));
    if (known !== undefined) return known;
  }
  return undefined;
}

const FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['now', 'the time of the call is context.time'],
  ['not', 'not is written !'],
  ['lower', 'write x.lowerAscii()'],
  ['toLower', 'write x.lowerAscii()'],
  ['dnsName', 'compare request.host, which is in lower case and without a port'],
  ['uri', 'compare texts, or request.url_path'],
  ['email', 'compare texts, with x.lowerAscii() where the case does not count'],
  ['conditional', 'write c ? a : b'],
  ['conditionalString', 'write c ? a : b'],
  ['emptyStringMap', 'write {}'],
  ['upper', 'write x.upperAscii()'],
  ['toUpper', 'write x.upperAscii()'],
  ['len', 'write size(x)'],
  ['length', 'write size(x)'],
  ['count', 'write x.filter(one, ...).size()'],
  ['any', 'write x.exists(one, ...)'],
  ['glob', 'write x.startsWith("a"), x.endsWith("a") or x.matches("^/a/[^/]*$")'],
  ['like', 'write x.startsWith("a"), x.endsWith("a") or x.matches("^a.*$")'],
  ['regex', 'write x.matches("...")'],
]);
/** Of cel-go's extension for sets. */
const SETS: ReadonlyMap<string, string> = new Map([
  ['contains', 'b.all(one, one in a)'],
  ['equivalent', 'a.all(one, one in b) && b.all(one, one in a)'],
  ['intersects', 'a.exists(one, one in b)'],
]);

/** What to write in place of a function of another language. */
export const foreignFunction = (name: string): string | undefined => FUNCTIONS.get(name);

/** In place of `sets.contains(a, b)` and the like. */
export function foreignSet(target: string, name: string): string | undefined {
  const written = target === 'sets' ? SETS.get(name) : undefined;
  return written === undefined ? undefined : `unknown function sets.${name}(); of two lists write ${written}`;
}
