/**
 * `sluice sidecar`: an Envoy as a member of the mesh.
 * **In**: arguments and environment of Istio's agent. **Out**: an Envoy that runs until it ends or a signal stops it, and the agent that
 * gives it certificates. **Fails**: with a CliError if the workload is not known, or the program does not start; otherwise with
 * Envoy's exit code.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { AgentOptions } from '../../identity/agent.ts';
import { makeLog } from '../../log/log.ts';
import { SYSTEM_ROOTS } from '../../mesh/resolve/proxy.ts';
import { bootstrapOf, type MemberIdentity, nodeId } from '../../mesh/sidecar/bootstrap.ts';
import { messageOf } from '../../text/message-of.ts';
import { goDurationMs } from '../../time/duration.ts';
import { settlesWithin } from '../../time/settles-within.ts';
import { type Address, addressText } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { parseAddress } from '../flag-values.ts';
import { printOut } from '../terminal.ts';
import { startStatus, statusFrom } from './sidecar-status.ts';
import { followStops, runEnvoy, type Stops } from './envoy-process.ts';

export interface SidecarFlags {
  readonly discoveryAddress?: string;
  readonly sluiceAddress?: string;
  readonly caAddress?: string;
  readonly caCertificates: string;
  readonly tokenFile: string;
  readonly secretTtl?: string;
  readonly serviceCluster: string;
  readonly domain?: string;
  readonly binaryPath: string;
  readonly configPath?: string;
  readonly proxyAdminPort: string;
  readonly statusPort?: string;
  readonly concurrency?: string;
  readonly proxyLogLevel: string;
  readonly drainDuration: string;
  readonly connectTimeout: string;
  readonly controlPlaneAuthPolicy?: 'NONE' | 'MUTUAL_TLS';
  readonly stateOfTheWorld?: true;
  readonly print?: true;
}

export async function sidecar(type: MemberIdentity['type'], flags: SidecarFlags): Promise<ExitCode> {
  const isTemporary = flags.configPath === undefined && flags.print !== true;
  const folder = isTemporary
    ? await mkdtemp(join(tmpdir(), TEMPORARY))
    : (flags.configPath ?? join(tmpdir(), `${TEMPORARY}0`));
  try {
    return await inFolder(folder, type, flags);
  } finally {
    if (isTemporary) await rm(folder, { recursive: true, force: true });
  }
}

async function inFolder(folder: string, type: MemberIdentity['type'], flags: SidecarFlags): Promise<ExitCode> {
  const member = memberFrom(process.env, type, flags);
  const adminPort = wholeNumber('--proxyAdminPort', flags.proxyAdminPort);
  const drainMs = durationOf('--drainDuration', flags.drainDuration);
  const agent = agentFrom(folder, flags);
  const status = statusFrom(process.env, flags.statusPort, member);
  const { discovery, isSecure } = discoveryFrom(flags);
  const bootstrap = bootstrapOf({
    member,
    discovery,
    sluice: flags.sluiceAddress === undefined ? undefined : parseAddress(flags.sluiceAddress),
    adminPort,
    connectMs: durationOf('--connectTimeout', flags.connectTimeout),
    isDelta: flags.stateOfTheWorld !== true && process.env[DELTA] !== 'false',
    agent: agent === undefined ? undefined : { socketPath: agent.socketPath, isDiscoverySecure: isSecure },
  });
  const text = JSON.stringify(bootstrap, null, 2);
  if (flags.print === true) {
    printOut(text);
    return EXIT.ok;
  }
  const file = join(folder, 'envoy.json');
  const args = ['-c', file, '--disable-hot-restart', '--log-level', flags.proxyLogLevel];
  // As Istio has it: with the gradual strategy, a connection with few requests may be cut at the end without having been told to close.
  args.push('--drain-time-s', String(Math.ceil(drainMs / 1000)), '--drain-strategy', 'immediate');
  if (flags.concurrency !== undefined)
    args.push('--concurrency', String(wholeNumber('--concurrency', flags.concurrency)));
  const log = makeLog('text', 'info');
  const stops = followStops();
  await mkdir(folder, { recursive: true });
  await writeFile(file, text);
  await using stack = new AsyncDisposableStack();
  if (status !== undefined) stack.use(await startStatus(status, adminPort, log));
  if (agent !== undefined && !(await certified({ ...agent, log }, stops, stack))) return EXIT.ok;
  if (!Object.hasOwn(member.metadata, SYSTEM_ROOTS))
    log.warn(
      'this machine has no file of CA certificates: calls by TLS of mode SIMPLE or MUTUAL without caCertificates are refused; ' +
        'install ca-certificates',
      { lookedFor: ROOT_FILES.join(', ') },
    );
  log.info('starts Envoy', { node: nodeId(member), discovery: addressText(discovery), bootstrap: file });
  return await runEnvoy(flags.binaryPath, args, { log, adminPort, drainMs, stops });
}

const TEMPORARY = 'sluice-sidecar-';
/** Of Istio's agent; in pods, from `proxyMetadata`. */
const DELTA = 'ISTIO_DELTA_XDS';

// ---------------------------------------------------------- certificates

/** `undefined`: no authority is named, so the workload has no certificate. */
function agentFrom(folder: string, flags: SidecarFlags): Omit<AgentOptions, 'log'> | undefined {
  const { caAddress, caCertificates, tokenFile, secretTtl } = flags;
  if (caAddress === undefined) return undefined;
  return {
    address: addressText(parseAddress(caAddress)),
    rootsFile: caCertificates,
    tokenFile,
    ttlMs: secretTtl === undefined ? undefined : durationOf('--secretTtl', secretTtl),
    socketPath: join(folder, 'sds', 'socket'),
  };
}

function discoveryFrom({ discoveryAddress, caAddress, controlPlaneAuthPolicy }: SidecarFlags): {
  readonly discovery: Address;
  readonly isSecure: boolean;
} {
  const isSecure = (controlPlaneAuthPolicy ?? (caAddress === undefined ? 'NONE' : 'MUTUAL_TLS')) === 'MUTUAL_TLS';
  if (isSecure && caAddress === undefined)
    throw new CliError(
      'CLI_USAGE',
      '--controlPlaneAuthPolicy MUTUAL_TLS needs a certificate; give the authority that signs it by --caAddress',
    );
  const address = discoveryAddress ?? (isSecure ? caAddress : undefined) ?? '127.0.0.1:15010';
  return { discovery: parseAddress(address), isSecure };
}

/** A line a minute, while Envoy waits. */
const SAY_EVERY_MS = 60_000;

/**
 * Envoy starts with the first certificate: without one its listeners would refuse every connection, and a pod that is not ready says more.
 * False if a signal ends the wait.
 */
async function certified(options: AgentOptions, stops: Stops, stack: AsyncDisposableStack): Promise<boolean> {
  const { log, address, rootsFile, tokenFile } = options;
  const { startAgent } = await import('../../identity/agent.ts');
  const agent = await startAgent(options).catch((error: unknown) => {
    throw new CliError('CLI_USAGE', `the agent does not start: ${messageOf(error)}`, { cause: error });
  });
  stack.defer(() => agent.close());
  log.info('asks for the first certificate; Envoy starts when it is there', { ca: address, rootsFile, tokenFile });
  const either = Promise.race([agent.first, stops.first]);
  while (!(await settlesWithin(SAY_EVERY_MS, either)))
    log.warn('still without a certificate: Envoy is not started', { ca: address });
  return !stops.isStopping;
}

// ---------------------------------------------------------- who the workload is

type Environment = Readonly<Record<string, string | undefined>>;

function memberFrom(
  env: Environment,
  type: MemberIdentity['type'],
  { serviceCluster, domain }: SidecarFlags,
): MemberIdentity {
  const namespace = env['POD_NAMESPACE'] ?? 'default';
  return {
    type,
    address: env['INSTANCE_IP'] ?? ownAddress(),
    pod: env['POD_NAME'] ?? hostname(),
    namespace,
    domain: domain ?? `${namespace}.svc.cluster.local`,
    serviceCluster,
    metadata: { ...systemRoots(), ...metadataFrom(env) },
  };
}

/** Of Debian and Alpine, Fedora, OpenSUSE, RHEL, and again Alpine. */
const ROOT_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Envoy beside this process sees the same files. */
function systemRoots(): JsonObject {
  const found = ROOT_FILES.find((file) => existsSync(file));
  return found === undefined ? {} : { [SYSTEM_ROOTS]: found };
}

const TEXT = 'ISTIO_META_';
const JSON_TEXT = 'ISTIO_METAJSON_';

function metadataFrom(env: Environment): JsonObject {
  const metadata: Record<string, JsonValue> = {};
  if (env['SERVICE_ACCOUNT'] !== undefined) metadata['SERVICE_ACCOUNT'] = env['SERVICE_ACCOUNT'];
  for (const [name, value = ''] of Object.entries(env)) {
    if (name.startsWith(TEXT)) metadata[name.slice(TEXT.length)] = value;
    if (!name.startsWith(JSON_TEXT)) continue;
    try {
      metadata[name.slice(JSON_TEXT.length)] = JSON.parse(value) as JsonValue;
    } catch (error) {
      throw new CliError('CLI_USAGE', `${name} is not JSON: ${messageOf(error)}`);
    }
  }
  return metadata;
}

/** The first of this machine that is not loopback. */
function ownAddress(): string {
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4');
  if (found === undefined)
    throw new CliError(
      'CLI_USAGE',
      'this machine has no address but loopback; set INSTANCE_IP to the one that the mesh knows',
    );
  return found.address;
}

function wholeNumber(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a whole number`);
}

function durationOf(flag: string, text: string): number {
  const ms = goDurationMs(text);
  if (ms !== undefined && ms >= 0) return ms;
  throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a duration, such as 45s`);
}
