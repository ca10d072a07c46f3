/**
 * A whole server: policy, handlers, engine, frontends, transport and admin port, put together in one place.
 * **In**: paths of a policy, addresses, a log. **Out**: a server that answers, reloads and drains.
 * **Fails**: with a {@link StartError} before anything listens, and with nothing left open.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadBuiltIns } from '../adapters/built-in.ts';
import type { Registry } from '../adapters/registry.ts';
import type { Host } from '../adapters/contract.ts';
import type { EscapedErrors } from '../adapters/escaped-errors.ts';
import type { SharedMemory } from '../adapters/shared-memory.ts';
import { startAdmin } from '../admin/server.ts';
import type { AdminSources } from '../admin/sources.ts';
import { createEngine } from '../core/engine.ts';
import { unreadable } from '../attributes/unreadable.ts';
import type { Policy } from '../core/rules/policy.ts';
import { RefusedEntries } from '../frontends/index.ts';
import { type Address, addressText, listen, listenHttp2, type TlsOptions } from '../transport/index.ts';
import { adminSources } from './admin-sources.ts';
import { StartError } from './errors.ts';
import { ForwardedForCheck } from './forwarded-for.ts';
import { Loads } from './loads.ts';
import type { OwnLog } from '../log/log.ts';
import { methodsOf } from './methods.ts';
import { handlerOpener, MOST_CLOSE_MS } from './handler-opener.ts';
import { Strangers } from './refused-connections.ts';
import { loadTexts, PolicySource, type PolicyTexts } from './policy-source.ts';
import { messageOf } from '../text/message-of.ts';
import type { Finding } from '../core/rules/yaml/findings.ts';
import type { PreparedPolicy } from '../core/snapshot/in-force.ts';

/** How Envoy's calls come in. */
export interface TransportFlags {
  /** Our own HTTP/2, or Node's. */
  readonly kind: 'own' | 'http2';
  /** Absent: cleartext. */
  readonly tls?: TlsOptions;
  /** After it a connection is drained, so that its proxy connects anew. */
  readonly maxConnectionAgeMs?: number;
}

export interface ServerOptions {
  readonly configs: readonly string[];
  /** Of a policy that was read before, and then instead of `configs`: who has read it says when there is another one. */
  readonly texts?: PolicyTexts;
  /** Port 0: any free one. */
  readonly grpc: Address;
  /** `undefined`: no admin port. */
  readonly admin: Address | undefined;
  readonly log: OwnLog;
  /** Our own HTTP/2 in cleartext where absent. */
  readonly transport?: TransportFlags;
  /** It is one of several at the same port. */
  readonly worker?: { readonly place: Host['worker']; readonly shared: SharedMemory };
  /** Load the policy anew when one of its files changes. */
  readonly watch?: boolean;
  /** How long stopping may take: calls in flight end, reports are written, handlers close. 10 s where not given. */
  readonly graceMs?: number;
  /** What nobody caught, for the metrics page. */
  readonly escaped?: EscapedErrors;
  /** What loading a policy had to say, at start and at each reload. */
  readonly onFindings?: (findings: readonly Finding[]) => void;
}

export interface Server {
  readonly grpc: Address;
  readonly admin: Address | undefined;
  readonly grpcPort: number;
  readonly adminPort: number | undefined;
  /** The one in force. */
  policy(): Policy;
  /** What the admin port shows. */
  readonly sources: AdminSources;
  /** Opens what these texts need, and waits to be told. Rejects with why they cannot be in force. */
  prepare(texts: PolicyTexts): Promise<PreparedPolicy>;
  /** True where the policy as it is now on disk is in force afterwards; else the last good one still is. */
  reload(): Promise<boolean>;
  /** Health says NOT_SERVING, calls in flight end, reports are written, handlers close. Harmless when repeated. */
  drain(): Promise<void>;
}

/** Envoy sends bodies of requests where told to; this is gRPC's own limit. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Of the grace, for handlers that close after it. */
const CLOSE_SHARE = 0.25;
const GRACE_MS = 10_000;

/** Of the grace, calls in flight may take so much; the rest is for reports that wait and for closing handlers. */
const CALLS_SHARE = 0.6;
/** What cannot be closed in its time is left to the end of the process after this. */
const SLACK_MS = 500;

export async function startServer(options: ServerOptions): Promise<Server> {
  const { log, graceMs = GRACE_MS, texts } = options;
  const callsMs = graceMs * CALLS_SHARE;
  const handlersMs = graceMs - callsMs;
  const registry = await loadBuiltIns();
  if (options.worker === undefined) warnOfBroken(registry, log); // of several, the supervisor has said it
  const handlers = handlerOpener(registry, log, options.worker, Math.min(MOST_CLOSE_MS, graceMs * CLOSE_SHARE));
  const engine = createEngine({ openHandlers: handlers.openHandlers, log, graceMs: handlersMs });
  const source =
    texts === undefined
      ? new PolicySource({
          configs: options.configs,
          registry,
          log,
          onFindings: options.onFindings,
          use: async (policy) => engine.use(policy),
        })
      : undefined;
  const loads = source?.loads ?? new Loads();
  const refusedEntries = new RefusedEntries((message, fields) => log.warn(message, { ...fields }));
  const strangers = new Strangers(log, '--tls-cert and --tls-key');
  let isDraining = false;
  let endsAtMs = 0; // of the grace, once it has begun

  async function prepare(given: PolicyTexts): Promise<PreparedPolicy> {
    const policy = await loadTexts(given, registry);
    const prepared = await engine.prepare(policy);
    return {
      commit() {
        prepared.commit();
        loads.took(policy);
      },
      abandon: () => prepared.abandon(),
    };
  }

  const sources = adminSources({
    engine,
    loads,
    refusedEntries,
    strangers,
    plugins: handlers.metrics,
    escaped: options.escaped,
    isDraining: () => isDraining,
  });
  // Taken down in the opposite order: the admin port tells to the end what goes on. Each has its own time, whatever the one before it did.
  await using stack = new AsyncDisposableStack();
  const admin =
    options.admin === undefined
      ? undefined
      : await atAddress(options.admin, (at) =>
          startAdmin({
            ...at,
            onFault: (path, error) => log.error('an admin page failed', { path, error: messageOf(error) }),
            sources,
          }),
        );
  stack.defer(() => admin?.close());
  stack.defer(() =>
    within(
      Math.max(handlersMs, endsAtMs - performance.now()) + SLACK_MS,
      engine.drain(),
      'handlers did not close in time',
      log,
    ),
  );
  if (texts === undefined) await source?.start();
  else (await prepare(texts)).commit();
  const { kind, tls, maxConnectionAgeMs } = options.transport ?? { kind: 'own' };
  const transport = await atAddress(options.grpc, (at) =>
    (kind === 'http2' ? listenHttp2 : listen)(
      methodsOf(engine, () => !isDraining, { onRefusedEntry: (why) => refusedEntries.refuse(why) }),
      {
        ...at,
        ...(tls === undefined ? {} : { tls }),
        ...(maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs }),
        reusePort: options.worker !== undefined,
        maxMessageBytes: MAX_MESSAGE_BYTES,
        onStranger: (stranger) => strangers.take(stranger),
        onFault: (path, error) => log.error('internal error while handling a call', { path, error: messageOf(error) }),
      },
    ),
  );
  stack.defer(() => within(callsMs + SLACK_MS, transport.drain(callsMs), 'connections did not end in time', log));
  stack.use(new ForwardedForCheck({ log, policy: () => loads.policy, shortOnes: () => unreadable.forwardedForShort }));
  if (options.watch === true) source?.follow();
  stack.defer(() => source?.close());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpc: { host: transport.host, port: transport.port },
    grpcPort: transport.port,
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port },
    adminPort: admin?.port,
    policy: () => policyOf(loads),
    sources,
    prepare,
    reload: async () => (isDraining ? false : (source?.reload() ?? false)),
    drain() {
      isDraining = true;
      return (drained ??= (async () => {
        endsAtMs = performance.now() + graceMs;
        engine.flush().catch(() => undefined); // reports that wait are written while calls end
        await open.disposeAsync();
      })());
    },
  };
}

export function policyOf({ policy }: Loads): Policy {
  if (policy === undefined) throw new Error('no policy is in force');
  return policy;
}

/** Goes on after `ms` whatever became of it. */
async function within(ms: number, work: Promise<void>, late: string, log: OwnLog): Promise<void> {
  const over = new AbortController();
  const timer = sleep(ms, 'late' as const, { signal: over.signal }).catch(() => undefined);
  if ((await Promise.race([work, timer])) === 'late') log.warn(late, { waitedMs: ms });
  over.abort();
}

/** A policy that names none of them works. */
export function warnOfBroken({ broken }: Registry, log: OwnLog): void {
  for (const { name, problems } of broken)
    log.warn('a plugin cannot be loaded; policies that name it are refused', {
      plugin: name,
      why: problems.map(({ code, message }) => `${code} ${message}`).join('; '),
    });
}

/** Whatever keeps us from listening is one sentence and its exit code. */
export async function atAddress<T>(address: Address, listenAt: (address: Address) => Promise<T>): Promise<T> {
  try {
    return await listenAt(address);
  } catch (error) {
    throw new StartError('CLI_PORT_TAKEN', `cannot listen at ${addressText(address)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
