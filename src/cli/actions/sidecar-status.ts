/** The pages of `sluice sidecar` for the kubelet: readiness of Envoy, and probes of the application. */
import { isIPv6 } from 'node:net';
import { PROBERS_VARIABLE } from '../../inject/probes.ts';
import type { OwnLog } from '../../log/log.ts';
import { type AppProbers, readAppProbers } from '../../mesh/sidecar/app-probers.ts';
import type { MemberIdentity } from '../../mesh/sidecar/bootstrap.ts';
import type { ProbedPod } from '../../mesh/sidecar/probe-connection.ts';
import { statusHandler } from '../../mesh/sidecar/status-server.ts';
import { listenHttp } from '../../serve/http-listener.ts';
import { messageOf } from '../../text/message-of.ts';
import { Throttle } from '../../time/throttle.ts';
import { CliError } from '../cli-error.ts';
import { notReady } from './sidecar-wait.ts';

interface Status {
  readonly probers: AppProbers;
  readonly pod: ProbedPod;
}

/** Istio's, where an injector has written probes, and no port. */
const DEFAULT_PORT = 15_020;
/** A kubelet has one for each probe. */
const MAX_CONNECTIONS = 1000;

/** `undefined`: no port is asked for, so the kubelet asks the application itself. */
export function statusFrom(
  env: Readonly<Record<string, string | undefined>>,
  flag: string | undefined,
  { address, metadata }: MemberIdentity,
): Status | undefined {
  const written = env[PROBERS_VARIABLE] ?? '';
  const asked = flag ?? String(written === '' ? 0 : DEFAULT_PORT);
  const statusPort = Number(asked);
  if (!/^\d+$/.test(asked) || statusPort > 65535)
    throw new CliError('CLI_USAGE', `--statusPort is "${asked}"; expected a port, or 0 for none`);
  if (statusPort === 0) return undefined;
  const isIntercepted = metadata['INTERCEPTION_MODE'] !== 'NONE';
  // Rules let pass what comes from the address of the inbound listener.
  const from = isIPv6(address) ? '::6' : '127.0.0.6';
  return {
    probers: probersIn(written, statusPort),
    pod: { address, statusPort, from: isIntercepted ? from : undefined },
  };
}

function probersIn(text: string, statusPort: number): AppProbers {
  try {
    return readAppProbers(text === '' ? '{}' : text, statusPort);
  } catch (error) {
    throw new CliError('CLI_USAGE', `${PROBERS_VARIABLE}: ${messageOf(error)}`, { cause: error });
  }
}

export async function startStatus({ probers, pod }: Status, adminPort: number, log: OwnLog): Promise<AsyncDisposable> {
  const failures = new Throttle();
  const handle = statusHandler({
    probers,
    pod,
    whyNotReady: (signal) => notReady(`http://127.0.0.1:${adminPort}/ready`, signal),
    onFailure: (path, why) => {
      const events = failures.admit();
      if (events > 0) log.warn('a probe of the application failed', { path, why, events });
    },
  });
  const address = { host: isIPv6(pod.address) ? '::' : '0.0.0.0', port: pod.statusPort };
  const listener = await listenHttp({
    address,
    tls: undefined,
    reusePort: false,
    maxConnections: MAX_CONNECTIONS,
    handle,
  });
  log.info('answers probes of the kubelet', { port: listener.port, probes: probers.size });
  return { [Symbol.asyncDispose]: () => listener.drain(0) };
}
