import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { addressText, socketPath } from '../../transport/index.ts';
import { parseAddress } from '../address.ts';
import { CliError, exitOf, isExpected } from '../cli-error.ts';
import { StartError } from '../../serve/errors.ts';
import { containFaults } from '../../serve/contain-errors.ts';
import type { ExitCode } from '../exit-codes.ts';
import { logFindings, shownPath } from '../findings.ts';
import { makeLog, type OwnLog } from '../../log/log.ts';
import { logFlushed, writeLog } from '../../log/log-output.ts';
import { PACKAGE_FOLDER } from '../package.ts';
import { RUNS_FROM_SOURCE } from '../../files/program.ts';
import type { ServeFlags } from '../program.ts';
import { type Server, startServer, type TransportFlags } from '../../serve/server.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { startWorkers } from '../../serve/workers/supervisor.ts';
import { paintErr } from '../../text/paint.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Finding } from '../../core/rules/yaml/findings.ts';

/** Serves until a signal says stop. In the log's own format it also says why it could not start. */
export async function serve(configs: readonly string[], flags: ServeFlags): Promise<ExitCode> {
  const log = makeLog(flags.logFormat, flags.logLevel);
  try {
    return await servePolicy(configs, flags, log);
  } catch (error) {
    await logFlushed(FLUSH_MS); // what is wrong with the policy is read before what follows from it
    if (flags.logFormat !== 'json' || !isExpected(error)) throw error;
    log.error(error.message, { code: error.code, fix: error.fix });
    return exitOf(error);
  }
}

async function servePolicy(configs: readonly string[], flags: ServeFlags, log: OwnLog): Promise<ExitCode> {
  const graceMs = Number(flags.grace) * 1000;
  if (!(graceMs >= 0)) throw new CliError('CLI_USAGE', `--grace is "${flags.grace}"; a number of seconds is expected`);
  const workers = Number(flags.workers);
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= MOST_WORKERS))
    throw new CliError(
      'CLI_USAGE',
      `--workers is "${flags.workers}"; a whole number from 1 to ${MOST_WORKERS} is expected`,
    );
  const grpc = parseAddress(flags.grpc, { unix: true });
  if (workers > 1 && socketPath(grpc) !== undefined)
    throw new CliError(
      'CLI_USAGE',
      '--workers share a port, and a unix socket cannot be shared: use one worker, or a port',
    );
  const escaped = containFaults(log);
  const common = {
    configs,
    graceMs,
    escaped,
    transport: await transportOf(flags),
    grpc,
    admin: parseAddress(flags.admin),
    onFindings: (findings: readonly Finding[]) => logFindings(findings, flags.logFormat, log),
  };
  return serveUntilStopped<Server>({
    log,
    start: async () =>
      workers === 1
        ? startServer({ ...common, log, watch: true })
        : startWorkers({ ...common, workers, log: { format: flags.logFormat, level: flags.logLevel } }),
    onServing(server) {
      if (flags.logFormat === 'text') greet(server);
      else
        log.info('serving', {
          grpc: addressText(server.grpc),
          admin: server.admin === undefined ? null : addressText(server.admin),
        });
    },
  });
}

const FLUSH_MS = 1000;

/** Threads beyond the cores of any machine are a slip of the finger. */
const MOST_WORKERS = 256;

async function transportOf({
  transport,
  maxConnectionAge,
  tlsCert,
  tlsKey,
  tlsClientCa,
}: ServeFlags): Promise<TransportFlags> {
  const ageS = Number(maxConnectionAge ?? Infinity);
  if (!(ageS >= 1))
    throw new CliError(
      'CLI_USAGE',
      `--max-connection-age is "${maxConnectionAge}"; a number of seconds, at least 1, is expected`,
    );
  const common: TransportFlags = { kind: transport, ...(ageS === Infinity ? {} : { maxConnectionAgeMs: ageS * 1000 }) };
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return common;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new CliError('CLI_USAGE', 'TLS needs both --tls-cert and --tls-key');
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      throw new StartError('CLI_TLS_FILE', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
    }
  };
  const tls = {
    cert: await read(tlsCert),
    key: await read(tlsKey),
    ...(tlsClientCa === undefined ? {} : { ca: await read(tlsClientCa) }),
  };
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new StartError(
      'CLI_TLS_FILE',
      `${tlsCert} and ${tlsKey} are no certificate and its key: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  return { ...common, tls };
}

function greet(server: Server): void {
  const line = (text: string): void => writeLog(`${text}\n`);
  const policy = server.policy();
  line(`${paintErr.strong('sluice')} serves ${policy.rules.length} rules of revision ${policy.revision}`);
  line(`  gRPC   ${paintErr.name(addressText(server.grpc))}  for Envoy: ext_authz, ratelimit, access log, health`);
  if (server.admin !== undefined)
    line(
      `  admin  ${paintErr.name(`http://${addressText(server.admin)}`)}  for people and Prometheus: /metrics /readyz /rules /handlers /verdicts`,
    );
  const request = join(PACKAGE_FOLDER, 'examples/requests/get.yaml');
  const command = RUNS_FROM_SOURCE ? 'npm run -s sluice --' : 'npx sluice';
  if (existsSync(request))
    line(
      `  try    ${paintErr.good(`${command} call check --to ${addressText(server.grpc)} --request ${shownPath(request)}`)}`,
    );
  line('  Ctrl-C stops it; a changed file or SIGHUP loads the policy anew.');
}
