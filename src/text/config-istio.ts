/**
 * What stands in place of documents of `config.istio.io`: Mixer's, and those of traffic and roles before Istio 0.8. None of them is read;
 * the error about one names what to write instead.
 */

/** The routing of Istio before `networking.istio.io`. */
const TRAFFIC: ReadonlyMap<string, string> = new Map([
  ['RouteRule', 'a VirtualService'],
  ['EgressRule', 'a ServiceEntry'],
  ['DestinationPolicy', 'a DestinationRule'],
  ['IngressRule', 'a Gateway and a VirtualService'],
]);
const ROLES: readonly string[] = ['ServiceRole', 'ServiceRoleBinding', 'RbacConfig'];

const DENIER = 'a rule that denies';
const LIST = 'a check of the adapter check-list';
const METRICS = 'a report of the adapter metrics-prometheus or metrics-otlp';
const LINES = 'a report of an adapter such as log-stdout, log-file or log-otlp';
const ROLE_CHECK = 'a check of the adapter check-rbac, or an AuthorizationPolicy of Istio';
const QUOTA = 'a quota of the adapter quota-redis or quota-memory';
const SPANS = 'a report of the adapter traces-otlp, or the tracer of the proxy';
const WORKLOADS = 'labels that the proxy sends, or an enrich of the adapter enrich-kubernetes';
const PLUGIN = 'a plugin';

/** Mixer's adapters and templates, which are kinds of their own, too. */
const MIXER: ReadonlyMap<string, string> = new Map([
  ['denier', DENIER],
  ['checknothing', DENIER],
  ['listchecker', LIST],
  ['list', LIST],
  ['listentry', LIST],
  ['memquota', 'a quota of the adapter quota-memory'],
  ['redisquota', 'a quota of the adapter quota-redis'],
  ['quota', QUOTA],
  ['QuotaSpec', `${QUOTA}, whose cost is the charge and whose match says which calls pay`],
  ['QuotaSpecBinding', `${QUOTA}, whose match names the service`],
  ['rbac', ROLE_CHECK],
  ['authorization', ROLE_CHECK],
  ['opa', 'a check of the adapter check-http, which asks an OPA'],
  ['apikey', 'a check of the adapter auth-keys'],
  ['HTTPAPISpec', 'attributes of your own, by expressions over request.url_path'],
  ['HTTPAPISpecBinding', 'attributes of your own, by expressions over request.url_path'],
  ['prometheus', 'a report of the adapter metrics-prometheus'],
  ['metric', METRICS],
  ['statsd', METRICS],
  ['dogstatsd', METRICS],
  ['circonus', METRICS],
  ['signalfx', METRICS],
  ['stdio', 'a report of the adapter log-stdout or log-file'],
  ['fluentd', 'a report of the adapter log-fluentd'],
  ['logentry', LINES],
  ['stackdriver', 'reports by OTLP, of the adapters log-otlp, metrics-otlp and traces-otlp'],
  ['cloudwatch', 'reports by OTLP, of the adapters log-otlp and metrics-otlp'],
  ['solarwinds', 'reports by OTLP, of the adapters log-otlp and metrics-otlp'],
  ['tracespan', SPANS],
  ['zipkin', SPANS],
  ['kubernetesenv', WORKLOADS],
  ['kubernetes', WORKLOADS],
  ['attributemanifest', '`attributes:` for those that are not built in'],
  ['rule', 'a rule'],
  ['adapter', PLUGIN],
  ['template', PLUGIN],
]);

export const isConfigOfIstio = (apiVersion: string): boolean => apiVersion.startsWith('config.istio.io/');

/** `instead` continues "write". */
export interface Retired {
  readonly of: 'Istio Mixer' | 'Istio before 0.8';
  readonly instead: string;
}

/** `part`: the adapter of a handler, or the template of an instance. */
export function retired(kind: string, part?: string): Retired {
  const route = TRAFFIC.get(kind);
  if (route !== undefined)
    return { of: 'Istio before 0.8', instead: `${route} of networking.istio.io for \`sluice mesh\`` };
  if (ROLES.includes(kind))
    return { of: 'Istio before 0.8', instead: 'apiVersion: rbac.istio.io/v1alpha1 for `sluice serve`' };
  const instead = MIXER.get(part ?? '') ?? MIXER.get(kind) ?? (part === undefined ? 'rules' : PLUGIN);
  return { of: 'Istio Mixer', instead: `${instead} for \`sluice serve\` (docs/how-to/from-mixer.md)` };
}
