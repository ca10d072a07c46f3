/**
 * Checks of ratelimit filters, and of the actions of routes.
 * **In**: connection managers. **Out**: findings. **Fails**: never.
 */
import type { DescriptorNeed } from '../descriptors.ts';
import { type HttpChain, perRoute, routeScopes } from './configuration.ts';
import type { Report } from './report.ts';
import { checkCluster, checkTimeouts } from './services.ts';
import type { View } from './view.ts';

interface LimitFilter {
  readonly filter: View;
  readonly chain: HttpChain;
}

export function checkLimits(report: Report): void {
  const { needs, configuration } = report;
  const why = [...needs.why('limit'), ...needs.why('log limit-verdict')];
  if (why.length === 0) return;
  const found = configuration.http.flatMap((chain): LimitFilter[] =>
    chain.filters.filter((filter) => filter.isOfType('.ratelimit.v3.RateLimit')).map((filter) => ({ filter, chain })),
  );
  if (found.length === 0) {
    const at = configuration.http[0]?.manager ?? configuration.root;
    report.lacks(
      'ENVOY_NO_LIMIT',
      at,
      'there is no ratelimit filter',
      why,
      'add the filter and the actions that `sluice envoy POLICY` prints',
    );
    return;
  }
  for (const one of found) checkFilter(report, one);
  for (const need of needs.descriptors) checkDescriptor(report, need, found);
}

function checkFilter(report: Report, { filter, chain: { filters } }: LimitFilter): void {
  const { config } = filter;
  const why = report.needs.why('limit');
  checkCluster(report, config.at('rate_limit_service', 'grpc_service'), why);
  const timeout = config.at('timeout');
  if (timeout !== undefined && timeout.durationMs() === 0) checkTimeouts(report, config, timeout, 20, why);
  const check = filters.findIndex((one) => one.isOfType('.ext_authz.v3.ExtAuthz'));
  if (report.needs.has('http') && check > filters.indexOf(filter))
    report.warns(
      'ENVOY_FILTER_ORDER',
      filter,
      'requests are limited before they are checked, so refused ones count',
      why,
      'move ext_authz before ratelimit',
    );
  const isClosed = config.isTrue('failure_mode_deny');
  const { failOpen } = report.options;
  if (failOpen !== undefined && isClosed === failOpen)
    report.lacks(
      'ENVOY_FAILURE_MODE',
      config.at('failure_mode_deny') ?? config,
      isClosed
        ? 'requests are refused while Sluice does not answer, and --fail open says that they pass'
        : 'requests pass without a limit while Sluice does not answer, and --fail closed says that they do not',
      why,
      `write failure_mode_deny: ${!failOpen}`,
    );
}

function checkDescriptor(report: Report, need: DescriptorNeed, found: readonly LimitFilter[]): void {
  const { domain, rules, entries } = need;
  const ofDomain = found.filter(({ filter }) => domain === undefined || filter.config.text('domain') === domain);
  const [first] = found;
  if (first === undefined) return;
  if (ofDomain.length === 0) {
    report.lacks(
      'ENVOY_DOMAIN',
      first.filter.config.at('domain') ?? first.filter,
      `no ratelimit filter has the domain ${domain}`,
      rules,
      `write domain: ${domain}`,
    );
    return;
  }
  if (ofDomain.some(({ chain }) => chain.routes === undefined)) return; // RDS
  const lists = ofDomain.flatMap(actionListsOf);
  if (lists.some((list) => isMet(need, list))) return;
  const at = ofDomain[0]?.chain.routes ?? ofDomain[0]?.filter ?? first.filter;
  const wanted =
    entries.length === 0
      ? 'any entry'
      : entries.map(({ key, value }) => (value === undefined ? key : `${key} = ${JSON.stringify(value)}`)).join(', ');
  report.lacks(
    'ENVOY_ACTIONS',
    at,
    `no virtual host or route sends a descriptor with ${wanted}${need.endsLease ? ' when the stream is done' : ''}`,
    rules,
    `write rate_limits with actions for ${entries.length === 0 ? 'it' : entries.map(({ key }) => key).join(', ')}`,
  );
}

interface ActionList {
  readonly onDone: boolean;
  readonly entries: readonly { readonly key: string; readonly value: string | undefined }[];
  /** An extension makes entries that only Envoy knows. */
  readonly isOpen: boolean;
}

function actionListsOf({ filter, chain: { routes } }: LimitFilter): readonly ActionList[] {
  const stage = filter.config.number('stage') ?? 0;
  const scopes = routeScopes(routes);
  const all = [
    ...filter.config.items('rate_limits'),
    ...scopes.flatMap((scope) => [...scope.items('rate_limits'), ...scope.items('route', 'rate_limits')]),
    ...perRoute(routes, filter.text('name') ?? '').flatMap((one) => one.items('rate_limits')),
  ];
  return all
    .filter((one) => (one.number('stage') ?? 0) === stage)
    .map((one) => {
      const actions = one.items('actions').map(entryOf);
      return {
        onDone: one.isTrue('apply_on_stream_done'),
        entries: actions.filter((entry) => entry !== undefined),
        isOpen: actions.includes(undefined),
      };
    });
}

/** The key that an action writes, and its value if that is fixed. */
const DEFAULT_KEYS: Readonly<Record<string, string>> = {
  source_cluster: 'source_cluster',
  destination_cluster: 'destination_cluster',
  remote_address: 'remote_address',
  masked_remote_address: 'masked_remote_address',
  generic_key: 'generic_key',
  header_value_match: 'header_match',
  query_parameter_value_match: 'query_match',
};

function entryOf(action: View): { readonly key: string; readonly value: string | undefined } | undefined {
  for (const kind of [
    ...Object.keys(DEFAULT_KEYS),
    'request_headers',
    'query_parameters',
    'metadata',
    'dynamic_metadata',
  ]) {
    const body = action.at(kind);
    if (body === undefined) continue;
    const key = body.text('descriptor_key') ?? DEFAULT_KEYS[kind];
    return key === undefined
      ? undefined
      : { key, value: kind === 'metadata' ? undefined : body.text('descriptor_value') };
  }
  return undefined;
}

function isMet({ entries, isExact, endsLease }: DescriptorNeed, list: ActionList): boolean {
  if (list.isOpen) return true;
  if (list.onDone !== endsLease) return false;
  const fits = (
    needed: { readonly key: string; readonly value: string | undefined },
    sent: { readonly key: string; readonly value: string | undefined },
  ): boolean =>
    needed.key === sent.key &&
    (needed.value === undefined || sent.value === undefined || needed.value === sent.value || endsLease);
  if (isExact)
    return (
      list.entries.length === entries.length &&
      entries.every((needed, at) => fits(needed, list.entries[at] ?? { key: '', value: undefined }))
    );
  return list.entries.length > 0 && entries.every((needed) => list.entries.some((sent) => fits(needed, sent)));
}
