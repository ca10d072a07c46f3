/** How often, and for which failures, Envoy sends a call again (`retries` of a VirtualService or of the mesh). */
import type { HttpRoute } from '../rules/virtual-service.ts';
import { any, compact, type Json, seconds } from './parts.ts';
import type { RouteScope } from './route-scope.ts';

const DEFAULT_RETRIES = 2;
const DEFAULT_RETRY_ON = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
const PREVIOUS_PRIORITIES = 'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig';
const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';

/**
 * Two retries of calls that reached nobody, unless the rule says otherwise; `attempts: 0` turns them off. `staysAtHost`: a hash of the call
 * chooses its endpoint.
 */
export function retryPolicy(
  own: HttpRoute['retries'],
  { mesh }: Pick<RouteScope, 'mesh'>,
  staysAtHost = false,
): Json | undefined {
  const retries = own ?? mesh.settings.retries;
  const attempts = retries?.attempts ?? DEFAULT_RETRIES;
  if (attempts === 0) return undefined;
  const words = (retries?.retryOn ?? DEFAULT_RETRY_ON).split(',').map((word) => word.trim());
  const codes = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const others = words.filter((word) => !/^\d+$/.test(word));
  if (codes.length > 0 && !others.includes('retriable-status-codes')) others.push('retriable-status-codes');
  return compact({
    retry_on: others.join(','),
    num_retries: attempts,
    per_try_timeout: retries?.perTryTimeout === undefined ? undefined : seconds(retries.perTryTimeout),
    retriable_status_codes: codes,
    retry_back_off: retries?.backoff === undefined ? undefined : { base_interval: seconds(retries.backoff) },
    retry_host_predicate:
      staysAtHost || retries?.retryIgnorePreviousHosts === false
        ? []
        : [{ name: 'envoy.retry_host_predicates.previous_hosts', typed_config: any(PREVIOUS_HOSTS) }],
    retry_priority:
      retries?.retryRemoteLocalities === true
        ? {
            name: 'envoy.retry_priorities.previous_priorities',
            typed_config: any(PREVIOUS_PRIORITIES, { update_frequency: 2 }),
          }
        : undefined,
    host_selection_retry_max_attempts: 5,
  });
}
