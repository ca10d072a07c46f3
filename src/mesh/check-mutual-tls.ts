/**
 * What rules of TLS come to: a certificate that is not there takes a server away, a client that encrypts otherwise is refused, and one
 * that expects no name trusts any server.
 * **In**: a mesh. **Out**: warnings at the rules without effect, and at those that make calls fail. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { meant } from '../text/nearest.ts';
import { credentialNameOf } from './model/credential-access.ts';
import { Credentials } from './model/credentials.ts';
import { hasLabels, type Mesh } from './model/mesh.ts';
import { isHttp } from './model/model.ts';
import { completeHost, covers } from './resolve/hosts.ts';
import { isSelecting, mtlsModeAt } from './resolve/mutual-tls.ts';
import type { ClientTls, TrafficPolicy } from './rules/destination-rule.ts';
import type { ServerTls } from './rules/gateway.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

const NO_IDENTITIES = 'this control plane gives proxies no identities';

export function checkMutualTls(mesh: Mesh, findings: Findings): void {
  for (const rule of mesh.rules.DestinationRule) clientRule(rule, mesh, findings);
  const credentials = new Credentials(mesh.rules.Secret);
  for (const rule of mesh.rules.Gateway)
    for (const [at, { tls }] of rule.spec.servers.entries())
      if (tls !== undefined) gatewayServer(rule, at, tls, { mesh, findings, credentials });
  authenticationRules(mesh, findings);
}

// ---------------------------------------------------------- clients

type Path = readonly (string | number)[];

/** TLS settings of a rule, with the endpoints that they are for. */
interface Part {
  readonly tls: ClientTls;
  readonly path: Path;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the service; `undefined`: all. */
  readonly port: number | undefined;
}

function clientRule(rule: MeshObject<'DestinationRule'>, mesh: Mesh, findings: Findings): void {
  for (const { tls, path, labels, port } of partsOf(rule)) {
    const warn = (message: string): void =>
      findings.add('warning', 'MESH_RULE', placeAt(rule, [...path, 'tls', 'mode']), message);
    if (tls.mode === 'ISTIO_MUTUAL' && tls.insecureSkipVerify === true)
      warn('mode ISTIO_MUTUAL verifies the server by its identity; insecureSkipVerify has no effect');
    if (tls.credentialName !== undefined && tls.mode !== 'DISABLE') clientCredential(rule, tls, path, mesh, findings);
    if (isOfAnyName(rule, tls, port, mesh))
      warn(
        'connections that are no HTTP do not say to which host of the wildcard they go, so the certificate of any host is accepted; ' +
          'write sni or subjectAltNames',
      );
    if (mesh.settings.identities === undefined) {
      if (tls.mode === 'ISTIO_MUTUAL')
        warn(`${NO_IDENTITIES}, so ISTIO_MUTUAL comes to cleartext; MUTUAL with files of certificates encrypts`);
      continue;
    }
    if (tls.mode === 'ISTIO_MUTUAL') continue;
    const refusing = strictHost(rule, mesh, labels, port);
    if (refusing !== undefined)
      warn(`${refusing} takes mutual TLS alone (STRICT), so calls of mode ${tls.mode} are refused; use ISTIO_MUTUAL`);
  }
}

function clientCredential(
  rule: MeshObject<'DestinationRule'>,
  { mode, credentialName: name = '', insecureSkipVerify }: ClientTls,
  path: Path,
  { credential, credentialCa }: Mesh,
  findings: Findings,
): void {
  const warn = (message: string): void =>
    findings.add('warning', 'MESH_RULE', placeAt(rule, [...path, 'tls', 'credentialName']), message);
  const { namespace } = rule.origin;
  if (rule.spec.workloadSelector === undefined)
    return warn(
      `without workloadSelector the credential ${name} is for gateways, and calls of sidecars are refused; select the workloads that may have it`,
    );
  const lacks =
    mode === 'MUTUAL' && credential(name, namespace) === undefined
      ? 'a certificate and its key (tls.crt, tls.key)'
      : insecureSkipVerify !== true && credentialCa(name, namespace) === undefined
        ? 'the authorities of the server (ca.crt)'
        : undefined;
  if (lacks !== undefined) warn(`no Secret ${namespace}/${name} has ${lacks}; calls are refused`);
}

/** Of a host with a wildcard, at a port whose connections name no server. */
function isOfAnyName(
  { origin, spec: { host } }: MeshObject<'DestinationRule'>,
  tls: ClientTls,
  port: number | undefined,
  { services, settings }: Mesh,
): boolean {
  if (tls.mode === 'DISABLE' || tls.mode === 'ISTIO_MUTUAL' || tls.insecureSkipVerify === true) return false;
  if (tls.sni !== undefined || tls.subjectAltNames.length > 0) return false;
  const service = services.get(completeHost(host, origin.namespace, settings.domain));
  return (
    service !== undefined &&
    service.host.startsWith('*') &&
    service.subjectAltNames.length === 0 &&
    service.ports.some(({ number, protocol }) => (port ?? number) === number && !isHttp(protocol))
  );
}

function partsOf({ spec: { trafficPolicy, subsets } }: MeshObject<'DestinationRule'>): readonly Part[] {
  const of = (policy: TrafficPolicy | undefined, path: Path, labels: Part['labels']): Part[] => [
    ...(policy?.tls === undefined ? [] : [{ tls: policy.tls, path, labels, port: undefined }]),
    ...(policy?.portLevelSettings ?? []).flatMap(({ tls, port }, at) =>
      tls === undefined ? [] : [{ tls, path: [...path, 'portLevelSettings', at], labels, port: port.number }],
    ),
  ];
  return [
    ...of(trafficPolicy, ['spec', 'trafficPolicy'], {}),
    ...subsets.flatMap((one, at) => of(one.trafficPolicy, ['spec', 'subsets', at, 'trafficPolicy'], one.labels)),
  ];
}

/** The first service with an endpoint that refuses anything but mutual TLS. */
function strictHost(
  { origin, spec }: MeshObject<'DestinationRule'>,
  mesh: Mesh,
  labels: Part['labels'],
  port: number | undefined,
): string | undefined {
  const pattern = completeHost(spec.host, origin.namespace, mesh.settings.domain);
  const hosts = mesh.services.has(pattern)
    ? [pattern]
    : [...mesh.services.keys()].filter((one) => covers(pattern, one));
  return hosts.find((host) =>
    (mesh.endpoints.get(host) ?? []).some(
      (endpoint) =>
        endpoint.hasSidecar &&
        hasLabels(endpoint.labels, labels) &&
        [...endpoint.ports].some(
          ([number, own]) => (port ?? number) === number && mtlsModeAt(mesh, endpoint, own) === 'STRICT',
        ),
    ),
  );
}

// ---------------------------------------------------------- gateways

interface Context {
  readonly mesh: Mesh;
  readonly findings: Findings;
  readonly credentials: Credentials;
}

/** The proxies that a Gateway selects, and so their namespace, are not known here. */
function gatewayServer(
  rule: MeshObject<'Gateway'>,
  at: number,
  tls: ServerTls,
  { mesh, findings, credentials }: Context,
): void {
  const { mode } = tls;
  const leftOut = (key: string, why: string): void =>
    findings.add(
      'warning',
      'MESH_UNUSED',
      placeAt(rule, ['spec', 'servers', at, 'tls', key]),
      `${why}; the server is left out`,
    );
  if (mode === 'ISTIO_MUTUAL' && mesh.settings.identities === undefined) leftOut('mode', NO_IDENTITIES);
  const name = credentialNameOf(tls);
  if (name === undefined) return;
  const { namespace } = rule.origin;
  if (Object.keys(rule.spec.selector).length === 0)
    findings.add(
      'warning',
      'MESH_RULE',
      placeAt(rule, ['spec']),
      `without a selector every workload of the namespace ${namespace} may have the key of ${name}; select the gateway by its labels`,
    );
  const secrets = mesh.rules.Secret.filter(({ origin }) => origin.name === name);
  if (secrets.length === 0) {
    const known = mesh.rules.Secret.map(({ origin }) => origin.name);
    leftOut('credentialName', `no Secret is named ${name}${meant(name, known)}`);
  }
  for (const { origin } of secrets) {
    const found = credentials.find(name, origin.namespace);
    const wrong =
      'problem' in found
        ? found.problem
        : mode === 'SIMPLE' || found.ca !== undefined
          ? undefined
          : `the Secret ${origin.namespace}/${name} has no ca.crt, which mode ${mode} needs`;
    if (wrong === undefined) continue;
    findings.add('warning', 'MESH_SECRET', origin.place, wrong);
    leftOut('credentialName', wrong);
  }
}

// ---------------------------------------------------------- workloads

function authenticationRules({ rules, settings }: Mesh, findings: Findings): void {
  if (settings.identities === undefined)
    for (const { origin } of [...rules.PeerAuthentication, ...rules.Policy, ...rules.MeshPolicy])
      findings.add('warning', 'MESH_RULE', origin.place, `${NO_IDENTITIES}, so it has no effect`);
  const forAll = [
    ...rules.PeerAuthentication.filter((one) => !isSelecting(one)),
    ...rules.Policy.filter(({ spec }) => spec.targets.length === 0),
  ];
  const oldest = new Map<string, string>();
  for (const { origin } of forAll) {
    const { kind, namespace, name, place } = origin;
    const older = oldest.get(`${kind} ${namespace}`);
    if (older === undefined) oldest.set(`${kind} ${namespace}`, `${kind} ${namespace}/${name}`);
    else
      findings.add('warning', 'MESH_UNUSED', place, `the older ${older} holds for the namespace; this one is ignored`);
  }
  for (const rule of rules.PeerAuthentication)
    if (isSelecting(rule) && rule.origin.namespace === settings.rootNamespace)
      findings.add(
        'warning',
        'MESH_UNUSED',
        placeAt(rule, ['spec', 'selector']),
        'in the root namespace a PeerAuthentication that selects has no effect',
      );
}
