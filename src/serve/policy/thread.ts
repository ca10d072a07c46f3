/**
 * The policy engine of one thread: its handlers, its gRPC port, and its data for the admin port.
 * **In**: policies. **Out**: calls answered by the policy in force. **Fails**: to prepare a policy, and to listen.
 */
import type { ComparisonReport } from '../../candidate/report.ts';
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import type { AdminSources } from '../../admin/sources.ts';
import { unreadable } from '../../attributes/derive.ts';
import { createEngine } from '../../core/engine.ts';
import type { PreparedPolicy } from '../../core/snapshot/in-force.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { otlpHttpHandler, RefusedEntries } from '../../frontends/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import { settlesWithin } from '../../time/settles-within.ts';
import type { Address, TlsOptions, Transport } from '../../transport/index.ts';
import type { ListenAt, WorkerPlace } from '../crew/protocol.ts';
import { listenGrpc } from '../grpc-listener.ts';
import { type HttpListener, listenHttp } from '../http-listener.ts';
import { RefusedConnections } from '../refused-connections.ts';
import { type CandidateThread, openCandidateThread } from './candidate-thread.ts';
import { engineSources } from './engine-sources.ts';
import { Feeds } from './feeds.ts';
import { ForwardedForCheck } from './forwarded-for.ts';
import { handlerOpener, MAX_CLOSE_MS } from './handler-opener.ts';
import { type HttpChecks, listenForChecks } from './http-checks.ts';
import { TopLimits } from './top-limits.ts';
import { watchLoop } from './loop-watch.ts';
import { methodsOf } from './methods.ts';
import type { PolicyTexts } from './source.ts';

/** The transport of Envoy's calls. */
export interface TransportFlags {
  /** Sluice's HTTP/2, or Node's. */
  readonly kind: 'own' | 'http2';
  /** A connection of this age is drained, so that its proxy reconnects. */
  readonly maxConnectionAgeMs?: number;
  /** A stream of access logs of this age is ended, so that its proxy opens another. */
  readonly maxStreamAgeMs?: number;
}

/** The admin port's data of one engine, or of several as one. */
export interface EngineSources extends Omit<
  AdminSources,
  'policy' | 'loading' | 'isDraining' | 'control' | 'play' | 'playStart'
> {
  /** A kept call as a line of a file of calls, by the id of the verdict or the request. */
  recorded(id: string): string | undefined | Promise<string | undefined>;
}

export interface ServedAddresses {
  readonly grpc: Address;
  readonly otlpHttp: Address | undefined;
  readonly http: Address | undefined;
}

/** The candidate beside the policy in force. */
export interface CandidateService {
  /** Rejects if it cannot be opened beside the policy in force; the last one stays. */
  use(policy: Policy, texts: PolicyTexts): Promise<void>;
  /** `undefined` while nothing is compared. */
  report(): Promise<ComparisonReport | undefined>;
}

/** An engine that serves: in this thread, or in a crew of workers. */
export interface PolicyService {
  /** Rejects if the policy cannot be in force; the last one stays. */
  use(policy: Policy, texts: PolicyTexts): Promise<void>;
  listen(): Promise<ServedAddresses>;
  renewTls(tls: TlsOptions): void | Promise<void>;
  readonly sources: EngineSources;
  /** Of a server with --candidate. */
  readonly candidate: CandidateService;
  /** For the log line of a reload. */
  fields?(): Readonly<Record<string, unknown>>;
  drain(): Promise<void>;
}

export interface PolicyThreadOptions {
  readonly log: OwnLog;
  readonly transport: TransportFlags;
  /** For logs by OTLP over HTTP. With several workers, a port other than 0. */
  readonly otlpHttp?: Address | undefined;
  /** For checks over HTTP. With several workers, a port other than 0. */
  readonly http?: HttpChecks | undefined;
  /** Drain timeout: calls in flight end, reports are written, handlers close. */
  readonly graceMs: number;
  readonly escaped?: EscapedErrors | undefined;
  /** The part of the calls that a candidate is compared on; absent: there is no candidate. */
  readonly candidateShare?: number | undefined;
  /** Absent: the only thread that serves. */
  readonly worker?: { readonly place: WorkerPlace; readonly shared: SharedMemory };
  /** Further families for the metrics page. */
  readonly families?: readonly MetricFamily[];
}

export interface PolicyThread {
  /** Opens the policy without putting it in force. Rejects if it cannot be in force. */
  prepare(policy: Policy): Promise<PreparedPolicy>;
  /** At all its ports. */
  listen(at: ListenAt): Promise<ListeningThread>;
  readonly sources: EngineSources;
  /** Absent without a share of calls for it. */
  readonly candidate: CandidateThread | undefined;
  /** Health says NOT_SERVING, calls in flight end, reports are written, handlers close. */
  drain(): Promise<void>;
}

export interface ListeningThread extends Pick<Transport, 'host' | 'port' | 'renewTls'> {
  readonly otlpHttp: Address | undefined;
  readonly http: Address | undefined;
}

/** Parts of the grace: for the `close` of plugins, and for calls in flight. Reports get what both leave, and at least what calls leave. */
const CLOSE_SHARE = 0.25;
const CALLS_SHARE = 0.6;
/** After this time, anything that is still open is left to the end of the process. */
const SLACK_MS = 500;

export function openPolicyThread(options: PolicyThreadOptions): PolicyThread {
  const { log, graceMs, worker, transport: flags } = options;
  const callsMs = graceMs * CALLS_SHARE;
  const handlersMs = graceMs - callsMs;
  const handlers = handlerOpener(log, worker, Math.min(MAX_CLOSE_MS, graceMs * CLOSE_SHARE), options.escaped);
  const engine = createEngine({
    openHandlers: handlers.openHandlers,
    log,
    graceMs: handlersMs,
    worker: worker?.place ?? { number: 1, count: 1 },
  });
  const feeds = new Feeds(engine, worker?.place.number ?? 1);
  const { escaped, candidateShare: share } = options;
  const candidate =
    share === undefined ? undefined : openCandidateThread({ engine, share, log, place: worker?.place, escaped });
  const topLimits = new TopLimits(engine);
  const loopWatch = watchLoop(() => engine.held(), log);
  const refusedEntries = new RefusedEntries((message, fields) => log.warn(message, { ...fields }));
  const refused = new RefusedConnections(log, '--tls-cert and --tls-key');
  let policy: Policy | undefined;
  let isDraining = false;
  let transport: Transport | undefined;
  let otlpHttp: HttpListener | undefined;
  let http: HttpListener | undefined;
  let forwardedFor: ForwardedForCheck | undefined;

  async function drain(): Promise<void> {
    isDraining = true;
    const endsAtMs = performance.now() + graceMs;
    engine.flush().catch(() => undefined); // queued reports are written while calls end
    forwardedFor?.[Symbol.dispose]();
    const candidateClosed = candidate?.close(); // it shares handlers with the engine
    // Each step has its own time limit, however long the previous one took.
    const ports = [transport, otlpHttp, http].flatMap((port) => (port === undefined ? [] : [port.drain(callsMs)]));
    await within(
      callsMs + SLACK_MS,
      Promise.all(ports).then(() => undefined),
      'connections did not end in time',
      log,
    );
    feeds.close();
    topLimits.close();
    loopWatch[Symbol.dispose]();
    if (candidateClosed !== undefined)
      await within(handlersMs, candidateClosed, 'handlers of the candidate did not close in time', log);
    const leftMs = Math.max(handlersMs, endsAtMs - performance.now());
    const reportsMs = Math.max(handlersMs, leftMs - graceMs * CLOSE_SHARE);
    await within(leftMs + SLACK_MS, engine.drain(reportsMs), 'handlers did not close in time', log);
  }

  return {
    async prepare(next) {
      const prepared = await engine.prepare(next);
      return {
        commit() {
          prepared.commit();
          policy = next;
          candidate?.policyChanged();
        },
        abandon: () => prepared.abandon(),
      };
    },
    async listen({ address, tls }) {
      const onRefusedEntry = (why: string): void => refusedEntries.refuse(why);
      if (options.otlpHttp !== undefined)
        otlpHttp = await listenHttp({
          address: options.otlpHttp,
          tls,
          reusePort: worker !== undefined,
          handle: otlpHttpHandler(engine, {
            onRefusedEntry,
            onFault: (error) => log.error('internal error while taking logs over HTTP', { error: messageOf(error) }),
          }),
        });
      if (options.http !== undefined)
        http = await listenForChecks(options.http, {
          engine,
          tls,
          reusePort: worker !== undefined,
          isDraining: () => isDraining,
          log,
        });
      transport = await listenGrpc({
        methods: methodsOf(engine, () => !isDraining, { onRefusedEntry }),
        address,
        tls,
        ...flags,
        reusePort: worker !== undefined,
        refused,
        log,
      });
      forwardedFor = new ForwardedForCheck({
        log,
        policy: () => policy,
        shortOnes: () => unreadable.forwardedForShort,
      });
      const { host, port } = transport;
      return {
        host,
        port,
        otlpHttp: addressOf(otlpHttp),
        http: addressOf(http),
        renewTls(renewed) {
          transport?.renewTls(renewed);
          otlpHttp?.renewTls(renewed);
          http?.renewTls(renewed);
        },
      };
    },
    sources: engineSources({
      engine,
      policy: () => policy,
      families: [...(options.families ?? []), ...(candidate?.families ?? [])],
      refusedEntries,
      refused,
      plugins: handlers.metrics,
      escaped: options.escaped,
      feeds,
      topLimits,
    }),
    candidate,
    drain,
  };
}

/** The engine in this thread alone. */
export function serveInThread(options: PolicyThreadOptions & { readonly at: ListenAt }): PolicyService {
  const thread = openPolicyThread(options);
  let listening: ListeningThread | undefined;
  return {
    use: async (policy) => (await thread.prepare(policy)).commit(),
    async listen() {
      listening = await thread.listen(options.at);
      const { host, port, otlpHttp, http } = listening;
      return { grpc: { host, port }, otlpHttp, http };
    },
    candidate: {
      use: async (policy) => (await thread.candidate?.prepare(policy))?.commit(),
      report: async () => thread.candidate?.report(),
    },
    renewTls: (tls) => listening?.renewTls(tls),
    sources: thread.sources,
    drain: () => thread.drain(),
  };
}

const addressOf = (listener: HttpListener | undefined): Address | undefined =>
  listener === undefined ? undefined : { host: listener.host, port: listener.port };

/** Waits for the work, at most `ms`. */
async function within(ms: number, work: Promise<void>, late: string, log: OwnLog): Promise<void> {
  if (!(await settlesWithin(ms, work))) log.warn(late, { waitedMs: ms });
}
