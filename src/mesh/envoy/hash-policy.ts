import type { PortPolicy } from '../rules/destination-rule.ts';
import { compact, type Json, seconds } from './parts.ts';
import type { RouteScope } from './route-scope.ts';

/** What of a call decides its endpoint, where the rule of its destination hashes: that of the subset goes before that of the host. */
export function hashPolicy(
  scope: Pick<RouteScope, 'destinationRule'>,
  host: string,
  port: number,
  subset?: string,
): Json[] {
  const rule = scope.destinationRule(host)?.spec;
  const own = rule?.subsets.find(({ name }) => name === subset)?.trafficPolicy;
  const policies = [own, rule?.trafficPolicy].flatMap((policy): readonly (PortPolicy | undefined)[] => [
    policy?.portLevelSettings.find((one) => one.port.number === port),
    policy,
  ]);
  const hash = policies.map((one) => one?.loadBalancer?.consistentHash).find((one) => one !== undefined);
  if (hash === undefined) return [];
  if (hash.httpHeaderName !== undefined) return [{ header: { header_name: hash.httpHeaderName } }];
  if (hash.httpQueryParameterName !== undefined) return [{ query_parameter: { name: hash.httpQueryParameterName } }];
  if (hash.useSourceIp !== undefined) return [{ connection_properties: { source_ip: hash.useSourceIp } }];
  const { httpCookie } = hash;
  if (httpCookie === undefined) return [];
  const { ttl, ...cookie } = httpCookie;
  return [{ cookie: compact({ ...cookie, ttl: ttl === undefined ? undefined : seconds(ttl) }) }];
}
