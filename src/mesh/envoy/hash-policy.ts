import { policyFor } from '../resolve/traffic-policy.ts';
import { compact, type Json } from './parts.ts';
import type { RouteScope } from './route-scope.ts';

/** What of a call decides its endpoint, where the rule of its destination hashes. */
export function hashPolicy(scope: Pick<RouteScope, 'destinationRule'>, host: string): Json[] {
  const hash = policyFor(scope.destinationRule(host)?.spec, 0).loadBalancer?.consistentHash;
  if (hash === undefined) return [];
  if (hash.httpHeaderName !== undefined) return [{ header: { header_name: hash.httpHeaderName } }];
  if (hash.httpQueryParameterName !== undefined) return [{ query_parameter: { name: hash.httpQueryParameterName } }];
  if (hash.useSourceIp !== undefined) return [{ connection_properties: { source_ip: hash.useSourceIp } }];
  const { httpCookie } = hash;
  return httpCookie === undefined ? [] : [{ cookie: compact(httpCookie) }];
}
