/** `sluice mesh`: the control plane, and views of a running one. */
import { resolve } from 'node:path';
import { counted } from '../../text/counted.ts';
import { type Finding, findingsCount } from '../../yaml/findings.ts';
import { fromKubeconfig, inCluster } from '../../kubernetes/index.ts';
import { makeLog } from '../../log/log.ts';
import { writeLog } from '../../log/log-output.ts';
import { safeLine } from '../../log/safe-text.ts';
import { DEFAULT_SETTINGS } from '../../mesh/model/mesh.ts';
import { readMesh } from '../../mesh/sources/read-mesh.ts';
import { containErrors } from '../../serve/contain-errors.ts';
import { type MeshServer, type MeshServerOptions, startMeshServer } from '../../serve/mesh/server.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { causeMessageOf } from '../../text/message-of.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { type Address, addressText } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { exitOf, findingLines, findingRow, logFindings } from '../findings.ts';
import { parseAddress } from '../flag-values.ts';
import type { LogFlags } from '../server-flags.ts';
import { columns, printOut } from '../terminal.ts';
import { type MeshIdentityFlags, secureOf } from './mesh-identity.ts';
import {
  meshConfigOf,
  type MeshServingFlags,
  type MeshSettingsFlags,
  settingsOf,
  withTrustDomain,
} from './mesh-settings.ts';

export interface MeshFlags extends MeshIdentityFlags, MeshServingFlags, LogFlags {
  readonly xds: string;
  readonly admin: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly inCluster?: true;
  readonly watchNamespaces?: string;
}
export interface MeshLintFlags extends MeshSettingsFlags {
  readonly secure?: true;
  readonly all?: true;
  readonly json?: true;
}
export interface MeshViewFlags {
  readonly to: string;
  readonly json?: true;
}

const GRACE_MS = 2000;

function kubernetesOf(
  configs: readonly string[],
  { kubeconfig, context, inCluster: isInCluster, watchNamespaces = '' }: MeshFlags,
): MeshServerOptions['kubernetes'] {
  const misused = (why: string): CliError => new CliError('CLI_USAGE', why);
  if (kubeconfig !== undefined && isInCluster === true)
    throw misused('--kubeconfig and --in-cluster exclude each other');
  if (kubeconfig === undefined && context !== undefined) throw misused('--context needs --kubeconfig');
  if (kubeconfig === undefined && isInCluster !== true) {
    if (watchNamespaces !== '') throw misused('--watch-namespaces needs --kubeconfig or --in-cluster');
    if (configs.length === 0)
      throw misused('name the files of a mesh, or an API server by --kubeconfig or --in-cluster');
    return undefined;
  }
  return {
    server: () => (kubeconfig === undefined ? inCluster({}) : fromKubeconfig(resolve(kubeconfig), context)),
    namespaces: [...new Set(watchNamespaces.split(',').map((name) => name.trim()))].filter((name) => name !== ''),
  };
}

export async function serveMesh(configs: readonly string[], flags: MeshFlags): Promise<ExitCode> {
  const log = makeLog(flags.logFormat, flags.logLevel);
  const [xds, admin] = [parseAddress(flags.xds, { unix: true }), parseAddress(flags.admin)];
  const kubernetes = kubernetesOf(configs, flags);
  const onFindings = (findings: readonly Finding[]): void => logFindings(findings, flags.logFormat, log);
  const config = await meshConfigOf(flags, onFindings);
  if ((kubernetes?.namespaces ?? []).length > 0 && (config.settings.discoverySelectors ?? []).length > 0)
    throw new CliError(
      'CLI_USAGE',
      '--watch-namespaces and discoverySelectors of the MeshConfig exclude each other: ' +
        'the labels of namespaces can only be listed for the whole cluster',
    );
  const secure = secureOf(withTrustDomain(flags, config), kubernetes?.server);
  containErrors(log);
  return serveUntilStopped<MeshServer>({
    log,
    start: (signal) =>
      startMeshServer(
        {
          configs,
          kubernetes,
          settings: settingsOf(flags, config, secure),
          xds,
          secure,
          admin,
          log,
          graceMs: GRACE_MS,
          onFindings,
        },
        signal,
      ),
    onServing({ xds: at, secure: securedAt, admin: pages, plane }) {
      if (flags.logFormat === 'json') {
        log.info('serving', { xds: addressText(at), secure: textOf(securedAt), admin: textOf(pages) });
        return;
      }
      const line = (text: string): void => writeLog(`${text}\n`);
      line(
        `${paintErr.strong('sluice mesh')} serves ${counted(plane.mesh.services.size, 'service')} of version ${plane.version}`,
      );
      line(`  xDS    ${paintErr.name(addressText(at))}  for Envoy: ADS, state of the world and delta`);
      if (securedAt !== undefined)
        line(
          `  secure ${paintErr.name(addressText(securedAt))}  for agents and Envoys: certificates, ADS and SDS over TLS`,
        );
      if (pages !== undefined) line(`  admin  ${paintErr.name(`http://${addressText(pages)}`)}  /mesh /mesh/proxies`);
      line('  Ctrl-C stops it; a changed file reaches all proxies.');
    },
  });
}

const textOf = (at: Address | undefined): string | null => (at === undefined ? null : addressText(at));

/** No finding depends on the trust domain. */
const ANY_IDENTITIES = { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } };

export async function lintMesh(configs: readonly string[], flags: MeshLintFlags): Promise<ExitCode> {
  const { domain, secure, all, json } = flags;
  const ofConfig: Finding[] = [];
  const { settings } = await meshConfigOf(flags, (findings) => ofConfig.push(...findings)).catch((error: unknown) => {
    for (const line of findingLines(ofConfig, paintOut, all)) printOut(line);
    throw error;
  });
  const paths = configs.map((path) => resolve(path));
  const {
    mesh,
    findings: ofMesh,
    version,
  } = await readMesh(paths, {
    ...DEFAULT_SETTINGS,
    ...settings,
    domain,
    ...(secure === true ? ANY_IDENTITIES : {}),
  });
  const findings = [...ofConfig, ...ofMesh];
  const exit = exitOf(findings);
  if (json === true) {
    printOut(JSON.stringify({ ok: exit === EXIT.ok, version, findings: findings.map(findingRow) }, null, 2));
    return exit;
  }
  for (const line of findingLines(findings, paintOut, all)) printOut(line);
  if (findings.length > 0) printOut(findingsCount(findings));
  if (mesh !== undefined) {
    const { VirtualService, DestinationRule, Gateway, Sidecar } = mesh.rules;
    printOut(
      `${paintOut.good('good')}  version ${version}: ${counted(mesh.services.size, 'service')}, ${counted(VirtualService.length, 'VirtualService')}, ` +
        `${counted(DestinationRule.length, 'DestinationRule')}, ${counted(Gateway.length, 'Gateway')}, ${counted(Sidecar.length, 'Sidecar')}`,
    );
  }
  return exit;
}

interface ProxyRow {
  readonly name: string;
  readonly state: string;
  readonly version: string | null;
  readonly types: Readonly<Record<string, string>>;
  readonly refusals: readonly { readonly type: string; readonly why: string; readonly of: readonly string[] }[];
  readonly warming?: readonly { readonly name: string; readonly of: string | null; readonly why: string }[];
  readonly refusedCredentials?: readonly { readonly credential: string; readonly why: string; readonly add: string }[];
}

export async function meshStatus({ to, json }: MeshViewFlags): Promise<ExitCode> {
  const page = (await askedOf(to, '/mesh/proxies')) as {
    readonly version: string;
    readonly proxies: readonly ProxyRow[];
  };
  const { pending } = (await askedOf(to, '/mesh')) as { readonly pending: PendingMesh | null };
  const isFine = pending === null && page.proxies.every(({ state }) => state === 'synced');
  const exit = isFine ? EXIT.ok : EXIT.findings;
  if (json === true) {
    printOut(JSON.stringify({ ...page, pending }, null, 2));
    return exit;
  }
  if (page.proxies.length === 0) printOut(`no proxy is connected; version ${page.version} is in force`);
  const word = (state: string): string => (state === 'synced' ? paintOut.good(state) : paintOut.bad(state));
  const rows = page.proxies.map(({ name, state, version, types }) => [
    safeLine(name),
    word(state),
    version ?? '-',
    Object.entries(types)
      .map(([type, own]) => `${type} ${own}`)
      .join(', '),
  ]);
  for (const line of columns([['proxy', 'state', 'version', 'types'], ...rows], [paintOut.name])) printOut(line);
  for (const { name, refusals, warming = [], refusedCredentials = [] } of page.proxies) {
    for (const { type, why, of } of refusals) {
      printOut();
      printOut(`${paintOut.name(safeLine(name))} refuses ${type}: ${safeLine(why)}`);
      for (const object of of) printOut(`  ${safeLine(object)}`);
    }
    for (const { name: cluster, of, why } of warming) {
      printOut();
      printOut(`${paintOut.name(safeLine(name))} has not accepted the cluster ${safeLine(cluster)}: ${safeLine(why)}`);
      if (of !== null) printOut(`  ${safeLine(of)}`);
    }
    for (const { credential, why, add } of refusedCredentials) {
      printOut();
      printOut(`${paintOut.name(safeLine(name))} may not have the Secret ${safeLine(credential)}: ${safeLine(why)}`);
      printOut(`  add ${safeLine(add)}`);
    }
  }
  if (pending !== null) printPending(pending, page.version);
  return exit;
}

/** Newer files that were refused. */
interface PendingMesh {
  readonly why: string;
  readonly findings: readonly { readonly at: string; readonly code: string; readonly message: string }[];
}

function printPending({ why, findings }: PendingMesh, version: string): void {
  printOut();
  printOut(
    `${paintOut.bad('the files have errors')}, so version ${safeLine(version)} stays in force: ${safeLine(why)}`,
  );
  for (const { at, code, message } of findings) printOut(`  ${safeLine(at)} ${code} ${safeLine(message)}`);
}

export async function meshShow(proxy: string, what: string, { to, json }: MeshViewFlags): Promise<ExitCode> {
  const page = (await askedOf(to, `/mesh/proxies/${encodeURIComponent(proxy)}/${what}`)) as {
    readonly resources: readonly { readonly name: string; readonly origin: string | null; readonly resource: object }[];
  };
  if (json === true) {
    printOut(JSON.stringify(page.resources, null, 2));
    return EXIT.ok;
  }
  for (const { name, origin, resource } of page.resources) {
    printOut(`${paintOut.name(name)}${origin === null ? '' : paintOut.faint(`  ${origin}`)}`);
    printOut(JSON.stringify(resource, null, 2));
  }
  return EXIT.ok;
}

const TIMEOUT_MS = 15_000;

async function askedOf(to: string, path: string): Promise<unknown> {
  const url = `http://${addressText(parseAddress(to))}${path}`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const page = (await answer.json()) as { readonly error?: string };
    if (answer.ok) return page;
    throw new Error(page.error ?? `it answers ${answer.status}`);
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `${url}: ${causeMessageOf(error)}`, { cause: error });
  }
}
