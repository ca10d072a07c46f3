/**
 * A whole server: policy, handlers, engine, frontends, transport and admin port, put together in one place.
 * **In**: paths of a policy, addresses, a log. **Out**: a server that answers, reloads and drains.
 * **Fails**: with a {@link CliError} before anything listens, and with nothing left open.
 */
import { startAdmin, type Admin } from '../admin/server.ts';
import { type Address } from './address.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import type { Finding, Policy } from '../core/rules/policy.ts';
import type { OwnLog } from './log.ts';

export interface ServerOptions {
  readonly configs: readonly string[];
  /** Port 0: any free one. */
  readonly grpc: Address;
  /** `undefined`: no admin port. */
  readonly admin: Address | undefined;
  readonly log: OwnLog;
  /** Load the policy anew when one of its files changes. */
  readonly watch?: boolean;
  /** How long calls in flight may take when it is told to stop; 10 s where not given. */
  readonly graceMs?: number;
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
  /** True where the policy as it is now on disk is in force afterwards; else the last good one still is. */
  reload(): Promise<boolean>;
  /** Health says NOT_SERVING, calls in flight end, reports are written, handlers close. Harmless when repeated. */
  drain(): Promise<void>;
}

/** Envoy sends bodies of requests where told to; its own default limit of gRPC messages is 4 MiB. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export async function startServer(options: ServerOptions): Promise<Server> {
  const { log } = options;
  const registry = await loadBuiltIns();
  const pluginMetrics = createPluginMetrics(log);
  const environment: HandlerEnvironment = { log, metrics: pluginMetrics, shared: createSharedMemory() };
  const engine = createEngine({ openHandlers: opener(registry, environment) });

  async function bring(): Promise<Policy> {
    const { policy, findings } = await load(options.configs, registry);
    options.onFindings?.(findings);
    if (policy === undefined) throw new CliError('CLI_POLICY', `the policy has ${findingsCount(findings)}`, { exit: EXIT.findings });
    try {
      await engine.use(policy);
    } catch (error) {
      throw new CliError('CLI_HANDLER_OPEN', error instanceof Error ? error.message : String(error), { exit: EXIT.findings, cause: error });
    }
    return policy;
  }
}
