/**
 * A whole server: policy, handlers, engine, frontends, transport and admin port, put together in one place.
 * **In**: paths of a policy, addresses, a log. **Out**: a server that answers, reloads and drains.
 * **Fails**: with a {@link CliError} before anything listens, and with nothing left open.
 */
import { resolve } from 'node:path';
import { loadBuiltIns } from '../adapters/built-in.ts';
import type { Registry } from '../adapters/registry.ts';
import type { Host } from '../adapters/contract.ts';
import type { EscapedErrors } from '../adapters/escaped-errors.ts';
import type { SharedMemory } from '../adapters/shared-memory.ts';
import { startAdmin } from '../admin/server.ts';
import type { AdminSources } from '../admin/sources.ts';
import { createEngine } from '../core/engine.ts';
import { messageOf } from '../core/errors.ts';
import type { Finding, Policy } from '../core/rules/policy.ts';
import { RefusedEntries } from '../frontends/index.ts';
import { type Address, addressText, listen, listenHttp2, type TlsOptions } from '../transport/index.ts';
import { adminSources, Loads } from './admin-sources.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { findingsCount } from './findings.ts';
import { load } from './load.ts';
import type { OwnLog } from './log.ts';
import { methodsOf } from './methods.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { handlerOpener } from './open-handlers.ts';
import { watchFiles } from './watch.ts';

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
  /** How long calls in flight may take when it is told to stop; 10 s where not given. */
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
  /** True where the policy as it is now on disk is in force afterwards; else the last good one still is. */
  reload(): Promise<boolean>;
  /** Health says NOT_SERVING, calls in flight end, reports are written, handlers close. Harmless when repeated. */
  drain(): Promise<void>;
}

/** Envoy sends bodies of requests where told to; this is gRPC's own limit. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const GRACE_MS = 10_000;

export async function startServer(options: ServerOptions): Promise<Server> {
  const { log, graceMs = GRACE_MS } = options;
  const registry = await loadBuiltIns();
  if (options.worker === undefined) warnOfBroken(registry, log); // of several, the supervisor has said it
  const handlers = handlerOpener(registry, log, options.worker);
  const engine = createEngine({ openHandlers: handlers.openHandlers });
  const loads = new Loads();
  const refusedEntries = new RefusedEntries((message, fields) => log.warn(message, { ...fields }));
  let isDraining = false;

  async function bring(): Promise<Policy> {
    const { policy, findings } = await load(options.configs, registry);
    options.onFindings?.(findings);
    if (policy === undefined) throw new CliError('CLI_POLICY', `the policy has ${findingsCount(findings)}`, { exit: EXIT.findings });
    try {
      await engine.use(policy);
    } catch (error) {
      throw new CliError('CLI_HANDLER_OPEN', messageOf(error), { exit: EXIT.findings, cause: error });
    }
    loads.took(policy);
    return policy;
  }

  const sources = adminSources({ engine, loads, refusedEntries, plugins: handlers.metrics, escaped: options.escaped, isDraining: () => isDraining });
  // Taken down in the opposite order: the admin port tells to the end what goes on.
  await using stack = new AsyncDisposableStack();
  const admin = options.admin === undefined ? undefined : await atAddress(options.admin, (at) => startAdmin({
    ...at, onFault: (path, error) => log.error('an admin page failed', { path, error: messageOf(error) }),
    sources,
  }));
  stack.defer(() => admin?.close());
  stack.defer(() => engine.drain());
  let inForce = await bring();
  const { kind, tls, maxConnectionAgeMs } = options.transport ?? { kind: 'own' };
  const transport = await atAddress(options.grpc, (at) => (kind === 'http2' ? listenHttp2 : listen)(methodsOf(engine, () => !isDraining, { onRefusedEntry: (why) => refusedEntries.refuse(why) }), {
    ...at, ...(tls === undefined ? {} : { tls }), ...(maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs }), reusePort: options.worker !== undefined, maxMessageBytes: MAX_MESSAGE_BYTES, onFault: (path, error) => log.error('a call failed by a fault of ours', { path, error: messageOf(error) }),
  }));
  stack.defer(() => transport.drain(graceMs));

  const reload = oneAtATime(async () => {
    if (isDraining) return false;
    try {
      inForce = await bring();
    } catch (error) {
      if (isDraining) return false; // it came too late, and nobody waits for it
      loads.refused += 1;
      log.error('the policy has errors; the last good one stays in force', { why: messageOf(error), revision: inForce.revision });
      return false;
    }
    watched(inForce);
    log.info('policy loaded', { revision: inForce.revision, rules: inForce.rules.length, handlers: inForce.handlers.size });
    return true;
  });
  const watch = options.watch === true
    ? watchFiles(() => { reload().catch((error: unknown) => log.error('loading the policy anew failed', { error })); }, (error) => log.warn('watching the policy failed; SIGHUP still loads it anew', { error: messageOf(error) }))
    : undefined;
  const watched = (policy: Policy): void => watch?.watchOnly([...policy.watched, ...options.configs.map((path) => resolve(path))]);
  watched(inForce);
  stack.defer(() => watch?.close());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpc: { host: transport.host, port: transport.port }, grpcPort: transport.port,
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port }, adminPort: admin?.port,
    policy: () => inForce,
    sources,
    reload,
    drain() {
      isDraining = true;
      return drained ??= open.disposeAsync();
    },
  };
}

/** A policy that names none of them works. */
export function warnOfBroken({ broken }: Registry, log: OwnLog): void {
  for (const { name, problems } of broken) log.warn('a plugin cannot be loaded; policies that name it are refused', { plugin: name, why: problems.map(({ code, message }) => `${code} ${message}`).join('; ') });
}

/** Whatever keeps us from listening is one sentence and its exit code. */
export async function atAddress<T>(address: Address, listenAt: (address: Address) => Promise<T>): Promise<T> {
  try {
    return await listenAt(address);
  } catch (error) {
    throw new CliError('CLI_PORT_TAKEN', `cannot listen at ${addressText(address)}: ${messageOf(error)}`, { cause: error });
  }
}
