/**
 * `sluice sidecar`: an Envoy as a member of the mesh.
 * **In**: arguments and environment of Istio's agent. **Out**: an Envoy that runs until it ends or a signal stops it.
 * **Fails**: with a CliError if the workload is not known, or the program does not start; otherwise with Envoy's exit code.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { makeLog, type OwnLog } from '../../log/log.ts';
import { bootstrapOf, type MemberIdentity, nodeId } from '../../mesh/sidecar/bootstrap.ts';
import { followSignals } from '../../serve/signals.ts';
import { messageOf } from '../../text/message-of.ts';
import { goDurationMs } from '../../time/duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { parseAddress } from '../flag-values.ts';
import { printOut } from '../terminal.ts';

export interface SidecarFlags {
  readonly discoveryAddress: string;
  readonly sluiceAddress?: string;
  readonly serviceCluster: string;
  readonly domain?: string;
  readonly binaryPath: string;
  readonly configPath?: string;
  readonly proxyAdminPort: string;
  readonly concurrency?: string;
  readonly proxyLogLevel: string;
  readonly drainDuration: string;
  readonly connectTimeout: string;
  readonly delta?: true;
  readonly print?: true;
}

export async function sidecar(type: MemberIdentity['type'], flags: SidecarFlags): Promise<ExitCode> {
  const member = memberFrom(process.env, type, flags);
  const adminPort = wholeNumber('--proxyAdminPort', flags.proxyAdminPort);
  const drainMs = durationOf('--drainDuration', flags.drainDuration);
  const bootstrap = bootstrapOf({
    member,
    discovery: parseAddress(flags.discoveryAddress),
    sluice: flags.sluiceAddress === undefined ? undefined : parseAddress(flags.sluiceAddress),
    adminPort,
    connectMs: durationOf('--connectTimeout', flags.connectTimeout),
    isDelta: flags.delta === true,
  });
  const text = JSON.stringify(bootstrap, null, 2);
  if (flags.print === true) {
    printOut(text);
    return EXIT.ok;
  }
  const log = makeLog('text', 'info');
  const own = flags.configPath === undefined ? await mkdtemp(join(tmpdir(), 'sluice-sidecar-')) : undefined;
  const folder = own ?? flags.configPath ?? '';
  try {
    await mkdir(folder, { recursive: true });
    const file = join(folder, 'envoy.json');
    await writeFile(file, text);
    log.info('starts Envoy', { node: nodeId(member), discovery: flags.discoveryAddress, bootstrap: file });
    const args = ['-c', file, '--disable-hot-restart', '--log-level', flags.proxyLogLevel];
    args.push('--drain-time-s', String(Math.ceil(drainMs / 1000)));
    if (flags.concurrency !== undefined)
      args.push('--concurrency', String(wholeNumber('--concurrency', flags.concurrency)));
    return await run(flags.binaryPath, args, { log, adminPort, drainMs });
  } finally {
    if (own !== undefined) await rm(own, { recursive: true, force: true });
  }
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
    metadata: metadataFrom(env),
  };
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

// ---------------------------------------------------------- the life of Envoy

interface Life {
  readonly log: OwnLog;
  readonly adminPort: number;
  readonly drainMs: number;
}

async function run(program: string, args: readonly string[], life: Life): Promise<ExitCode> {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  ended.catch(() => undefined); // `spawned` rejects as well
  await once(child, 'spawn').catch((error: unknown) => {
    throw new CliError(
      'CLI_USAGE',
      `${program} does not start: ${messageOf(error)}; give the program of Envoy by --binaryPath`,
    );
  });
  let isStopping = false;
  followSignals((signal) => {
    if (signal === 'SIGHUP') return;
    if (isStopping) return void child.kill('SIGKILL');
    isStopping = true;
    void drained(child, life).finally(() => child.kill('SIGTERM'));
  });
  const [code, signal] = await ended;
  life.log.info('Envoy has ended', { code, signal });
  return (isStopping ? EXIT.ok : (code ?? EXIT.findings)) as ExitCode;
}

/** New connections go elsewhere, and open ones may end. */
async function drained(child: ChildProcess, { log, adminPort, drainMs }: Life): Promise<void> {
  log.info('stopping: drains connections', { drainMs });
  try {
    await fetch(`http://127.0.0.1:${adminPort}/drain_listeners?graceful`, {
      method: 'POST',
      signal: AbortSignal.timeout(1000),
    });
  } catch (error) {
    return log.warn('Envoy does not drain, and is ended', { why: messageOf(error) });
  }
  const over = new AbortController();
  child.once('exit', () => over.abort());
  await sleep(drainMs, undefined, { signal: over.signal }).catch(() => undefined);
}
