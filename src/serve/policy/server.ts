/**
 * The server of `sluice serve`: a policy that is watched on disk, an engine that enforces it, the admin port.
 * **In**: paths of a policy, addresses, a log. **Out**: a server that answers, reloads and drains.
 * **Fails**: with a {@link StartError}; nothing stays open.
 */
import { builtIns } from '../../adapters/loading/built-in.ts';
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import { startAdmin } from '../../admin/server.ts';
import type { AdminSources } from '../../admin/sources.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Finding } from '../../yaml/findings.ts';
import type { LogFormat, LogLevel, OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Address } from '../../transport/index.ts';
import { atAddress } from '../grpc-listener.ts';
import { certificateFamilies } from '../certificate-validity.ts';
import { readTls, type TlsFiles, watchTls } from '../tls-files.ts';
import type { HttpChecks } from './http-checks.ts';
import { InTurn } from '../../time/in-turn.ts';
import { policyControl } from './changes.ts';
import { candidateInfo, Loads, policyFamilies } from './loads.ts';
import { PolicySource } from './source.ts';
import type { RecordedCall } from '../../traffic/format.ts';
import type { JsonObject } from '../../text/json-object.ts';
import { callOf } from '../../traffic/parse-call.ts';
import { play } from './playground.ts';
import { playgroundStart } from './playground-start.ts';
import { serveByCrew } from './supervisor.ts';
import { serveInThread, type TransportFlags } from './thread.ts';

export interface ServerOptions {
  readonly configs: readonly string[];
  /** Port 0: any free port. */
  readonly grpc: Address;
  /** For logs by OTLP over HTTP; absent: not served. With several workers, a port other than 0. */
  readonly otlpHttp?: Address | undefined;
  /** For checks over HTTP; absent: not served. With several workers, a port other than 0. */
  readonly http?: HttpChecks | undefined;
  /** A policy that decides the same calls for comparison. */
  readonly candidate?: CandidateFiles | undefined;
  /** `undefined`: no admin port. */
  readonly admin: Address | undefined;
  readonly log: OwnLog;
  /** Several threads that serve at the same port, each with its own log. Absent: this thread alone. */
  readonly workers?: {
    readonly count: number;
    readonly log: { readonly format: LogFormat; readonly level: LogLevel };
  };
  /** Default: Sluice's HTTP/2. */
  readonly transport?: TransportFlags;
  /** Absent: cleartext. */
  readonly tls?: TlsFiles | undefined;
  /** Reload the policy when one of its files changes. */
  readonly watch?: boolean;
  /** Load local plugins again when their files change; in development. */
  readonly watchPlugins?: boolean | undefined;
  /** A CUSTOM policy of Istio whose provider is unknown denies; default: it is an error. */
  readonly isLenient?: boolean | undefined;
  /** Time to stop: calls in flight end, reports are written, handlers close. Default 10 s. */
  readonly graceMs?: number;
  /** Counted on the metrics page. */
  readonly escaped?: EscapedErrors;
  /** Called with the findings of each load, at the start and at each reload. */
  readonly onFindings?: (findings: readonly Finding[]) => void;
}

export interface CandidateFiles {
  /** Files and folders. */
  readonly configs: readonly string[];
  /** The part of the calls that is compared, from 0 to 1. */
  readonly share: number;
}

export interface Server {
  readonly grpc: Address;
  readonly admin: Address | undefined;
  readonly otlpHttp: Address | undefined;
  readonly http: Address | undefined;
  readonly grpcPort: number;
  readonly adminPort: number | undefined;
  /** The policy in force. */
  policy(): Policy;
  /** True if the policy on disk is now in force; otherwise the last good one stays. */
  reload(): Promise<boolean>;
  /** Health says NOT_SERVING, calls in flight end, reports are written, handlers close. Harmless when repeated. */
  drain(): Promise<void>;
}

const GRACE_MS = 10_000;

export async function startServer(options: ServerOptions): Promise<Server> {
  const { log, escaped, graceMs = GRACE_MS, transport = { kind: 'own' }, workers, candidate } = options;
  const tls = options.tls === undefined ? undefined : await readTls(options.tls);
  let served = tls;
  const registry = builtIns();
  const loads = new Loads();
  const candidateLoads = new Loads(0); // a rollback is of the policy in force
  const turns = new InTurn();
  const serving = {
    at: { address: options.grpc, tls },
    transport,
    otlpHttp: options.otlpHttp,
    http: options.http,
    graceMs,
    log,
    escaped,
    families: [
      ...policyFamilies(loads),
      ...certificateFamilies(() => served?.cert),
      ...(candidate === undefined ? [] : [candidateInfo(candidateLoads)]),
    ],
    candidateShare: candidate?.share,
  };
  const service = workers === undefined ? serveInThread(serving) : serveByCrew({ ...serving, workers });
  let isDraining = false;
  const { onFindings, isLenient, watchPlugins } = options;
  const fields = (): Readonly<Record<string, unknown>> => service.fields?.() ?? {};
  const common = { registry, log, onFindings, isLenient, fields };
  const source = new PolicySource({
    ...common,
    part: 'policy',
    configs: options.configs,
    loads,
    turns,
    watchPlugins,
    use: (policy, texts) => service.use(policy, texts),
  });
  const candidateSource =
    candidate === undefined
      ? undefined
      : new PolicySource({
          ...common,
          part: 'candidate',
          configs: candidate.configs,
          loads: candidateLoads,
          turns: new InTurn(), // neither policy waits for the other to load
          use: (policy, texts) => service.candidate.use(policy, texts),
        });
  const control = policyControl({
    service,
    loads,
    registry,
    log,
    turns,
    candidate: candidate === undefined ? undefined : { ...candidate, loads: candidateLoads },
    onChanged: () => source.superseded(),
    isDraining: () => isDraining,
  });
  async function recorded(id: string): Promise<RecordedCall | undefined> {
    const line = await service.sources.recorded(id);
    const call = line === undefined ? undefined : callOf(JSON.parse(line) as JsonObject);
    return typeof call === 'string' ? undefined : call;
  }
  const playground = {
    registry,
    recorded,
    inForce: () => loads.policy,
    texts: () => loads.history[0]?.texts,
  };
  const sources: AdminSources = {
    ...service.sources,
    control,
    policy: () => loads.policy,
    loading: () => ({ atMs: loads.atMs, refusal: loads.refusal, history: loads.history, configs: options.configs }),
    play: (request) => play(request, playground),
    playStart: (id) => playgroundStart(id, playground),
    isDraining: () => isDraining,
  };

  // Closed in reverse order, so that the admin port shows the drain to its end.
  await using stack = new AsyncDisposableStack();
  const admin =
    options.admin === undefined
      ? undefined
      : await atAddress(options.admin, (at) =>
          startAdmin({
            ...at,
            onFault: (path, error) => log.error('an admin page failed', { path, error: messageOf(error) }),
            onReset: (done) => log.info('counters reset', { ...done, rules: done.rules.join(', ') }),
            onLetters: ({ kind, who, ...done }) =>
              log.info(kind === 'drop' ? 'dead letters dropped' : 'dead letters sent again', { ...done, who }),
            sources,
          }),
        );
  stack.defer(() => admin?.close());
  stack.defer(async () => {
    await Promise.all([source.close(), candidateSource?.close(), service.drain()]);
  });
  await source.start();
  const { grpc, otlpHttp, http } = await service.listen();
  if (options.watch === true) source.follow();
  if (candidateSource !== undefined) startCandidate(candidateSource, options.watch === true, log);
  if (options.tls !== undefined && tls !== undefined) {
    const watching = watchTls(
      options.tls,
      tls,
      async (renewed) => {
        await service.renewTls(renewed);
        served = renewed;
      },
      log,
    );
    stack.defer(() => watching.close());
  }

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpc,
    otlpHttp,
    http,
    grpcPort: grpc.port,
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port },
    adminPort: admin?.port,
    policy() {
      if (loads.policy === undefined) throw new Error('no policy is in force');
      return loads.policy;
    },
    async reload() {
      if (isDraining) return false;
      const [isLoaded] = await Promise.all([source.reload(), candidateSource?.reload()]);
      return isLoaded;
    },
    drain() {
      isDraining = true;
      return (drained ??= open.disposeAsync());
    },
  };
}

/** A candidate with errors stops nothing: it is loaded again when it changes. */
function startCandidate(source: PolicySource, isWatched: boolean, log: OwnLog): void {
  source
    .reload()
    .catch((error: unknown) => log.error('internal error while loading the candidate', { error: messageOf(error) }))
    .finally(() => {
      if (isWatched) source.follow();
    })
    .catch(() => undefined);
}
