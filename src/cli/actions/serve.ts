import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { counted } from '../../text/counted.ts';
import { addressText, socketPath } from '../../transport/index.ts';
import { parseAddress, parseSeconds } from '../flag-values.ts';
import { type LogFlags, type TlsFlags, tlsFilesOf } from '../server-flags.ts';
import { parseHttpRoutes } from '../http-routes.ts';
import { CliError, exitOf, isExpected } from '../cli-error.ts';
import { containErrors } from '../../serve/contain-errors.ts';
import type { ExitCode } from '../exit-codes.ts';
import { logFindings, shownPath } from '../findings.ts';
import { LOGS_PATH } from '../../frontends/index.ts';
import { makeLog, type OwnLog } from '../../log/log.ts';
import { logFlushed, writeLog } from '../../log/log-output.ts';
import { PACKAGE_FOLDER } from '../package.ts';
import { RUNS_FROM_SOURCE } from '../../files/program.ts';
import { type CandidateFiles, type Server, startServer } from '../../serve/policy/server.ts';
import type { HttpChecks } from '../../serve/policy/http-checks.ts';
import type { TransportFlags } from '../../serve/policy/thread.ts';
import { MAX_WORKERS } from '../../adapters/shared-memory.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { paintErr } from '../../text/paint.ts';

export interface ServeFlags extends LogFlags, TlsFlags {
  readonly grpc: string;
  readonly otlpHttp?: string;
  readonly http?: string;
  readonly httpRoute?: readonly string[];
  readonly admin: string;
  readonly candidate?: readonly string[];
  readonly candidateShare: string;
  readonly watchPlugins?: true;
  readonly lenient?: true;
  readonly grace: string;
  readonly workers: string;
  readonly transport: 'own' | 'http2';
  readonly maxConnectionAge?: string;
  readonly maxStreamAge: string;
}

/** Serves until a signal stops it. With --log-format json, an error during start is a JSON line too. */
export async function serve(configs: readonly string[], flags: ServeFlags): Promise<ExitCode> {
  const log = makeLog(flags.logFormat, flags.logLevel);
  try {
    return await servePolicy(configs, flags, log);
  } catch (error) {
    await logFlushed(FLUSH_MS); // findings of the policy come before the error that follows from them
    if (flags.logFormat !== 'json' || !isExpected(error)) throw error;
    log.error(error.message, { code: error.code, fix: error.fix });
    return exitOf(error);
  }
}

async function servePolicy(configs: readonly string[], flags: ServeFlags, log: OwnLog): Promise<ExitCode> {
  const graceMs = parseSeconds('--grace', flags.grace);
  const workers = Number(flags.workers);
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS))
    throw new CliError(
      'CLI_USAGE',
      `--workers is "${flags.workers}"; expected a whole number from 1 to ${MAX_WORKERS}`,
    );
  const grpc = parseAddress(flags.grpc, { unix: true });
  if (workers > 1 && socketPath(grpc) !== undefined)
    throw new CliError(
      'CLI_USAGE',
      '--workers share a port, but a unix socket cannot be shared; use one worker, or a port',
    );
  const transport = transportOf(flags);
  const tls = tlsFilesOf(flags);
  const otlpHttp = flags.otlpHttp === undefined ? undefined : parseAddress(flags.otlpHttp);
  const http = httpChecksOf(flags);
  for (const [flag, address] of [['--otlp-http', otlpHttp] as const, ['--http', http?.address] as const])
    if (workers > 1 && address?.port === 0)
      throw new CliError('CLI_USAGE', `--workers share the port of ${flag}; write one other than 0`);
  const admin = parseAddress(flags.admin);
  const candidate = candidateOf(flags);
  const escaped = containErrors(log);
  return serveUntilStopped<Server>({
    log,
    start: () =>
      startServer({
        configs,
        grpc,
        otlpHttp,
        http,
        admin,
        candidate,
        log,
        ...(workers === 1
          ? {}
          : { workers: { count: workers, log: { format: flags.logFormat, level: flags.logLevel } } }),
        transport,
        tls,
        watch: true,
        watchPlugins: flags.watchPlugins,
        isLenient: flags.lenient,
        graceMs,
        escaped,
        onFindings: (findings) => logFindings(findings, flags.logFormat, log),
      }),
    onServing(server) {
      if (flags.logFormat === 'text') greet(server, tls === undefined ? 'http' : 'https');
      else
        log.info('serving', {
          grpc: addressText(server.grpc),
          ...(server.otlpHttp === undefined ? {} : { otlpHttp: addressText(server.otlpHttp) }),
          ...(server.http === undefined ? {} : { http: addressText(server.http) }),
          admin: server.admin === undefined ? null : addressText(server.admin),
        });
    },
  });
}

const FLUSH_MS = 1000;

function candidateOf({ candidate, candidateShare }: ServeFlags): CandidateFiles | undefined {
  const percent = Number(/^(\d+(?:\.\d+)?)%$/.exec(candidateShare)?.[1]);
  if (!(percent > 0 && percent <= 100))
    throw new CliError(
      'CLI_USAGE',
      `--candidate-share is "${candidateShare}"; expected a percentage above 0 up to 100, such as 10%`,
    );
  if (candidate !== undefined) return { configs: candidate, share: percent / 100 };
  if (percent !== 100) throw new CliError('CLI_USAGE', '--candidate-share needs --candidate');
  return undefined;
}

function transportOf({ transport, maxConnectionAge, maxStreamAge }: ServeFlags): TransportFlags {
  const maxConnectionAgeMs = parseSeconds('--max-connection-age', maxConnectionAge ?? 'Infinity', 1);
  return {
    kind: transport,
    ...(maxConnectionAgeMs === Infinity ? {} : { maxConnectionAgeMs }),
    maxStreamAgeMs: parseSeconds('--max-stream-age', maxStreamAge, 1),
  };
}

function httpChecksOf({ http, httpRoute }: ServeFlags): HttpChecks | undefined {
  if (http !== undefined) return { address: parseAddress(http), routes: parseHttpRoutes(httpRoute) };
  if (httpRoute !== undefined) throw new CliError('CLI_USAGE', '--http-route needs --http');
  return undefined;
}

function greet(server: Server, scheme: 'http' | 'https'): void {
  const line = (text: string): void => writeLog(`${text}\n`);
  const policy = server.policy();
  line(`${paintErr.strong('sluice')} serves ${counted(policy.rules.length, 'rule')} of revision ${policy.revision}`);
  line(
    `  gRPC   ${paintErr.name(addressText(server.grpc))}  for Envoy: ext_authz, ratelimit, access log, OTLP logs, health`,
  );
  if (server.otlpHttp !== undefined)
    line(
      `  OTLP   ${paintErr.name(`${scheme}://${addressText(server.otlpHttp)}${LOGS_PATH}`)}  for log records over HTTP`,
    );
  if (server.http !== undefined)
    line(
      `  HTTP   ${paintErr.name(`${scheme}://${addressText(server.http)}`)}  for proxies that ask by HTTP: ext_authz, forward-auth`,
    );
  if (server.admin !== undefined)
    line(
      `  admin  ${paintErr.name(`http://${addressText(server.admin)}`)}  for operators and Prometheus: /metrics /readyz /rules /handlers /verdicts`,
    );
  const request = join(PACKAGE_FOLDER, 'examples/requests/get.yaml');
  const command = RUNS_FROM_SOURCE ? 'npm run -s sluice --' : 'npx sluice';
  if (existsSync(request))
    line(
      `  try    ${paintErr.good(`${command} call check --to ${addressText(server.grpc)} --request ${shownPath(request)}`)}`,
    );
  line('  Ctrl-C stops it; a changed file or SIGHUP reloads the policy.');
}
